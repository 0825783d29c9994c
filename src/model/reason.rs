//! Why a server is as it is: codes with arguments, and the one place that has
//! the sentences for them.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Fault, InWords};

/// Why a server is as it is. `code` is stable; `args` is there where the code
/// has any, with units in their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "code", content = "args", rename_all = "snake_case")]
pub enum Reason {
    /// It was never started.
    NotStarted,
    /// A start was asked for and not begun.
    StartPending,
    /// A stop was asked for and not begun.
    StopPending,
    /// Its container is being ended.
    Stopping,
    /// It was stopped as asked.
    Stopped,
    /// Its container is being made.
    CreatingContainer,
    /// Its container runs and has not answered MCP yet.
    AwaitingAnswer,
    /// It answers, and Traefik has not fetched its route yet.
    AwaitingRoute,
    /// It answers and its route is live.
    Serving,
    /// Its container runs, and no answer comes from it.
    NotAnswering,
    /// Its container runs, and no connection to it can be made.
    NotReachable,
    /// Its container was cut off from its network.
    NetworkLost,
    /// One call has kept it from answering anything else for long.
    BlockedInCall,
    /// It did not answer, and does again.
    AnswersAgain,
    /// It answers, has no MCP endpoint that is known, and its route is live.
    ServingHttp,
    /// It was paused and goes on.
    WokenUp,
    /// It slept without a container, and a start begins.
    WakingByStart,
    /// It was paused for being idle.
    PausedIdle {
        /// How long it was not used.
        idle_secs: u64,
    },
    /// It was stopped for being idle.
    StoppedIdle {
        /// How long it was not used.
        idle_secs: u64,
    },
    /// Its paused container ended from outside.
    EndedWhilePaused {
        /// The exit code.
        exit_code: i64,
    },
    /// Its paused container was removed from outside.
    RemovedWhilePaused,
    /// It failed, and another try would not help.
    Failed {
        /// What went wrong.
        failure: Fault,
    },
    /// It failed after it had served, and is started again at once.
    FailedRestarting {
        /// What went wrong.
        failure: Fault,
    },
    /// It failed and is tried again.
    FailedRetrying {
        /// What went wrong.
        failure: Fault,
        /// How long until the next try.
        wait_secs: u64,
    },
    /// It failed too often to be tried again.
    FailedTooOften {
        /// What went wrong the last time.
        failure: Fault,
        /// How often in a row.
        failures: u32,
    },
    /// Its container ended with Docker Engine or the host, and is started
    /// again. No failure of the server.
    EngineRestarted,
    /// It runs with an older configuration than it has now.
    RestartNeeded,
    /// The operator has paused EMCP for it.
    Held,
    /// It is given less than its limits, which are above the platform's maxima.
    LimitsCapped,
    /// Written by an EMCP that kept no codes: its words alone.
    Older {
        /// The words.
        text: String,
    },
}

/// Those that always say the same.
const FIXED: [Reason; 22] = [
    Reason::NotStarted,
    Reason::StartPending,
    Reason::StopPending,
    Reason::Stopping,
    Reason::Stopped,
    Reason::CreatingContainer,
    Reason::AwaitingAnswer,
    Reason::AwaitingRoute,
    Reason::Serving,
    Reason::NotAnswering,
    Reason::NotReachable,
    Reason::NetworkLost,
    Reason::BlockedInCall,
    Reason::AnswersAgain,
    Reason::ServingHttp,
    Reason::WokenUp,
    Reason::WakingByStart,
    Reason::RemovedWhilePaused,
    Reason::EngineRestarted,
    Reason::RestartNeeded,
    Reason::Held,
    Reason::LimitsCapped,
];

impl Reason {
    /// The reason that an EMCP without codes wrote down as a sentence.
    pub fn from_words(text: &str) -> Self {
        let fixed = FIXED.into_iter().find(|reason| reason.to_string() == text);
        fixed.unwrap_or_else(|| Self::Older {
            text: text.to_owned(),
        })
    }

    /// The code, and the arguments where it has any.
    pub fn code_and_args(&self) -> (String, Option<Map<String, Value>>) {
        code_and_args(self)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let idle = |secs: &u64| InWords(Duration::from_secs(*secs));
        match self {
            Self::NotStarted => f.write_str("not started yet"),
            Self::StartPending => f.write_str("about to be started"),
            Self::StopPending => f.write_str("about to be stopped"),
            Self::Stopping => f.write_str("being stopped"),
            Self::Stopped => f.write_str("stopped as asked"),
            Self::CreatingContainer => f.write_str("its container is being made"),
            Self::AwaitingAnswer => {
                f.write_str("its container runs; waiting for the first MCP answer")
            }
            Self::AwaitingRoute => {
                f.write_str("it answers; waiting for Traefik to fetch its route")
            }
            Self::Serving => f.write_str("it answers MCP and its route is live"),
            Self::NotAnswering => {
                f.write_str("its container runs, and it answers nothing, though no call runs in it")
            }
            Self::NotReachable => {
                f.write_str("its container runs, and no connection to it can be made")
            }
            Self::NetworkLost => f.write_str(
                "its container was cut off from its network, and is being connected again",
            ),
            Self::BlockedInCall => f.write_str(
                "one call has kept it from answering anything else for long; it is not ended while that call runs",
            ),
            Self::AnswersAgain => f.write_str("it answers again"),
            Self::ServingHttp => {
                f.write_str("it serves HTTP and has no MCP endpoint; its route is live")
            }
            Self::WokenUp => f.write_str("woken up; it goes on where it was"),
            Self::WakingByStart => f.write_str("woken up; about to be started"),
            Self::PausedIdle { idle_secs } => write!(
                f,
                "paused after {} without use; the next request wakes it",
                idle(idle_secs)
            ),
            Self::StoppedIdle { idle_secs } => write!(
                f,
                "stopped after {} without use; the next request wakes it",
                idle(idle_secs)
            ),
            Self::EndedWhilePaused { exit_code } => write!(
                f,
                "its container ended (exit code {exit_code}) while it was paused; the next request starts it"
            ),
            Self::RemovedWhilePaused => f.write_str(
                "its container was removed while it was paused; the next request starts it",
            ),
            Self::Failed { failure } => f.write_str(&failure.message),
            Self::FailedRestarting { failure } => {
                write!(f, "{}; it is started again", failure.message)
            }
            Self::FailedRetrying { failure, wait_secs } => {
                write!(f, "{}; next try in {wait_secs} s", failure.message)
            }
            Self::FailedTooOften { failure, failures } => write!(
                f,
                "{}; it failed {failures} times in a row, so it is not tried again by itself",
                failure.message
            ),
            Self::EngineRestarted => f.write_str(
                "Docker Engine or its host was restarted, and the server ended with it; it is started again",
            ),
            Self::RestartNeeded => f.write_str("it runs with an older configuration; restart it"),
            Self::Held => f.write_str("EMCP leaves it alone, since it is on hold"),
            Self::LimitsCapped => f.write_str(
                "it is given less than its limits, which are above what any server may have here; lower them, or have EMCP_MAX_MEMORY, EMCP_MAX_CPUS or EMCP_MAX_PIDS raised",
            ),
            Self::Older { text } => f.write_str(text),
        }
    }
}

/// Takes `{"code","args"}` apart, as every type tagged that way becomes.
pub(super) fn code_and_args(tagged: &impl Serialize) -> (String, Option<Map<String, Value>>) {
    // What has string keys and no failing serializer of its own becomes JSON.
    let mut value = serde_json::to_value(tagged).unwrap_or_default();
    let code = value["code"].as_str().unwrap_or_default().to_owned();
    match value.get_mut("args").map(Value::take) {
        Some(Value::Object(args)) => (code, Some(args)),
        _ => (code, None),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::KnownFault;

    #[test]
    fn a_reason_is_a_code_with_its_arguments_and_comes_back_as_it_was() {
        let failure = Fault::from(KnownFault::crashed(1));
        for (reason, value) in [
            (Reason::Serving, json!({"code": "serving"})),
            (
                Reason::PausedIdle { idle_secs: 600 },
                json!({"code": "paused_idle", "args": {"idle_secs": 600}}),
            ),
            (
                Reason::FailedRetrying {
                    failure: failure.clone(),
                    wait_secs: 2,
                },
                json!({"code": "failed_retrying", "args": {"failure": failure, "wait_secs": 2}}),
            ),
        ] {
            assert_eq!(serde_json::to_value(&reason).unwrap(), value);
            let (code, args) = reason.code_and_args();
            assert_eq!(code, value["code"]);
            assert_eq!(args.map(Value::from), value.get("args").cloned());
            assert_eq!(serde_json::from_value::<Reason>(value).unwrap(), reason);
        }
    }

    #[test]
    fn the_sentence_says_what_the_arguments_say() {
        let asleep = Reason::StoppedIdle { idle_secs: 5400 };
        assert_eq!(
            asleep.to_string(),
            "stopped after 1 h 30 min without use; the next request wakes it"
        );
        let failed = Reason::FailedTooOften {
            failure: KnownFault::crashed(1).into(),
            failures: 5,
        };
        assert_eq!(
            failed.to_string(),
            "the server ended with exit code 1; it failed 5 times in a row, so it is not tried again by itself"
        );
    }

    #[test]
    fn a_sentence_of_before_is_known_again_or_kept_as_it_is() {
        for reason in FIXED {
            assert_eq!(Reason::from_words(&reason.to_string()), reason);
        }
        let text = "the server ended with exit code 1; next try in 2 s";
        let older = Reason::from_words(text);
        assert_eq!(older, Reason::Older { text: text.into() });
        assert_eq!(older.to_string(), text);
    }
}
