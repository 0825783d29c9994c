//! The newest lines in memory, bounded in number and bytes.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use jiff::Timestamp;

use crate::model::{InstanceId, LogRecord, LogSource};

const RING_MAX_LINES: usize = 5_000;
const RING_MAX_BYTES: usize = 1024 * 1024;
/// More of a server never write at once.
const INSTANCES_MAX: usize = 16;

/// The newest lines, oldest first.
#[derive(Default)]
pub(super) struct Ring {
    records: VecDeque<LogRecord>,
    bytes: usize,
    newest: u64,
    /// Whose the newest line is, as far as the log tells.
    writing: Option<InstanceId>,
    /// When each instance wrote last, the one that did so last at the end; without
    /// one, what was kept before lines had any.
    last_output: VecDeque<(Option<InstanceId>, Timestamp)>,
}

/// An answer to "what came after number N?".
#[derive(Debug, PartialEq, Eq)]
pub struct Batch {
    /// Lines that came after N and are gone already.
    pub skipped: u64,
    /// The lines, oldest first.
    pub records: Vec<LogRecord>,
}

impl Ring {
    /// The number of the newest line ever; 0 before the first.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    pub(super) fn push(
        &mut self,
        ts: Timestamp,
        stream: LogSource,
        line: String,
        by: Option<InstanceId>,
    ) -> LogRecord {
        let is_told = stream == LogSource::Emcp || self.writing != by;
        let record = LogRecord {
            ts,
            stream,
            line,
            seq: self.newest + 1,
            instance: by.filter(|_| is_told),
        };
        self.restore(record.clone());
        record
    }

    /// Takes over a line that has its number already.
    pub(super) fn restore(&mut self, record: LogRecord) {
        if record.seq <= self.newest {
            return;
        }
        self.newest = record.seq;
        self.writing = record.instance.or(self.writing);
        if record.stream != LogSource::Emcp {
            self.note_output(record.ts);
        }
        self.bytes += record.line.len();
        self.records.push_back(record);
        while self.records.len() > RING_MAX_LINES || self.bytes > RING_MAX_BYTES {
            let Some(dropped) = self.records.pop_front() else {
                return;
            };
            self.bytes -= dropped.line.len();
        }
    }

    pub(super) fn after(&self, after: u64, limit: usize) -> Batch {
        let oldest = self.records.front().map_or(self.newest + 1, |r| r.seq);
        // A number from before a loss of the log is higher than any known one:
        // such a viewer begins anew.
        let after = if after > self.newest { 0 } else { after };
        let first = self.records.partition_point(|record| record.seq <= after);
        Batch {
            skipped: if after == 0 {
                0
            } else {
                oldest.saturating_sub(after + 1)
            },
            records: self
                .records
                .iter()
                .skip(first)
                .take(limit)
                .cloned()
                .collect(),
        }
    }

    /// Those whose numbers are in this range.
    pub(super) fn numbered(&self, range: &RangeInclusive<u64>) -> Vec<LogRecord> {
        let fits = |record: &&LogRecord| range.contains(&record.seq);
        self.records.iter().filter(fits).cloned().collect()
    }

    fn note_output(&mut self, at: Timestamp) {
        self.last_output.retain(|(by, _)| *by != self.writing);
        self.last_output.push_back((self.writing, at));
        if self.last_output.len() > INSTANCES_MAX {
            self.last_output.pop_front();
        }
    }

    /// When an instance wrote the newest line of it that was taken in, or may have.
    pub(super) fn last_output_of(&self, instance: Option<InstanceId>) -> Option<Timestamp> {
        let may_be = |by: &Option<InstanceId>| by.is_none() || *by == instance;
        let own = self.last_output.iter().filter(|(by, _)| may_be(by));
        own.map(|(_, at)| *at).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: usize) -> Ring {
        let mut ring = Ring::default();
        for n in 0..count {
            ring.push(
                Timestamp::UNIX_EPOCH,
                LogSource::Stdout,
                format!("line {n}"),
                None,
            );
        }
        ring
    }

    #[test]
    fn a_viewer_resumes_without_gap_or_duplicate() {
        let ring = filled(10);
        let first = ring.after(0, 4);
        assert_eq!(
            first.records.iter().map(|r| r.seq).collect::<Vec<_>>(),
            [1, 2, 3, 4]
        );
        let rest = ring.after(4, 100);
        assert_eq!(rest.records.first().map(|r| r.seq), Some(5));
        assert_eq!(rest.records.len(), 6);
        assert_eq!(rest.skipped, 0);
        assert!(ring.after(10, 100).records.is_empty());
    }

    #[test]
    fn a_viewer_that_fell_behind_is_told_how_much_it_missed() {
        let ring = filled(RING_MAX_LINES + 100);
        let batch = ring.after(10, 1);
        assert_eq!(batch.skipped, 90);
        assert_eq!(batch.records[0].seq, 101);
    }

    #[test]
    fn the_log_tells_where_another_instance_begins_to_write() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let (one, two) = (Some(InstanceId::new()), Some(InstanceId::new()));
        let mut ring = Ring::default();
        ring.push(at(1), LogSource::Stdout, "of before".into(), None);
        let mut told = Vec::new();
        for (second, by) in [(2, one), (3, one), (4, two), (5, one), (6, one)] {
            let record = ring.push(at(second), LogSource::Stdout, String::new(), by);
            told.push(record.instance);
        }
        assert_eq!(told, [one, None, two, one, None]);
        let begins = ring.push(at(7), LogSource::Emcp, "a run".into(), one);
        assert_eq!(begins.instance, one);
        // As of the disk, at the next start.
        let mut again = Ring::default();
        for record in ring.after(0, 100).records {
            again.restore(record);
        }
        for ring in [&ring, &again] {
            assert_eq!(ring.last_output_of(one), Some(at(6)));
            assert_eq!(ring.last_output_of(two), Some(at(4)));
            // What was kept before may be of anybody.
            assert_eq!(ring.last_output_of(Some(InstanceId::new())), Some(at(1)));
        }
    }

    #[test]
    fn long_lines_are_bounded_by_bytes() {
        let mut ring = Ring::default();
        for _ in 0..100 {
            ring.push(
                Timestamp::UNIX_EPOCH,
                LogSource::Stdout,
                "x".repeat(64 * 1024),
                None,
            );
        }
        assert!(ring.bytes <= RING_MAX_BYTES);
        assert_eq!(ring.newest(), 100);
    }
}
