//! Dashboard sessions. The cookie is a sealed note of who signed in until
//! when: EMCP keeps nothing, so a restart signs nobody out, and the token
//! itself is not in the browser. The note only names the token and has its
//! fingerprint, so a token's end, or another in its place, ends its sessions.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::authentication::Authentication;
use super::parts::Parts;
use crate::access::{Caller, CanRead, Source};
use crate::model::{Error, Result};
use crate::vault::{Place, Vault};

/// How long a session lasts.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

#[derive(Serialize, Deserialize)]
struct SealedSession {
    source: Source,
    ends_at: Timestamp,
}

/// A session just begun.
pub struct NewSession {
    /// The cookie's value.
    pub cookie: String,
    /// When it ends by itself.
    pub ends_at: Timestamp,
}

/// Begins sessions, and knows them again.
pub struct Sessions {
    authentication: Arc<Authentication>,
    vault: Arc<Vault>,
}

impl Sessions {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            authentication: Arc::clone(&parts.authentication),
            vault: Arc::clone(&parts.vault),
        }
    }

    /// A session for a caller who may see the dashboard.
    ///
    /// # Errors
    /// `unauthenticated` if the token was revoked meanwhile, or if the system
    /// gives no randomness.
    pub fn begin(&self, permit: &CanRead) -> Result<NewSession> {
        let now = Timestamp::now();
        let session = SealedSession {
            source: self
                .authentication
                .source_of(permit.caller().credential())?,
            ends_at: now
                .checked_add(SESSION_LIFETIME)
                .map_err(|error| Error::internal("the clock is off", error))?,
        };
        let text = serde_json::to_string(&session)
            .map_err(|error| Error::internal("a session could not be written", error))?;
        Ok(NewSession {
            cookie: self.vault.seal_word(Place::Session, &text)?,
            ends_at: session.ends_at,
        })
    }

    /// The caller behind a session cookie and when the session ends, if it is
    /// still good.
    pub fn caller(&self, cookie: &str, from: IpAddr) -> Option<(Caller, Timestamp)> {
        let text = self.vault.open_word(Place::Session, cookie)?;
        let session: SealedSession = serde_json::from_str(text.expose_secret()).ok()?;
        if Timestamp::now() >= session.ends_at {
            return None;
        }
        let caller = self
            .authentication
            .caller_of_source(&session.source, from)?;
        Some((caller, session.ends_at))
    }
}
