//! What follows from a server's silence, or from its end: what is told of it,
//! and when it is replaced. Pure.

use std::time::{Duration, Instant};

use crate::liveness::{Silence, Verdict};
use crate::model::{Desired, Reason, RunState, Server, Status};

/// What is to be done about whether a server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Alive {
    /// Tell that it does not, for this reason.
    TellSilence {
        /// Why.
        reason: Reason,
        /// For how long it has not.
        silent_for: Duration,
    },
    /// Tell that it does again.
    TellAnswer,
    /// It has not for so long that it is replaced.
    Replace {
        /// For how long.
        silent_for: Duration,
    },
}

/// Whether EMCP asks a server if it answers: one that is to run, and does by
/// the wish that is in force, also while the operator holds it.
pub(super) fn is_watched(server: &Server, state: &RunState) -> bool {
    server.desired == Desired::Running
        && server.generation == state.generation
        && matches!(state.status, Status::Running | Status::Unresponsive)
        && state.ready_run.is_some()
}

/// What is to be done, if anything. `restart_after` is `None` where silent
/// servers are left alone; `others_answer` is whether any other has answered
/// since this one does not, or there is none.
pub(super) fn wanted(
    server: &Server,
    state: &RunState,
    verdict: Verdict,
    restart_after: Option<Duration>,
    others_answer: bool,
    now: Instant,
) -> Option<Alive> {
    if !is_watched(server, state) {
        return None;
    }
    let is_told = state.status == Status::Unresponsive;
    let (silence, since) = match verdict {
        Verdict::Unknown => return None,
        Verdict::Answers => return is_told.then_some(Alive::TellAnswer),
        Verdict::Unresponsive { silence, since } => (silence, since),
    };
    let silent_for = now.duration_since(since);
    let reason = match silence {
        Silence::Mute => Reason::NotAnswering,
        Silence::Unreachable => Reason::NotReachable,
        Silence::InCall => Reason::BlockedInCall,
    };
    if !is_told || state.reason != reason {
        return Some(Alive::TellSilence { reason, silent_for });
    }
    let may_be_replaced = match silence {
        Silence::Mute => true,
        // Where EMCP reaches none, the way that is lost is its own.
        Silence::Unreachable => others_answer,
        // Never while the call runs.
        Silence::InCall => false,
    };
    let is_overdue = restart_after.is_some_and(|after| silent_for >= after);
    (may_be_replaced && is_overdue && !server.settings.hold)
        .then_some(Alive::Replace { silent_for })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::plan::tests::{held, running, server};

    const AFTER: Duration = Duration::from_secs(60);

    fn unresponsive(reason: Reason) -> RunState {
        RunState {
            status: Status::Unresponsive,
            reason,
            ..running()
        }
    }

    /// What is wanted of a server that is silent in this way for so long.
    fn silent(server: &Server, state: &RunState, silence: Silence, secs: u64) -> Option<Alive> {
        let since = Instant::now();
        let now = since + Duration::from_secs(secs);
        let verdict = Verdict::Unresponsive { silence, since };
        wanted(server, state, verdict, Some(AFTER), true, now)
    }

    fn replaced(secs: u64) -> Option<Alive> {
        let silent_for = Duration::from_secs(secs);
        Some(Alive::Replace { silent_for })
    }

    #[test]
    fn silence_is_told_then_ends_in_a_replacement_or_in_an_answer() {
        let wished = server(Desired::Running);
        let told = silent(&wished, &running(), Silence::Mute, 15);
        let reason = Reason::NotAnswering;
        let silent_for = Duration::from_secs(15);
        let expected = Alive::TellSilence {
            reason: reason.clone(),
            silent_for,
        };
        assert_eq!(told, Some(expected));
        let state = unresponsive(reason);
        assert_eq!(silent(&wished, &state, Silence::Mute, 59), None);
        assert_eq!(silent(&wished, &state, Silence::Mute, 60), replaced(60));
        let now = Instant::now();
        let judged = |verdict| wanted(&wished, &state, verdict, Some(AFTER), true, now);
        assert_eq!(judged(Verdict::Answers), Some(Alive::TellAnswer));
        // As after a start of EMCP: it is asked first.
        assert_eq!(judged(Verdict::Unknown), None);
        let answers = wanted(&wished, &running(), Verdict::Answers, None, true, now);
        assert_eq!(answers, None);
    }

    #[test]
    fn what_a_call_blocks_is_never_replaced_and_nothing_is_where_the_setting_says_so() {
        let wished = server(Desired::Running);
        let state = unresponsive(Reason::BlockedInCall);
        assert_eq!(silent(&wished, &state, Silence::InCall, 9_999), None);
        // It hangs, and no call runs in it any more: that is told first.
        assert!(matches!(
            silent(&wished, &state, Silence::Mute, 99),
            Some(Alive::TellSilence { .. })
        ));
        let since = Instant::now();
        let verdict = Verdict::Unresponsive {
            silence: Silence::Mute,
            since,
        };
        let state = unresponsive(Reason::NotAnswering);
        let later = since + AFTER * 99;
        assert_eq!(wanted(&wished, &state, verdict, None, true, later), None);
    }

    #[test]
    fn where_no_server_can_be_reached_none_is_replaced() {
        let wished = server(Desired::Running);
        let state = unresponsive(Reason::NotReachable);
        let since = Instant::now();
        let verdict = Verdict::Unresponsive {
            silence: Silence::Unreachable,
            since,
        };
        let alone = wanted(&wished, &state, verdict, Some(AFTER), false, since + AFTER);
        assert_eq!(alone, None);
        let among_others = wanted(&wished, &state, verdict, Some(AFTER), true, since + AFTER);
        assert_eq!(among_others, replaced(60));
    }

    #[test]
    fn a_held_server_is_told_of_and_left_alone_and_one_that_does_not_run_is_not_asked() {
        let held = held(server(Desired::Running));
        assert!(silent(&held, &running(), Silence::Mute, 15).is_some());
        let state = unresponsive(Reason::NotAnswering);
        assert_eq!(silent(&held, &state, Silence::Mute, 99), None);
        let wished = server(Desired::Running);
        for status in [Status::Starting, Status::Sleeping, Status::Error] {
            let state = RunState {
                status,
                ..running()
            };
            assert!(!is_watched(&wished, &state));
            assert_eq!(silent(&wished, &state, Silence::Mute, 99), None);
        }
        let renewed = Server {
            generation: 3,
            ..server(Desired::Running)
        };
        assert!(!is_watched(&renewed, &running()));
        assert!(!is_watched(&server(Desired::Stopped), &running()));
    }
}
