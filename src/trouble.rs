//! What goes wrong over and over is told when it begins and when it is over,
//! with how often it was met: a log that fills a full disk helps nobody.

use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Without it for so long, it is over. Where only large writes fail, small ones
/// succeed in between, and would begin and end it every second.
const QUIET: Duration = Duration::from_secs(5);

/// Servers' output is not written to disk.
pub static OUTPUT: Trouble = Trouble::new("servers' output cannot be kept on disk");
/// What was observed of servers is not in the database.
pub static STATES: Trouble = Trouble::new("the servers' status cannot be kept in the database");
/// The audit log is not in the database.
pub static AUDIT: Trouble =
    Trouble::new("the audit log cannot be written; it is kept and tried again");
/// The audit log is full in memory too.
pub static AUDIT_LOST: Trouble =
    Trouble::new("the audit log cannot be written, and its oldest lines are lost");
/// The database is opened anew after a failed write.
pub static DATABASE: Trouble = Trouble::new("the database refuses to work and is opened anew");
/// When tokens were last used is not in the database.
pub static TOKEN_USES: Trouble = Trouble::new("the tokens' last use cannot be written");
/// What nobody needs is still on the disk.
pub static COLLECTION: Trouble =
    Trouble::new("code that no version has cannot be removed; it is tried again");
/// The database is not ready.
pub static STORE_CHECK: Trouble = Trouble::new("not ready: the database");
/// Docker Engine does not answer.
pub static DOCKER: Trouble = Trouble::new("Docker Engine does not answer; it is tried again");

/// One kind of trouble, wherever it is met.
pub struct Trouble {
    what: &'static str,
    present: Mutex<Option<Present>>,
}

#[derive(Clone, Copy)]
struct Present {
    since: Instant,
    last: Instant,
    times: u64,
}

impl Trouble {
    const fn new(what: &'static str) -> Self {
        Self {
            what,
            present: Mutex::new(None),
        }
    }

    /// It was met. The first time is told.
    pub fn met(&self, error: &dyn Display) {
        if self.begins(Instant::now()) {
            tracing::error!(%error, "{}; this is told once, and when it is over", self.what);
        }
    }

    /// What fails by it worked. The first time after some quiet is told.
    pub fn worked(&self) {
        if let Some((times, lasted)) = self.ends(Instant::now()) {
            let secs = lasted.as_secs();
            tracing::info!(times, secs, "{}: this is over", self.what);
        }
    }

    fn begins(&self, now: Instant) -> bool {
        let mut present = self.present();
        let is_new = present.is_none();
        let known = present.get_or_insert(Present {
            since: now,
            last: now,
            times: 0,
        });
        known.last = now;
        known.times += 1;
        is_new
    }

    fn ends(&self, now: Instant) -> Option<(u64, Duration)> {
        let mut present = self.present();
        let over = present.take_if(|known| now.duration_since(known.last) >= QUIET)?;
        Some((over.times, over.last.duration_since(over.since)))
    }

    fn present(&self) -> MutexGuard<'_, Option<Present>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_once_and_its_end_once() {
        let trouble = Trouble::new("x");
        let begin = Instant::now();
        let at = |secs: u64| begin + Duration::from_secs(secs);
        assert_eq!(trouble.ends(at(0)), None);
        assert!(trouble.begins(at(0)));
        for second in 1..100 {
            assert!(!trouble.begins(at(second)));
            // What works in between is not yet the end.
            assert_eq!(trouble.ends(at(second + 1)), None);
        }
        assert_eq!(trouble.ends(at(104)), Some((100, Duration::from_secs(99))));
        assert_eq!(trouble.ends(at(200)), None);
        assert!(trouble.begins(at(201)));
    }
}
