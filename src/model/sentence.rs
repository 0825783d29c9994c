//! What a sentence says in numbers and names, as it is described.

use std::collections::HashMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::Fault;

/// By name, with units in their names.
#[derive(Serialize, ToSchema)]
pub struct SentenceArgs(HashMap<String, SentenceArg>);

/// One of them.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is described, and never made")]
pub(super) enum SentenceArg {
    /// What is not known.
    Nothing,
    /// A name, a time, or somebody's words.
    Text(String),
    /// A number.
    Number(f64),
    /// A condition.
    Flag(bool),
    /// What went wrong, with a sentence of its own.
    Fault(Fault),
}
