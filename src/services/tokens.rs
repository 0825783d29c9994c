//! Tokens: made, listed, revoked.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::parts::Parts;
use super::quotas::{Allowances, require_developer};
use super::token_changes::TokenChanges;
use crate::access::{CanIssue, TokenTable};
use crate::api::{CreateToken, CreatedToken, TokenView};
use crate::directory::{Directory, Entry};
use crate::model::{
    Error, Grant, Origin, Result, Role, Token, TokenId, TokenSecret, check_new_token_name,
};
use crate::vault::random_bytes;

/// The tokens that people make.
pub struct Tokens {
    directory: Arc<Directory>,
    table: Arc<TokenTable>,
    changes: Arc<TokenChanges>,
    allowances: Allowances,
}

impl Tokens {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            directory: Arc::clone(&parts.directory),
            table: Arc::clone(&parts.tokens),
            changes: Arc::clone(&parts.token_changes),
            allowances: Allowances::of(parts),
        }
    }

    /// The tokens that this capability covers, oldest first; those with which one
    /// server can be called, if one is named.
    ///
    /// # Errors
    /// `server_not_found`.
    pub fn list(&self, permit: &CanIssue, server: Option<&str>) -> Result<Vec<TokenView>> {
        let server = server
            .map(|server| self.directory.require(server))
            .transpose()?;
        let server = server.map(|entry| entry.server.id);
        let tokens = self.table.list().into_iter();
        let shown = tokens
            .filter(|token| permit.covers(token))
            .filter(|token| server.is_none_or(|server| token.grant.is_for(server)));
        Ok(shown.map(TokenView::from).collect())
    }

    /// Makes a token.
    ///
    /// # Errors
    /// `invalid_token_name`, `reserved_token_name`, `token_name_taken`, `invalid_expiry`,
    /// `servers_not_for_role`, `servers_required`, `not_your_server`,
    /// `quota_not_for_role`, `invalid_quota`, `quota_tokens`, `forbidden`,
    /// `server_not_found`, or if the database fails.
    pub async fn create(&self, permit: &CanIssue, new: CreateToken) -> Result<CreatedToken> {
        let now = Timestamp::now();
        let name = check_new_token_name(&new.name)?;
        if new.expires_at.is_some_and(|end| end <= now) {
            return Err(Error::invalid(
                "invalid_expiry",
                "expires_at",
                "expires_at lies in the past",
            ));
        }
        if new.servers.is_some() && new.role != Role::Connect {
            return Err(Error::invalid(
                "servers_not_for_role",
                "servers",
                "only tokens with the role \"connect\" are for certain servers",
            ));
        }
        let entries: Option<Vec<Entry>> = new
            .servers
            .map(|names| {
                names
                    .iter()
                    .map(|name| self.directory.require(name))
                    .collect()
            })
            .transpose()?;
        let servers: Option<Vec<_>> = entries
            .as_ref()
            .map(|entries| entries.iter().map(|entry| &*entry.server).collect());
        permit.check(new.role, servers.as_deref())?;
        let quota = new.quota.unwrap_or_default().checked()?;
        require_developer(new.role, quota)?;
        let secret = TokenSecret::from_random(random_bytes()?);
        let (id, maker) = (TokenId(Uuid::now_v7()), permit.actor());
        // Who has had the name before is nobody that a developer can make.
        let origin = if permit.is_bound() {
            Origin::Token(id)
        } else {
            Origin::of_name(&name)
        };
        let token = Token {
            id,
            principal: origin.called(name),
            grant: Grant {
                role: new.role,
                // One that was named twice is one.
                servers: servers.map(|servers| {
                    let ids: BTreeSet<_> = servers.iter().map(|server| server.id).collect();
                    ids.into_iter().collect()
                }),
                bound_to: permit.is_bound().then(|| maker.clone()),
            },
            hash: hex::encode(TokenSecret::hash_of(secret.expose())),
            created_at: now,
            created_by: maker.clone(),
            expires_at: new.expires_at,
            last_used_at: None,
            quota,
        };
        let makers = self.allowances.of_person(maker, !permit.is_bound());
        let makers = makers.map(|allowance| allowance.quota);
        let token = self.changes.insert(token, origin, makers).await?;
        Ok(CreatedToken {
            token: secret.expose().to_owned(),
            view: token.into(),
        })
    }

    /// A token that this capability covers. One that it does not cover is not told
    /// from one that is not there.
    ///
    /// # Errors
    /// `token_not_found`.
    pub fn get(&self, permit: &CanIssue, id: &str) -> Result<TokenView> {
        let id = id.parse().map(TokenId).ok();
        self.table
            .list()
            .into_iter()
            .find(|token| Some(token.id) == id && permit.covers(token))
            .map(TokenView::from)
            .ok_or_else(|| Error::NotFound {
                code: "token_not_found",
                message: "there is no token with this id".to_owned(),
            })
    }

    /// Revokes a token: it is refused from the next request on.
    ///
    /// # Errors
    /// `token_not_found`, or if the database fails.
    pub async fn revoke(&self, permit: &CanIssue, id: TokenId) -> Result<()> {
        let token = self.get(permit, &id.to_string())?;
        self.changes.delete(token.id).await?;
        tracing::info!(token = %id, by = permit.actor().name, "token revoked");
        Ok(())
    }
}
