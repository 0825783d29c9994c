//! What is done once to the records of an earlier EMCP, at the first start of
//! this one: numbered steps in the transaction that opens the database, so that
//! one that is cut short was never begun.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use redb::{ReadableTable, TableDefinition, TableHandle, WriteTransaction};

use super::leases::Lease;
use super::{codec, instances, leases, tables};
use crate::model::{
    Error, Instance, InstanceId, InstanceRole, LeasedAddress, Result, RunState, Server, ServerId,
};

/// What was observed of each server.
pub(super) const STATES: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("states");
/// IPv4 address → the server that had it for life.
const ADDRESSES: TableDefinition<'_, u32, u128> = TableDefinition::new("addresses");

/// Level 3: what was observed of a server is observed of its instance, and its
/// address is leased by that. Without effect where that is done.
///
/// # Errors
/// If a record does not read, or the database fails.
pub(super) fn to_instances(txn: &WriteTransaction) -> Result<()> {
    let there: Vec<String> = {
        let tables = txn.list_tables().map_err(codec::db)?;
        tables.map(|table| table.name().to_owned()).collect()
    };
    let is_there = |name: &str| there.iter().any(|table| table == name);
    if is_there(STATES.name()) {
        for (server, address, state) in servers_of_before(txn)? {
            let revision = state.applied_revision.unwrap_or(server.revision);
            let instance = Instance {
                // What its container runs, which may not be what is wanted next.
                revision,
                ..Instance::new(&server, InstanceRole::Serving, address, state)
            };
            instances::hold(txn, &instance)?;
            instances::insert(txn, &instance)?;
        }
        txn.delete_table(STATES).map_err(codec::db)?;
    }
    if is_there(ADDRESSES.name()) {
        // Those of deleted servers, of which something may remain.
        let taken: Vec<(u32, u128)> = {
            let table = txn.open_table(ADDRESSES).map_err(codec::db)?;
            let rows = table.iter().map_err(codec::db)?;
            rows.map(|row| row.map(|(address, id)| (address.value(), id.value())))
                .collect::<std::result::Result<_, _>>()
                .map_err(codec::db)?
        };
        for (address, server) in taken {
            let address = LeasedAddress::from(Ipv4Addr::from(address));
            if leases::of(txn, address)?.is_none() {
                let lease = Lease::Instance {
                    id: InstanceId::new(),
                    server: ServerId::from_u128(server),
                };
                leases::put(txn, address, &lease)?;
            }
        }
        txn.delete_table(ADDRESSES).map_err(codec::db)?;
    }
    Ok(())
}

/// The servers whose states are of before, with the addresses their records had.
fn servers_of_before(txn: &WriteTransaction) -> Result<Vec<(Server, LeasedAddress, RunState)>> {
    let servers = txn.open_table(tables::SERVERS).map_err(codec::db)?;
    let states = txn.open_table(STATES).map_err(codec::db)?;
    let mut by_id = BTreeMap::new();
    for row in states.iter().map_err(codec::db)? {
        let (id, state) = row.map_err(codec::db)?;
        by_id.insert(id.value(), codec::decode::<RunState>(state.value())?);
    }
    let mut found = Vec::with_capacity(by_id.len());
    for (id, state) in by_id {
        let Some(record) = servers.get(id).map_err(codec::db)? else {
            // A server that was deleted has none.
            continue;
        };
        let address = codec::text_in(record.value(), "address")?;
        let address: Ipv4Addr = address
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| Error::Internal(format!("server {id} has no address")))?;
        found.push((codec::decode(record.value())?, address.into(), state));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use redb::backends::InMemoryBackend;
    use redb::{Database, ReadableDatabase};

    use super::*;
    use crate::model::{AddressPool, Principal};
    use crate::store::{Store, prepare};
    use crate::vault::Vault;

    /// A database as the EMCP before instances left it: one server, and the
    /// address of one that was deleted.
    fn of_before(vault: &Vault) -> (Database, ServerId, ServerId) {
        let backend = InMemoryBackend::new();
        let db = Database::builder().create_with_backend(backend).unwrap();
        prepare(&db, vault).unwrap();
        let (id, deleted) = (ServerId::new(), ServerId::new());
        let now = Timestamp::UNIX_EPOCH;
        let server = Server::new(id, "demo".parse().unwrap(), Principal::by_name("ann"), now);
        let state = RunState {
            container_id: Some("c".into()),
            generation: 1,
            ..RunState::never_ran(now)
        };
        let mut record = serde_json::to_value(&server).unwrap();
        record["address"] = "198.18.1.9".into();
        let record = serde_json::json!({"v": 2, "data": record}).to_string();
        let key = vault
            .seal(crate::vault::Place::GatewayKey(id), "key")
            .unwrap();
        let txn = db.begin_write().unwrap();
        {
            let put = |definition, bytes: &[u8]| {
                let mut table = txn.open_table(definition).unwrap();
                table.insert(id.as_u128(), bytes).unwrap();
            };
            put(tables::SERVERS, record.as_bytes());
            put(tables::GATEWAY_KEYS, &codec::encode(&key).unwrap());
            put(STATES, &codec::encode(&state).unwrap());
            let mut addresses = txn.open_table(ADDRESSES).unwrap();
            for (last, owner) in [(9, id), (4, deleted)] {
                let address = u32::from(Ipv4Addr::new(198, 18, 1, last));
                addresses.insert(address, owner.as_u128()).unwrap();
            }
            let mut meta = txn.open_table(tables::META).unwrap();
            for (key, number) in [(tables::META_LEVEL, 2_u64), (tables::META_FORMAT, 1)] {
                let bytes = codec::encode(&number).unwrap();
                meta.insert(key, bytes.as_slice()).unwrap();
            }
        }
        txn.commit().unwrap();
        (db, id, deleted)
    }

    #[tokio::test]
    async fn a_server_of_before_has_one_instance_at_its_address() {
        let vault = Vault::new(&[7; 32]);
        let (db, id, deleted) = of_before(&vault);
        // Killed in the middle: nothing of it was written.
        let txn = db.begin_write().unwrap();
        to_instances(&txn).unwrap();
        drop(txn);
        prepare(&db, &vault).unwrap();
        // At the next start, and once more by hand.
        prepare(&db, &vault).unwrap();
        let txn = db.begin_write().unwrap();
        to_instances(&txn).unwrap();
        txn.commit().unwrap();

        let names: Vec<_> = {
            let txn = db.begin_read().unwrap();
            let tables = txn.list_tables().unwrap();
            tables.map(|table| table.name().to_owned()).collect()
        };
        assert!(
            !names
                .iter()
                .any(|name| name == "states" || name == "addresses")
        );
        let store = Store::of(std::path::Path::new(""), db);
        let stored = store.load_servers().await.unwrap().remove(0);
        assert!(!stored.instances.are_several());
        let instance = stored.instances.shown();
        assert_eq!(instance.place.address, [198, 18, 1, 9].into());
        assert_eq!(instance.role, InstanceRole::Serving);
        assert_eq!((instance.server, instance.generation()), (id, 1));
        assert_eq!(instance.state.container_id, Some("c".into()));
        assert_eq!(store.deleted_servers().await.unwrap(), [deleted]);
        // Neither address is given to another.
        let pool = AddressPool::parse("198.18.1.0/26").unwrap();
        let mut others = Vec::new();
        while let Ok(job) = store.lease_for_job(pool, Timestamp::UNIX_EPOCH).await {
            others.push(job.address);
        }
        assert_eq!(others.len(), pool.capacity() - 2);
    }
}
