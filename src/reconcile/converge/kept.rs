//! What is kept of a change of a server's state, and how long a start takes by
//! what is kept.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::Converge;
use crate::clock;
use crate::metrics::{Metrics, StartOutcome};
use crate::model::{Event, Instance, Reason, RunState, Status};
use crate::trouble;

impl Converge {
    /// Changes status and reason alone.
    pub(super) async fn say(&self, before: &Instance, status: Status, reason: Reason) {
        let after = RunState {
            status,
            reason,
            ..RunState::clone(&before.state)
        };
        self.see(before, after).await;
    }

    /// Keeps what is seen of an instance now.
    pub(super) async fn see(&self, instance: &Instance, state: RunState) {
        self.save(instance, instance.seen(state)).await;
    }

    /// Keeps an instance as it is now, or the one that takes its place, with a
    /// line in the history where the status changed. What was observed counts even
    /// when the disk is full.
    pub(super) async fn save(&self, before: &Instance, mut after: Instance) {
        if *before == after {
            return;
        }
        let now = self.parts.clock.now();
        let (was, is) = (&before.state, Arc::make_mut(&mut after.state));
        let is_transition = was.status != is.status;
        // Unless it was shown already, with its time.
        if is_transition && is.since == was.since {
            is.since = now;
        }
        let event = (is_transition || was.reason != is.reason)
            .then(|| Event::of_state(now, is.status, is.reason.clone()));
        if is_transition {
            tracing::info!(
                server = %self.id,
                instance = %after.id,
                from = was.status.as_str(),
                to = is.status.as_str(),
                reason = %is.reason,
                "status"
            );
        }
        self.start.see(was, is, &self.parts.metrics);
        self.parts.directory.put_instance(after.clone());
        match self.parts.store.save_instance(after, event).await {
            Ok(()) => trouble::STATES.worked(),
            Err(error) => trouble::STATES.met(&error),
        }
    }
}

/// Since when a server starts, if it does. Kept in memory: a start that another
/// EMCP began is none of this one's.
#[derive(Default)]
pub(in crate::reconcile) struct StartClock(Mutex<Option<Instant>>);

impl StartClock {
    /// Looks at a change of state: begins with the making of a container, and
    /// ends with what comes of it.
    fn see(&self, before: &RunState, after: &RunState, metrics: &Metrics) {
        let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if after.reason == Reason::CreatingContainer {
            begun.get_or_insert_with(clock::instant);
            return;
        }
        // Each failure is another record.
        let failure = after.last_error.as_ref();
        let failed = failure.filter(|_| after.last_error != before.last_error);
        if let Some(failure) = failed {
            metrics.run_failed(&failure.fault.code);
        }
        let outcome = match after.status {
            _ if failed.is_some() => StartOutcome::Failed,
            Status::Running => StartOutcome::Ready,
            Status::Building | Status::Starting => return,
            _ => StartOutcome::Abandoned,
        };
        if let Some(begun) = begun.take() {
            let took = clock::instant().saturating_duration_since(begun);
            metrics.start_ended(outcome, took);
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::{Failure, KnownFault};

    fn state(status: Status, reason: Reason) -> RunState {
        RunState {
            status,
            reason,
            ..RunState::never_ran(Timestamp::UNIX_EPOCH)
        }
    }

    fn failed(code: &str) -> RunState {
        let fault = crate::model::Fault {
            code: code.to_owned(),
            ..KnownFault::ContentsUnreadable.into()
        };
        RunState {
            last_error: Some(Failure {
                fault,
                line: None,
                log_tail: Vec::new(),
                at: Timestamp::UNIX_EPOCH,
            }),
            ..state(Status::Error, Reason::Stopped)
        }
    }

    /// The outcomes that are counted when a server goes through these states.
    fn outcomes(states: &[RunState]) -> Vec<String> {
        let (clock, metrics) = (StartClock::default(), Metrics::default());
        for pair in states.windows(2) {
            clock.see(&pair[0], &pair[1], &metrics);
        }
        let text = metrics.render(std::iter::empty()).unwrap();
        let counts = text.lines().filter(|line| {
            line.starts_with("emcp_server_start_duration_seconds_count")
                || line.starts_with("emcp_server_failures_total")
        });
        let mut counts: Vec<_> = counts
            .filter_map(|line| line.split_once('{'))
            .map(|(_, rest)| rest.to_owned())
            .collect();
        counts.sort();
        counts
    }

    #[test]
    fn a_start_is_timed_from_its_container_to_what_comes_of_it() {
        let stopped = state(Status::Stopped, Reason::Stopped);
        let building = state(Status::Building, Reason::CreatingContainer);
        let starting = state(Status::Starting, Reason::AwaitingAnswer);
        let routing = state(Status::Starting, Reason::AwaitingRoute);
        let running = state(Status::Running, Reason::Serving);
        let silent = state(Status::Unresponsive, Reason::Serving);
        let all = [
            &stopped, &building, &starting, &routing, &running, &silent, &running, &stopped,
        ];
        assert_eq!(outcomes(&all.map(Clone::clone)), [r#"outcome="ready"} 1"#]);
        let stopped_early = [&stopped, &building, &starting, &stopped];
        assert_eq!(
            outcomes(&stopped_early.map(Clone::clone)),
            [r#"outcome="abandoned"} 1"#]
        );
        // An EMCP that finds it starting did not begin it.
        let adopted = [&starting, &running];
        assert!(outcomes(&adopted.map(Clone::clone)).is_empty());
    }

    #[test]
    fn a_failure_counts_once_and_as_a_start_only_before_it_was_ready() {
        let building = state(Status::Building, Reason::CreatingContainer);
        let running = state(Status::Running, Reason::Serving);
        let stopped = state(Status::Stopped, Reason::Stopped);
        let crashed = failed("crashed");
        let told_again = RunState {
            status: Status::Building,
            ..crashed.clone()
        };
        assert_eq!(
            outcomes(&[
                stopped.clone(),
                building.clone(),
                crashed.clone(),
                told_again
            ]),
            [r#"cause="crashed"} 1"#, r#"outcome="failed"} 1"#]
        );
        assert_eq!(
            outcomes(&[stopped, building, running, crashed]),
            [r#"cause="crashed"} 1"#, r#"outcome="ready"} 1"#]
        );
    }
}
