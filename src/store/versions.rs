//! Versions of servers' code, and how old ones go: first their records, in one
//! transaction with a note of the files that remain, then the files, then the
//! note. After a crash in between, the note leads to the files.

use jiff::Timestamp;
use redb::{ReadableTable, WriteTransaction};

use super::servers::read_server;
use super::{Store, codec, events, tables};
use crate::model::{CodeVersion, Deed, Error, Event, Result, Retention, Server, ServerId};

impl Store {
    /// A server's code versions, oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn versions_of(&self, id: ServerId) -> Result<Vec<CodeVersion>> {
        self.read(move |txn| {
            let table = txn.open_table(tables::VERSIONS).map_err(codec::db)?;
            all_of(&table, id.as_u128())
        })
        .await
    }

    /// Removes the records of a server's outdated versions, with a line in its
    /// history, and notes that their files remain. Returns their numbers.
    ///
    /// # Errors
    /// `server_not_found`, or if the database fails.
    pub async fn prune_versions(
        &self,
        id: ServerId,
        rule: Retention,
        now: Timestamp,
    ) -> Result<Vec<u32>> {
        let raw = id.as_u128();
        // Mostly there are none, and a look costs no write to the disk.
        let versions = self.versions_of(id).await?;
        if versions.len() <= rule.newest {
            return Ok(Vec::new());
        }
        self.write(move |txn| {
            let server = read_server(txn, id)?;
            let outdated = {
                let mut table = txn.open_table(tables::VERSIONS).map_err(codec::db)?;
                let outdated = rule.outdated(&all_of(&table, raw)?, server.version, now);
                for number in &outdated {
                    table.remove((raw, *number)).map_err(codec::db)?;
                }
                outdated
            };
            let Some(&newest) = outdated.last() else {
                return Ok(outdated);
            };
            let mut remaining = txn.open_table(tables::PRUNED).map_err(codec::db)?;
            for number in &outdated {
                remaining.insert((raw, *number), ()).map_err(codec::db)?;
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

    /// Versions without a record whose files remain.
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

    /// Takes note that these files are gone.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn pruned_files_removed(&self, gone: Vec<(ServerId, u32)>) -> Result<()> {
        self.write(move |txn| {
            let mut table = txn.open_table(tables::PRUNED).map_err(codec::db)?;
            for (id, number) in &gone {
                table.remove((id.as_u128(), *number)).map_err(codec::db)?;
            }
            Ok(())
        })
        .await
    }
}

/// Writes down until when the version of before was in use, and makes sure that
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
        let known = known.map(|bytes| codec::decode::<CodeVersion>(bytes.value()));
        if let Some(known) = known.transpose()? {
            let bytes = codec::encode(&CodeVersion {
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
) -> Result<Vec<CodeVersion>> {
    table
        .range((id, 0)..=(id, u32::MAX))
        .map_err(codec::db)?
        .map(|row| codec::decode(row.map_err(codec::db)?.1.value()))
        .collect()
}
