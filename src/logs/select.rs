//! Which lines of a log somebody asked for. Pure.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::api::{Edge, LogPage};
use crate::model::{LogRecord, LogSource};

/// The text of one page of lines, in bytes; a page has one line at least.
const PAGE_MAX_BYTES: usize = 512 * 1024;

/// The lines that fit all of this.
#[derive(Debug, Default)]
pub struct Selection {
    /// With a lower number than this.
    pub before: Option<u64>,
    /// Not older than this.
    pub since: Option<Timestamp>,
    /// Not newer than this.
    pub until: Option<Timestamp>,
    /// Of this stream, and EMCP's own, which tell runs apart.
    pub stream: Option<LogSource>,
    /// With this text in them.
    pub needle: Option<Needle>,
}

impl Selection {
    /// Whether the line fits.
    pub(super) fn takes(&self, record: &LogRecord) -> bool {
        self.before.is_none_or(|before| record.seq < before)
            && self.since.is_none_or(|since| record.ts >= since)
            && self.until.is_none_or(|until| record.ts <= until)
            && self
                .stream
                .is_none_or(|stream| record.stream == stream || record.stream == LogSource::Emcp)
            && self
                .needle
                .as_ref()
                .is_none_or(|needle| needle.is_in(&record.line))
    }

    /// Whether no line with this number or a higher one can fit.
    pub(super) fn ends_before(&self, seq: u64) -> bool {
        self.before.is_some_and(|before| seq >= before)
    }

    /// Whether it asks for lines that were there before this one, if any were.
    pub(super) fn reaches_beyond(&self, oldest: Edge) -> bool {
        self.since.is_none_or(|since| since < oldest.ts)
    }
}

/// A text that is looked for, whatever its case.
#[derive(Debug)]
pub struct Needle(String);

impl Needle {
    /// Nothing where the text is empty: it is in every line.
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.to_lowercase()))
    }

    fn is_in(&self, line: &str) -> bool {
        unstyled(line).to_lowercase().contains(&self.0)
    }
}

/// The text as it is read: without what only a terminal takes, which may stand
/// in the middle of a word (control sequences, ECMA-48 §5.4 and §5.6, and
/// single controls).
fn unstyled(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '\u{1b}' {
            if !c.is_control() || c == '\t' {
                text.push(c);
            }
            continue;
        }
        match rest.next() {
            Some('[') => {
                while rest.next_if(|c| matches!(c, ' '..='?')).is_some() {}
                rest.next_if(|c| matches!(c, '@'..='~'));
            }
            Some(']' | 'P' | 'X' | '^' | '_') => {
                while rest.next_if(|c| !matches!(c, '\u{7}' | '\u{1b}')).is_some() {}
                if rest.next() == Some('\u{1b}') {
                    rest.next_if_eq(&'\\');
                }
            }
            _ => {}
        }
    }
    text
}

impl From<&LogRecord> for Edge {
    fn from(record: &LogRecord) -> Self {
        Self {
            seq: record.seq,
            ts: record.ts,
        }
    }
}

/// Gathers a page from lines in their order, within bounds of memory.
pub(super) struct PageOf<'a> {
    selection: &'a Selection,
    limit: usize,
    records: VecDeque<LogRecord>,
    bytes: usize,
    is_cut: bool,
    oldest: Option<Edge>,
}

impl<'a> PageOf<'a> {
    /// At most `limit` lines, at least 1.
    pub(super) fn new(selection: &'a Selection, limit: usize) -> Self {
        Self {
            selection,
            limit: limit.max(1),
            records: VecDeque::new(),
            bytes: 0,
            is_cut: false,
            oldest: None,
        }
    }

    /// Whether there may be more lines for it.
    pub(super) fn take(&mut self, record: LogRecord) -> bool {
        self.oldest.get_or_insert(Edge::from(&record));
        if self.selection.ends_before(record.seq) {
            return false;
        }
        if !self.selection.takes(&record) {
            return true;
        }
        self.bytes += record.line.len();
        self.records.push_back(record);
        while self.records.len() > self.limit
            || self.bytes > PAGE_MAX_BYTES && self.records.len() > 1
        {
            if let Some(dropped) = self.records.pop_front() {
                self.bytes -= dropped.line.len();
                self.is_cut = true;
            }
        }
        true
    }

    pub(super) fn page(self) -> LogPage {
        let first = self.records.front().map(|record| record.seq);
        LogPage {
            next: first.filter(|_| self.is_cut),
            records: self.records.into(),
            oldest: self.oldest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(seq: u64, stream: LogSource, line: &str) -> LogRecord {
        LogRecord {
            ts: Timestamp::from_second(i64::try_from(seq).unwrap()).unwrap(),
            stream,
            line: line.to_owned(),
            seq,
            instance: None,
        }
    }

    fn page(selection: &Selection, limit: usize, records: &[LogRecord]) -> LogPage {
        let mut page = PageOf::new(selection, limit);
        for record in records {
            if !page.take(record.clone()) {
                break;
            }
        }
        page.page()
    }

    fn numbers(page: &LogPage) -> Vec<u64> {
        page.records.iter().map(|record| record.seq).collect()
    }

    #[test]
    fn a_word_is_found_whatever_its_case_and_colour() {
        for (line, words) in [
            ("Needle in hay", "nEEdle"),
            ("\u{1b}[31mnee\u{1b}[0mdle", "needle"),
            ("nee\u{1b}]8;;https://x\u{1b}\\dle", "needle"),
            ("nee\u{1b}]0;t\u{7}dle", "needle"),
            ("nee\u{0}dle", "needle"),
            ("ÄRGER 好", "ärger 好"),
        ] {
            let needle = Needle::new(words).unwrap();
            assert!(needle.is_in(line), "{words} in {line:?}");
        }
        for (line, words) in [
            ("needl", "needle"),
            ("\u{1b}[31mred", "31m"),
            ("\u{1b}]0;title", "title"),
        ] {
            assert!(!Needle::new(words).unwrap().is_in(line), "{line:?}");
        }
        assert!(Needle::new("").is_none());
    }

    #[test]
    fn every_part_of_a_selection_counts() {
        let wanted = record(5, LogSource::Stderr, "wanted");
        let second = |second| Timestamp::from_second(second).unwrap();
        let fits = |selection: Selection| selection.takes(&wanted);
        assert!(fits(Selection::default()));
        for (from, to, yes) in [(5, 5, true), (6, 9, false), (1, 4, false)] {
            let selection = Selection {
                since: Some(second(from)),
                until: Some(second(to)),
                ..Selection::default()
            };
            assert_eq!(fits(selection), yes, "from {from} to {to}");
        }
        let of = |stream| Selection {
            stream: Some(stream),
            ..Selection::default()
        };
        assert!(fits(of(LogSource::Stderr)));
        assert!(!fits(of(LogSource::Stdout)));
        assert!(of(LogSource::Stdout).takes(&record(1, LogSource::Emcp, "--- run ---")));
    }

    #[test]
    fn pages_lead_back_to_the_oldest_line_without_gap_or_duplicate() {
        let records: Vec<_> = (3..=25)
            .map(|seq| record(seq, LogSource::Stdout, "line"))
            .collect();
        let mut seen = Vec::new();
        let mut before = None;
        loop {
            let selection = Selection {
                before,
                ..Selection::default()
            };
            let page = page(&selection, 10, &records);
            assert_eq!(page.oldest.map(|edge| edge.seq), Some(3));
            let mut older = numbers(&page);
            older.extend(seen);
            seen = older;
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(seen, (3..=25).collect::<Vec<_>>());
    }

    #[test]
    fn the_last_page_of_a_search_says_that_it_is_the_last() {
        let records: Vec<_> = (1..=9)
            .map(|seq| record(seq, LogSource::Stdout, if seq < 3 { "hit" } else { "miss" }))
            .collect();
        let search = Selection {
            needle: Needle::new("hit"),
            ..Selection::default()
        };
        let both = page(&search, 2, &records);
        assert_eq!((numbers(&both), both.next), (vec![1, 2], None));
        let one = page(&search, 1, &records);
        assert_eq!((numbers(&one), one.next), (vec![2], Some(2)));
    }

    #[test]
    fn long_lines_do_not_make_a_page_grow() {
        let line = "x".repeat(64 * 1024);
        let records: Vec<_> = (1..=100)
            .map(|seq| record(seq, LogSource::Stdout, &line))
            .collect();
        let found = page(&Selection::default(), 1_000, &records);
        assert_eq!(found.records.len(), PAGE_MAX_BYTES / line.len());
        assert_eq!(found.next, Some(found.records[0].seq));
        // One line is told however long it is.
        let one = [record(
            1,
            LogSource::Stdout,
            &"x".repeat(2 * PAGE_MAX_BYTES),
        )];
        assert_eq!(numbers(&page(&Selection::default(), 1_000, &one)), [1]);
    }
}
