//! Servers' output, for who may see it.

use std::sync::Arc;

use super::parts::Parts;
use crate::access::CanRead;
use crate::directory::Directory;
use crate::logs::{Logs, ServerLog};
use crate::model::Result;

/// Finds servers' output.
pub struct LogReader {
    directory: Arc<Directory>,
    logs: Arc<Logs>,
}

impl LogReader {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            directory: Arc::clone(&parts.directory),
            logs: Arc::clone(&parts.logs),
        }
    }

    /// A server's output.
    ///
    /// # Errors
    /// `server_not_found`.
    pub async fn of_server(&self, _: &CanRead, id_or_name: &str) -> Result<Arc<ServerLog>> {
        let id = self.directory.require(id_or_name)?.server.id;
        Ok(self.logs.of(id).await)
    }
}
