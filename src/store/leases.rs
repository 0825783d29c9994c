//! Who has which address of the pool. An address is leased in the transaction
//! that writes the instance, and rests when it is given back: what was sent to
//! the one before must not reach the next.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};
use redb::{ReadableTable, WriteTransaction};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Store, codec, tables};
use crate::model::{AddressPool, Error, InstanceId, LeasedAddress, Result, ServerId};

/// Longer than a request waits (25 s), and than Traefik tries to reach who is
/// not there (20 s).
const REST: SignedDuration = SignedDuration::from_secs(60);

/// Who has an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "holder", rename_all = "snake_case")]
pub(super) enum Lease {
    /// An instance, or what remains of one of a deleted server.
    Instance { id: InstanceId, server: ServerId },
    /// Something that this EMCP runs to its end.
    Job { id: Uuid },
    /// Nobody since then.
    Nobody { since: Timestamp },
}

/// The lease of something that is run to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobLease {
    /// What it has meanwhile.
    pub address: LeasedAddress,
    id: Uuid,
}

/// From which end of the pool an address is taken.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Lowest,
    Highest,
}

impl Store {
    /// Leases an address for a job: the highest that is free, which is the last
    /// that a new server would want.
    ///
    /// # Errors
    /// `address_pool_full`, or if the database fails.
    pub async fn lease_for_job(&self, pool: AddressPool, now: Timestamp) -> Result<JobLease> {
        self.write(move |txn| {
            let id = Uuid::now_v7();
            let lease = Lease::Job { id };
            let address = take(txn, pool, End::Highest, &lease, now)?;
            Ok(JobLease { address, id })
        })
        .await
    }

    /// Gives a job's address back.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn end_job(&self, job: JobLease, now: Timestamp) -> Result<()> {
        let JobLease { id, .. } = job;
        self.write(move |txn| {
            give_back(
                txn,
                |lease| matches!(lease, Lease::Job { id: of } if *of == id),
                now,
            )
        })
        .await
    }

    /// Gives back the addresses of all jobs: those of an EMCP that was killed.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn end_all_jobs(&self, now: Timestamp) -> Result<()> {
        self.write(move |txn| give_back(txn, |lease| matches!(lease, Lease::Job { .. }), now))
            .await
    }

    /// Deleted servers of which an address is still taken: what remains of them
    /// is to be swept up.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn deleted_servers(&self) -> Result<Vec<ServerId>> {
        self.read(|txn| {
            let servers = txn.open_table(tables::SERVERS).map_err(codec::db)?;
            let leases = txn.open_table(tables::LEASES).map_err(codec::db)?;
            let mut deleted = BTreeSet::new();
            for (_, lease) in all(&leases)? {
                if let Lease::Instance { server, .. } = lease
                    && servers.get(server.as_u128()).map_err(codec::db)?.is_none()
                {
                    deleted.insert(server);
                }
            }
            Ok(deleted.into_iter().collect())
        })
        .await
    }

    /// Gives back the addresses of a deleted server, once nothing uses them.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn release_addresses(&self, of: ServerId, now: Timestamp) -> Result<()> {
        self.write(move |txn| {
            give_back(
                txn,
                |lease| matches!(lease, Lease::Instance { server, .. } if *server == of),
                now,
            )
        })
        .await
    }
}

/// Leases an address that nobody has. One that rests is taken only where there
/// is no other, the one that has rested longest first: a full pool is worse.
///
/// # Errors
/// `address_pool_full`, or if the database fails.
pub(super) fn take(
    txn: &WriteTransaction,
    pool: AddressPool,
    end: End,
    lease: &Lease,
    now: Timestamp,
) -> Result<LeasedAddress> {
    let (mut taken, mut resting, mut rested) = (BTreeSet::new(), Vec::new(), Vec::new());
    {
        let table = txn.open_table(tables::LEASES).map_err(codec::db)?;
        for (address, lease) in all(&table)? {
            match lease {
                Lease::Nobody { since } if now.duration_since(since) >= REST => {
                    rested.push(address);
                    continue;
                }
                // A clock that was set back keeps it here for longer.
                Lease::Nobody { since } if pool.contains(address) => {
                    resting.push((since, address));
                }
                _ => {}
            }
            taken.insert(address);
        }
    }
    let free = match end {
        End::Lowest => pool.lowest_free(&taken),
        End::Highest => pool.highest_free(&taken),
    };
    let longest = resting.into_iter().min().map(|(_, address)| address);
    let address = free.or(longest).ok_or_else(|| Error::Conflict {
        code: "address_pool_full",
        field: None,
        message: format!(
            "all {} addresses of {} are taken; delete servers or give EMCP a larger subnet",
            pool.capacity(),
            pool.subnet()
        ),
    })?;
    let mut table = txn.open_table(tables::LEASES).map_err(codec::db)?;
    for address in rested {
        table.remove(u32::from(address)).map_err(codec::db)?;
    }
    let bytes = codec::encode(lease)?;
    table
        .insert(u32::from(address), bytes.as_slice())
        .map_err(codec::db)?;
    Ok(address.into())
}

/// Writes down who has an address.
pub(super) fn put(txn: &WriteTransaction, address: LeasedAddress, lease: &Lease) -> Result<()> {
    let bytes = codec::encode(lease)?;
    let mut table = txn.open_table(tables::LEASES).map_err(codec::db)?;
    table
        .insert(u32::from(address.ip()), bytes.as_slice())
        .map_err(codec::db)?;
    Ok(())
}

/// Who has an address.
pub(super) fn of(txn: &WriteTransaction, address: LeasedAddress) -> Result<Option<Lease>> {
    let table = txn.open_table(tables::LEASES).map_err(codec::db)?;
    let known = table.get(u32::from(address.ip())).map_err(codec::db)?;
    known.map(|bytes| codec::decode(bytes.value())).transpose()
}

/// Has those addresses rest whose leases end.
pub(super) fn give_back(
    txn: &WriteTransaction,
    ends: impl Fn(&Lease) -> bool,
    now: Timestamp,
) -> Result<()> {
    let mut table = txn.open_table(tables::LEASES).map_err(codec::db)?;
    let nobody = codec::encode(&Lease::Nobody { since: now })?;
    for (address, _) in all(&table)?.into_iter().filter(|(_, lease)| ends(lease)) {
        table
            .insert(u32::from(address), nobody.as_slice())
            .map_err(codec::db)?;
    }
    Ok(())
}

/// All leases.
pub(super) fn all(
    table: &impl ReadableTable<u32, &'static [u8]>,
) -> Result<Vec<(Ipv4Addr, Lease)>> {
    table
        .iter()
        .map_err(codec::db)?
        .map(|row| {
            let (address, lease) = row.map_err(codec::db)?;
            Ok((address.value().into(), codec::decode(lease.value())?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::Vault;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn pool() -> AddressPool {
        AddressPool::parse("198.18.0.0/26").unwrap()
    }

    fn store() -> Store {
        Store::in_memory(&Vault::new(&[1; 32])).unwrap()
    }

    #[tokio::test]
    async fn an_address_that_was_given_back_rests_before_it_is_given_again() {
        let store = store();
        let first = store.lease_for_job(pool(), at(0)).await.unwrap();
        store.end_job(first.clone(), at(10)).await.unwrap();
        let second = store.lease_for_job(pool(), at(69)).await.unwrap();
        assert_ne!(second.address, first.address);
        // By then it has rested.
        let third = store.lease_for_job(pool(), at(70)).await.unwrap();
        assert_eq!(third.address, first.address);
        // And where somebody else has it, it is theirs.
        store.end_job(first, at(71)).await.unwrap();
        let fourth = store.lease_for_job(pool(), at(71)).await.unwrap();
        assert!(fourth.address != third.address && fourth.address != second.address);
    }

    #[tokio::test]
    async fn an_exhausted_pool_gives_what_has_rested_longest_and_then_refuses() {
        let store = store();
        let mut leased = Vec::new();
        for _ in 0..pool().capacity() {
            leased.push(store.lease_for_job(pool(), at(0)).await.unwrap());
        }
        let refused = store.lease_for_job(pool(), at(0)).await.unwrap_err();
        assert_eq!(refused.code(), "address_pool_full");
        let (early, late) = (leased.pop().unwrap(), leased.pop().unwrap());
        store.end_job(late.clone(), at(9)).await.unwrap();
        store.end_job(early.clone(), at(8)).await.unwrap();
        let next = store.lease_for_job(pool(), at(10)).await.unwrap();
        assert_eq!(next.address, early.address);
        let next = store.lease_for_job(pool(), at(10)).await.unwrap();
        assert_eq!(next.address, late.address);
        let refused = store.lease_for_job(pool(), at(10)).await.unwrap_err();
        assert_eq!(refused.code(), "address_pool_full");
    }

    #[tokio::test]
    async fn what_a_killed_emcp_had_leased_for_its_jobs_is_given_back() {
        let store = store();
        for _ in 0..pool().capacity() {
            store.lease_for_job(pool(), at(0)).await.unwrap();
        }
        store.end_all_jobs(at(1)).await.unwrap();
        store.lease_for_job(pool(), at(1)).await.unwrap();
    }
}
