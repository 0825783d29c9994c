//! Reads every record of every table, and tells which are not what was written;
//! and gives records of an EMCP without checksums theirs.

use redb::{
    Database, Key, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableHandle,
    Value, WriteTransaction,
};

use super::codec::{self, decode};
use super::guard::guarded;
use super::leases::Lease;
use super::{Damage, StoredEnvVar, tables, upgrade};
use crate::model::{
    AuditEntry, Event, Instance, KnownPrincipal, Release, Result, RunState, Server, Token,
};
use crate::vault::Sealed;

type Records<K> = TableDefinition<'static, K, &'static [u8]>;
/// Whether the bytes are a record of the table's kind.
type Reads = fn(&[u8]) -> Result<()>;

/// Every record that does not read, and every table that cannot be read on.
///
/// # Errors
/// If no table can be read at all.
pub(super) fn all(db: &Database) -> Result<Vec<Damage>> {
    let txn = db.begin_read().map_err(codec::db)?;
    let mut found = Vec::new();
    let plain = u128_text;
    table(&txn, tables::META, str::to_owned, |_| Ok(()), &mut found);
    table(&txn, tables::SERVERS, plain, reads::<Server>, &mut found);
    let instances = tables::INSTANCES;
    table(&txn, instances, plain, reads::<Instance>, &mut found);
    let address = |n: u32| std::net::Ipv4Addr::from(n).to_string();
    table(&txn, tables::LEASES, address, reads::<Lease>, &mut found);
    // Of before instances, where this EMCP was never started.
    table(&txn, upgrade::STATES, plain, reads::<RunState>, &mut found);
    table(
        &txn,
        tables::GATEWAY_KEYS,
        plain,
        reads::<Sealed>,
        &mut found,
    );
    table(
        &txn,
        tables::ENV,
        plain,
        reads::<Vec<StoredEnvVar>>,
        &mut found,
    );
    table(&txn, tables::TOKENS, plain, reads::<Token>, &mut found);
    table(
        &txn,
        tables::PRINCIPALS,
        plain,
        reads::<KnownPrincipal>,
        &mut found,
    );
    let numbered = |(id, n): (u128, u32)| format!("{} {n}", u128_text(id));
    table(
        &txn,
        tables::VERSIONS,
        numbered,
        reads::<Release>,
        &mut found,
    );
    let numbered = |(id, n): (u128, u64)| format!("{} {n}", u128_text(id));
    table(&txn, tables::EVENTS, numbered, reads::<Event>, &mut found);
    table(
        &txn,
        tables::AUDIT,
        |n| n.to_string(),
        reads::<AuditEntry>,
        &mut found,
    );
    Ok(found)
}

/// As ids are written everywhere else.
fn u128_text(id: u128) -> String {
    uuid::Uuid::from_u128(id).to_string()
}

fn reads<T: super::records::Record>(bytes: &[u8]) -> Result<()> {
    decode::<T>(bytes).map(drop)
}

/// A broken tree may make the engine panic, which says nothing of other tables.
fn table<K: Key + 'static>(
    txn: &ReadTransaction,
    definition: Records<K>,
    key: impl Fn(K::SelfType<'_>) -> String,
    reads: Reads,
    found: &mut Vec<Damage>,
) {
    let mut read = Vec::new();
    let mut last = None;
    let done = guarded(|| -> Result<()> {
        let table = match txn.open_table(definition) {
            // The file is of an EMCP that has no such table, or of one that has
            // another in place of it.
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
            opened => opened.map_err(codec::db)?,
        };
        for row in table.iter().map_err(codec::db)? {
            let (k, bytes) = row.map_err(codec::db)?;
            let key = key(k.value());
            let result = codec::verify(bytes.value()).and_then(|()| reads(bytes.value()));
            if let Err(error) = result {
                read.push(damage(&definition, Some(key.clone()), error.to_string()));
            }
            last = Some(key);
        }
        Ok(())
    });
    found.append(&mut read);
    let why = match done {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(panic) => panic,
    };
    let place = match last {
        Some(key) => format!("it cannot be read on behind record {key}: {why}"),
        None => format!("it cannot be read: {why}"),
    };
    found.push(damage(&definition, None, place));
}

fn damage<K: Key + 'static>(
    definition: &Records<K>,
    key: Option<String>,
    detail: String,
) -> Damage {
    Damage {
        table: Some(table_name(definition.name())),
        key,
        detail,
    }
}

/// Names outlive the definition that was asked.
fn table_name(name: &str) -> &'static str {
    tables::NAMES_OF_ALL
        .into_iter()
        .chain(["states"])
        .find(|known| *known == name)
        .unwrap_or("?")
}

/// Gives every record without a checksum one, in the open transaction.
///
/// # Errors
/// If a record does not read, or the database fails.
pub(super) fn add_checksums(txn: &WriteTransaction) -> Result<()> {
    for definition in tables::BY_SERVER
        .into_iter()
        .chain([tables::TOKENS, tables::PRINCIPALS])
    {
        add_to(txn, definition)?;
    }
    add_to(txn, tables::VERSIONS)?;
    add_to(txn, tables::EVENTS)?;
    add_to(txn, tables::AUDIT)
}

fn add_to<K>(txn: &WriteTransaction, definition: Records<K>) -> Result<()>
where
    K: Key + Copy + 'static,
    for<'a> K: Value<SelfType<'a> = K>,
{
    let mut table = txn.open_table(definition).map_err(codec::db)?;
    let mut sealed = Vec::new();
    for row in table.iter().map_err(codec::db)? {
        let (key, bytes) = row.map_err(codec::db)?;
        if let Some(bytes) = codec::with_checksum(bytes.value())? {
            sealed.push((key.value(), bytes));
        }
    }
    for (key, bytes) in sealed {
        table.insert(key, bytes.as_slice()).map_err(codec::db)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use redb::backends::InMemoryBackend;

    use super::*;
    use crate::store::prepare;
    use crate::vault::Vault;

    fn database() -> (Database, Vault) {
        let backend = InMemoryBackend::new();
        let db = Database::builder().create_with_backend(backend).unwrap();
        let vault = Vault::new(&[7; 32]);
        prepare(&db, &vault).unwrap();
        (db, vault)
    }

    #[test]
    fn every_table_with_records_is_read() {
        let (db, _) = database();
        let txn = db.begin_read().unwrap();
        let all: BTreeSet<String> = txn
            .list_tables()
            .unwrap()
            .map(|table| table.name().to_owned())
            .collect();
        // Indexes: they follow from the servers, and are compared with them, or
        // from the audit log, and are made anew where they do not fit it. What is
        // noted of files are only keys.
        let mut expected: BTreeSet<String> = tables::NAMES_OF_ALL
            .iter()
            .map(|name| (*name).to_owned())
            .collect();
        let indexes = [
            "names",
            "instances_of",
            "audit_by_holder",
            "audit_holders",
            "loose_bundles",
            "pruned",
        ];
        expected.extend(indexes.map(str::to_owned));
        assert_eq!(all, expected);
    }

    #[test]
    fn records_of_an_emcp_without_checksums_get_theirs_at_the_first_start() {
        let (db, vault) = database();
        let old = br#"{"v":1,"data":{"key_id":"k","nonce":"00","ciphertext":"00"}}"#;
        let txn = db.begin_write().unwrap();
        txn.open_table(tables::GATEWAY_KEYS)
            .unwrap()
            .insert(5, old.as_slice())
            .unwrap();
        // As it was before there were levels.
        txn.open_table(tables::META)
            .unwrap()
            .remove(tables::META_LEVEL)
            .unwrap();
        txn.commit().unwrap();

        prepare(&db, &vault).unwrap();
        let txn = db.begin_read().unwrap();
        let keys = txn.open_table(tables::GATEWAY_KEYS).unwrap();
        let now = keys.get(5).unwrap().unwrap().value().to_vec();
        assert_eq!(codec::with_checksum(&now).unwrap(), None);
        assert_eq!(decode::<Sealed>(&now).unwrap(), decode(old).unwrap());
        assert_eq!(all(&db).unwrap(), Vec::new());
    }
}
