//! `/api/usage`: what each person has and may have.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::{Maxima, Quota};

/// What people have and may have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PeopleView {
    /// By name: all for an administrator, else the one who asks.
    pub people: Vec<PersonView>,
    /// The highest limits that any one server may be given.
    pub maxima: Maxima,
    /// What holds for everybody who has no quota of their own.
    pub quota: Quota,
}

/// What a person has and may have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PersonView {
    /// Who.
    pub name: String,
    /// Whether no quota holds: an administrator.
    pub exempt: bool,
    /// Servers created.
    pub servers: AmountView,
    /// Memory limits of those that are wanted running, together, in bytes.
    pub memory_bytes: AmountView,
    /// Code versions, variables, descriptions and storage of those servers, in
    /// bytes.
    pub stored_bytes: AmountView,
    /// Tokens made and not revoked.
    pub tokens: AmountView,
    /// Changes.
    pub writes: WritesView,
}

/// So much of so much.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AmountView {
    /// In use.
    pub used: u64,
    /// At most; null where no quota holds.
    #[schema(required = true)]
    pub limit: Option<u64>,
}

/// Changes that still count, of so many within a minute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WritesView {
    /// Not drained yet.
    pub used: u64,
    /// Within a minute; null where no quota holds.
    #[schema(required = true)]
    pub limit_per_minute: Option<u64>,
}
