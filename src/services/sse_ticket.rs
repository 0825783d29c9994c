//! Tickets for SSE sessions of clients that take nothing but a URL.
//!
//! Such a client connects to `/sse?key=TOKEN` and then posts to the address
//! the server's `endpoint` event names, without the key. The gate gives the
//! bootstrap a ticket for the session the key opened; the bootstrap puts it
//! into that address; the client brings it back with every message. It names
//! the token (sealed, so it cannot be made up), opens the messages of this one
//! server only, and ends with the token. See `docs/adr`.

use std::net::IpAddr;

use secrecy::ExposeSecret;

use super::App;
use crate::access::Caller;
use crate::model::{Result, ServerId, TokenId};
use crate::vault::Place;

/// Stands for the administrator's own token, which has no id.
const ADMINISTRATOR: &str = "admin";

impl App {
    /// A ticket for the session that this caller opens.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn sse_ticket(&self, server: ServerId, token: Option<TokenId>) -> Result<String> {
        let owner = token.map_or_else(|| ADMINISTRATOR.to_owned(), |id| id.to_string());
        self.vault.seal_word(Place::SseSession(server), &owner)
    }

    /// The caller behind a ticket for this server, while its token lives.
    pub fn caller_by_sse_ticket(
        &self,
        server: ServerId,
        ticket: &str,
        from: IpAddr,
    ) -> Option<Caller> {
        let owner = self.vault.open_word(Place::SseSession(server), ticket)?;
        let token = match owner.expose_secret() {
            ADMINISTRATOR => None,
            id => Some(TokenId(id.parse().ok()?)),
        };
        self.caller_of_token(token, from)
    }
}
