//! The tables and their keys. A change of a record's shape raises its version
//! (`records`); a change of the tables raises [`FORMAT`], unless an EMCP that
//! does not know of a new one does no harm.

use redb::{TableDefinition, WriteTransaction};

use super::codec;
use crate::model::Result;

/// The format of the whole file.
///
/// 2 keeps what is observed with instances, and their addresses as leases.
pub(super) const FORMAT: u64 = 2;

pub(super) const META_FORMAT: &str = "format";
pub(super) const META_CANARY: &str = "canary";
/// When the newest backup was made: Unix time, in seconds.
pub(super) const META_BACKUP: &str = "last_backup";
/// Which [`LEVEL`] all records have been brought to.
pub(super) const META_LEVEL: &str = "level";

/// What has been done to all records since the first format: 1 gave each a
/// checksum, 2 made principals of the names of people, 3 made of what was observed
/// of servers their instances (`upgrade`).
pub(super) const LEVEL: u64 = 3;

/// Facts of the database itself.
pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// Server id → `Server`.
pub(super) const SERVERS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("servers");
/// Name → server id; keeps names unique.
pub(super) const NAMES: TableDefinition<'_, &str, u128> = TableDefinition::new("names");
/// Instance id → `Instance`.
pub(super) const INSTANCES: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("instances");
/// (server id, instance id) of every instance.
pub(super) const INSTANCES_OF: TableDefinition<'_, (u128, u128), ()> =
    TableDefinition::new("instances_of");
/// IPv4 address → `Lease`; keeps addresses unique.
pub(super) const LEASES: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("leases");
/// (server id, number) → `Release`.
pub(super) const VERSIONS: TableDefinition<'_, (u128, u32), &[u8]> =
    TableDefinition::new("versions");
/// Server id → its whole set of variables, so an update is atomic.
pub(super) const ENV: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("env");
/// Server id → sealed gateway key.
pub(super) const GATEWAY_KEYS: TableDefinition<'_, u128, &[u8]> =
    TableDefinition::new("gateway_keys");
/// (server id, sequence) → `Event`.
pub(super) const EVENTS: TableDefinition<'_, (u128, u64), &[u8]> = TableDefinition::new("events");
/// Token id → `Token`.
pub(super) const TOKENS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("tokens");
/// Principal id → `KnownPrincipal`: everybody who can have something.
pub(super) const PRINCIPALS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("principals");
/// Digest of a bundle that may have no release → which note of it this is. Where
/// a line is missing, a bundle that nobody needs stays.
pub(super) const LOOSE_BUNDLES: TableDefinition<'_, &str, u128> =
    TableDefinition::new("loose_bundles");
/// (server id, version number) of versions without a record whose files remained
/// in an EMCP before bundles.
pub(super) const PRUNED: TableDefinition<'_, (u128, u32), ()> = TableDefinition::new("pruned");
/// Sequence → `AuditEntry`.
pub(super) const AUDIT: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("audit");
/// (holder's id, or nothing; sequence) of every line in `AUDIT`; made from it where it is not so.
pub(super) const AUDIT_BY_HOLDER: TableDefinition<'_, (&str, u64), ()> =
    TableDefinition::new("audit_by_holder");
/// The same holder → how many lines are theirs.
pub(super) const AUDIT_HOLDERS: TableDefinition<'_, &str, u64> =
    TableDefinition::new("audit_holders");

/// The tables with one record a server that are not indexes.
pub(super) const BY_SERVER: [TableDefinition<'static, u128, &'static [u8]>; 3] =
    [SERVERS, GATEWAY_KEYS, ENV];

/// The names of the tables that hold records.
pub(super) const NAMES_OF_ALL: [&str; 11] = [
    "meta",
    "servers",
    "instances",
    "leases",
    "gateway_keys",
    "env",
    "tokens",
    "principals",
    "versions",
    "events",
    "audit",
];

/// Makes every table, so that reads never meet a missing one.
pub(super) fn open_all(txn: &WriteTransaction) -> Result<()> {
    txn.open_table(META).map_err(codec::db)?;
    txn.open_table(SERVERS).map_err(codec::db)?;
    txn.open_table(NAMES).map_err(codec::db)?;
    txn.open_table(INSTANCES).map_err(codec::db)?;
    txn.open_table(INSTANCES_OF).map_err(codec::db)?;
    txn.open_table(LEASES).map_err(codec::db)?;
    txn.open_table(VERSIONS).map_err(codec::db)?;
    txn.open_table(ENV).map_err(codec::db)?;
    txn.open_table(GATEWAY_KEYS).map_err(codec::db)?;
    txn.open_table(EVENTS).map_err(codec::db)?;
    txn.open_table(TOKENS).map_err(codec::db)?;
    txn.open_table(PRINCIPALS).map_err(codec::db)?;
    txn.open_table(AUDIT).map_err(codec::db)?;
    txn.open_table(AUDIT_BY_HOLDER).map_err(codec::db)?;
    txn.open_table(AUDIT_HOLDERS).map_err(codec::db)?;
    txn.open_table(PRUNED).map_err(codec::db)?;
    txn.open_table(LOOSE_BUNDLES).map_err(codec::db)?;
    Ok(())
}
