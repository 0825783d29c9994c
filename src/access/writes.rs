//! How often each person changes something: a bucket that every change fills
//! and time drains.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::model::PrincipalId;

const MINUTE_SECS: f64 = 60.0;
/// Buckets looked through for empty ones before another is added.
const PEOPLE_MAX: usize = 1_000;

/// Counts changes by person.
#[derive(Debug, Default)]
pub struct WriteMeter(Mutex<HashMap<PrincipalId, Bucket>>);

#[derive(Debug)]
struct Bucket {
    /// Changes that are not drained yet.
    level: f64,
    per_minute: u64,
    at: Instant,
}

impl Bucket {
    fn level_at(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        (self.level - passed * self.per_minute as f64 / MINUTE_SECS).max(0.0)
    }
}

impl WriteMeter {
    /// Counts a change of this person, who may make `per_minute`: as many at
    /// once, then one whenever one is drained.
    ///
    /// # Errors
    /// How long until the next one is taken.
    pub fn take(&self, person: PrincipalId, per_minute: u64, now: Instant) -> Result<(), Duration> {
        let mut people = self.people();
        if people.len() >= PEOPLE_MAX && !people.contains_key(&person) {
            people.retain(|_, bucket| bucket.level_at(now) > 0.0);
        }
        let bucket = people.entry(person).or_insert(Bucket {
            level: 0.0,
            per_minute,
            at: now,
        });
        let level = bucket.level_at(now);
        let over = level + 1.0 - per_minute as f64;
        let is_taken = over <= 0.0;
        *bucket = Bucket {
            level: level + f64::from(u8::from(is_taken)),
            per_minute,
            at: now,
        };
        if is_taken {
            return Ok(());
        }
        let rate = per_minute.max(1) as f64 / MINUTE_SECS;
        Err(Duration::from_secs_f64((over / rate).min(MINUTE_SECS)))
    }

    /// How many changes of this person still count.
    pub fn used(&self, person: PrincipalId, now: Instant) -> u64 {
        let people = self.people();
        let bucket = people.get(&person);
        let level = bucket.map_or(0.0, |bucket| bucket.level_at(now));
        level.ceil() as u64
    }

    fn people(&self) -> MutexGuard<'_, HashMap<PrincipalId, Bucket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Principal;

    fn id(name: &str) -> PrincipalId {
        Principal::by_name(name).id
    }

    #[test]
    fn a_burst_passes_then_one_at_a_time_and_nobody_pays_for_another() {
        let (meter, now) = (WriteMeter::default(), Instant::now());
        for _ in 0..60 {
            meter.take(id("ada"), 60, now).unwrap();
        }
        assert_eq!(meter.used(id("ada"), now), 60);
        let wait = meter.take(id("ada"), 60, now).unwrap_err();
        assert_eq!(wait, Duration::from_secs(1));
        meter.take(id("bob"), 60, now).unwrap();
        let later = now + wait;
        meter.take(id("ada"), 60, later).unwrap();
        assert!(meter.take(id("ada"), 60, later).is_err());
        // What was refused does not count.
        assert_eq!(meter.used(id("ada"), later), 60);
        assert_eq!(meter.used(id("ada"), later + Duration::from_secs(60)), 0);
    }

    #[test]
    fn a_raised_quota_holds_at_once() {
        let (meter, now) = (WriteMeter::default(), Instant::now());
        meter.take(id("ada"), 1, now).unwrap();
        assert!(meter.take(id("ada"), 1, now).is_err());
        meter.take(id("ada"), 2, now).unwrap();
    }

    #[test]
    fn twenty_four_callers_at_once_get_no_more_than_the_quota() {
        let (meter, now) = (WriteMeter::default(), Instant::now());
        let taken: usize = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..24)
                .map(|_| {
                    scope.spawn(|| {
                        (0..20)
                            .filter(|_| meter.take(id("ada"), 100, now).is_ok())
                            .count()
                    })
                })
                .collect();
            callers.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert_eq!(taken, 100);
    }
}
