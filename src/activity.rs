//! When a server was last used, in memory: what the gate notes for every
//! request and the reconciler reads to put idle servers to sleep and wake them.
//!
//! The gate notes a request *before* it reads whether the server is awake, and
//! the reconciler takes its mark *before* it says that the server sleeps. So
//! every request either saw the server asleep and waits, or is seen by the
//! reconciler as use ([ADR 9](../docs/adr/0009-sleep-by-what-the-server-reports.md)).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clock;

/// One server's use. Lost with EMCP, after which a server counts as used at
/// EMCP's start.
#[derive(Debug)]
pub struct Activity {
    since: Instant,
    /// Requests noted.
    requests: AtomicU64,
    /// How many of them the reconciler knew of when it last judged the server
    /// idle.
    judged: AtomicU64,
    /// The last use, in milliseconds after `since`.
    last_use_ms: AtomicU64,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            since: clock::instant(),
            requests: AtomicU64::new(0),
            judged: AtomicU64::new(0),
            last_use_ms: AtomicU64::new(0),
        }
    }
}

impl Activity {
    /// Somebody wants the server: a request that may pass, or a person.
    pub fn note(&self) {
        // The time goes first: whoever sees the count sees the time as well.
        self.touch();
        self.requests.fetch_add(1, Ordering::SeqCst);
    }

    /// It is in use now, though nothing new was asked of it.
    pub fn touch(&self) {
        self.used_before(Duration::ZERO);
    }

    /// It was in use this long ago, if not since.
    pub fn used_before(&self, ago: Duration) {
        let at = clock::instant()
            .duration_since(self.since)
            .saturating_sub(ago);
        let at_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        self.last_use_ms.fetch_max(at_ms, Ordering::SeqCst);
    }

    /// How many requests were noted so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    /// How long nobody has used it, as far as is known here.
    pub fn idle(&self) -> Duration {
        let last_use = Duration::from_millis(self.last_use_ms.load(Ordering::SeqCst));
        clock::instant()
            .duration_since(self.since)
            .saturating_sub(last_use)
    }

    /// From here on, a request makes [`Activity::is_asked_for`] true. What came
    /// before shows in [`Activity::idle`], which is to be read after this.
    pub fn judge(&self) {
        let requests = self.requests.load(Ordering::SeqCst);
        self.judged.store(requests, Ordering::SeqCst);
    }

    /// Whether anybody wanted the server since it was last judged idle.
    pub fn is_asked_for(&self) -> bool {
        self.requests.load(Ordering::SeqCst) != self.judged.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_request_after_the_judgement_asks_for_the_server_and_one_before_ends_its_idleness() {
        let activity = Activity {
            since: Instant::now().checked_sub(HOUR).unwrap(),
            ..Activity::default()
        };
        assert!(activity.idle() >= HOUR && !activity.is_asked_for());
        activity.note();
        assert!(activity.is_asked_for());
        activity.judge();
        assert!(!activity.is_asked_for());
        assert!(activity.idle() < HOUR);
        activity.note();
        assert!(activity.is_asked_for());
    }

    #[test]
    fn what_is_learnt_of_an_older_use_does_not_hide_a_newer_one() {
        let activity = Activity {
            since: Instant::now().checked_sub(HOUR).unwrap(),
            ..Activity::default()
        };
        activity.used_before(HOUR / 2);
        let idle = activity.idle();
        assert!(idle >= HOUR / 2 && idle < HOUR);
        activity.touch();
        activity.used_before(HOUR / 2);
        assert!(activity.idle() < HOUR / 2);
        assert!(!activity.is_asked_for());
    }
}
