//! What people have, as the records tell. A change that adds to it is checked
//! within its own transaction: write transactions follow one another, so two
//! callers never share the last free place.

use std::collections::BTreeMap;

use redb::{ReadableTable, WriteTransaction};

use super::{Store, codec, tables};
use crate::model::{Desired, Holdings, Maxima, Principal, Quota, Release, Result, Server, Token};

/// Whose quota bounds a change.
pub struct Allowance {
    /// The person: the server's creator.
    pub person: Principal,
    /// What they may have.
    pub quota: Quota,
    /// What their servers are given at most.
    pub maxima: Maxima,
}

impl Store {
    /// What everybody has who has created a server or made a token.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn holdings(&self, maxima: Maxima) -> Result<BTreeMap<Principal, Holdings>> {
        self.read(move |txn| {
            let servers = txn.open_table(tables::SERVERS).map_err(codec::db)?;
            let releases = txn.open_table(tables::VERSIONS).map_err(codec::db)?;
            let env = txn.open_table(tables::ENV).map_err(codec::db)?;
            let mut all = BTreeMap::<Principal, Holdings>::new();
            for row in servers.iter().map_err(codec::db)? {
                let server: Server = codec::decode(row.map_err(codec::db)?.1.value())?;
                let share = share_of(&server, maxima, &releases, &env)?;
                let held = all.entry(server.creator).or_default();
                *held = held.plus(share);
            }
            let tokens = txn.open_table(tables::TOKENS).map_err(codec::db)?;
            for row in tokens.iter().map_err(codec::db)? {
                let token: Token = codec::decode(row.map_err(codec::db)?.1.value())?;
                all.entry(token.created_by).or_default().tokens += 1;
            }
            Ok(all)
        })
        .await
    }
}

/// What one server is of its creator's holdings.
pub(super) fn share(txn: &WriteTransaction, server: &Server, maxima: Maxima) -> Result<Holdings> {
    let releases = txn.open_table(tables::VERSIONS).map_err(codec::db)?;
    let env = txn.open_table(tables::ENV).map_err(codec::db)?;
    share_of(server, maxima, &releases, &env)
}

/// Refuses a change by which a server's share grew from `before` to `after`, as
/// written in this transaction, if its creator has too much with it.
pub(super) fn require(
    txn: &WriteTransaction,
    allowance: &Allowance,
    before: Holdings,
    after: Holdings,
) -> Result<()> {
    let grown_by = after.more_than(before);
    if grown_by == Holdings::default() {
        return Ok(());
    }
    let servers = txn.open_table(tables::SERVERS).map_err(codec::db)?;
    let releases = txn.open_table(tables::VERSIONS).map_err(codec::db)?;
    let env = txn.open_table(tables::ENV).map_err(codec::db)?;
    let mut held = Holdings::default();
    for row in servers.iter().map_err(codec::db)? {
        let server: Server = codec::decode(row.map_err(codec::db)?.1.value())?;
        if server.creator == allowance.person {
            held = held.plus(share_of(&server, allowance.maxima, &releases, &env)?);
        }
    }
    allowance
        .quota
        .require(&allowance.person.name, grown_by, held)
}

/// A server that sleeps counts as running: any request wakes it.
fn share_of(
    server: &Server,
    maxima: Maxima,
    releases: &impl ReadableTable<(u128, u32), &'static [u8]>,
    env: &impl ReadableTable<u128, &'static [u8]>,
) -> Result<Holdings> {
    let id = server.id.as_u128();
    let mut stored_bytes = server.settings.description.as_str().len() as u64;
    // Set aside in full, whether it is used or not.
    let kept_bytes = server
        .settings
        .storage
        .map_or(0, |storage| storage.size_bytes);
    stored_bytes = stored_bytes.saturating_add(kept_bytes);
    for row in releases
        .range((id, 0)..=(id, u32::MAX))
        .map_err(codec::db)?
    {
        let release: Release = codec::decode(row.map_err(codec::db)?.1.value())?;
        stored_bytes = stored_bytes.saturating_add(release.size_bytes);
    }
    if let Some(vars) = env.get(id).map_err(codec::db)? {
        stored_bytes = stored_bytes.saturating_add(vars.value().len() as u64);
    }
    Ok(Holdings {
        servers: 1,
        memory_bytes: match server.desired {
            Desired::Running => maxima.cap(server.settings.limits).memory_bytes,
            Desired::Stopped => 0,
        },
        stored_bytes,
        tokens: 0,
    })
}
