//! The token that monitoring shows: no person's, good for metrics alone.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::ClientKey;
use super::table::{Hash, Use};
use crate::model::TokenSecret;

/// The capability to read the metrics, names of servers among them.
#[derive(Debug)]
pub struct CanScrape(());

/// The token, and where it has worked from.
pub struct ScrapeToken {
    hash: Hash,
    used: Mutex<Use>,
}

/// What the right token gives.
#[derive(Debug)]
pub struct FoundScraper {
    /// What its holder may.
    pub permit: CanScrape,
    /// Whether it has worked from this address before.
    pub is_known_here: bool,
}

impl ScrapeToken {
    /// This token.
    pub fn new(token: &SecretString) -> Self {
        Self {
            hash: TokenSecret::hash_of(token.expose_secret()),
            used: Mutex::default(),
        }
    }

    /// What a secret gives that is presented from an address. The comparison is
    /// constant-time, and of hashes, so that lengths tell nothing either.
    pub fn identify(
        &self,
        presented: &str,
        from: ClientKey,
        now: Timestamp,
    ) -> Option<FoundScraper> {
        let hash = TokenSecret::hash_of(presented);
        if !bool::from(hash.ct_eq(&self.hash)) {
            return None;
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known_here = used.knows(from);
        used.note(from, now);
        Some(FoundScraper {
            permit: CanScrape(()),
            is_known_here,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_gives_leave_and_is_remembered_where_it_worked() {
        let token = ScrapeToken::new(&SecretString::from("right"));
        let now = Timestamp::UNIX_EPOCH;
        let [here, there] = ["192.0.2.1", "192.0.2.2"]
            .map(|text| ClientKey::from(text.parse::<std::net::IpAddr>().unwrap()));
        let known = |presented: &str, from| {
            let found = token.identify(presented, from, now);
            found.map(|found| found.is_known_here)
        };
        for wrong in ["", "righ", "right ", "RIGHT", "righte"] {
            assert_eq!(known(wrong, here), None, "{wrong:?}");
        }
        assert_eq!(known("right", here), Some(false));
        assert_eq!(known("right", here), Some(true));
        assert_eq!(known("right", there), Some(false));
    }
}
