//! Who stands behind a token or a session, and what becomes of wrong ones.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::AuditLog;
use crate::access::{
    Caller, CanScrape, ClientKey, Limiter, Proxies, ScrapeToken, Source, Standing, TokenTable,
    UNKNOWN_CLIENT, Wrong,
};
use crate::model::{AuditEntry, AuditResult, Error, Result, TokenId};

/// Finds out who is calling. Nothing here takes a capability, since it is what
/// all of them begin with.
pub struct Authentication {
    tokens: Arc<TokenTable>,
    /// Counts wrong tokens by address.
    limiter: Mutex<Limiter>,
    proxies: Arc<Proxies>,
    /// What monitoring shows; none where metrics are for the inside alone.
    scrape_token: Option<ScrapeToken>,
    audit: Arc<AuditLog>,
}

impl Authentication {
    /// Finds out by these tokens.
    pub(super) fn new(
        tokens: Arc<TokenTable>,
        limiter: Limiter,
        proxies: Arc<Proxies>,
        scrape_token: Option<ScrapeToken>,
        audit: Arc<AuditLog>,
    ) -> Self {
        Self {
            tokens,
            limiter: Mutex::new(limiter),
            proxies,
            scrape_token,
            audit,
        }
    }

    /// The client's address: what the other end of the connection says in the
    /// last line of `X-Forwarded-For`, if it is to be believed.
    pub fn client(&self, peer: IpAddr, forwarded: Option<&str>) -> IpAddr {
        self.proxies.client(peer, forwarded, Instant::now())
    }

    /// Whose word on a client's address is believed.
    pub fn proxies(&self) -> &Arc<Proxies> {
        &self.proxies
    }

    /// The caller who presents this token from this address.
    ///
    /// # Errors
    /// `unauthenticated` for a wrong one, `too_many_attempts` after too many.
    pub fn identify(&self, presented: &str, from: IpAddr) -> Result<Caller> {
        self.identify_first(&[presented], from)
            .map(|(_, caller)| caller)
    }

    /// The first of several credentials of one request that is a token, by its
    /// place among them, and its holder. The others are for somebody else, and
    /// are no wrong tokens.
    ///
    /// # Errors
    /// As [`Authentication::identify`]. Where none is one, each counts as a wrong one, so that
    /// a request which brings two has no more tries than two requests.
    pub fn identify_first(&self, presented: &[&str], from: IpAddr) -> Result<(usize, Caller)> {
        let client = ClientKey::from(from);
        let (now, instant) = (Timestamp::now(), Instant::now());
        let found = presented.iter().enumerate().find_map(|(at, secret)| {
            let found = self.tokens.identify(secret, client, now)?;
            Some((at, found))
        });
        // The way of nearly every request; it takes no lock that all share.
        if let Some((at, found)) = found.as_ref().filter(|(_, found)| found.is_known_here) {
            self.tokens.note_use(found.caller.credential(), client, now);
            return Ok((*at, found.caller.clone()));
        }
        let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
        match (limiter.standing(client, instant), found) {
            (Standing::Spent { remaining }, _) => Err(too_many(remaining)),
            (Standing::Free | Standing::Locked { .. }, Some((at, found))) => {
                self.tokens.note_use(found.caller.credential(), client, now);
                Ok((at, found.caller))
            }
            (Standing::Free | Standing::Locked { .. }, None) => {
                let mut refused = no_longer_valid();
                for _ in presented {
                    refused = self.refuse_wrong(&mut limiter, client, from, instant);
                }
                Err(refused)
            }
        }
    }

    /// The capability to read the metrics for who shows their token.
    ///
    /// # Errors
    /// `unauthenticated` without one or for a wrong one, `too_many_attempts` after
    /// too many of those, `forbidden` for a person's token.
    pub fn identify_monitor(&self, presented: Option<&str>, from: IpAddr) -> Result<CanScrape> {
        let needed = "metrics are read with the metrics token, which is no person's: it is in the file metrics-token of the data directory";
        let Some(presented) = presented else {
            return Err(Error::Unauthenticated {
                is_wrong: false,
                message: format!("{needed}; send it as \"Authorization: Bearer TOKEN\""),
            });
        };
        let client = ClientKey::from(from);
        let (now, instant) = (Timestamp::now(), Instant::now());
        let scraper = self.scrape_token.as_ref();
        let found = scraper.and_then(|token| token.identify(presented, client, now));
        let is_known_here = found.as_ref().is_some_and(|found| found.is_known_here);
        let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
        match (limiter.standing(client, instant), found) {
            (Standing::Spent { remaining }, _) if !is_known_here => Err(too_many(remaining)),
            (_, Some(found)) => Ok(found.permit),
            (_, None) if self.is_token(presented, from) => Err(Error::Forbidden {
                code: "forbidden",
                message: needed.to_owned(),
            }),
            (_, None) => Err(
                match self.refuse_wrong(&mut limiter, client, from, instant) {
                    Error::Unauthenticated { is_wrong, .. } => Error::Unauthenticated {
                        is_wrong,
                        message: format!("this is not the metrics token; {needed}"),
                    },
                    refused => refused,
                },
            ),
        }
    }

    /// Whether this is a token that is good here, whoever presents it.
    pub(super) fn is_token(&self, text: &str, from: IpAddr) -> bool {
        let now = Timestamp::now();
        self.tokens.identify(text, from.into(), now).is_some()
    }

    /// What to seal into a session or ticket of this caller.
    ///
    /// # Errors
    /// `unauthenticated` if the token was revoked meanwhile.
    pub(super) fn source_of(&self, token: Option<TokenId>) -> Result<Source> {
        self.tokens.source(token).ok_or_else(no_longer_valid)
    }

    /// The caller behind a session or ticket, noting that its token was used.
    pub(super) fn caller_of_source(&self, source: &Source, from: IpAddr) -> Option<Caller> {
        let now = Timestamp::now();
        let caller = self.tokens.caller_by_source(source, now)?;
        self.tokens.note_use_of(source, from.into(), now);
        Some(caller)
    }

    fn refuse_wrong(
        &self,
        limiter: &mut Limiter,
        client: ClientKey,
        from: IpAddr,
        now: Instant,
    ) -> Error {
        match limiter.wrong(client, now) {
            Wrong::Locked { remaining } => return too_many(remaining),
            Wrong::Counted => {}
            Wrong::LockOutBegins => {
                if from == UNKNOWN_CLIENT {
                    // Each second, where somebody goes on; the audit log tells it
                    // once a minute.
                    tracing::debug!("too many wrong tokens of clients whose address is unknown");
                } else {
                    tracing::warn!(%from, "an address is locked out after too many wrong tokens");
                }
                self.audit.note(AuditEntry {
                    code: Some("too_many_attempts".to_owned()),
                    from: Some(from),
                    ..AuditEntry::new(Timestamp::now(), "token.lock_out", AuditResult::Refused)
                });
            }
        }
        no_longer_valid()
    }
}

fn no_longer_valid() -> Error {
    Error::Unauthenticated {
        is_wrong: true,
        message: "this token is not valid (any more); the server's owner or an administrator makes another in the dashboard".to_owned(),
    }
}

fn too_many(remaining: Duration) -> Error {
    Error::TooManyAttempts {
        // Rounded up: a client that comes back then is listened to.
        retry_after_secs: remaining.as_secs() + 1,
    }
}
