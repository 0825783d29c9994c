//! `/api/tokens`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::{OwnQuota, Role, ServerId, Token, TokenId, object, object_or_null};

/// All tokens, or those a developer has made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TokenList {
    /// Oldest first.
    pub tokens: Vec<TokenView>,
}

/// What a new token is made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// Whose or for what; no other live token may have it.
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
    /// For `developer`: what its holder may have, where that is not as for
    /// everybody.
    #[serde(default, deserialize_with = "object_or_null")]
    pub quota: Option<OwnQuota>,
}

/// A token as shown; without its secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// Identity, for revoking.
    pub id: TokenId,
    /// Whose or for what.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// For `connect`: the servers; null means all.
    #[schema(required = true)]
    pub servers: Option<Vec<ServerId>>,
    /// Whether it may stand in a URL (`?key=`): it names one server alone.
    pub usable_in_url: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// When it stops working.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// When it last opened something.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Timestamp>,
    /// What its holder may have, where that is not as for everybody.
    pub quota: OwnQuota,
}

impl From<Token> for TokenView {
    fn from(token: Token) -> Self {
        Self {
            usable_in_url: token.grant.only_server().is_some(),
            id: token.id,
            name: token.principal.name,
            role: token.grant.role,
            servers: token.grant.servers,
            created_at: token.created_at,
            created_by: token.created_by.name,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
            quota: token.quota,
        }
    }
}

/// A new token: the one time its secret is shown. Not `Debug`.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// The secret.
    pub token: String,
    /// The rest.
    #[serde(flatten)]
    pub view: TokenView,
}

/// A change of a token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeToken {
    /// The whole quota of its holder; what is left out is as for everybody.
    #[serde(deserialize_with = "object")]
    pub quota: OwnQuota,
}
