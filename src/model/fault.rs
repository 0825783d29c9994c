//! What went wrong with a run: a code with its arguments for programs, and a
//! sentence for people. The one place that has sentences for EMCP's own
//! findings; what the bootstrap reports is taken as it is.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::SentenceArgs;

/// The signal that cannot be caught; its exit code is 137.
const SIGKILL: i64 = 9;
/// What a shell adds to a signal's number to make an exit code of it.
const SIGNAL_BASE: i64 = 128;

/// Why a run failed, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fault {
    /// Stable code: one of the bootstrap's, or of a [`KnownFault`].
    pub code: String,
    /// One plain sentence a developer can act on.
    pub message: String,
    /// What the sentence says in numbers and names; of a failure that the
    /// bootstrap reported, only where it is a module that is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion, nullable = false, value_type = Option<SentenceArgs>)]
    pub args: Option<Map<String, Value>>,
}

impl Fault {
    /// What the bootstrap reported of the user's file, word for word, and what
    /// that names, where it says so.
    pub fn reported(code: String, message: String, args: Option<Map<String, Value>>) -> Self {
        Self {
            code,
            message,
            args,
        }
    }
}

impl From<KnownFault> for Fault {
    fn from(known: KnownFault) -> Self {
        let (code, args) = super::reason::code_and_args(&known);
        Self {
            code,
            message: known.to_string(),
            args,
        }
    }
}

/// What EMCP itself finds out about a run that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "code", content = "args", rename_all = "snake_case")]
pub enum KnownFault {
    /// The kernel killed it for using more memory than it may.
    OutOfMemory {
        /// Its limit.
        limit_bytes: u64,
    },
    /// Its process ended.
    Crashed {
        /// Its exit code.
        exit_code: i64,
        /// The signal that ended it, if one did.
        #[serde(skip_serializing_if = "Option::is_none")]
        signal: Option<i64>,
    },
    /// It did not answer MCP in time.
    StartTimeout {
        /// The time it had.
        timeout_secs: u64,
    },
    /// It ran and answered nobody any more.
    Unresponsive {
        /// For how long.
        silent_secs: u64,
    },
    /// Its own code turns EMCP's handshake away for want of a credential.
    WantsCredential {
        /// The HTTP status it answered.
        status: u16,
    },
    /// There is no base image.
    ImageMissing {
        /// Its name.
        image: String,
    },
    /// Docker Engine could not make or run the container.
    ContainerFailed {
        /// The engine's words.
        detail: String,
    },
    /// What the server keeps in `/data` cannot be reached.
    StorageFailed {
        /// Why.
        detail: String,
    },
    /// What is stored of the server cannot be put into a container.
    ContentsUnreadable,
}

impl KnownFault {
    /// There is no image of this name.
    pub fn image_missing(image: &str) -> Self {
        Self::ImageMissing {
            image: image.to_owned(),
        }
    }

    /// A process that ended with this exit code.
    pub fn crashed(exit_code: i64) -> Self {
        let signal = exit_code - SIGNAL_BASE;
        Self::Crashed {
            exit_code,
            signal: (signal > 0).then_some(signal),
        }
    }
}

impl fmt::Display for KnownFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory { limit_bytes } => write!(
                f,
                "the server needed more memory than its limit of {} MiB and was killed; raise limits.memory_bytes or let it use less",
                limit_bytes / (1024 * 1024)
            ),
            Self::Crashed { exit_code: 0, .. } => {
                f.write_str("the server ended by itself (exit code 0); a server must go on serving")
            }
            Self::Crashed {
                exit_code,
                signal: Some(SIGKILL),
            } => write!(
                f,
                "the server was killed (exit code {exit_code}), not for want of memory"
            ),
            Self::Crashed {
                exit_code,
                signal: Some(signal),
            } => write!(
                f,
                "the server was ended by signal {signal} (exit code {exit_code})"
            ),
            Self::Crashed { exit_code, .. } => {
                write!(f, "the server ended with exit code {exit_code}")
            }
            Self::StartTimeout { timeout_secs } => write!(
                f,
                "the server did not answer MCP within {timeout_secs} s of its start; it may block while it is loaded"
            ),
            Self::Unresponsive { silent_secs } => write!(
                f,
                "the server answered nothing for {silent_secs} s, though its container ran; it may have been stopped, or something of it hangs outside of any call"
            ),
            Self::WantsCredential { status } => write!(
                f,
                "the server's own code answers {status} to EMCP: it wants a credential of its own; name the headers it comes in as pass_headers, such as [\"Authorization\"], and start it again; its clients then send that beside EMCP's token in X-API-Key"
            ),
            Self::ImageMissing { image } => write!(
                f,
                "the image {image} is not there; build it with `make image`, or name another one in EMCP_BASE_IMAGE"
            ),
            Self::ContainerFailed { detail } => {
                write!(f, "Docker Engine could not run the container: {detail}")
            }
            Self::StorageFailed { detail } => {
                write!(f, "the server's storage cannot be used: {detail}")
            }
            Self::ContentsUnreadable => {
                f.write_str("its stored environment or code cannot be read; see EMCP's log")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fault_has_its_code_and_arguments_beside_the_sentence() {
        let fault = Fault::from(KnownFault::crashed(143));
        assert_eq!(
            serde_json::to_value(&fault).unwrap(),
            json!({
                "code": "crashed",
                "message": "the server was ended by signal 15 (exit code 143)",
                "args": {"exit_code": 143, "signal": 15},
            })
        );
        let again: Fault = serde_json::from_value(serde_json::to_value(&fault).unwrap()).unwrap();
        assert_eq!(again, fault);
    }

    #[test]
    fn the_ways_to_end_are_told_apart() {
        let says = |exit_code| KnownFault::crashed(exit_code).to_string();
        assert!(says(0).contains("by itself"));
        assert!(says(3).ends_with("exit code 3"));
        assert!(says(137).contains("was killed"));
        assert!(says(139).contains("signal 11"));
    }
}
