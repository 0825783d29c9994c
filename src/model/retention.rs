//! Which versions of a server's code are kept.

use jiff::{SignedDuration, Timestamp};

use super::Release;

/// However many versions were in use lately, no more of them are kept for that
/// reason: whoever uploads once a second must not fill the disk for weeks.
const IN_USE_MAX: usize = 200;

/// Which versions are kept besides the one in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The newest so many.
    pub newest: usize,
    /// Those that were in use within so many days.
    pub days: u32,
}

impl Retention {
    /// The numbers of the versions that go, given all (oldest first) and the
    /// one in use.
    pub fn outdated(&self, versions: &[Release], in_use: u32, now: Timestamp) -> Vec<u32> {
        let since = now - SignedDuration::from_hours(24 * i64::from(self.days));
        let older = versions.len().saturating_sub(self.newest);
        let mut kept_for_use = 0;
        let mut outdated: Vec<u32> = (0..older)
            .rev()
            .filter(|&at| {
                let was_in_use = last_in_use(versions, at) >= since && kept_for_use < IN_USE_MAX;
                kept_for_use += usize::from(was_in_use);
                versions[at].number != in_use && !was_in_use
            })
            .map(|at| versions[at].number)
            .collect();
        outdated.reverse();
        outdated
    }
}

/// Until when a version was in use. An EMCP that did not write it down put each
/// upload into use, so that it was until the next one at least.
fn last_in_use(versions: &[Release], at: usize) -> Timestamp {
    let version = &versions[at];
    let replaced_at = || versions.get(at + 1).map(|next| next.uploaded_at);
    version
        .last_in_use_at
        .or_else(replaced_at)
        .unwrap_or(version.uploaded_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Principal;

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    /// Versions 1 to `count`, one uploaded a day, the last of them now.
    fn daily(count: u32, now: Timestamp) -> Vec<Release> {
        (1..=count)
            .map(|number| {
                let uploaded_at = now - DAY * i32::try_from(count - number).unwrap();
                Release::of_file(number, b"x", Principal::by_name("ada"), uploaded_at)
            })
            .collect()
    }

    #[test]
    fn the_newest_and_what_was_in_use_lately_stay() {
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let rule = Retention {
            newest: 20,
            days: 30,
        };
        // 41 to 60 are the newest; 30 was replaced 29 days ago, 29 was 30 days ago.
        let versions = daily(60, now);
        assert_eq!(
            rule.outdated(&versions, 60, now),
            (1..=28).collect::<Vec<_>>()
        );
        assert!(rule.outdated(&daily(20, now), 20, now).is_empty());
    }

    #[test]
    fn the_one_in_use_stays_and_so_does_one_that_was_put_into_use_again() {
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let rule = Retention { newest: 2, days: 7 };
        let mut versions = daily(60, now);
        versions[4].last_in_use_at = Some(now - DAY);
        let gone = rule.outdated(&versions, 3, now);
        assert!(!gone.contains(&3) && !gone.contains(&5));
        assert!(gone.contains(&1) && gone.contains(&51));
        assert!(!gone.contains(&52));
    }

    #[test]
    fn a_flood_of_uploads_is_not_kept_for_having_been_in_use() {
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let mut versions = daily(1_000, now);
        for version in &mut versions {
            version.last_in_use_at = Some(now);
        }
        let rule = Retention {
            newest: 20,
            days: 30,
        };
        assert_eq!(rule.outdated(&versions, 1_000, now).len(), 1_000 - 220);
    }
}
