//! The registry, which also knows what it holds while nothing was counted yet.

use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Metric, Registry};

#[derive(Default)]
pub(super) struct Book {
    registry: Registry,
    known: Vec<(&'static str, MetricType)>,
}

impl Book {
    /// Registers a metric, and hands it back to be counted with.
    pub(super) fn enter<M: Metric + Clone>(
        &mut self,
        name: &'static str,
        help: &'static str,
        metric: M,
    ) -> M {
        self.known.push((name, metric.metric_type()));
        self.registry.register(name, help, metric.clone());
        metric
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The names of the series that there can be.
    pub(super) fn series(&self) -> impl Iterator<Item = String> {
        self.known.iter().flat_map(|(name, kind)| {
            let endings: &[&str] = match kind {
                MetricType::Counter => &["_total"],
                MetricType::Histogram => &["_bucket", "_sum", "_count"],
                MetricType::Gauge | MetricType::Info | MetricType::Unknown => &[""],
            };
            endings.iter().map(move |ending| format!("{name}{ending}"))
        })
    }
}
