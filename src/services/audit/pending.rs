//! Lines that wait to be written. Bounded: while the database takes none,
//! whoever has most of them loses their oldest.

use std::collections::HashMap;

use crate::model::{AuditEntry, Principal};
use crate::trouble;

/// Lines kept in memory.
const PENDING_MAX: usize = 10_000;
/// Lines given up at once when there are too many.
const GIVEN_UP: usize = 1_000;

/// Lines in the order they came.
#[derive(Default)]
pub(super) struct Pending {
    lines: Vec<AuditEntry>,
    /// Where a line that only looks or was refused stands already.
    places: HashMap<AuditEntry, usize>,
}

impl Pending {
    /// Takes a line; what only looks, or was refused, and waits already is
    /// counted.
    pub(super) fn push(&mut self, entry: AuditEntry) {
        if !entry.is_a_change() {
            let key = entry.without_time();
            if let Some(line) = self.places.get(&key).and_then(|at| self.lines.get_mut(*at)) {
                line.again(&entry);
                return;
            }
            self.places.insert(key, self.lines.len());
        }
        self.lines.push(entry);
        if self.lines.len() > PENDING_MAX {
            self.give_up_some();
        }
    }

    /// All of them; none wait afterwards.
    pub(super) fn take(&mut self) -> Vec<AuditEntry> {
        self.places.clear();
        std::mem::take(&mut self.lines)
    }

    /// Takes lines back that could not be written, before those that came
    /// since.
    pub(super) fn put_back(&mut self, batch: Vec<AuditEntry>) {
        let since = self.take();
        for entry in batch.into_iter().chain(since) {
            self.push(entry);
        }
    }

    fn give_up_some(&mut self) {
        let mut counts: HashMap<Option<&Principal>, usize> = HashMap::new();
        for line in &self.lines {
            *counts.entry(line.holder()).or_default() += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        let holder = most.and_then(|(holder, _)| holder.cloned());
        let mut left = GIVEN_UP;
        let lines = self.take().into_iter().filter(|line| {
            let goes = left > 0 && line.holder() == holder.as_ref();
            left -= usize::from(goes);
            !goes
        });
        let lines: Vec<_> = lines.collect();
        let lost = PENDING_MAX + 1 - lines.len();
        let whose = holder.map(|holder| holder.name).unwrap_or_default();
        trouble::AUDIT_LOST.met(&format_args!("{lost} lines of \"{whose}\""));
        self.places = lines
            .iter()
            .enumerate()
            .filter(|(_, line)| !line.is_a_change())
            .map(|(at, line)| (line.without_time(), at))
            .collect();
        self.lines = lines;
    }
}

#[cfg(test)]
mod tests {
    use super::super::fold::tests::{change, refusal};
    use super::*;

    #[test]
    fn a_refusal_that_waits_is_counted_and_a_change_is_not() {
        let mut pending = Pending::default();
        for _ in 0..3 {
            pending.push(refusal("ada", "one"));
            pending.push(change("ada", "one"));
        }
        let lines = pending.take();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0].count, Some(3));
    }

    #[test]
    fn while_nothing_is_written_a_flood_loses_its_own_lines() {
        let mut pending = Pending::default();
        pending.push(change("bob", "quiet"));
        for number in 0..3 * PENDING_MAX {
            pending.push(change("eve", &number.to_string()));
        }
        let lines = pending.take();
        assert!(lines.len() <= PENDING_MAX);
        assert_eq!(lines[0].actor, Some(Principal::by_name("bob")));
        let newest = (3 * PENDING_MAX - 1).to_string();
        assert_eq!(lines.last().unwrap().target, Some(newest));
    }

    #[test]
    fn what_was_put_back_stands_before_what_came_since() {
        let mut pending = Pending::default();
        pending.push(refusal("ada", "one"));
        let batch = pending.take();
        pending.push(change("bob", "two"));
        pending.push(refusal("ada", "one"));
        pending.put_back(batch);
        let lines = pending.take();
        assert_eq!((lines.len(), lines[0].count), (2, Some(2)));
    }
}
