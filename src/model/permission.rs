//! What a caller may do, as it is told to them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What may be done with one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServerPermission {
    /// See its code and variables.
    Inspect,
    /// List and try its tools, test the connection, call it through the gate.
    Call,
    /// Start, stop and restart it.
    Act,
    /// Change its settings, code and variables.
    Update,
    /// Delete it.
    Delete,
    /// Say who its members are.
    Share,
    /// Make `connect` tokens for it.
    IssueTokens,
}

/// What may be done with the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlatformPermission {
    /// See servers, their state and their logs.
    Read,
    /// Create servers.
    CreateServers,
    /// Make, list and revoke tokens.
    IssueTokens,
    /// See what people have and may have.
    SeeUsage,
    /// See the audit log and the settings, make backups, set quotas.
    Administer,
}
