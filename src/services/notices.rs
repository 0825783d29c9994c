//! What the operator should know, as readiness and the dashboard show it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::parts::Parts;
use super::{AuditLog, FirewallWatch};
use crate::access::Proxies;
use crate::api::Notice;
use crate::model::KnownNotice;

/// What a notice is about; there is one at most of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// The operator's own certificate.
    Certificate,
    /// The data directory's disk.
    Disk,
}

/// The notices there are now.
#[derive(Default)]
pub(super) struct NoticeBoard(Mutex<BTreeMap<Subject, KnownNotice>>);

impl NoticeBoard {
    /// Puts a notice in place of the last one of its subject, or takes that away.
    /// A change is in the log, once.
    pub(super) fn put(&self, subject: Subject, notice: Option<KnownNotice>) {
        let mut present = self.present();
        let before = match &notice {
            Some(notice) => present.insert(subject, notice.clone()),
            None => present.remove(&subject),
        };
        let code = |notice: &KnownNotice| notice.code_and_args().0;
        match (&before, &notice) {
            // Only its numbers have changed.
            (Some(before), Some(now)) if code(before) == code(now) => {}
            (_, Some(now)) => tracing::warn!(code = code(now), "{now}"),
            (Some(before), None) => {
                tracing::info!(code = code(before), "what was told of {subject:?} is over");
            }
            (None, None) => {}
        }
    }

    /// The notice of a subject.
    pub(super) fn of(&self, subject: Subject) -> Option<KnownNotice> {
        self.present().get(&subject).cloned()
    }

    fn present(&self) -> MutexGuard<'_, BTreeMap<Subject, KnownNotice>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gathers what the operator should know, of whoever knows it.
pub(super) struct Notices {
    board: Arc<NoticeBoard>,
    firewall: Arc<FirewallWatch>,
    audit: Arc<AuditLog>,
    proxies: Arc<Proxies>,
}

impl Notices {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            board: Arc::clone(&parts.notice_board),
            firewall: Arc::clone(&parts.firewall),
            audit: Arc::clone(&parts.audit),
            proxies: Arc::clone(&parts.proxies),
        }
    }

    /// Everything the operator should know now; empty when all is well.
    pub(super) fn all(&self) -> Vec<Notice> {
        let board = self.board.present();
        let known = board.values().map(Notice::from);
        self.firewall
            .view()
            .notice()
            .into_iter()
            .chain(self.audit.notice())
            .chain(self.unknown_clients())
            .chain(known)
            .collect()
    }

    /// That clients came lately whose address is hidden, if any did.
    fn unknown_clients(&self) -> Option<Notice> {
        self.proxies
            .has_unknown_clients(Instant::now())
            .then(|| Notice {
                code: "clients_unknown".to_owned(),
                message: "some clients' addresses are unknown, also to the audit log: they came by IPv6 or from this host, through Docker's own proxy; docs/operations.md says what helps".to_owned(),
                args: None,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_has_one_notice_at_most() {
        let board = NoticeBoard::default();
        board.put(Subject::Disk, Some(KnownNotice::DiskFull { free_bytes: 0 }));
        board.put(
            Subject::Certificate,
            Some(KnownNotice::CertificateKeyMismatch),
        );
        let low = KnownNotice::DiskLow {
            free_bytes: 1,
            min_free_bytes: 2,
        };
        board.put(Subject::Disk, Some(low.clone()));
        assert_eq!(board.of(Subject::Disk), Some(low));
        board.put(Subject::Disk, None);
        assert_eq!(board.of(Subject::Disk), None);
        assert_eq!(board.present().len(), 1);
    }
}
