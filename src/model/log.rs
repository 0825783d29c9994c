//! A line of a server's output.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::InstanceId;

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogSource {
    /// Standard output of the server.
    Stdout,
    /// Standard error of the server.
    Stderr,
    /// EMCP itself: a marker between runs.
    Emcp,
}

impl LogSource {
    /// As it is told.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Emcp => "emcp",
        }
    }
}

/// One line, as sent to viewers and kept on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogRecord {
    /// When the engine received it.
    #[schema(value_type = String, format = DateTime)]
    pub ts: Timestamp,
    /// Where it came from.
    pub stream: LogSource,
    /// The text, without the line end.
    pub line: String,
    /// Its number; rises without gaps, also across runs and restarts of EMCP.
    pub seq: u64,
    /// The instance that writes from here on, where that is another than before,
    /// and where a run begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>)]
    pub instance: Option<InstanceId>,
}
