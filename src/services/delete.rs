//! What ends with a server: the server itself, and the tokens that were for it.

use super::App;
use crate::access::CanWrite;
use crate::model::{Result, Seen, Server, Token};

impl App {
    /// Deletes a server. Its name is free at once; its container, files and
    /// address follow. The tokens that were for it alone are gone with it, and
    /// are told.
    ///
    /// # Errors
    /// `server_not_found`, `precondition_failed`, or if the database fails.
    pub async fn delete_server(&self, permit: &CanWrite, seen: Seen) -> Result<Vec<Token>> {
        let id = permit.server();
        let entry = self.find_server(&id.to_string())?;
        let _one_at_a_time = self.tokens_changing.lock().await;
        let check = move |server: &Server| seen.require(&server.etags().settings);
        let tokens = self.store.delete_server(id, check).await?;
        for token in &tokens {
            self.tokens.remove(token.id);
        }
        self.directory.remove(id);
        self.waker.wake(id);
        tracing::info!(server = %id, name = %entry.server.name, by = permit.actor().name, tokens = tokens.len(), "server deleted");
        Ok(tokens)
    }
}
