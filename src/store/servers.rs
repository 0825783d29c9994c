//! Servers, their releases and variables.

use redb::{ReadableTable, ReadableTableMetadata, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::quota::{self, Allowance};
use super::records::Record;
use super::releases::NewRelease;
use super::{Store, codec, events, instances, releases, tables, tokens};
use crate::model::{
    AddressPool, EnvKey, Error, Event, Holdings, Instance, InstanceRole, Instances, Result,
    RunState, Server, ServerId, Token,
};
use crate::vault::Sealed;

/// A stored variable: sealed if it is a secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredEnvVar {
    /// The name.
    pub key: EnvKey,
    /// The value.
    pub value: StoredValue,
}

/// How a value is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoredValue {
    /// As it is.
    Plain(String),
    /// Sealed by the vault.
    Sealed(Sealed),
}

/// Everything a new server begins with.
pub struct NewServer {
    /// The record.
    pub server: Server,
    /// Its first release.
    pub release: NewRelease,
    /// Its variables.
    pub env: Vec<StoredEnvVar>,
    /// Its gateway key.
    pub gateway_key: Sealed,
    /// How its first instance begins.
    pub state: RunState,
    /// The first line of its history.
    pub event: Event,
}

/// A change of a server, written as one transaction.
pub struct ServerChange {
    /// What happened, for its history.
    pub event: Event,
    /// A new release.
    pub release: Option<NewRelease>,
    /// A new whole set of variables.
    pub env: Option<Vec<StoredEnvVar>>,
}

impl ServerChange {
    /// A change of the record alone.
    pub fn of_record(event: Event) -> Self {
        Self {
            event,
            release: None,
            env: None,
        }
    }
}

/// What the store knows of a server, for start-up.
pub struct StoredServer {
    /// As wanted.
    pub server: Server,
    /// Its instances, as last observed.
    pub instances: Instances,
    /// Its sealed gateway key.
    pub gateway_key: Sealed,
}

impl Store {
    /// All servers, by age.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn load_servers(&self) -> Result<Vec<StoredServer>> {
        self.read(|txn| {
            let servers = txn.open_table(tables::SERVERS).map_err(codec::db)?;
            let keys = txn.open_table(tables::GATEWAY_KEYS).map_err(codec::db)?;
            let instances = txn.open_table(tables::INSTANCES).map_err(codec::db)?;
            let mut instances = instances::by_server(&instances)?;
            let mut all = Vec::with_capacity(servers.len().map_err(codec::db)? as usize);
            for row in servers.iter().map_err(codec::db)? {
                let (id, record) = row.map_err(codec::db)?;
                let missing = || Error::Internal(format!("server {} is incomplete", id.value()));
                let own = instances.remove(&ServerId::from_u128(id.value()));
                let own = own.and_then(Instances::of).ok_or_else(missing)?;
                let key = keys
                    .get(id.value())
                    .map_err(codec::db)?
                    .ok_or_else(missing)?;
                all.push(StoredServer {
                    server: codec::decode(record.value())?,
                    instances: own,
                    gateway_key: codec::decode(key.value())?,
                });
            }
            Ok(all)
        })
        .await
    }

    /// Writes a new server, and its first instance, which leases the lowest free
    /// address of the pool.
    ///
    /// # Errors
    /// `name_taken`, `address_pool_full`, what the allowance does not permit, or
    /// if the database fails.
    pub async fn insert_server(
        &self,
        new: NewServer,
        pool: AddressPool,
        allowance: Option<Allowance>,
    ) -> Result<(Server, Instance)> {
        let inserting = self.write(move |txn| {
            let NewServer {
                server,
                release,
                env,
                gateway_key,
                state,
                event,
            } = new;
            let id = server.id.as_u128();
            let mut names = txn.open_table(tables::NAMES).map_err(codec::db)?;
            if names
                .get(server.name.as_str())
                .map_err(codec::db)?
                .is_some()
            {
                return Err(Error::name_taken(&server.name));
            }
            names.insert(server.name.as_str(), id).map_err(codec::db)?;
            put(txn, tables::SERVERS, id, &server)?;
            let role = InstanceRole::Serving;
            let instance = instances::begin(txn, pool, &server, role, state, event.at)?;
            put(txn, tables::GATEWAY_KEYS, id, &gateway_key)?;
            put(txn, tables::ENV, id, &env)?;
            releases::put_release(txn, id, &release)?;
            events::append(txn, id, &event)?;
            if let Some(allowance) = &allowance {
                let share = quota::share(txn, &server, allowance.maxima)?;
                quota::require(txn, allowance, Holdings::default(), share)?;
            }
            Ok((server, instance, release))
        });
        let (server, instance, release) = inserting.await?;
        release.keep();
        Ok((server, instance))
    }

    /// Reads a server, lets `change` alter it, and writes it back with what
    /// came of it, all in one transaction.
    ///
    /// # Errors
    /// `server_not_found`, whatever `change` refuses, what the allowance does not
    /// permit, or if the database fails.
    pub async fn update_server(
        &self,
        id: ServerId,
        allowance: Option<Allowance>,
        change: impl FnOnce(&mut Server) -> Result<ServerChange> + Send + 'static,
    ) -> Result<Server> {
        let updating = self.write(move |txn| {
            let raw = id.as_u128();
            let mut server = read_server(txn, id)?;
            let version_before = server.version;
            let share = |server: &Server| {
                let bounded = allowance.as_ref();
                bounded.map_or(Ok(Holdings::default()), |allowance| {
                    quota::share(txn, server, allowance.maxima)
                })
            };
            let share_before = share(&server)?;
            let change = change(&mut server)?;
            put(txn, tables::SERVERS, raw, &server)?;
            if let Some(release) = &change.release {
                releases::put_release(txn, raw, release)?;
            }
            if let Some(env) = &change.env {
                put(txn, tables::ENV, raw, env)?;
            }
            releases::follow_use(txn, version_before, &server)?;
            events::append(txn, raw, &change.event)?;
            if let Some(allowance) = &allowance {
                quota::require(txn, allowance, share_before, share(&server)?)?;
            }
            Ok((server, change.release))
        });
        let (server, release) = updating.await?;
        if let Some(release) = release {
            release.keep();
        }
        Ok(server)
    }

    /// Removes a server, where `check` lets it go, and everything that hangs on
    /// it: also the tokens that were for it alone, which it gives. But its
    /// addresses stay taken until [`Store::release_addresses`]: a container may
    /// still have one.
    ///
    /// # Errors
    /// `server_not_found`, whatever `check` refuses, or if the database fails.
    pub async fn delete_server(
        &self,
        id: ServerId,
        check: impl FnOnce(&Server) -> Result<()> + Send + 'static,
    ) -> Result<Vec<Token>> {
        self.write(move |txn| {
            let server = read_server(txn, id)?;
            check(&server)?;
            let raw = id.as_u128();
            let mut names = txn.open_table(tables::NAMES).map_err(codec::db)?;
            names.remove(server.name.as_str()).map_err(codec::db)?;
            for definition in tables::BY_SERVER {
                let mut table = txn.open_table(definition).map_err(codec::db)?;
                table.remove(raw).map_err(codec::db)?;
            }
            instances::remove_all(txn, id)?;
            releases::remove_all(txn, raw)?;
            events::remove_all(txn, raw)?;
            tokens::end_with_server(txn, id)
        })
        .await
    }

    /// A server's variables, secrets sealed.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn env_of(&self, id: ServerId) -> Result<Vec<StoredEnvVar>> {
        self.read(move |txn| {
            let table = txn.open_table(tables::ENV).map_err(codec::db)?;
            table
                .get(id.as_u128())
                .map_err(codec::db)?
                .map_or_else(|| Ok(Vec::new()), |guard| codec::decode(guard.value()))
        })
        .await
    }
}

pub(super) fn read_server(txn: &WriteTransaction, id: ServerId) -> Result<Server> {
    let table = txn.open_table(tables::SERVERS).map_err(codec::db)?;
    let guard = table
        .get(id.as_u128())
        .map_err(codec::db)?
        .ok_or_else(|| Error::no_server(&id.to_string()))?;
    codec::decode(guard.value())
}

pub(super) fn put<T: Record>(
    txn: &WriteTransaction,
    definition: redb::TableDefinition<'_, u128, &[u8]>,
    key: u128,
    value: &T,
) -> Result<()> {
    let bytes = codec::encode(value)?;
    let mut table = txn.open_table(definition).map_err(codec::db)?;
    table.insert(key, bytes.as_slice()).map_err(codec::db)?;
    Ok(())
}
