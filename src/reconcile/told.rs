//! What the log was told of one server's troubles: the same again, every two
//! seconds, would tell nothing.

use std::fmt::Display;

use crate::model::ServerId;
use crate::runtime::RuntimeError;
use crate::trouble;

/// The last trouble that is in the log.
#[derive(Default)]
pub(super) struct Told(Option<String>);

impl Told {
    /// Tells of the engine's error; of a silent engine once for all servers.
    pub(super) fn engine(&mut self, id: ServerId, error: &RuntimeError, doing: &str) {
        match error {
            RuntimeError::Unreachable(_) => trouble::DOCKER.met(error),
            other => self.tell(id, other, doing),
        }
    }

    /// Tells of an error, unless it is the last one again.
    pub(super) fn tell(&mut self, id: ServerId, error: &dyn Display, doing: &str) {
        let text = error.to_string();
        if self.0.as_ref() != Some(&text) {
            tracing::warn!(server = %id, error = text, "{doing}; it is tried again");
            self.0 = Some(text);
        }
    }
}
