//! Releases of servers, and which bundles they leave behind.
//!
//! A bundle lies on disk before its record and goes after it, so which of them
//! nobody needs is written down here: one is *loose* from before it is written
//! until a release has it, and again from when one that had it is gone. Both
//! ends are in the transaction of the record itself. What was never noted is
//! not EMCP's to remove: another database knew of it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use redb::{ReadableTable, WriteTransaction};
use uuid::Uuid;

use super::servers::read_server;
use super::{Store, codec, events, tables};
use crate::bundles::Lease;
use crate::model::{
    BundleDigest, Deed, Error, Event, Release, Result, Retention, Server, ServerId,
};

/// A release that is to be recorded, and its bundle, which is on disk. It stays
/// there until the transaction is over, whoever waits for that.
pub struct NewRelease {
    /// The record.
    pub release: Release,
    /// Its bundle.
    pub bundle: Lease,
}

impl NewRelease {
    /// It is recorded.
    pub(super) fn keep(self) {
        self.bundle.keep();
    }
}

/// A bundle that may have no release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LooseBundle {
    /// Which one.
    pub digest: BundleDigest,
    /// Tells this note from one that is made later.
    note: u128,
}

impl Store {
    /// A server's releases, oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn releases_of(&self, id: ServerId) -> Result<Vec<Release>> {
        self.read(move |txn| {
            let table = txn.open_table(tables::VERSIONS).map_err(codec::db)?;
            all_of(&table, id.as_u128())
        })
        .await
    }

    /// One release of a server; `None` if there is none, or none any more.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn release(&self, id: ServerId, number: u32) -> Result<Option<Release>> {
        self.read(move |txn| {
            let table = txn.open_table(tables::VERSIONS).map_err(codec::db)?;
            let found = table.get((id.as_u128(), number)).map_err(codec::db)?;
            found.map(|bytes| codec::decode(bytes.value())).transpose()
        })
        .await
    }

    /// Removes a server's outdated releases, with a line in its history, and
    /// notes their bundles as loose. Returns their numbers.
    ///
    /// # Errors
    /// `server_not_found`, or if the database fails.
    pub async fn prune_releases(
        &self,
        id: ServerId,
        rule: Retention,
        now: Timestamp,
    ) -> Result<Vec<u32>> {
        let raw = id.as_u128();
        // Mostly there are none, and a look costs no write to the disk.
        let releases = self.releases_of(id).await?;
        if releases.len() <= rule.newest {
            return Ok(Vec::new());
        }
        self.write(move |txn| {
            let server = read_server(txn, id)?;
            let mut table = txn.open_table(tables::VERSIONS).map_err(codec::db)?;
            let releases = all_of(&table, raw)?;
            let outdated = rule.outdated(&releases, server.version, now);
            let Some(&newest) = outdated.last() else {
                return Ok(outdated);
            };
            let gone = releases.iter().filter(|one| outdated.contains(&one.number));
            for release in gone {
                table.remove((raw, release.number)).map_err(codec::db)?;
                note_loose(txn, release.bundle)?;
            }
            let pruned = Deed::VersionsPruned {
                versions: outdated.len(),
                newest,
            };
            events::append(txn, raw, &Event::of_housekeeping(now, pruned))?;
            Ok(outdated)
        })
        .await
    }

    /// Notes that a bundle will be there of which no release tells yet.
    ///
    /// # Errors
    /// `disk_full`, or if the database fails.
    pub async fn note_loose_bundle(&self, digest: BundleDigest) -> Result<()> {
        self.write(move |txn| note_loose(txn, digest)).await
    }

    /// The bundles that may have no release.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn loose_bundles(&self) -> Result<Vec<LooseBundle>> {
        self.read(|txn| {
            let table = txn.open_table(tables::LOOSE_BUNDLES).map_err(codec::db)?;
            let noted = table.iter().map_err(codec::db)?.map(|row| {
                let (digest, note) = row.map_err(codec::db)?;
                let digest = BundleDigest::from_hex(digest.value())
                    .map_err(|error| Error::internal("a note of a bundle is damaged", error))?;
                let note = note.value();
                Ok(LooseBundle { digest, note })
            });
            noted.collect()
        })
        .await
    }

    /// Takes these notes back, unless they were made anew since.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn forget_loose_bundles(&self, settled: Vec<LooseBundle>) -> Result<()> {
        if settled.is_empty() {
            return Ok(());
        }
        self.write(move |txn| {
            let mut table = txn.open_table(tables::LOOSE_BUNDLES).map_err(codec::db)?;
            for LooseBundle { digest, note } in &settled {
                let digest = digest.hex();
                let present = table.get(digest.as_str()).map_err(codec::db)?;
                if present.is_some_and(|present| present.value() == *note) {
                    table.remove(digest.as_str()).map_err(codec::db)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// The bundles that releases have, of all servers.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn bundles_in_use(&self) -> Result<BTreeSet<BundleDigest>> {
        self.read(|txn| {
            let table = txn.open_table(tables::VERSIONS).map_err(codec::db)?;
            let bundles = table.iter().map_err(codec::db)?.map(|row| {
                let release: Release = codec::decode(row.map_err(codec::db)?.1.value())?;
                Ok(release.bundle)
            });
            bundles.collect()
        })
        .await
    }

    /// What an EMCP before bundles has noted: versions without a record whose
    /// files remain.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn pruned_files(&self) -> Result<Vec<(ServerId, u32)>> {
        self.read(|txn| {
            let table = txn.open_table(tables::PRUNED).map_err(codec::db)?;
            table
                .iter()
                .map_err(codec::db)?
                .map(|row| {
                    let (id, number) = row.map_err(codec::db)?.0.value();
                    Ok((ServerId::from_u128(id), number))
                })
                .collect()
        })
        .await
    }

    /// Takes these notes back.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn forget_pruned_files(&self, settled: Vec<(ServerId, u32)>) -> Result<()> {
        if settled.is_empty() {
            return Ok(());
        }
        self.write(move |txn| {
            let mut table = txn.open_table(tables::PRUNED).map_err(codec::db)?;
            for (id, number) in &settled {
                table.remove((id.as_u128(), *number)).map_err(codec::db)?;
            }
            Ok(())
        })
        .await
    }
}

/// Records a release, which has its bundle from now on.
pub(super) fn put_release(txn: &WriteTransaction, id: u128, new: &NewRelease) -> Result<()> {
    let NewRelease { release, bundle } = new;
    if release.bundle != bundle.digest() {
        return Err(Error::Internal(format!(
            "{} was leased for a release of {}",
            bundle.digest(),
            release.bundle
        )));
    }
    let bytes = codec::encode(release)?;
    let mut table = txn.open_table(tables::VERSIONS).map_err(codec::db)?;
    let before = table
        .insert((id, release.number), bytes.as_slice())
        .map_err(codec::db)?;
    if before.is_some() {
        // Releases never change: the transaction ends here.
        return Err(Error::Internal(format!(
            "version {} is recorded already",
            release.number
        )));
    }
    let mut loose = txn.open_table(tables::LOOSE_BUNDLES).map_err(codec::db)?;
    loose
        .remove(release.bundle.hex().as_str())
        .map_err(codec::db)?;
    Ok(())
}

/// Removes all releases of a server, also one whose record is damaged: what it
/// had is then not known, and stays.
pub(super) fn remove_all(txn: &WriteTransaction, id: u128) -> Result<()> {
    let mut table = txn.open_table(tables::VERSIONS).map_err(codec::db)?;
    let mut bundles = BTreeSet::new();
    table
        .retain_in((id, 0)..=(id, u32::MAX), |_, bytes| {
            let release = codec::decode::<Release>(bytes);
            bundles.extend(release.map(|release| release.bundle));
            false
        })
        .map_err(codec::db)?;
    bundles
        .into_iter()
        .try_for_each(|bundle| note_loose(txn, bundle))
}

fn note_loose(txn: &WriteTransaction, digest: BundleDigest) -> Result<()> {
    let mut table = txn.open_table(tables::LOOSE_BUNDLES).map_err(codec::db)?;
    table
        .insert(digest.hex().as_str(), Uuid::now_v7().as_u128())
        .map_err(codec::db)?;
    Ok(())
}

/// Writes down until when the release of before was in use, and makes sure that
/// the one of now is there: it may have been removed since it was looked for.
pub(super) fn follow_use(txn: &WriteTransaction, before: u32, server: &Server) -> Result<()> {
    if before == server.version {
        return Ok(());
    }
    let id = server.id.as_u128();
    let mut table = txn.open_table(tables::VERSIONS).map_err(codec::db)?;
    let is_there = table
        .get((id, server.version))
        .map_err(codec::db)?
        .is_some();
    if !is_there {
        return Err(Error::version_pruned(server.version));
    }
    for (number, last_in_use_at) in [(before, Some(server.updated_at)), (server.version, None)] {
        let known = table.get((id, number)).map_err(codec::db)?;
        let known = known.map(|bytes| codec::decode::<Release>(bytes.value()));
        if let Some(known) = known.transpose()? {
            let bytes = codec::encode(&Release {
                last_in_use_at,
                ..known
            })?;
            table
                .insert((id, number), bytes.as_slice())
                .map_err(codec::db)?;
        }
    }
    Ok(())
}

fn all_of(
    table: &impl ReadableTable<(u128, u32), &'static [u8]>,
    id: u128,
) -> Result<Vec<Release>> {
    table
        .range((id, 0)..=(id, u32::MAX))
        .map_err(codec::db)?
        .map(|row| codec::decode(row.map_err(codec::db)?.1.value()))
        .collect()
}
