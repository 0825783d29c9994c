//! `/api/servers/{id}/logs`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::LogRecord;

/// A message of `…/logs/stream`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The line.
    #[serde(flatten)]
    pub record: LogRecord,
    /// On a line of EMCP's own that stands for lines which are gone: how many,
    /// up to this `seq`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<u64>,
}

/// The newest lines that fit a selection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogPage {
    /// Oldest first.
    pub records: Vec<LogRecord>,
    /// What `before` is for the page of older lines; null where nothing older
    /// that is kept fits.
    #[schema(required = true)]
    pub next: Option<u64>,
    /// The oldest line that is kept, whether it fits or not. Lines before it
    /// were there if its `seq` is above 1.
    #[schema(required = true)]
    pub oldest: Option<Edge>,
}

/// A line's place in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Edge {
    /// Its number.
    pub seq: u64,
    /// Its time.
    #[schema(value_type = String, format = DateTime)]
    pub ts: Timestamp,
}
