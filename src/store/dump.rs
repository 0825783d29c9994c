//! The whole database as lines of JSON, from one consistent view; and back.

use std::collections::BTreeMap;

use redb::{ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::records::Record;
use super::{Store, codec, instances, leases, principals, tables, upgrade};
use crate::model::{AddressPool, Error, Release, Result, Server, ServerId};
use crate::store::{StoredEnvVar, StoredValue};
use crate::vault::{Place, Sealed};

/// One record. Keys are text, since JSON numbers cannot hold 128 bits.
#[derive(Serialize, Deserialize)]
struct Line {
    table: String,
    key: Vec<String>,
    value: Box<RawValue>,
}

/// The whole database, as of one moment.
pub struct Dump {
    /// One record a line.
    pub lines: Vec<u8>,
    /// The releases there are, whose bundles lie beside the database.
    pub releases: Vec<(ServerId, Release)>,
    /// The servers that have a disk, which lies there as well.
    pub disks: Vec<ServerId>,
}

impl Store {
    /// Everything, as of one moment.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn dump(&self) -> Result<Dump> {
        self.read(|txn| {
            let mut out = Vec::new();
            dump_table(txn, tables::META, |k| vec![k.to_owned()], &mut out)?;
            for definition in tables::BY_SERVER {
                dump_table(txn, definition, |k| vec![k.to_string()], &mut out)?;
            }
            for definition in [tables::INSTANCES, tables::TOKENS, tables::PRINCIPALS] {
                dump_table(txn, definition, |k| vec![k.to_string()], &mut out)?;
            }
            let pair = |(id, n): (u128, u32)| vec![id.to_string(), n.to_string()];
            dump_table(txn, tables::VERSIONS, pair, &mut out)?;
            let pair = |(id, n): (u128, u64)| vec![id.to_string(), n.to_string()];
            dump_table(txn, tables::EVENTS, pair, &mut out)?;
            dump_table(txn, tables::AUDIT, |k| vec![k.to_string()], &mut out)?;
            let table = txn.open_table(tables::VERSIONS).map_err(codec::db)?;
            let releases = table.iter().map_err(codec::db)?.map(|row| {
                let (key, bytes) = row.map_err(codec::db)?;
                let id = ServerId::from_u128(key.value().0);
                Ok((id, codec::decode(bytes.value())?))
            });
            let servers = txn.open_table(tables::SERVERS).map_err(codec::db)?;
            let with_disk = read_all::<Server>(&servers)?.into_iter();
            let with_disk = with_disk.filter(|(_, server)| server.settings.storage.is_some());
            Ok(Dump {
                lines: out,
                disks: with_disk.map(|(id, _)| ServerId::from_u128(id)).collect(),
                releases: releases.collect::<Result<_>>()?,
            })
        })
        .await
    }

    /// Fills a new database from a dump's lines, which an earlier EMCP may have
    /// written. Names follow from the servers, and leases from their instances; one
    /// whose address is not of this pool gets another.
    ///
    /// # Errors
    /// If the dump is not whole or not of this format, or `address_pool_full`.
    pub async fn load_dump(&self, lines: Vec<u8>, pool: AddressPool) -> Result<()> {
        self.write(move |txn| {
            for line in lines.split(|byte| *byte == b'\n').filter(|l| !l.is_empty()) {
                let line: Line = serde_json::from_slice(line)
                    .map_err(|error| Error::internal("the backup's database is damaged", error))?;
                load_line(txn, &line)?;
            }
            // An older one has none of these, and may say so by no level.
            principals::take_in_all(txn)?;
            upgrade::to_instances(txn)?;
            index_names(txn)?;
            instances::index(txn, pool)
        })
        .await
    }

    /// Seals every secret anew, with a new canary, in one transaction.
    /// Returns how many there were.
    ///
    /// # Errors
    /// If one does not open; nothing is changed then.
    pub async fn reseal(
        &self,
        canary: Sealed,
        reseal: impl Fn(Place<'_>, &Sealed) -> Result<Sealed> + Send + 'static,
    ) -> Result<usize> {
        self.write(move |txn| {
            let mut count = 0;
            let mut keys = txn.open_table(tables::GATEWAY_KEYS).map_err(codec::db)?;
            for (id, sealed) in read_all::<Sealed>(&keys)? {
                let place = Place::GatewayKey(ServerId::from_u128(id));
                let bytes = codec::encode(&reseal(place, &sealed)?)?;
                keys.insert(id, bytes.as_slice()).map_err(codec::db)?;
                count += 1;
            }
            let mut envs = txn.open_table(tables::ENV).map_err(codec::db)?;
            for (id, mut vars) in read_all::<Vec<StoredEnvVar>>(&envs)? {
                for var in &mut vars {
                    if let StoredValue::Sealed(sealed) = &var.value {
                        let place = Place::Env(ServerId::from_u128(id), var.key.as_str());
                        var.value = StoredValue::Sealed(reseal(place, sealed)?);
                        count += 1;
                    }
                }
                let bytes = codec::encode(&vars)?;
                envs.insert(id, bytes.as_slice()).map_err(codec::db)?;
            }
            let bytes = codec::encode(&canary)?;
            let mut meta = txn.open_table(tables::META).map_err(codec::db)?;
            meta.insert(tables::META_CANARY, bytes.as_slice())
                .map_err(codec::db)?;
            Ok(count)
        })
        .await
    }

    /// What does not fit together between the tables, in words.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn inconsistencies(&self) -> Result<Vec<String>> {
        self.read(|txn| {
            let servers = txn.open_table(tables::SERVERS).map_err(codec::db)?;
            let names = txn.open_table(tables::NAMES).map_err(codec::db)?;
            let instances = txn.open_table(tables::INSTANCES).map_err(codec::db)?;
            let instances = instances::by_server(&instances)?;
            let leases = txn.open_table(tables::LEASES).map_err(codec::db)?;
            let leases: BTreeMap<_, _> = leases::all(&leases)?.into_iter().collect();
            let mut found = Vec::new();
            for (id, server) in read_all::<Server>(&servers)? {
                let by_name = names.get(server.name.as_str()).map_err(codec::db)?;
                if by_name.map(|guard| guard.value()) != Some(id) {
                    found.push(format!(
                        "the name {} does not lead to its server",
                        server.name
                    ));
                }
                let own = instances.get(&ServerId::from_u128(id));
                let own = own.map(Vec::as_slice).unwrap_or_default();
                if own.is_empty() {
                    found.push(format!("{} has no instance", server.name));
                }
                for instance in own {
                    let lease = leases.get(&instance.place.address.ip());
                    if lease != Some(&instances::lease_of(instance)) {
                        found.push(format!("{} does not hold its address", server.name));
                    }
                }
            }
            for row in names.iter().map_err(codec::db)? {
                let (name, id) = row.map_err(codec::db)?;
                if servers.get(id.value()).map_err(codec::db)?.is_none() {
                    found.push(format!("the name {} leads to no server", name.value()));
                }
            }
            Ok(found)
        })
        .await
    }
}

fn dump_table<K: redb::Key + 'static>(
    txn: &redb::ReadTransaction,
    definition: TableDefinition<'_, K, &'static [u8]>,
    key: impl Fn(K::SelfType<'_>) -> Vec<String>,
    out: &mut Vec<u8>,
) -> Result<()> {
    use redb::TableHandle;
    let table = txn.open_table(definition).map_err(codec::db)?;
    for row in table.iter().map_err(codec::db)? {
        let (k, v) = row.map_err(codec::db)?;
        // A damaged record must not get into a backup.
        codec::verify(v.value())?;
        let value = serde_json::from_slice(v.value())
            .map_err(|error| Error::internal("a record could not be decoded", error))?;
        let line = Line {
            table: definition.name().to_owned(),
            key: key(k.value()),
            value,
        };
        serde_json::to_writer(&mut *out, &line)
            .map_err(|error| Error::internal("a record could not be encoded", error))?;
        out.push(b'\n');
    }
    Ok(())
}

fn load_line(txn: &WriteTransaction, line: &Line) -> Result<()> {
    use redb::TableHandle;
    let damaged = || Error::Internal("the backup's database has a record that is not known".into());
    let value = line.value.get().as_bytes();
    // Also says whether the record is what was written.
    let sealed = codec::with_checksum(value)?;
    let value = sealed.as_deref().unwrap_or(value);
    let number = |index: usize| line.key.get(index).and_then(|text| text.parse().ok());
    let id: Option<u128> = number(0);
    let table = line.table.as_str();
    if table == tables::META.name() {
        let key = line.key.first().ok_or_else(damaged)?;
        let mut meta = txn.open_table(tables::META).map_err(codec::db)?;
        meta.insert(key.as_str(), value).map_err(codec::db)?;
        return Ok(());
    }
    let id = id.ok_or_else(damaged)?;
    let by_id = tables::BY_SERVER
        .into_iter()
        .chain([
            tables::INSTANCES,
            upgrade::STATES,
            tables::TOKENS,
            tables::PRINCIPALS,
        ])
        .find(|definition| definition.name() == table);
    if let Some(definition) = by_id {
        let mut table = txn.open_table(definition).map_err(codec::db)?;
        table.insert(id, value).map_err(codec::db)?;
    } else if table == tables::VERSIONS.name() {
        let n = line.key.get(1).and_then(|text| text.parse().ok());
        let mut table = txn.open_table(tables::VERSIONS).map_err(codec::db)?;
        table
            .insert((id, n.ok_or_else(damaged)?), value)
            .map_err(codec::db)?;
    } else if table == tables::EVENTS.name() {
        let n = line.key.get(1).and_then(|text| text.parse().ok());
        let mut table = txn.open_table(tables::EVENTS).map_err(codec::db)?;
        table
            .insert((id, n.ok_or_else(damaged)?), value)
            .map_err(codec::db)?;
    } else if table == tables::AUDIT.name() {
        let id = u64::try_from(id).map_err(|_| damaged())?;
        let mut table = txn.open_table(tables::AUDIT).map_err(codec::db)?;
        table.insert(id, value).map_err(codec::db)?;
    } else {
        return Err(damaged());
    }
    Ok(())
}

fn index_names(txn: &WriteTransaction) -> Result<()> {
    let servers = txn.open_table(tables::SERVERS).map_err(codec::db)?;
    let mut names = txn.open_table(tables::NAMES).map_err(codec::db)?;
    for (id, server) in read_all::<Server>(&servers)? {
        names.insert(server.name.as_str(), id).map_err(codec::db)?;
    }
    Ok(())
}

fn read_all<T: Record>(table: &impl ReadableTable<u128, &'static [u8]>) -> Result<Vec<(u128, T)>> {
    table
        .iter()
        .map_err(codec::db)?
        .map(|row| {
            let (id, record) = row.map_err(codec::db)?;
            Ok((id.value(), codec::decode(record.value())?))
        })
        .collect()
}
