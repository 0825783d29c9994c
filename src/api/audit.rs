//! `/api/audit`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::AuditRecord;

/// A page of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditPage {
    /// Newest first.
    pub entries: Vec<AuditRecord>,
    /// What `before` is for the next page; null at the log's end.
    #[schema(required = true)]
    pub next: Option<u64>,
}
