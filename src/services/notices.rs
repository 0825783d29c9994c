//! What the operator should know, as readiness and the dashboard show it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::App;
use crate::api::Notice;
use crate::model::KnownNotice;

/// What a notice is about; there is one at most of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The operator's own certificate.
    Certificate,
    /// The data directory's disk.
    Disk,
}

/// The notices there are now.
#[derive(Default)]
pub struct NoticeBoard(Mutex<BTreeMap<Subject, KnownNotice>>);

impl NoticeBoard {
    /// Puts a notice in place of the last one of its subject, or takes that away.
    /// A change is in the log, once.
    pub fn put(&self, subject: Subject, notice: Option<KnownNotice>) {
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
    pub fn of(&self, subject: Subject) -> Option<KnownNotice> {
        self.present().get(&subject).cloned()
    }

    fn present(&self) -> MutexGuard<'_, BTreeMap<Subject, KnownNotice>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl App {
    /// Everything the operator should know now; empty when all is well.
    pub fn notices(&self) -> Vec<Notice> {
        let board = self.notice_board.present();
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
