//! Tokens: hashes and what they allow.

use std::collections::BTreeSet;

use jiff::Timestamp;
use redb::{ReadableTable, WriteTransaction};

use super::servers::read_server;
use super::{Store, codec, principals, tables};
use crate::model::{
    Error, Holdings, Origin, OwnQuota, Quota, Result, ServerId, Token, TokenId, free_token_name,
};

impl Store {
    /// All tokens.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn load_tokens(&self) -> Result<Vec<Token>> {
        self.read(|txn| {
            let table = txn.open_table(tables::TOKENS).map_err(codec::db)?;
            table
                .iter()
                .map_err(codec::db)?
                .map(|row| codec::decode(row.map_err(codec::db)?.1.value()))
                .collect()
        })
        .await
    }

    /// Keeps a token, and gives it as it is kept: it shows the principal of this
    /// origin, who may be known by another name already. No other live token may
    /// show them, or have the name, in whatever case: people could not tell them
    /// apart. Nor may its maker have made more than `quota` allows, if one is
    /// given. The servers it names must be there still.
    ///
    /// # Errors
    /// `token_name_taken`, `quota_tokens`, `server_not_found`, or if the database
    /// fails.
    pub async fn insert_token(
        &self,
        mut token: Token,
        origin: Origin,
        quota: Option<Quota>,
    ) -> Result<Token> {
        self.write(move |txn| {
            let name = token.principal.name;
            token.principal = principals::know(txn, &origin, &name)?;
            for server in token.grant.servers.iter().flatten() {
                read_server(txn, *server)?;
            }
            let mut table = txn.open_table(tables::TOKENS).map_err(codec::db)?;
            let mut made = Holdings {
                tokens: 1,
                ..Holdings::default()
            };
            let grown_by = made;
            let (mut is_shown, mut live_names) = (false, BTreeSet::new());
            for row in table.iter().map_err(codec::db)? {
                let other: Token = codec::decode(row.map_err(codec::db)?.1.value())?;
                made.tokens += u64::from(other.created_by == token.created_by);
                if other.is_live(token.created_at) {
                    is_shown |= other.principal == token.principal;
                    live_names.insert(other.principal.name.to_ascii_lowercase());
                }
            }
            if is_shown || live_names.contains(&name.to_ascii_lowercase()) {
                let free = free_token_name(&name, &live_names);
                return Err(Error::token_name_taken(&name, &free));
            }
            if let Some(quota) = quota {
                quota.require(&token.created_by.name, grown_by, made)?;
            }
            let bytes = codec::encode(&token)?;
            table
                .insert(token.id.0.as_u128(), bytes.as_slice())
                .map_err(codec::db)?;
            Ok(token)
        })
        .await
    }

    /// Gives a token's holder a quota of their own.
    ///
    /// # Errors
    /// `token_not_found`, or if the database fails.
    pub async fn set_token_quota(&self, id: TokenId, quota: OwnQuota) -> Result<Token> {
        self.write(move |txn| {
            let key = id.0.as_u128();
            let mut table = txn.open_table(tables::TOKENS).map_err(codec::db)?;
            let stored = table.get(key).map_err(codec::db)?;
            let token = stored.map(|bytes| codec::decode::<Token>(bytes.value()));
            let token = Token {
                quota,
                ..token.transpose()?.ok_or_else(|| no_token(id))?
            };
            let bytes = codec::encode(&token)?;
            table.insert(key, bytes.as_slice()).map_err(codec::db)?;
            Ok(token)
        })
        .await
    }

    /// Keeps when tokens were last used. Those revoked meanwhile stay so.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn save_token_uses(&self, uses: Vec<(TokenId, Timestamp)>) -> Result<()> {
        self.write(move |txn| {
            let mut table = txn.open_table(tables::TOKENS).map_err(codec::db)?;
            for (id, at) in uses {
                let key = id.0.as_u128();
                let stored = table.get(key).map_err(codec::db)?;
                let Some(mut token) = stored
                    .map(|bytes| codec::decode::<Token>(bytes.value()))
                    .transpose()?
                else {
                    continue;
                };
                token.last_used_at = Some(at);
                let bytes = codec::encode(&token)?;
                table.insert(key, bytes.as_slice()).map_err(codec::db)?;
            }
            Ok(())
        })
        .await
    }

    /// Forgets a token.
    ///
    /// # Errors
    /// `token_not_found`, or if the database fails.
    pub async fn delete_token(&self, id: TokenId) -> Result<()> {
        self.write(move |txn| {
            let mut table = txn.open_table(tables::TOKENS).map_err(codec::db)?;
            let removed = table.remove(id.0.as_u128()).map_err(codec::db)?.is_some();
            if removed {
                return Ok(());
            }
            Err(no_token(id))
        })
        .await
    }
}

/// Forgets the tokens that a deleted server was the last one for: they could open
/// nothing any more, and would keep their names.
pub(super) fn end_with_server(txn: &WriteTransaction, server: ServerId) -> Result<Vec<Token>> {
    let servers = txn.open_table(tables::SERVERS).map_err(codec::db)?;
    let mut table = txn.open_table(tables::TOKENS).map_err(codec::db)?;
    let mut ended = Vec::new();
    for row in table.iter().map_err(codec::db)? {
        let token: Token = codec::decode(row.map_err(codec::db)?.1.value())?;
        let named = token.grant.servers.as_deref().unwrap_or_default();
        let mut leads_on = !named.contains(&server);
        for other in named.iter().filter(|other| **other != server) {
            let is_there = servers.get(other.as_u128()).map_err(codec::db)?.is_some();
            leads_on = leads_on || is_there;
        }
        if !leads_on {
            ended.push(token);
        }
    }
    for token in &ended {
        table.remove(token.id.0.as_u128()).map_err(codec::db)?;
    }
    Ok(ended)
}

fn no_token(id: TokenId) -> Error {
    Error::NotFound {
        code: "token_not_found",
        message: format!("there is no token with the id \"{id}\""),
    }
}
