//! A bounded history for each server.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use jiff::Timestamp;
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

impl Store {
    /// The newest events of all servers, newest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn recent_events(&self, limit: usize) -> Result<Vec<(ServerId, Event)>> {
        self.read(move |txn| {
            let servers = txn.open_table(tables::SERVERS).map_err(codec::db)?;
            let table = txn.open_table(tables::EVENTS).map_err(codec::db)?;
            // The oldest of those kept is on top. Each server's history is read
            // from its newest end, and only as far as it is newer than that.
            let mut kept = BinaryHeap::with_capacity(limit + 1);
            for row in servers.iter().map_err(codec::db)? {
                let id = row.map_err(codec::db)?.0.value();
                let history = table
                    .range((id, 0)..=(id, u64::MAX))
                    .map_err(codec::db)?
                    .rev();
                for row in history {
                    let (key, value) = row.map_err(codec::db)?;
                    let event: Event = codec::decode(value.value())?;
                    let is_old =
                        |Reverse((at, ..)): &Reverse<(Timestamp, u128, u64)>| *at >= event.at;
                    if kept.len() == limit && kept.peek().is_some_and(is_old) {
                        break;
                    }
                    kept.push(Reverse((event.at, id, key.value().1)));
                    if kept.len() > limit {
                        kept.pop();
                    }
                }
            }
            kept.into_sorted_vec()
                .into_iter()
                .map(|Reverse((_, id, number))| {
                    let row = table.get((id, number)).map_err(codec::db)?;
                    let event = row.map(|value| codec::decode(value.value())).transpose()?;
                    Ok(event.map(|event| (ServerId::from_u128(id), event)))
                })
                .filter_map(Result::transpose)
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
