//! What ends with a server: the server itself, and the tokens that were for it.

use super::Servers;
use crate::access::CanWrite;
use crate::model::{Result, Seen, Token};

impl Servers {
    /// Deletes a server. Its name is free at once; its container, files and
    /// address follow. The tokens that were for it alone are gone with it, and
    /// are told.
    ///
    /// # Errors
    /// `server_not_found`, `precondition_failed`, or if the database fails.
    pub async fn delete(&self, permit: &CanWrite, seen: Seen) -> Result<Vec<Token>> {
        let id = permit.server();
        let entry = self.directory.require(&id.to_string())?;
        let tokens = self.token_changes.delete_server(id, seen).await?;
        self.directory.remove(id);
        self.waker.wake(id);
        tracing::info!(server = %id, name = %entry.server.name, by = permit.actor().name, tokens = tokens.len(), "server deleted");
        Ok(tokens)
    }
}
