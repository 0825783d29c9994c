//! What an engine calls a container.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What an engine calls a container. The runtime alone makes one and reads it:
/// others compare it, keep it, and hand it back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContainerId(String);

impl ContainerId {
    /// What an engine told, for the runtime.
    pub(crate) fn of_engine(id: String) -> Self {
        Self(id)
    }

    /// What an engine is told, for the runtime.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Its beginning, which is as much as people are shown to find it by.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
impl<T: Into<String>> From<T> for ContainerId {
    fn from(id: T) -> Self {
        Self(id.into())
    }
}
