//! Looks at the room on the data directory's disk, and says so before it is full.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::parts::Parts;
use super::{NoticeBoard, Subject};
use crate::api::Space;
use crate::blocking::run_blocking;
use crate::disk::space;
use crate::metrics::Metrics;
use crate::model::KnownNotice;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(5);
/// Less than this is as good as nothing: the database grows by more at a time.
const FULL_BELOW_BYTES: u64 = 1024 * 1024;

/// The last look; none before the first.
#[derive(Default)]
pub(super) struct DiskWatch(RwLock<Option<Space>>);

impl DiskWatch {
    /// The last look.
    pub(super) fn view(&self) -> Option<Space> {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, found: Space) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(found);
    }
}

/// Looks at once, and again all the time.
pub(super) fn watch(parts: &Parts) {
    let look = Looking {
        path: parts.settings.data_dir.clone(),
        min_free_bytes: parts.settings.min_free_bytes,
        found: Arc::clone(&parts.disk),
        notice_board: Arc::clone(&parts.notice_board),
        metrics: Arc::clone(&parts.metrics),
    };
    parts.endings.spawn(look_for_ever(look));
}

/// Looks, and takes what it sees to whom it concerns.
struct Looking {
    path: PathBuf,
    min_free_bytes: u64,
    found: Arc<DiskWatch>,
    notice_board: Arc<NoticeBoard>,
    metrics: Arc<Metrics>,
}

async fn look_for_ever(look: Looking) {
    loop {
        let path = look.path.clone();
        let looked = run_blocking(move || space(&path)).await;
        if let Ok(Ok(found)) = looked {
            look.found.put(found);
            look.metrics.disk_has(found);
            let before = look.notice_board.of(Subject::Disk);
            let notice = judge(found, look.min_free_bytes, before.as_ref());
            look.notice_board.put(Subject::Disk, notice);
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// What is to be said. What was said already is taken back only with a tenth
/// more room, lest it come and go with every file.
fn judge(found: Space, min_free_bytes: u64, before: Option<&KnownNotice>) -> Option<KnownNotice> {
    let Space { free_bytes, .. } = found;
    let with_margin = |limit: u64, was_told: bool| limit + if was_told { limit / 10 } else { 0 };
    let was_full = matches!(before, Some(KnownNotice::DiskFull { .. }));
    if free_bytes < with_margin(FULL_BELOW_BYTES, was_full) {
        return Some(KnownNotice::DiskFull { free_bytes });
    }
    (free_bytes < with_margin(min_free_bytes, before.is_some())).then_some(KnownNotice::DiskLow {
        free_bytes,
        min_free_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn judged(free_bytes: u64, before: Option<&KnownNotice>) -> Option<KnownNotice> {
        let found = Space {
            free_bytes,
            total_bytes: 1000 * MIB,
        };
        judge(found, 100 * MIB, before)
    }

    #[test]
    fn a_disk_is_told_to_be_low_before_it_is_told_to_be_full() {
        assert_eq!(judged(100 * MIB, None), None);
        let low = judged(99 * MIB, None).unwrap();
        assert!(matches!(low, KnownNotice::DiskLow { .. }));
        let full = judged(MIB - 1, Some(&low)).unwrap();
        assert!(matches!(full, KnownNotice::DiskFull { .. }));
        // On the edge it does not come and go.
        assert!(judged(105 * MIB, Some(&low)).is_some());
        assert_eq!(judged(110 * MIB, Some(&low)), None);
        assert!(matches!(
            judged(2 * MIB, Some(&full)),
            Some(KnownNotice::DiskLow { .. })
        ));
    }

    #[test]
    fn a_threshold_of_nothing_leaves_only_a_full_disk_to_be_told() {
        let found = |free_bytes| Space {
            free_bytes,
            total_bytes: MIB,
        };
        assert_eq!(judge(found(2 * MIB), 0, None), None);
        assert!(judge(found(0), 0, None).is_some());
    }
}
