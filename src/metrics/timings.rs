//! Histograms of times.

use std::time::Duration;

use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::histogram::Histogram;

use super::labels::{CallLabels, Labels, OutcomeLabel};
use crate::clock;

/// Upper bounds, in seconds.
pub(super) type Buckets = &'static [f64];

/// What a person or a page waits for.
pub(super) const HTTP: Buckets = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0];
/// The gate answers in fractions of a millisecond, or holds a call up to 25 s.
pub(super) const GATE: Buckets = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0,
    25.0,
];
/// Docker answers in milliseconds, stops a container in seconds, or hangs until
/// it is given up after 90 s.
pub(super) const ENGINE: Buckets = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 90.0,
];
/// A sync takes as long as the disk makes it.
pub(super) const COMMIT: Buckets = &[
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];
/// From a small file to one that loads a model.
pub(super) const START: Buckets = &[
    0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0,
];

#[derive(Debug, Clone, Copy)]
pub(super) struct OfBuckets(Buckets);

impl MetricConstructor<Histogram> for OfBuckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// Times by labels; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Timings<L>(Family<L, Histogram, OfBuckets>);

impl<L: Labels> Timings<L> {
    pub(super) fn new(buckets: Buckets) -> Self {
        Self(Family::new_with_constructor(OfBuckets(buckets)))
    }

    /// What the registry writes out.
    pub(super) fn family(&self) -> Family<L, Histogram, OfBuckets> {
        self.0.clone()
    }

    pub(super) fn took(&self, labels: L, took: Duration) {
        self.0.get_or_create(&labels).observe(took.as_secs_f64());
    }
}

/// Takes the times of calls to the engine; cheap to clone.
#[derive(Debug, Clone)]
pub struct EngineCalls(pub(super) Timings<CallLabels>);

impl EngineCalls {
    /// Times a call. `outcome_of` names its outcome: `ok`, or what kind of error
    /// it is. A call that is given up by who asked counts for nothing.
    pub async fn time<T>(
        &self,
        call: &'static str,
        outcome_of: impl FnOnce(&T) -> &'static str,
        asking: impl Future<Output = T>,
    ) -> T {
        let begin = clock::instant();
        let answer = asking.await;
        let outcome = outcome_of(&answer);
        let took = clock::instant().saturating_duration_since(begin);
        self.0.took(CallLabels { call, outcome }, took);
        answer
    }
}

/// Takes the times of the database's commits; cheap to clone.
#[derive(Debug, Clone)]
pub struct Commits(pub(super) Timings<OutcomeLabel>);

impl Default for Commits {
    /// For a database that nobody watches.
    fn default() -> Self {
        Self(Timings::new(COMMIT))
    }
}

impl Commits {
    /// A commit was made, or a write failed, at whatever point of it.
    pub fn took(&self, is_ok: bool, took: Duration) {
        self.0.took(OutcomeLabel::new(is_ok), took);
    }
}
