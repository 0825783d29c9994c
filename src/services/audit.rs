//! The audit log. What changes something is in the database before its caller
//! hears of it; sign-ins and refusals wait a second for others, since a durable
//! transaction each would cost more than they do.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::App;
use crate::access::CanAdminister;
use crate::model::{AuditEntry, AuditFilter, AuditRecord, AuditResult, Result};
use crate::store::Store;
use crate::trouble;

/// Lines kept in memory while the database does not take them.
const PENDING_MAX: usize = 10_000;
/// The same refusal of the same caller is written once in this time: whoever
/// goes on asking must not fill the log.
const REPEAT_AFTER: Duration = Duration::from_secs(60);
/// Refusals remembered for that.
const REPEATS_MAX: usize = 1_000;

/// Takes lines and sees to it that they are kept.
pub struct AuditLog {
    store: Store,
    kept: u64,
    pending: Mutex<VecDeque<AuditEntry>>,
    repeats: Mutex<HashMap<AuditEntry, Instant>>,
    /// One writer at a time: who waits for it finds its line written.
    writing: tokio::sync::Mutex<()>,
}

impl AuditLog {
    /// A log that keeps the newest `kept` lines.
    pub fn new(store: Store, kept: u64) -> Self {
        Self {
            store,
            kept,
            pending: Mutex::default(),
            repeats: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// Takes a line that is written with the next batch, unless it is a
    /// repetition.
    pub fn note(&self, entry: AuditEntry) {
        if entry.is_bounded_by_repeats() && self.is_repeat(&entry, Instant::now()) {
            return;
        }
        let mut pending = lock(&self.pending);
        if pending.len() >= PENDING_MAX {
            pending.pop_front();
            trouble::AUDIT_LOST.met(&"there are too many to keep in memory");
        }
        pending.push_back(entry);
    }

    /// Takes a line and writes it, with all that wait, before it returns. If the
    /// database does not take it, it waits for the next batch.
    pub async fn record(&self, entry: AuditEntry) {
        self.note(entry);
        self.flush().await;
    }

    /// Writes what waits.
    pub async fn flush(&self) {
        let _writing = self.writing.lock().await;
        let batch: Vec<AuditEntry> = std::mem::take(&mut *lock(&self.pending)).into();
        if batch.is_empty() {
            return;
        }
        if let Err(error) = self.store.append_audit(batch.clone(), self.kept).await {
            trouble::AUDIT.met(&error);
            let mut pending = lock(&self.pending);
            for entry in batch.into_iter().rev() {
                pending.push_front(entry);
            }
        } else {
            trouble::AUDIT.worked();
            trouble::AUDIT_LOST.worked();
        }
    }

    fn is_repeat(&self, entry: &AuditEntry, now: Instant) -> bool {
        let key = AuditEntry {
            at: jiff::Timestamp::UNIX_EPOCH,
            ..entry.clone()
        };
        let mut repeats = lock(&self.repeats);
        if repeats
            .get(&key)
            .is_some_and(|last| now.duration_since(*last) < REPEAT_AFTER)
        {
            return true;
        }
        if repeats.len() >= REPEATS_MAX {
            repeats.retain(|_, last| now.duration_since(*last) < REPEAT_AFTER);
        }
        if repeats.len() >= REPEATS_MAX {
            repeats.clear();
        }
        repeats.insert(key, now);
        false
    }
}

impl AuditEntry {
    /// Whether the same line again says nothing new.
    fn is_bounded_by_repeats(&self) -> bool {
        self.result != AuditResult::Ok || self.action.starts_with("session.")
    }

    /// Whether it must be kept before its caller is answered.
    pub(crate) fn is_a_change(&self) -> bool {
        !self.is_bounded_by_repeats()
    }
}

impl App {
    /// A page of the audit log, newest first, and whether there are more.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn audit_page(
        &self,
        _: &CanAdminister,
        filter: AuditFilter,
        limit: usize,
    ) -> Result<(Vec<AuditRecord>, bool)> {
        self.audit.flush().await;
        self.store.audit_page(filter, limit).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
