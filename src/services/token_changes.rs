//! Tokens change in the database and in memory together, one change at a time:
//! of two at once, neither may undo in memory what the other has written.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::access::TokenTable;
use crate::model::{Origin, OwnQuota, Quota, Result, Seen, Server, ServerId, Token, TokenId};
use crate::store::Store;
use crate::trouble;

/// The one writer of tokens.
pub(super) struct TokenChanges {
    store: Store,
    table: Arc<TokenTable>,
    one_at_a_time: Mutex<()>,
}

impl TokenChanges {
    /// Writes into both.
    pub(super) fn new(store: Store, table: Arc<TokenTable>) -> Self {
        Self {
            store,
            table,
            one_at_a_time: Mutex::default(),
        }
    }

    /// Adds a token that shows the principal of this origin, and gives it as it
    /// is kept. `makers` is the quota of who makes it, if they have one.
    ///
    /// # Errors
    /// `token_name_taken`, `quota_tokens`, or if the database fails.
    pub(super) async fn insert(
        &self,
        token: Token,
        origin: Origin,
        makers: Option<Quota>,
    ) -> Result<Token> {
        let _one_at_a_time = self.one_at_a_time.lock().await;
        let token = self.store.insert_token(token, origin, makers).await?;
        self.table.insert(token.clone());
        Ok(token)
    }

    /// Ends a token: it is refused from the next request on.
    ///
    /// # Errors
    /// `token_not_found`, or if the database fails.
    pub(super) async fn delete(&self, id: TokenId) -> Result<()> {
        let _one_at_a_time = self.one_at_a_time.lock().await;
        self.store.delete_token(id).await?;
        self.table.remove(id);
        Ok(())
    }

    /// Gives a token's holder a quota of their own.
    ///
    /// # Errors
    /// `token_not_found`, or if the database fails.
    pub(super) async fn set_quota(&self, id: TokenId, quota: OwnQuota) -> Result<Token> {
        let _one_at_a_time = self.one_at_a_time.lock().await;
        let changed = self.store.set_token_quota(id, quota).await?;
        self.table.set_quota(id, quota);
        Ok(changed)
    }

    /// Deletes a server, as it was `seen`, and ends the tokens that were for it
    /// alone, which it gives back.
    ///
    /// # Errors
    /// `server_not_found`, `precondition_failed`, or if the database fails.
    pub(super) async fn delete_server(&self, id: ServerId, seen: Seen) -> Result<Vec<Token>> {
        let _one_at_a_time = self.one_at_a_time.lock().await;
        let check = move |server: &Server| seen.require(&server.etags().settings);
        let tokens = self.store.delete_server(id, check).await?;
        for token in &tokens {
            self.table.remove(token.id);
        }
        Ok(tokens)
    }

    /// Writes when tokens were last used, where that has changed.
    pub(super) async fn save_uses(&self) {
        let uses = self.table.unsaved_uses();
        if uses.is_empty() {
            return;
        }
        match self.store.save_token_uses(uses.clone()).await {
            Ok(()) => {
                self.table.uses_saved(&uses);
                trouble::TOKEN_USES.worked();
            }
            Err(error) => trouble::TOKEN_USES.met(&error),
        }
    }
}
