//! A bounded history for each server.

use redb::{ReadableTable, WriteTransaction};

use super::{Store, codec, tables};
use crate::model::{Event, Result, ServerId};

/// How many events a server keeps.
const KEPT_EVENTS: u64 = 500;

impl Store {
    /// A server's newest events, newest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn events_of(&self, id: ServerId, limit: usize) -> Result<Vec<Event>> {
        self.read(move |txn| {
            let raw = id.as_u128();
            let table = txn.open_table(tables::EVENTS).map_err(codec::db)?;
            table
                .range((raw, 0)..=(raw, u64::MAX))
                .map_err(codec::db)?
                .rev()
                .take(limit)
                .map(|row| codec::decode(row.map_err(codec::db)?.1.value()))
                .collect()
        })
        .await
    }
}

pub(super) fn append(txn: &WriteTransaction, id: u128, event: &Event) -> Result<()> {
    let mut table = txn.open_table(tables::EVENTS).map_err(codec::db)?;
    let next = table
        .range((id, 0)..=(id, u64::MAX))
        .map_err(codec::db)?
        .next_back()
        .transpose()
        .map_err(codec::db)?
        .map_or(0, |(key, _)| key.value().1 + 1);
    let bytes = codec::encode(event)?;
    table
        .insert((id, next), bytes.as_slice())
        .map_err(codec::db)?;
    if let Some(oldest_kept) = (next + 1).checked_sub(KEPT_EVENTS) {
        table
            .retain_in((id, 0)..(id, oldest_kept), |_, _| false)
            .map_err(codec::db)?;
    }
    Ok(())
}

pub(super) fn remove_all(txn: &WriteTransaction, id: u128) -> Result<()> {
    let mut table = txn.open_table(tables::EVENTS).map_err(codec::db)?;
    table
        .retain_in((id, 0)..=(id, u64::MAX), |_, _| false)
        .map_err(codec::db)
}
