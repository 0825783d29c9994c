//! Dashboard sessions. The cookie is a sealed note of who signed in until
//! when: EMCP keeps nothing, so a restart signs nobody out, and the token
//! itself is not in the browser. A revoked token ends its sessions, since the
//! note only names it.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::App;
use crate::access::{Caller, CanRead};
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
    /// A session for a caller who may see the dashboard.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn sign_in(&self, _: &CanRead, caller: &Caller) -> Result<NewSession> {
        let now = Timestamp::now();
        let note = Note {
            token: caller.token,
            ends_at: now
                .checked_add(SESSION_LIFETIME)
                .map_err(|error| Error::internal("the clock is off", error))?,
        };
        let text = serde_json::to_string(&note)
            .map_err(|error| Error::internal("a session could not be written", error))?;
        Ok(NewSession {
            cookie: self.vault.seal_word(Place::Session, &text)?,
            ends_at: note.ends_at,
        })
    }

    /// The caller behind a session cookie and when the session ends, if it is
    /// still good.
    pub fn caller_by_session(&self, cookie: &str, from: IpAddr) -> Option<(Caller, Timestamp)> {
        let text = self.vault.open_word(Place::Session, cookie)?;
        let note: Note = serde_json::from_str(text.expose_secret()).ok()?;
        if Timestamp::now() >= note.ends_at {
            return None;
        }
        let caller = self.caller_of_token(note.token, from)?;
        Some((caller, note.ends_at))
    }
}
