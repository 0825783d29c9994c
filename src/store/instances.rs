//! Servers' instances, each with the lease of its address.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use redb::{ReadableTable, WriteTransaction};

use super::leases::{self, End, Lease};
use super::servers::put;
use super::{Store, codec, events, tables};
use crate::model::{
    AddressPool, Error, Event, Instance, InstanceId, InstanceRole, Instances, LeasedAddress,
    Result, RunState, Server, ServerId,
};

impl Store {
    /// Keeps what was observed of an instance, with a line in its server's
    /// history where something changed. It may be one that has taken the place of
    /// another over: that one is gone by this. An instance that was retired, and
    /// one of a server that was deleted meanwhile, stays so.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn save_instance(&self, instance: Instance, event: Option<Event>) -> Result<()> {
        self.write(move |txn| {
            let server = instance.server.as_u128();
            let exists = {
                let servers = txn.open_table(tables::SERVERS).map_err(codec::db)?;
                servers.get(server).map_err(codec::db)?.is_some()
            };
            let before = match leases::of(txn, instance.place.address)? {
                Some(Lease::Instance { id, server }) if server == instance.server => Some(id),
                _ => None,
            };
            let Some(before) = before.filter(|_| exists) else {
                return Ok(());
            };
            if before != instance.id {
                remove(txn, instance.server, before)?;
                hold(txn, &instance)?;
            }
            insert(txn, &instance)?;
            match event {
                Some(event) => events::append(txn, server, &event),
                None => Ok(()),
            }
        })
        .await
    }

    /// Begins an instance of a server beside the one that serves it, at an
    /// address of its own.
    ///
    /// # Errors
    /// `server_not_found`, `address_pool_full`, or if the database fails.
    pub async fn begin_candidate(
        &self,
        id: ServerId,
        pool: AddressPool,
        now: Timestamp,
    ) -> Result<Instance> {
        self.write(move |txn| {
            let server = super::servers::read_server(txn, id)?;
            let state = RunState {
                generation: server.generation,
                ..RunState::never_ran(now)
            };
            begin(txn, pool, &server, InstanceRole::Candidate, state, now)
        })
        .await
    }

    /// Has a candidate serve its server from now on; who served it before is on
    /// its way out. Gives all instances as they are then.
    ///
    /// # Errors
    /// `Internal` where there is no such candidate, or if the database fails.
    pub async fn switch_to(&self, server: ServerId, candidate: InstanceId) -> Result<Instances> {
        self.write(move |txn| {
            let mut all = of_server(txn, server)?;
            let is_there = all
                .iter()
                .any(|one| one.id == candidate && one.role == InstanceRole::Candidate);
            if !is_there {
                return Err(Error::Internal(format!(
                    "{candidate} is no candidate of {server}"
                )));
            }
            for one in &mut all {
                let role = match one.role {
                    _ if one.id == candidate => InstanceRole::Serving,
                    InstanceRole::Serving => InstanceRole::Draining,
                    role => role,
                };
                if role != one.role {
                    one.role = role;
                    insert(txn, one)?;
                }
            }
            Instances::of(all.into_iter().map(Arc::new).collect())
                .ok_or_else(|| Error::Internal(format!("{server} has no instance")))
        })
        .await
    }

    /// Forgets an instance of which nothing is left, and gives its address back.
    /// A server's last one stays.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn retire_instance(
        &self,
        server: ServerId,
        id: InstanceId,
        now: Timestamp,
    ) -> Result<()> {
        self.write(move |txn| {
            let all = of_server(txn, server)?;
            if all.len() < 2 || !all.iter().any(|one| one.id == id) {
                return Ok(());
            }
            remove(txn, server, id)?;
            leases::give_back(
                txn,
                |lease| matches!(lease, Lease::Instance { id: of, .. } if *of == id),
                now,
            )
        })
        .await
    }
}

/// Leases an address for a new instance of a server as it is wanted now, and
/// writes both.
pub(super) fn begin(
    txn: &WriteTransaction,
    pool: AddressPool,
    server: &Server,
    role: InstanceRole,
    state: RunState,
    now: Timestamp,
) -> Result<Instance> {
    // Which it is known by is not known yet, and is written with the instance.
    let vacant = Lease::Nobody { since: now };
    let address = leases::take(txn, pool, End::Lowest, &vacant, now)?;
    let instance = Instance::new(server, role, address, state);
    hold(txn, &instance)?;
    insert(txn, &instance)?;
    Ok(instance)
}

/// Writes an instance, whose address it has already.
pub(super) fn insert(txn: &WriteTransaction, instance: &Instance) -> Result<()> {
    let (server, id) = (instance.server.as_u128(), instance.id.as_u128());
    put(txn, tables::INSTANCES, id, instance)?;
    let mut of = txn.open_table(tables::INSTANCES_OF).map_err(codec::db)?;
    of.insert((server, id), ()).map_err(codec::db)?;
    Ok(())
}

/// Writes down that an instance has its address.
pub(super) fn hold(txn: &WriteTransaction, instance: &Instance) -> Result<()> {
    leases::put(txn, instance.place.address, &lease_of(instance))
}

/// The lease that an instance has.
pub(super) fn lease_of(instance: &Instance) -> Lease {
    Lease::Instance {
        id: instance.id,
        server: instance.server,
    }
}

fn remove(txn: &WriteTransaction, server: ServerId, id: InstanceId) -> Result<()> {
    let mut table = txn.open_table(tables::INSTANCES).map_err(codec::db)?;
    table.remove(id.as_u128()).map_err(codec::db)?;
    let mut of = txn.open_table(tables::INSTANCES_OF).map_err(codec::db)?;
    of.remove((server.as_u128(), id.as_u128()))
        .map_err(codec::db)?;
    Ok(())
}

/// Forgets all instances of a deleted server. Their addresses stay taken.
pub(super) fn remove_all(txn: &WriteTransaction, server: ServerId) -> Result<()> {
    for one in of_server(txn, server)? {
        remove(txn, server, one.id)?;
    }
    Ok(())
}

fn of_server(txn: &WriteTransaction, server: ServerId) -> Result<Vec<Instance>> {
    let of = txn.open_table(tables::INSTANCES_OF).map_err(codec::db)?;
    let instances = txn.open_table(tables::INSTANCES).map_err(codec::db)?;
    let server = server.as_u128();
    let mut found = Vec::new();
    for row in of
        .range((server, 0)..=(server, u128::MAX))
        .map_err(codec::db)?
    {
        let (_, id) = row.map_err(codec::db)?.0.value();
        if let Some(record) = instances.get(id).map_err(codec::db)? {
            found.push(codec::decode(record.value())?);
        }
    }
    Ok(found)
}

/// All instances, by their servers.
pub(super) fn by_server(
    table: &impl ReadableTable<u128, &'static [u8]>,
) -> Result<BTreeMap<ServerId, Vec<Arc<Instance>>>> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for row in table.iter().map_err(codec::db)? {
        let instance: Instance = codec::decode(row.map_err(codec::db)?.1.value())?;
        all.entry(instance.server)
            .or_default()
            .push(Arc::new(instance));
    }
    Ok(all)
}

/// Makes the index and the leases anew from the instances. Those whose address is
/// none of this pool get another.
pub(super) fn index(txn: &WriteTransaction, pool: AddressPool) -> Result<()> {
    let all: Vec<Instance> = {
        let table = txn.open_table(tables::INSTANCES).map_err(codec::db)?;
        let rows = table.iter().map_err(codec::db)?;
        rows.map(|row| codec::decode(row.map_err(codec::db)?.1.value()))
            .collect::<Result<_>>()?
    };
    {
        let mut leases = txn.open_table(tables::LEASES).map_err(codec::db)?;
        leases.retain(|_, _| false).map_err(codec::db)?;
    }
    let is_of_pool = |address: LeasedAddress| pool.contains(address.ip());
    let (placed, others): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|one| is_of_pool(one.place.address));
    for instance in placed {
        hold(txn, &instance)?;
        insert(txn, &instance)?;
    }
    // Once it is known which addresses are taken.
    for mut instance in others {
        let lease = lease_of(&instance);
        instance.place.address =
            leases::take(txn, pool, End::Lowest, &lease, Timestamp::UNIX_EPOCH)?;
        insert(txn, &instance)?;
    }
    Ok(())
}
