//! The audit log. What changes something is in the database before its caller
//! hears of it; sign-ins, looks and refusals wait a second for others, since a
//! durable transaction each would cost more than they do.

mod fold;
mod pending;
mod syslog;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures_util::{Stream, stream};

use self::fold::Folds;
use self::pending::Pending;
use self::syslog::Syslog;
use super::Endings;
use super::parts::Parts;
use crate::access::CanAdminister;
use crate::api::{AuditLine, Notice};
use crate::metrics::Count;
use crate::model::{AuditEntry, AuditFilter, AuditRecord, Error, Result};
use crate::settings::Settings;
use crate::store::Store;
use crate::trouble;

/// Lines that an export looks at in one go.
const EXPORT_STEP: usize = 500;

/// Takes lines and sees to it that they are kept.
pub(super) struct AuditLog {
    store: Store,
    kept: u64,
    pending: Mutex<Pending>,
    /// One writer at a time: who waits for it finds its line written.
    writing: tokio::sync::Mutex<Folds>,
    syslog: Option<Syslog>,
}

impl AuditLog {
    /// A log as the settings say. `dropped` counts lines that a syslog target
    /// did not take in time.
    pub(super) fn new(
        store: Store,
        settings: &Settings,
        dropped: Count,
        Endings { tasks, cancel, .. }: &Endings,
    ) -> Self {
        let host = settings.public_url.host_str().unwrap_or_default();
        let target = settings.audit_syslog.clone();
        Self {
            store,
            kept: settings.audit_max_entries,
            pending: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            syslog: target
                .map(|target| Syslog::start(target, host, dropped, tasks, cancel.clone())),
        }
    }

    /// Takes a line that is written with the next batch.
    pub(super) fn note(&self, entry: AuditEntry) {
        self.pending().push(entry);
    }

    /// Takes a line and writes it, with all that wait, before it returns. If the
    /// database does not take it, it waits for the next batch.
    pub(super) async fn record(&self, entry: AuditEntry) {
        self.note(entry);
        self.flush().await;
    }

    /// Writes what waits.
    pub(super) async fn flush(&self) {
        let mut folds = self.writing.lock().await;
        let batch = self.pending().take();
        if batch.is_empty() {
            return;
        }
        let now = Instant::now();
        let plan = folds.plan(&batch, now);
        match self.store.write_audit(plan.writes.clone(), self.kept).await {
            Ok(ids) => {
                trouble::AUDIT.worked();
                trouble::AUDIT_LOST.worked();
                folds.written(&plan, &ids, now);
                if let Some(syslog) = &self.syslog {
                    for (entry, at) in batch.into_iter().zip(&plan.places) {
                        let is_new = plan.writes[*at].repeats.is_none();
                        if is_new || entry.is_a_change() {
                            syslog.send(&AuditRecord {
                                id: ids[*at],
                                entry,
                            });
                        }
                    }
                }
            }
            Err(error) => {
                trouble::AUDIT.met(&error);
                self.pending().put_back(batch);
            }
        }
    }

    /// What the operator should know of it.
    pub(super) fn notice(&self) -> Option<Notice> {
        self.syslog.as_ref()?.notice()
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The audit log, for who writes its lines and who may read them.
pub struct Audit {
    log: Arc<AuditLog>,
    store: Store,
}

impl Audit {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            log: Arc::clone(&parts.audit),
            store: parts.store.clone(),
        }
    }

    /// Keeps a line of the audit log. One that tells of a change is kept when
    /// this returns. It gives nothing out, so whoever has done something needs no
    /// capability for it.
    pub async fn write(&self, entry: AuditEntry) {
        if entry.is_a_change() {
            self.log.record(entry).await;
        } else {
            self.log.note(entry);
        }
    }

    /// A page of the audit log, newest first, and whether there are more.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn page(
        &self,
        _: &CanAdminister,
        filter: AuditFilter,
        limit: usize,
    ) -> Result<(Vec<AuditRecord>, bool)> {
        self.log.flush().await;
        self.store.audit_page(filter, limit).await
    }

    /// The audit log's lines after one, oldest first, as lines of JSON: pieces
    /// that are read when they are asked for.
    ///
    /// # Errors
    /// In the stream, if the database fails.
    pub async fn lines(
        &self,
        _: &CanAdminister,
        filter: AuditFilter,
        after: u64,
    ) -> impl Stream<Item = Result<String>> + Send + use<> {
        self.log.flush().await;
        let store = self.store.clone();
        stream::try_unfold(Some(after), move |after| {
            let (store, filter) = (store.clone(), filter.clone());
            async move {
                let Some(after) = after else {
                    return Ok(None);
                };
                let (records, last) = store.audit_after(after, filter, EXPORT_STEP).await?;
                if last.is_none() {
                    return Ok(None);
                }
                let mut text = String::new();
                for record in records {
                    let line = serde_json::to_string(&AuditLine::from(record))
                        .map_err(|error| Error::internal("a line could not be written", error))?;
                    text.push_str(&line);
                    text.push('\n');
                }
                Ok(Some((text, last)))
            }
        })
    }
}
