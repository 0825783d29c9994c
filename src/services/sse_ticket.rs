//! Tickets for SSE sessions of clients that take nothing but a URL.
//!
//! Such a client connects to `/sse?key=TOKEN`. The gate sends it on to the same
//! address with an *opening* ticket in place of the key, good for a minute, so
//! that the key never gets to the server's code. With the session it opens, the
//! bootstrap gets a *session* ticket; it puts that into the address which the
//! server's `endpoint` event names, and the client brings it back with every
//! message. Both name the token and have its fingerprint (sealed, so they cannot
//! be made up), are for this one server, and end with the token. See ADR 3.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::authentication::Authentication;
use super::parts::Parts;
use crate::access::{Caller, Source};
use crate::gate::TicketKind;
use crate::model::{Error, Result, ServerId, TokenId};
use crate::vault::{Place, Vault};

/// A client follows at once, and may then be held while its server wakes up.
const OPENING_LIFETIME: Duration = Duration::from_secs(60);

#[derive(Serialize, Deserialize)]
struct Opening {
    source: Source,
    ends_at: Timestamp,
}

/// Makes tickets, and knows them again. Whoever has it can let anybody in who has
/// a token, so the gate alone does.
pub struct Tickets {
    authentication: Arc<Authentication>,
    vault: Arc<Vault>,
}

impl Tickets {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            authentication: Arc::clone(&parts.authentication),
            vault: Arc::clone(&parts.vault),
        }
    }

    /// A ticket for the messages of the session that this caller opens.
    ///
    /// # Errors
    /// `unauthenticated` if the token was revoked meanwhile, or if the system
    /// gives no randomness.
    pub fn session(&self, server: ServerId, token: Option<TokenId>) -> Result<String> {
        self.seal_ticket(
            Place::SseSession(server),
            &self.authentication.source_of(token)?,
        )
    }

    /// A ticket to open a session with.
    ///
    /// # Errors
    /// As [`Tickets::session`].
    pub fn opening(&self, server: ServerId, token: Option<TokenId>) -> Result<String> {
        let opening = Opening {
            source: self.authentication.source_of(token)?,
            ends_at: Timestamp::now()
                .checked_add(OPENING_LIFETIME)
                .map_err(|error| Error::internal("the clock is off", error))?,
        };
        self.seal_ticket(Place::SseOpening(server), &opening)
    }

    /// The caller behind a ticket for this server, while its token lives.
    pub fn caller(
        &self,
        server: ServerId,
        kind: TicketKind,
        ticket: &str,
        from: IpAddr,
    ) -> Option<Caller> {
        let source = match kind {
            TicketKind::Session => self.open_ticket(Place::SseSession(server), ticket)?,
            TicketKind::Opening => {
                let opening: Opening = self.open_ticket(Place::SseOpening(server), ticket)?;
                (Timestamp::now() < opening.ends_at).then_some(opening.source)?
            }
        };
        self.authentication.caller_of_source(&source, from)
    }

    fn seal_ticket(&self, place: Place<'_>, content: &impl Serialize) -> Result<String> {
        let text = serde_json::to_string(content)
            .map_err(|error| Error::internal("a ticket could not be written", error))?;
        self.vault.seal_word(place, &text)
    }

    fn open_ticket<T: DeserializeOwned>(&self, place: Place<'_>, ticket: &str) -> Option<T> {
        let text = self.vault.open_word(place, ticket)?;
        serde_json::from_str(text.expose_secret()).ok()
    }
}
