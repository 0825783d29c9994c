//! All tokens in memory, so that the gate answers in microseconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::{Caller, ClientKey};
use crate::model::{OwnQuota, Principal, PrincipalId, Role, Token, TokenId, TokenSecret};

pub(super) type Hash = [u8; 32];

/// Addresses remembered of a token.
const ADDRESSES_KEPT: usize = 4;

/// Finds the caller behind a presented secret.
pub struct TokenTable {
    admin: Hash,
    admin_use: Mutex<Use>,
    tokens: RwLock<Tokens>,
}

#[derive(Default)]
struct Tokens {
    by_hash: HashMap<Hash, Arc<Known>>,
    by_id: HashMap<TokenId, Arc<Known>>,
}

struct Known {
    token: Token,
    used: Mutex<Use>,
}

/// What is remembered of a token's use.
#[derive(Default)]
pub(super) struct Use {
    last: Option<Timestamp>,
    is_saved: bool,
    /// Where it worked from, latest first.
    from: Vec<ClientKey>,
}

/// The token that a session or a ticket comes from, sealed into it. The id names
/// it; the fingerprint is that of its very secret, so that what came of it ends
/// also where another takes its place, as the administrator's does, which has no
/// id of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    token: Option<TokenId>,
    fingerprint: String,
}

/// A live token.
#[derive(Debug)]
pub struct Found {
    /// Its holder.
    pub caller: Caller,
    /// Whether it has worked from this address before.
    pub is_known_here: bool,
}

/// What bounds a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PersonQuota {
    /// Nothing: an administrator.
    Exempt,
    /// The platform's quota, but for what is named here.
    Bounded(OwnQuota),
}

impl TokenTable {
    /// A table of the stored tokens and the administrator's own.
    pub fn new(admin_token: &SecretString, tokens: Vec<Token>) -> Self {
        let table = Self {
            admin: TokenSecret::hash_of(admin_token.expose_secret()),
            admin_use: Mutex::default(),
            tokens: RwLock::default(),
        };
        for token in tokens {
            table.insert(token);
        }
        table
    }

    /// The live token behind a secret, presented from an address. Whoever lets
    /// its holder in says so by [`TokenTable::note_use`].
    ///
    /// The look-up goes by a hash of the secret, of which a caller learns
    /// nothing by timing; the comparison is constant-time on top.
    pub fn identify(&self, presented: &str, from: ClientKey, now: Timestamp) -> Option<Found> {
        let hash = TokenSecret::hash_of(presented);
        if bool::from(hash.ct_eq(&self.admin)) {
            return Some(Found {
                caller: Caller::administrator(),
                is_known_here: lock(&self.admin_use).from.contains(&from),
            });
        }
        let tokens = self.tokens();
        let (stored, known) = tokens.by_hash.get_key_value(&hash)?;
        (bool::from(stored.ct_eq(&hash)) && known.token.is_live(now)).then(|| Found {
            caller: caller_of(&known.token),
            is_known_here: lock(&known.used).from.contains(&from),
        })
    }

    /// What to seal into something that is to end with this token; `None` where
    /// it is gone. No id stands for the administrator's own.
    pub fn source(&self, id: Option<TokenId>) -> Option<Source> {
        let fingerprint = match id {
            None => fingerprint(&hex::encode(self.admin)),
            Some(id) => fingerprint(&self.tokens().by_id.get(&id)?.token.hash),
        };
        Some(Source {
            token: id,
            fingerprint,
        })
    }

    /// The caller behind something that came of a token, while that very token
    /// lives: how a signed-in session is checked on every request.
    pub fn caller_by_source(&self, source: &Source, now: Timestamp) -> Option<Caller> {
        if self.source(source.token)? != *source {
            return None;
        }
        let Some(id) = source.token else {
            return Some(Caller::administrator());
        };
        let tokens = self.tokens();
        let known = tokens.by_id.get(&id)?;
        known.token.is_live(now).then(|| caller_of(&known.token))
    }

    /// As [`TokenTable::note_use`], for what came of a token.
    pub fn note_use_of(&self, source: &Source, from: ClientKey, now: Timestamp) {
        self.note_use(source.token, from, now);
    }

    /// Remembers when and from where a token was used.
    pub fn note_use(&self, id: Option<TokenId>, from: ClientKey, now: Timestamp) {
        let Some(id) = id else {
            lock(&self.admin_use).note(from, now);
            return;
        };
        if let Some(known) = self.tokens().by_id.get(&id) {
            lock(&known.used).note(from, now);
        }
    }

    /// The uses that [`TokenTable::uses_saved`] has not been told of.
    pub fn unsaved_uses(&self) -> Vec<(TokenId, Timestamp)> {
        let tokens = self.tokens();
        let unsaved = tokens.by_id.values().filter_map(|known| {
            let used = lock(&known.used);
            used.last
                .filter(|_| !used.is_saved)
                .map(|last| (known.token.id, last))
        });
        unsaved.collect()
    }

    /// Takes note that these uses are in the database.
    pub fn uses_saved(&self, saved: &[(TokenId, Timestamp)]) {
        let tokens = self.tokens();
        let saved: HashMap<_, _> = saved.iter().copied().collect();
        for known in tokens.by_id.values() {
            let mut used = lock(&known.used);
            if used.last.is_some() && used.last.as_ref() == saved.get(&known.token.id) {
                used.is_saved = true;
            }
        }
    }

    /// What bounds this person. Of people without a live token, the platform's
    /// quota does.
    pub fn quota_of(&self, person: PrincipalId, now: Timestamp) -> PersonQuota {
        if person == Principal::administrator().id {
            return PersonQuota::Exempt;
        }
        let tokens = self.tokens();
        let mut live = tokens.by_id.values().map(|known| &known.token);
        match live.find(|token| token.principal.id == person && token.is_live(now)) {
            Some(token) if token.grant.role == Role::Admin => PersonQuota::Exempt,
            Some(token) => PersonQuota::Bounded(token.quota),
            None => PersonQuota::Bounded(OwnQuota::default()),
        }
    }

    /// Takes over a changed quota of a known token.
    pub fn set_quota(&self, id: TokenId, quota: OwnQuota) {
        let mut tokens = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = tokens.by_id.get(&id) else {
            return;
        };
        let changed = Arc::new(Known {
            token: Token {
                quota,
                ..known.token.clone()
            },
            used: Mutex::new(std::mem::take(&mut *lock(&known.used))),
        });
        for known in tokens.by_hash.values_mut() {
            if known.token.id == id {
                *known = Arc::clone(&changed);
            }
        }
        tokens.by_id.insert(id, changed);
    }

    /// All stored tokens, oldest first, with their last use as of now.
    pub fn list(&self) -> Vec<Token> {
        let tokens = self.tokens();
        let mut all: Vec<Token> = tokens
            .by_id
            .values()
            .map(|known| Token {
                last_used_at: lock(&known.used).last,
                ..known.token.clone()
            })
            .collect();
        all.sort_by_key(|token| token.id);
        all
    }

    /// Adds a stored token. One with a malformed hash can never match and is
    /// left out.
    pub fn insert(&self, token: Token) {
        let mut hash = Hash::default();
        if hex::decode_to_slice(&token.hash, &mut hash).is_err() {
            tracing::error!(token = %token.id, "a stored token has a malformed hash");
            return;
        }
        let used = Mutex::new(Use {
            last: token.last_used_at,
            is_saved: true,
            from: Vec::new(),
        });
        let id = token.id;
        let known = Arc::new(Known { token, used });
        let mut tokens = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
        tokens.by_hash.insert(hash, Arc::clone(&known));
        tokens.by_id.insert(id, known);
    }

    /// Forgets a token; it is refused from the next request on.
    pub fn remove(&self, id: TokenId) {
        let mut tokens = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
        tokens.by_id.remove(&id);
        tokens.by_hash.retain(|_, known| known.token.id != id);
    }

    fn tokens(&self) -> RwLockReadGuard<'_, Tokens> {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Use {
    pub(super) fn knows(&self, from: ClientKey) -> bool {
        self.from.contains(&from)
    }

    pub(super) fn note(&mut self, from: ClientKey, now: Timestamp) {
        if self.last.is_none_or(|last| last < now) {
            self.last = Some(now);
            self.is_saved = false;
        }
        if self.from.first() == Some(&from) {
            return;
        }
        self.from.retain(|known| *known != from);
        self.from.insert(0, from);
        self.from.truncate(ADDRESSES_KEPT);
    }
}

fn lock(used: &Mutex<Use>) -> MutexGuard<'_, Use> {
    used.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Of the secret's hash (hexadecimal), not the hash itself: whoever held the
/// master key alone could not tell the token's hash from it.
fn fingerprint(hash: &str) -> String {
    let digest = TokenSecret::hash_of(&format!("emcp token fingerprint {hash}"));
    hex::encode(&digest[..16])
}

fn caller_of(token: &Token) -> Caller {
    Caller {
        principal: token.principal.clone(),
        grant: token.grant.clone(),
        credential: Some(token.id),
    }
}
