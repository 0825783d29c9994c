//! All tokens in memory, so that the gate answers in microseconds.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::Caller;
use crate::model::{Token, TokenId, TokenSecret};

type Hash = [u8; 32];

/// Finds the caller behind a presented secret.
pub struct TokenTable {
    admin: Hash,
    tokens: RwLock<HashMap<Hash, Token>>,
}

impl TokenTable {
    /// A table of the stored tokens and the administrator's own.
    pub fn new(admin_token: &SecretString, tokens: Vec<Token>) -> Self {
        let table = Self {
            admin: TokenSecret::hash_of(admin_token.expose_secret()),
            tokens: RwLock::default(),
        };
        for token in tokens {
            table.insert(token);
        }
        table
    }

    /// The caller who presents this secret, if it is a live token.
    ///
    /// The look-up goes by a hash of the secret, of which a caller learns
    /// nothing by timing; the comparison is constant-time on top.
    pub fn identify(&self, presented: &str, now: Timestamp) -> Option<Caller> {
        let hash = TokenSecret::hash_of(presented);
        if bool::from(hash.ct_eq(&self.admin)) {
            return Some(Caller::administrator());
        }
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        let (known, token) = tokens.get_key_value(&hash)?;
        (bool::from(known.ct_eq(&hash)) && token.is_live(now)).then(|| caller_of(token))
    }

    /// The caller behind a token's id: how a signed-in session is checked on
    /// every request. `None` stands for the administrator's own token.
    pub fn caller_by_id(&self, id: Option<TokenId>, now: Timestamp) -> Option<Caller> {
        let Some(id) = id else {
            return Some(Caller::administrator());
        };
        self.list()
            .iter()
            .find(|token| token.id == id && token.is_live(now))
            .map(caller_of)
    }

    /// All stored tokens, oldest first.
    pub fn list(&self) -> Vec<Token> {
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Token> = tokens.values().cloned().collect();
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
        self.tokens
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(hash, token);
    }

    /// Forgets a token; it is refused from the next request on.
    pub fn remove(&self, id: TokenId) {
        self.tokens
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, token| token.id != id);
    }
}

fn caller_of(token: &Token) -> Caller {
    Caller {
        name: token.name.clone(),
        role: token.role,
        servers: token.servers.clone(),
        token: Some(token.id),
    }
}
