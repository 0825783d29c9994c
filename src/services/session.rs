//! Dashboard sessions. The cookie is a sealed note of who signed in until
//! when: EMCP keeps nothing, so a restart signs nobody out, and the token
//! itself is not in the browser. A revoked token ends its sessions, since the
//! note only names it.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::App;
use crate::access::Caller;
use crate::model::{Error, Result, TokenId};
use crate::vault::Place;

/// How long a session lasts.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

#[derive(Serialize, Deserialize)]
struct Note {
    token: Option<TokenId>,
    ends_at: Timestamp,
}

/// A session just begun.
pub struct NewSession {
    /// The cookie's value.
    pub cookie: String,
    /// When it ends by itself.
    pub ends_at: Timestamp,
}

impl App {
    /// Signs in with a token.
    ///
    /// # Errors
    /// `unauthenticated` for a wrong token, `forbidden` for one that may only
    /// connect.
    pub fn sign_in(&self, token: &str) -> Result<(Caller, NewSession)> {
        let now = Timestamp::now();
        let caller = self
            .tokens
            .identify(token, now)
            .ok_or_else(|| Error::Unauthenticated {
                message: "this token is not valid (any more)".to_owned(),
            })?;
        caller.may_read()?;
        let note = Note {
            token: caller.token,
            ends_at: now
                .checked_add(SESSION_LIFETIME)
                .map_err(|error| Error::internal("the clock is off", error))?,
        };
        let text = serde_json::to_string(&note)
            .map_err(|error| Error::internal("a session could not be written", error))?;
        let session = NewSession {
            cookie: self.vault.seal_word(Place::Session, &text)?,
            ends_at: note.ends_at,
        };
        Ok((caller, session))
    }

    /// The caller behind a session cookie and when the session ends, if it is
    /// still good.
    pub fn caller_by_session(&self, cookie: &str) -> Option<(Caller, Timestamp)> {
        let text = self.vault.open_word(Place::Session, cookie)?;
        let note: Note = serde_json::from_str(text.expose_secret()).ok()?;
        let now = Timestamp::now();
        if now >= note.ends_at {
            return None;
        }
        let caller = self.tokens.caller_by_id(note.token, now)?;
        Some((caller, note.ends_at))
    }
}
