//! The audit log: lines are added at its end, and never altered but for how
//! often the same was done. When there are too many, whoever has most of them
//! loses their oldest: nobody pushes out the lines of others by many of their
//! own.

use std::collections::BinaryHeap;

use redb::{ReadableTable, ReadableTableMetadata, WriteTransaction};

use super::{Store, codec, tables};
use crate::model::{AuditEntry, AuditFilter, AuditRecord, Principal, Result};

/// A line to be written.
#[derive(Debug, Clone)]
pub struct AuditWrite {
    /// What it says.
    pub entry: AuditEntry,
    /// The line that says the same already, if there is one.
    pub repeats: Option<u64>,
}

impl Store {
    /// Writes lines in one transaction, and keeps `kept` of all. Returns the
    /// ids under which they are found: that of the line they repeat, as long as
    /// it is there, or a new one.
    ///
    /// # Errors
    /// If the database fails; none is written then.
    pub async fn write_audit(&self, lines: Vec<AuditWrite>, kept: u64) -> Result<Vec<u64>> {
        self.write(move |txn| {
            let mut table = txn.open_table(tables::AUDIT).map_err(codec::db)?;
            let last = table.last().map_err(codec::db)?.map(|(id, _)| id.value());
            let mut next = last.map_or(1, |id| id + 1);
            let mut ids = Vec::with_capacity(lines.len());
            for line in &lines {
                let known = match line.repeats {
                    Some(id) => {
                        let known = table.get(id).map_err(codec::db)?;
                        let known = known.map(|bytes| codec::decode(bytes.value()));
                        known.transpose()?.map(|known: AuditEntry| (id, known))
                    }
                    None => None,
                };
                let (id, entry) = match known {
                    Some((id, mut known)) => {
                        known.again(&line.entry);
                        (id, known)
                    }
                    None => {
                        add_to_index(txn, line.entry.holder(), next)?;
                        next += 1;
                        (next - 1, line.entry.clone())
                    }
                };
                let bytes = codec::encode(&entry)?;
                table.insert(id, bytes.as_slice()).map_err(codec::db)?;
                ids.push(id);
            }
            let over = table.len().map_err(codec::db)?.saturating_sub(kept);
            for id in make_room(txn, over)? {
                table.remove(id).map_err(codec::db)?;
            }
            Ok(ids)
        })
        .await
    }

    /// The newest lines that fit, newest first, and whether there are more.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn audit_page(
        &self,
        filter: AuditFilter,
        limit: usize,
    ) -> Result<(Vec<AuditRecord>, bool)> {
        self.read(move |txn| {
            let table = txn.open_table(tables::AUDIT).map_err(codec::db)?;
            let end = filter.before.unwrap_or(u64::MAX);
            let mut page = Vec::new();
            for row in table.range(..end).map_err(codec::db)?.rev() {
                let (id, bytes) = row.map_err(codec::db)?;
                let entry: AuditEntry = codec::decode(bytes.value())?;
                if !filter.fits(&entry) {
                    continue;
                }
                if page.len() == limit {
                    return Ok((page, true));
                }
                page.push(AuditRecord {
                    id: id.value(),
                    entry,
                });
            }
            Ok((page, false))
        })
        .await
    }

    /// The lines after one, oldest first, that fit among the next `looked_at`;
    /// and the last one looked at, unless that was the log's end.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn audit_after(
        &self,
        after: u64,
        filter: AuditFilter,
        looked_at: usize,
    ) -> Result<(Vec<AuditRecord>, Option<u64>)> {
        self.read(move |txn| {
            let table = txn.open_table(tables::AUDIT).map_err(codec::db)?;
            let end = filter.before.unwrap_or(u64::MAX);
            let mut found = Vec::new();
            let mut last = None;
            let first = after.saturating_add(1).min(end);
            for row in table.range(first..end).map_err(codec::db)?.take(looked_at) {
                let (id, bytes) = row.map_err(codec::db)?;
                let (id, entry) = (id.value(), codec::decode(bytes.value())?);
                last = Some(id);
                if filter.fits(&entry) {
                    found.push(AuditRecord { id, entry });
                }
            }
            Ok((found, last))
        })
        .await
    }
}

/// Makes the index of holders anew where it does not fit the lines: they were
/// written by an EMCP that had none, or came from a backup.
pub(super) fn index_if_needed(txn: &WriteTransaction) -> Result<()> {
    let lines = txn.open_table(tables::AUDIT).map_err(codec::db)?;
    let last = lines.last().map_err(codec::db)?.map(|(id, _)| id.value());
    {
        let index = txn.open_table(tables::AUDIT_BY_HOLDER).map_err(codec::db)?;
        let is_whole = index.len().map_err(codec::db)? == lines.len().map_err(codec::db)?;
        let knows_last = match last {
            None => true,
            Some(last) => {
                let bytes = lines.get(last).map_err(codec::db)?;
                let entry = bytes.map(|bytes| codec::decode::<AuditEntry>(bytes.value()));
                let entry = entry.transpose()?;
                let holder = key_of(entry.as_ref().and_then(AuditEntry::holder));
                let line = index.get((holder.as_str(), last)).map_err(codec::db)?;
                line.is_some()
            }
        };
        if is_whole && knows_last {
            return Ok(());
        }
    }
    drop_index(txn)?;
    for row in lines.iter().map_err(codec::db)? {
        let (id, bytes) = row.map_err(codec::db)?;
        let entry: AuditEntry = codec::decode(bytes.value())?;
        add_to_index(txn, entry.holder(), id.value())?;
    }
    Ok(())
}

/// Forgets whose the lines are; [`index_if_needed`] finds out again.
pub(super) fn drop_index(txn: &WriteTransaction) -> Result<()> {
    let index = tables::AUDIT_BY_HOLDER;
    txn.delete_table(index).map_err(codec::db)?;
    txn.delete_table(tables::AUDIT_HOLDERS).map_err(codec::db)?;
    txn.open_table(index).map_err(codec::db)?;
    txn.open_table(tables::AUDIT_HOLDERS).map_err(codec::db)?;
    Ok(())
}

/// How the index names a holder.
fn key_of(holder: Option<&Principal>) -> String {
    holder.map(|who| who.id.to_string()).unwrap_or_default()
}

fn add_to_index(txn: &WriteTransaction, holder: Option<&Principal>, id: u64) -> Result<()> {
    let holder = &*key_of(holder);
    let mut index = txn.open_table(tables::AUDIT_BY_HOLDER).map_err(codec::db)?;
    index.insert((holder, id), ()).map_err(codec::db)?;
    let mut counts = txn.open_table(tables::AUDIT_HOLDERS).map_err(codec::db)?;
    let count = counts.get(holder).map_err(codec::db)?.map(|n| n.value());
    counts
        .insert(holder, count.unwrap_or_default() + 1)
        .map_err(codec::db)?;
    Ok(())
}

/// Takes so many lines out of the index, each time the oldest of whoever has
/// most; their ids.
fn make_room(txn: &WriteTransaction, over: u64) -> Result<Vec<u64>> {
    if over == 0 {
        return Ok(Vec::new());
    }
    let mut counts = txn.open_table(tables::AUDIT_HOLDERS).map_err(codec::db)?;
    let mut by_count = BinaryHeap::new();
    for row in counts.iter().map_err(codec::db)? {
        let (holder, count) = row.map_err(codec::db)?;
        by_count.push((count.value(), holder.value().to_owned()));
    }
    let mut index = txn.open_table(tables::AUDIT_BY_HOLDER).map_err(codec::db)?;
    let mut gone = Vec::new();
    for _ in 0..over {
        let Some((count, holder)) = by_count.pop() else {
            break;
        };
        let oldest = index
            .range((holder.as_str(), 0)..=(holder.as_str(), u64::MAX))
            .map_err(codec::db)?
            .next()
            .transpose()
            .map_err(codec::db)?
            .map(|(key, _)| key.value().1);
        let left = match oldest {
            Some(id) => {
                index.remove((holder.as_str(), id)).map_err(codec::db)?;
                gone.push(id);
                count - 1
            }
            None => 0,
        };
        if left == 0 {
            counts.remove(holder.as_str()).map_err(codec::db)?;
        } else {
            counts.insert(holder.as_str(), left).map_err(codec::db)?;
            by_count.push((left, holder));
        }
    }
    Ok(gone)
}
