//! The audit log: lines are added at its end and never altered; the oldest go
//! when there are too many.

use redb::ReadableTable;

use super::{Store, codec, tables};
use crate::model::{AuditEntry, AuditFilter, AuditRecord, Result};

impl Store {
    /// Adds lines in one transaction, and keeps the newest `kept` of all.
    ///
    /// # Errors
    /// If the database fails; none is added then.
    pub async fn append_audit(&self, entries: Vec<AuditEntry>, kept: u64) -> Result<()> {
        self.write(move |txn| {
            let mut table = txn.open_table(tables::AUDIT).map_err(codec::db)?;
            let last = table.last().map_err(codec::db)?.map(|(id, _)| id.value());
            let mut next = last.map_or(1, |id| id + 1);
            for entry in &entries {
                let bytes = codec::encode(entry)?;
                table.insert(next, bytes.as_slice()).map_err(codec::db)?;
                next += 1;
            }
            table
                .retain_in(..next.saturating_sub(kept), |_, _| false)
                .map_err(codec::db)
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
}
