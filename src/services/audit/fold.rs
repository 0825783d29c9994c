//! Which lines of the audit log say again what one says already. Pure.
//!
//! What was refused, and what only looks, is one line a minute, wherever it
//! stands. Of what changed something, the order tells a story: it is counted
//! only where it repeats the same person's last change.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::model::{AuditEntry, Principal};
use crate::store::AuditWrite;

/// For how long a line takes in others.
const FOLD_WITHIN: Duration = Duration::from_secs(60);
/// Lines remembered for that.
const REMEMBERED_MAX: usize = 10_000;

/// The lines written lately.
#[derive(Default)]
pub(super) struct Folds {
    looks: HashMap<AuditEntry, Line>,
    changes: HashMap<Option<Principal>, (AuditEntry, Line)>,
}

#[derive(Clone, Copy)]
struct Line {
    id: u64,
    since: Instant,
}

impl Line {
    fn takes_in(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < FOLD_WITHIN
    }
}

/// What becomes of a batch.
pub(super) struct Plan {
    /// What is written.
    pub(super) writes: Vec<AuditWrite>,
    /// For each line of the batch, which of these it is in.
    pub(super) places: Vec<usize>,
}

impl Folds {
    pub(super) fn plan(&self, batch: &[AuditEntry], now: Instant) -> Plan {
        let mut writes: Vec<AuditWrite> = Vec::with_capacity(batch.len());
        let mut places = Vec::with_capacity(batch.len());
        let mut last_changes: HashMap<&Option<Principal>, usize> = HashMap::new();
        for entry in batch {
            let key = entry.without_time();
            let is_a_change = entry.is_a_change();
            let last = last_changes.get(&entry.actor).copied();
            if let Some(at) = last.filter(|_| is_a_change)
                && writes[at].entry.without_time() == key
            {
                writes[at].entry.again(entry);
                places.push(at);
                continue;
            }
            let known = if is_a_change {
                // Another change of the same batch stands in between.
                let known = self.changes.get(&entry.actor).filter(|_| last.is_none());
                known
                    .filter(|(known, _)| *known == key)
                    .map(|(_, line)| line)
            } else {
                self.looks.get(&key)
            };
            let repeats = known.filter(|line| line.takes_in(now)).map(|line| line.id);
            if is_a_change {
                last_changes.insert(&entry.actor, writes.len());
            }
            places.push(writes.len());
            writes.push(AuditWrite {
                entry: entry.clone(),
                repeats,
            });
        }
        Plan { writes, places }
    }

    /// Remembers what was written, under which ids.
    pub(super) fn written(&mut self, plan: &Plan, ids: &[u64], now: Instant) {
        if self.looks.len() + plan.writes.len() > REMEMBERED_MAX {
            self.looks.retain(|_, line| line.takes_in(now));
        }
        if self.looks.len() + plan.writes.len() > REMEMBERED_MAX {
            self.looks.clear();
        }
        if self.changes.len() + plan.writes.len() > REMEMBERED_MAX {
            self.changes.clear();
        }
        for (write, &id) in plan.writes.iter().zip(ids) {
            let line = Line { id, since: now };
            let key = write.entry.without_time();
            let is_the_same = |known: &Line| known.id == id;
            if write.entry.is_a_change() {
                let known = self.changes.get(&write.entry.actor);
                if !known.is_some_and(|(_, known)| is_the_same(known)) {
                    self.changes.insert(write.entry.actor.clone(), (key, line));
                }
            } else if !self.looks.get(&key).is_some_and(is_the_same) {
                self.looks.insert(key, line);
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::AuditResult;

    pub(in super::super) fn change(actor: &str, target: &str) -> AuditEntry {
        AuditEntry {
            actor: Some(Principal::by_name(actor)),
            target: Some(target.into()),
            ..AuditEntry::new(Timestamp::now(), "server.change", AuditResult::Ok)
        }
    }

    pub(in super::super) fn refusal(actor: &str, target: &str) -> AuditEntry {
        AuditEntry {
            result: AuditResult::Refused,
            code: Some("not_your_server".into()),
            ..change(actor, target)
        }
    }

    /// Plans and writes a batch as a store does that keeps everything.
    fn write(folds: &mut Folds, next: &mut u64, batch: &[AuditEntry], now: Instant) -> Vec<u64> {
        let plan = folds.plan(batch, now);
        let ids: Vec<u64> = plan
            .writes
            .iter()
            .map(|write| {
                write.repeats.unwrap_or_else(|| {
                    *next += 1;
                    *next
                })
            })
            .collect();
        folds.written(&plan, &ids, now);
        plan.places.iter().map(|at| ids[*at]).collect()
    }

    #[test]
    fn changes_fold_into_the_same_persons_last_one_alone() {
        let (mut folds, mut next, now) = (Folds::default(), 0, Instant::now());
        let batch = [
            change("ada", "one"),
            change("ada", "one"),
            change("bob", "one"),
            change("ada", "one"),
            change("ada", "two"),
            change("ada", "one"),
        ];
        let ids = write(&mut folds, &mut next, &batch, now);
        assert_eq!(ids, [1, 1, 2, 1, 3, 4]);
        // Another batch goes on with the last one.
        assert_eq!(write(&mut folds, &mut next, &batch[..1], now), [4]);
        assert_eq!(write(&mut folds, &mut next, &batch[2..3], now), [2]);
        let later = now + FOLD_WITHIN;
        assert_eq!(write(&mut folds, &mut next, &batch[..1], later), [5]);
    }

    #[test]
    fn a_refusal_folds_wherever_it_stands_and_begins_anew_after_a_minute() {
        let (mut folds, mut next, now) = (Folds::default(), 0, Instant::now());
        let batch = [refusal("ada", "one"), change("ada", "one")];
        assert_eq!(write(&mut folds, &mut next, &batch, now), [1, 2]);
        assert_eq!(write(&mut folds, &mut next, &batch[..1], now), [1]);
        // The minute is of the first one: a flood does not hide for ever.
        let half = now + FOLD_WITHIN / 2;
        assert_eq!(write(&mut folds, &mut next, &batch[..1], half), [1]);
        let later = now + FOLD_WITHIN;
        assert_eq!(write(&mut folds, &mut next, &batch[..1], later), [3]);
    }
}
