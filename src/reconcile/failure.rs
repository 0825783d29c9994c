//! What the end of a run means, and when to try again. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::{Failure, Fault, KnownFault, Reason, RunState, Status};
use crate::runtime::Run;

/// Failures in a row after which EMCP waits for the user.
const QUICK_FAILURES_MAX: u32 = 5;
/// A run that served this long before its end was healthy: it begins a new
/// count. The same time as in Docker's own restart policy, but counted from the
/// first answer: on a busy machine loading alone may take it.
const HEALTHY_RUN: SignedDuration = SignedDuration::from_secs(10);
const HEALTHY_BEFORE_SILENCE: SignedDuration = SignedDuration::from_mins(5);
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// How many lines of output are kept with a failure.
pub(super) const TAIL_LINES: usize = 50;
/// And how many bytes of them, the newest: they are kept in memory and in the
/// database, and shown with every answer about the server.
const TAIL_MAX_BYTES: usize = 16 * 1024;
/// Of a code and a sentence that a server reports itself.
const REPORTED_CODE_MAX_CHARS: usize = 64;
const REPORTED_MESSAGE_MAX_CHARS: usize = 2_000;
/// Of a module's name, and a package's, in bytes.
const MODULE_MAX_CHARS: usize = 200;
/// The bootstrap's exit codes, for failures that a retry cannot mend: they
/// come of the file itself (`base-image/README.md`).
const BOOTSTRAP_CODES: std::ops::RangeInclusive<i64> = 70..=77;

/// What the bootstrap reports in one line of JSON before it exits.
#[derive(Debug, Deserialize)]
struct Report {
    emcp: ReportBody,
}

#[derive(Debug, Deserialize)]
struct ReportBody {
    event: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    line: Option<u32>,
    #[serde(default)]
    args: Option<MissingModule>,
}

/// The module that a file needs and the image does not have.
#[derive(Debug, Deserialize, Serialize)]
struct MissingModule {
    module: String,
    distribution: String,
    /// Whether it rather looks like a file of the user's own project.
    #[serde(default)]
    is_own: bool,
}

impl MissingModule {
    /// What is told of it, if it reads as such names do.
    fn told(&self) -> Option<Map<String, Value>> {
        let is_name = |text: &str| {
            text.len() <= MODULE_MAX_CHARS
                && text
                    .chars()
                    .all(|c| c.is_alphanumeric() || "._-".contains(c))
        };
        if !is_name(&self.module) || !is_name(&self.distribution) {
            return None;
        }
        match serde_json::to_value(self) {
            Ok(Value::Object(args)) => Some(args),
            _ => None,
        }
    }
}

/// Whether a run ended because the engine did, not by itself: it ended before
/// the present engine began. One that ends under an engine that runs on is
/// accounted for within moments, so it is not met again behind a restart; the
/// engine stops containers when it ends, and those it finds when it begins,
/// before it answers anybody, and writes down those that a power cut took.
/// What the server itself left as its reason stays one.
pub(super) fn ended_with_engine(run: &Run, engine_began_at: Option<Timestamp>) -> bool {
    let is_own = run.oom_killed || BOOTSTRAP_CODES.contains(&run.exit_code);
    // Where nobody saw the end there may be no time of it.
    match (run.finished_at.or(run.started_at), engine_began_at) {
        (Some(end), Some(began)) => !is_own && end < began,
        _ => false,
    }
}

/// The state after an end that was the engine's: nothing is counted, and the
/// server is started again at once.
pub(super) fn after_engine_restart(state: &RunState, healthy_before: bool) -> RunState {
    RunState {
        status: Status::Building,
        reason: Reason::EngineRestarted,
        quick_failures: if healthy_before {
            0
        } else {
            state.quick_failures
        },
        retry_at: None,
        ready_run: None,
        started_at: None,
        ..state.clone()
    }
}

/// How many restarts there are with the start that begins now: those after
/// failures count.
pub(super) fn restarts_with_this(state: &RunState) -> u32 {
    let follows_failure = state.quick_failures > 0 && state.reason != Reason::EngineRestarted;
    state.restarts + u32::from(follows_failure)
}

/// Explains the end of a run from its exit code, what the engine says, and the
/// last lines of its output.
pub(super) fn explain(run: &Run, memory_bytes: u64, tail: Vec<String>, now: Timestamp) -> Failure {
    let report = tail.iter().rev().find_map(|line| read_report(line));
    let (fault, line) = if run.oom_killed {
        let limit_bytes = memory_bytes;
        (KnownFault::OutOfMemory { limit_bytes }.into(), None)
    } else if let Some(engine_error) = &run.engine_error {
        let detail = engine_error.clone();
        (KnownFault::ContainerFailed { detail }.into(), None)
    } else {
        match report {
            Some(report) if BOOTSTRAP_CODES.contains(&run.exit_code) => {
                let args = report.args.as_ref().and_then(MissingModule::told);
                (
                    Fault::reported(report.code, report.message, args),
                    report.line,
                )
            }
            _ => (KnownFault::crashed(run.exit_code).into(), None),
        }
    };
    Failure {
        fault,
        line,
        log_tail: bounded_tail(
            tail.into_iter()
                .filter(|line| read_report(line).is_none())
                .collect(),
        ),
        at: now,
    }
}

/// The newest lines that fit; of the one that does not any more, its end.
pub(super) fn bounded_tail(lines: Vec<String>) -> Vec<String> {
    let mut room = TAIL_MAX_BYTES;
    let mut kept = Vec::new();
    for mut line in lines.into_iter().rev() {
        if line.len() <= room {
            room -= line.len();
            kept.push(line);
            continue;
        }
        let mut begins = line.len() - room..line.len();
        if let Some(begin) = begins.find(|at| line.is_char_boundary(*at)) {
            kept.push(line.split_off(begin));
        }
        break;
    }
    kept.reverse();
    kept
}

fn read_report(line: &str) -> Option<ReportBody> {
    // Cheap test first: every line of output comes by here.
    if !line.starts_with("{\"emcp\"") {
        return None;
    }
    serde_json::from_str::<Report>(line)
        .ok()
        .map(|report| report.emcp)
        .filter(|body| body.event == "failed" && !body.code.is_empty())
        .map(|body| ReportBody {
            code: body.code.chars().take(REPORTED_CODE_MAX_CHARS).collect(),
            message: body
                .message
                .chars()
                .take(REPORTED_MESSAGE_MAX_CHARS)
                .collect(),
            ..body
        })
}

/// The state after a failure: when to try again, or that only the user can
/// help. `retry_helps` is false for failures that come of the file itself.
pub(super) fn after_failure(
    state: &RunState,
    failure: Failure,
    healthy_before: bool,
    retry_helps: bool,
    now: Timestamp,
) -> RunState {
    let quick_failures = if healthy_before {
        1
    } else {
        state.quick_failures + 1
    };
    let gave_up = !retry_helps || quick_failures >= QUICK_FAILURES_MAX;
    // What has served and fails for the first time is started again at once:
    // somebody may be waiting for it.
    let served = state.ready_run.is_some();
    let wait = if served && quick_failures == 1 {
        Duration::ZERO
    } else {
        backoff(quick_failures)
    };
    let fault = failure.fault.clone();
    let reason = match (gave_up, retry_helps) {
        (false, _) if wait.is_zero() => Reason::FailedRestarting { failure: fault },
        (false, _) => Reason::FailedRetrying {
            failure: fault,
            wait_secs: wait.as_secs(),
        },
        (true, true) => Reason::FailedTooOften {
            failure: fault,
            failures: quick_failures,
        },
        (true, false) => Reason::Failed { failure: fault },
    };
    RunState {
        status: Status::Error,
        reason,
        quick_failures,
        gave_up,
        retry_at: (!gave_up).then(|| now.saturating_add(wait).unwrap_or(now)),
        last_error: Some(failure),
        ready_run: None,
        started_at: None,
        ..state.clone()
    }
}

/// Whether a run served for long enough before it ended.
pub(super) fn was_healthy(state: &RunState, run: &Run) -> bool {
    let served_for = match (run.finished_at, state.started_at) {
        (Some(end), _) if state.status == Status::Running => end.duration_since(state.since),
        // It was running until it fell silent.
        (_, Some(start)) if state.status == Status::Unresponsive => {
            state.since.duration_since(start)
        }
        _ => SignedDuration::ZERO,
    };
    state.ready_run.as_deref() == Some(&run.key) && served_for >= HEALTHY_RUN
}

/// Whether a server that answers nobody had served for long before. One that
/// falls silent soon after each start is given up like one that crashes so; its
/// silence takes longer to be found out than a crash.
pub(super) fn served_long_before_silence(state: &RunState) -> bool {
    let served_for = state
        .started_at
        .map(|start| state.since.duration_since(start));
    served_for.is_some_and(|served| served >= HEALTHY_BEFORE_SILENCE)
}

/// Whether the same file could do better at the next try.
pub(super) fn retry_helps(run: &Run) -> bool {
    !BOOTSTRAP_CODES.contains(&run.exit_code) || run.oom_killed
}

/// 1 s, doubling, up to 60 s.
fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(6);
    (BACKOFF_FIRST * 2_u32.pow(doublings)).min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(exit_code: i64) -> Run {
        Run {
            key: "c 1".into(),
            started_at: Some(Timestamp::UNIX_EPOCH),
            finished_at: Some(Timestamp::UNIX_EPOCH),
            exit_code,
            oom_killed: false,
            engine_error: None,
        }
    }

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn a_server_cannot_make_its_failure_large() {
        let long = "ü".repeat(40_000);
        let report =
            format!(r#"{{"emcp":{{"event":"failed","code":"{long}","message":"{long}"}}}}"#);
        let tail = vec!["old".to_owned(), long.clone(), "new".to_owned(), report];
        let failure = explain(&run(70), 1, tail, NOW);
        assert_eq!(failure.log_tail.len(), 2);
        assert_eq!(failure.log_tail[1], "new");
        let kept: usize = failure.log_tail.iter().map(String::len).sum();
        assert!(kept <= TAIL_MAX_BYTES && kept > TAIL_MAX_BYTES - 4);
        assert!(failure.fault.code.len() <= 4 * REPORTED_CODE_MAX_CHARS);
        assert!(failure.fault.message.len() <= 4 * REPORTED_MESSAGE_MAX_CHARS);
    }

    #[test]
    fn a_report_of_the_bootstrap_is_taken_word_for_word() {
        let report =
            r#"{"emcp":{"event":"failed","code":"syntax_error","message":"line 3: bad","line":3}}"#;
        let tail = vec![
            "before".to_owned(),
            report.to_owned(),
            "Traceback".to_owned(),
        ];
        let failure = explain(&run(70), 1, tail, NOW);
        assert_eq!(
            (failure.fault.code.as_str(), failure.line),
            ("syntax_error", Some(3))
        );
        assert_eq!(failure.log_tail, ["before", "Traceback"]);
        assert!(!retry_helps(&run(70)));
    }

    #[test]
    fn a_forged_report_of_a_crashed_server_is_not_believed() {
        let report = r#"{"emcp":{"event":"failed","code":"all_is_well","message":"x"}}"#;
        let failure = explain(&run(1), 1, vec![report.to_owned()], NOW);
        assert_eq!(failure.fault.code, "crashed");
    }

    #[test]
    fn a_kill_is_out_of_memory_only_if_the_engine_says_so() {
        assert_eq!(explain(&run(137), 1, vec![], NOW).fault.code, "crashed");
        let oom = Run {
            oom_killed: true,
            ..run(137)
        };
        assert_eq!(
            explain(&oom, 64 << 20, vec![], NOW).fault.code,
            "out_of_memory"
        );
    }

    #[test]
    fn retries_slow_down_and_end() {
        let mut state = RunState::never_ran(NOW);
        let mut waits = Vec::new();
        for _ in 0..5 {
            let failure = explain(&run(1), 1, vec![], NOW);
            state = after_failure(&state, failure, false, true, NOW);
            waits.push(state.retry_at.map(|at| at.as_second()));
        }
        assert_eq!(waits, [Some(1), Some(2), Some(4), Some(8), None]);
        assert!(state.gave_up);
        assert_eq!(backoff(99), BACKOFF_MAX);
    }

    #[test]
    fn what_has_served_is_started_again_at_once_and_slower_the_next_time() {
        let serving = |state: RunState| RunState {
            ready_run: Some("c 1".into()),
            ..state
        };
        let mut state = serving(RunState::never_ran(NOW));
        let mut waits = Vec::new();
        for _ in 0..3 {
            let failure = explain(&run(1), 1, vec![], NOW);
            state = serving(after_failure(&state, failure, false, true, NOW));
            waits.push(state.retry_at.map(|at| at.as_second()));
        }
        assert_eq!(waits, [Some(0), Some(2), Some(4)]);
    }

    #[test]
    fn a_run_is_healthy_by_how_long_it_served_and_not_by_how_long_it_loaded() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let serving_since = |second| RunState {
            status: Status::Running,
            since: at(second),
            ready_run: Some("c 1".into()),
            ..RunState::never_ran(NOW)
        };
        let ended = Run {
            finished_at: Some(at(30)),
            ..run(1)
        };
        assert!(was_healthy(&serving_since(20), &ended));
        assert!(!was_healthy(&serving_since(21), &ended));
        let never_ready = RunState {
            status: Status::Starting,
            ..serving_since(0)
        };
        assert!(!was_healthy(&never_ready, &ended));
    }

    #[test]
    fn an_end_before_the_engine_began_is_the_engines_unless_the_server_left_a_reason() {
        let began = Some(Timestamp::from_second(30).unwrap());
        let ended = |second, exit_code| Run {
            finished_at: Some(Timestamp::from_second(second).unwrap()),
            ..run(exit_code)
        };
        // Stopped nicely, killed, and taken by a power cut.
        for exit_code in [0, 137, 143, 255, 1] {
            assert!(ended_with_engine(&ended(29, exit_code), began));
        }
        // It runs on: the end is the server's own.
        assert!(!ended_with_engine(&ended(31, 0), began));
        assert!(!ended_with_engine(&ended(29, 70), began), "a report of it");
        let oom = Run {
            oom_killed: true,
            ..ended(29, 137)
        };
        assert!(!ended_with_engine(&oom, began));
        // An engine that does not tell leaves it as it was before.
        assert!(!ended_with_engine(&ended(29, 0), None));
    }

    #[test]
    fn an_end_with_the_engine_counts_for_nothing_and_waits_for_nothing() {
        let state = RunState {
            status: Status::Running,
            quick_failures: 3,
            restarts: 3,
            ready_run: Some("c 1".into()),
            retry_at: Some(NOW),
            ..RunState::never_ran(NOW)
        };
        let after = after_engine_restart(&state, true);
        assert_eq!(after.reason, Reason::EngineRestarted);
        assert_eq!((after.status, after.quick_failures), (Status::Building, 0));
        assert_eq!((after.retry_at, after.gave_up), (None, false));
        assert_eq!(after.last_error, None);
        let unhealthy = after_engine_restart(&state, false);
        assert_eq!(restarts_with_this(&unhealthy), 3);
        assert_eq!(restarts_with_this(&state), 4);
    }

    #[test]
    fn a_healthy_run_begins_a_new_count() {
        let state = RunState {
            quick_failures: 4,
            ..RunState::never_ran(NOW)
        };
        let failure = explain(&run(1), 1, vec![], NOW);
        let after = after_failure(&state, failure, true, true, NOW);
        assert_eq!((after.quick_failures, after.gave_up), (1, false));
    }
}
