//! `/api/audit`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::{AuditRecord, AuditResult, Principal, TokenId};

/// A page of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditPage {
    /// Newest first.
    pub entries: Vec<AuditLine>,
    /// What `before` is for the next page; null at the log's end.
    #[schema(required = true)]
    pub next: Option<u64>,
}

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditRecord)]
pub struct AuditLine {
    /// Rises with every line.
    pub id: u64,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The token's name; absent where nobody was recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub actor: Option<String>,
    /// The token; absent for the administrator's own from the settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub token_id: Option<TokenId>,
    /// What, in a stable word such as `server.create`.
    pub action: String,
    /// The name of the server or token it was done to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub target: Option<String>,
    /// Its id: a name may be given again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub target_id: Option<String>,
    /// What came of it.
    pub result: AuditResult,
    /// The error's code, where it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub code: Option<String>,
    /// The client's address; "unknown" where the host's own proxy hides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub from: Option<String>,
    /// The developer who has made the token, where it is a `connect` token of
    /// one: its lines are theirs when the log is full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub made_by: Option<String>,
    /// How often the same was done; absent for once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub count: Option<u64>,
    /// When it was done the last time, where that was more than once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = DateTime)]
    pub last_at: Option<Timestamp>,
}

impl From<AuditRecord> for AuditLine {
    fn from(AuditRecord { id, entry }: AuditRecord) -> Self {
        let name = |who: Principal| who.name;
        Self {
            id,
            from: entry.from_in_words(),
            at: entry.at,
            actor: entry.actor.map(name),
            token_id: entry.token_id,
            action: entry.action,
            target: entry.target,
            target_id: entry.target_id,
            result: entry.result,
            code: entry.code,
            made_by: entry.made_by.map(name),
            count: entry.count,
            last_at: entry.last_at,
        }
    }
}
