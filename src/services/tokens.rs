//! Tokens: made, listed, revoked.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::App;
use crate::access::CanAdminister;
use crate::model::{Error, Result, Role, ServerId, Token, TokenId, TokenSecret};
use crate::vault::random_bytes;

const NAME_MAX_CHARS: usize = 64;

/// What a new token is made from.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// Whose or for what.
    #[schema(pattern = "^[!-~]([ -~]{0,62}[!-~])?$")]
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// For `connect`: names or ids of servers; absent or null means all.
    #[serde(default)]
    pub servers: Option<Vec<String>>,
    /// When it stops working.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
}

/// A token as shown; without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenView {
    /// Identity, for revoking.
    pub id: TokenId,
    /// Whose or for what.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// For `connect`: the servers; null means all.
    pub servers: Option<Vec<ServerId>>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// When it stops working.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
}

/// A new token: the one time its secret is shown. Not `Debug`.
#[derive(Serialize, ToSchema)]
pub struct CreatedToken {
    /// The secret.
    pub token: String,
    /// The rest.
    #[serde(flatten)]
    pub view: TokenView,
}

impl From<Token> for TokenView {
    fn from(token: Token) -> Self {
        Self {
            id: token.id,
            name: token.name,
            role: token.role,
            servers: token.servers,
            created_at: token.created_at,
            created_by: token.created_by,
            expires_at: token.expires_at,
        }
    }
}

impl App {
    /// All tokens, oldest first.
    pub fn list_tokens(&self, _: &CanAdminister) -> Vec<TokenView> {
        self.tokens
            .list()
            .into_iter()
            .map(TokenView::from)
            .collect()
    }

    /// Makes a token.
    ///
    /// # Errors
    /// `invalid_token_name`, `invalid_expiry`, `servers_not_for_role`,
    /// `server_not_found`, or if the database fails.
    pub async fn create_token(
        &self,
        leave: &CanAdminister,
        new: CreateToken,
    ) -> Result<CreatedToken> {
        let now = Timestamp::now();
        let name = new.name.trim();
        if name.is_empty()
            || name.chars().count() > NAME_MAX_CHARS
            || !name.chars().all(|c| c.is_ascii_graphic() || c == ' ')
        {
            // The name travels as a header (X-Emcp-User).
            return Err(Error::invalid(
                "invalid_token_name",
                "name",
                "the name must be 1 to 64 printable ASCII characters",
            ));
        }
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
        let servers = new
            .servers
            .map(|names| {
                names
                    .iter()
                    .map(|name| Ok(self.find_server(name)?.server.id))
                    .collect::<Result<Vec<_>>>()
            })
            .transpose()?;
        let secret = TokenSecret::from_random(random_bytes()?);
        let token = Token {
            id: TokenId(Uuid::now_v7()),
            name: name.to_owned(),
            role: new.role,
            servers,
            hash: hex::encode(TokenSecret::hash_of(secret.expose())),
            created_at: now,
            created_by: leave.actor.0.clone(),
            expires_at: new.expires_at,
        };
        self.store.insert_token(token.clone()).await?;
        self.tokens.insert(token.clone());
        Ok(CreatedToken {
            token: secret.expose().to_owned(),
            view: token.into(),
        })
    }

    /// Revokes a token: it is refused from the next request on.
    ///
    /// # Errors
    /// `token_not_found`, or if the database fails.
    pub async fn revoke_token(&self, leave: &CanAdminister, id: &str) -> Result<()> {
        let id = id.parse().map(TokenId).map_err(|_| Error::NotFound {
            code: "token_not_found",
            message: "there is no token with this id".to_owned(),
        })?;
        self.store.delete_token(id).await?;
        self.tokens.remove(id);
        tracing::info!(token = %id, by = leave.actor.0, "token revoked");
        Ok(())
    }
}
