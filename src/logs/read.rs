//! Reading what is kept of a log, for whoever asks: a page at a time, or all of
//! it piece by piece at the reader's own speed.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::ServerLog;
use super::kept::Place;
use super::select::{PageOf, Selection};
use crate::api::{Edge, LogPage};
use crate::blocking::run_blocking;
use crate::model::LogRecord;
use crate::model::{Error, Result};

/// What reads logs at once; each reads a few megabytes at most. More would have
/// to wait for the processor anyway.
static READERS: Semaphore = Semaphore::const_new(4);
/// How much is read in one go: until there are so many lines, or so much text.
const PIECE_LINES: usize = 500;
const PIECE_BYTES: usize = 128 * 1024;
/// So much text of the newest lines is held while they are counted.
const NEWEST_MAX_BYTES: usize = 1024 * 1024;

/// Lines that fit a selection, still to be read. Nothing is held open from one
/// piece to the next, so that a reader may take its time: what is dropped
/// meanwhile it is told.
pub struct Lines {
    log: Arc<ServerLog>,
    selection: Selection,
    /// The last line that was looked at, and where it was.
    cursor: u64,
    place: Option<Place>,
    /// The newest line that is wanted.
    last: u64,
    skip: u64,
    /// All of them, where they are few: what floods its log would have turned
    /// them over before they were read a second time.
    few: Option<Vec<LogRecord>>,
    /// The oldest line that is kept, whether it fits or not.
    pub oldest: Option<Edge>,
    /// Fitting lines that are older than these.
    pub left_out: u64,
}

/// Lines in their order.
pub struct Piece {
    /// How many lines before them were dropped before they could be read.
    pub dropped: u64,
    /// At least one.
    pub records: Vec<LogRecord>,
}

impl Lines {
    /// Whether lines that may have fitted are not kept any more.
    pub fn is_beginning_gone(&self) -> bool {
        self.oldest
            .is_some_and(|oldest| oldest.seq > 1 && self.selection.reaches_beyond(oldest))
    }

    /// The next lines, and what is left; nothing at the end.
    ///
    /// # Errors
    /// If the files cannot be read.
    pub async fn next(mut self) -> Result<Option<(Piece, Self)>> {
        if let Some(records) = self.few.take() {
            self.cursor = self.last;
            let piece = Piece {
                dropped: 0,
                records,
            };
            return Ok((!piece.records.is_empty()).then_some((piece, self)));
        }
        if self.cursor >= self.last {
            return Ok(None);
        }
        read(move || {
            let (mut records, mut bytes, mut dropped) = (Vec::new(), 0, 0);
            let mut source = self.log.kept()?.records_after(self.cursor, self.place);
            while let Some(record) = source.next().transpose()? {
                self.place = source.place();
                if record.seq > self.last || self.selection.ends_before(record.seq) {
                    break;
                }
                let gone = record.seq - self.cursor - 1;
                dropped += gone;
                // They were the oldest.
                self.skip = self.skip.saturating_sub(gone);
                self.cursor = record.seq;
                if !self.selection.takes(&record) {
                    continue;
                }
                if self.skip > 0 {
                    self.skip -= 1;
                    continue;
                }
                bytes += record.line.len();
                records.push(record);
                if records.len() >= PIECE_LINES || bytes >= PIECE_BYTES {
                    break;
                }
            }
            let piece = Piece { dropped, records };
            Ok((!piece.records.is_empty()).then_some((piece, self)))
        })
        .await
    }
}

impl ServerLog {
    /// The newest lines that fit, at most `limit` and at least one.
    ///
    /// # Errors
    /// If the files cannot be read.
    pub async fn page(self: &Arc<Self>, selection: Selection, limit: usize) -> Result<LogPage> {
        let log = Arc::clone(self);
        read(move || {
            let mut page = PageOf::new(&selection, limit);
            for record in log.kept()?.records() {
                if !page.take(record?) {
                    break;
                }
            }
            Ok(page.page())
        })
        .await
    }

    /// The lines that fit, the last `tail` of them.
    ///
    /// # Errors
    /// If the files cannot be read.
    pub async fn lines(self: &Arc<Self>, selection: Selection, tail: u64) -> Result<Lines> {
        let log = Arc::clone(self);
        read(move || {
            // Counted first: to hold them would take as much memory as they are.
            let kept = log.kept()?;
            let (mut fitting, mut oldest, mut last) = (0, None, 0);
            let mut newest = Newest::of(tail);
            for record in kept.records() {
                let record = record?;
                oldest.get_or_insert(Edge::from(&record));
                last = record.seq;
                if selection.ends_before(record.seq) {
                    break;
                }
                if selection.takes(&record) {
                    fitting += 1;
                    newest.keep(record);
                }
            }
            let left_out = u64::saturating_sub(fitting, tail);
            Ok(Lines {
                log,
                selection,
                cursor: oldest.map_or(0, |oldest| oldest.seq - 1),
                place: None,
                last,
                skip: left_out,
                few: newest.whole(),
                oldest,
                left_out,
            })
        })
        .await
    }

    /// What came after number `after`, as far as it is kept.
    pub fn kept_after(self: &Arc<Self>, after: u64) -> Lines {
        Lines {
            log: Arc::clone(self),
            selection: Selection::default(),
            cursor: after,
            place: None,
            last: u64::MAX,
            skip: 0,
            few: None,
            oldest: None,
            left_out: 0,
        }
    }
}

/// The newest lines of a selection, as long as they are few.
struct Newest {
    wanted: usize,
    records: VecDeque<LogRecord>,
    bytes: usize,
    are_few: bool,
}

impl Newest {
    fn of(tail: u64) -> Self {
        let wanted = usize::try_from(tail).unwrap_or(usize::MAX);
        Self {
            wanted,
            records: VecDeque::new(),
            bytes: 0,
            are_few: wanted <= PIECE_LINES,
        }
    }

    fn keep(&mut self, record: LogRecord) {
        if !self.are_few {
            return;
        }
        self.bytes += record.line.len();
        self.records.push_back(record);
        if self.records.len() > self.wanted
            && let Some(oldest) = self.records.pop_front()
        {
            self.bytes -= oldest.line.len();
        }
        if self.bytes > NEWEST_MAX_BYTES {
            self.are_few = false;
            self.records.clear();
        }
    }

    fn whole(self) -> Option<Vec<LogRecord>> {
        self.are_few.then(|| self.records.into())
    }
}

/// Runs what reads files where it holds nobody up.
async fn read<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let failed = |error: &dyn std::fmt::Display| Error::internal("a log could not be read", error);
    let place = READERS.acquire().await.map_err(|error| failed(&error))?;
    let done = run_blocking(move || {
        // Until the work has ended, whether or not somebody still waits for it.
        let _place = place;
        work()
    });
    let done = done.await.map_err(|error| failed(&error))?;
    done.map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::{LogSource, Needle};
    use super::*;

    /// Numbered lines, the text behind each.
    fn filled(folder: &std::path::Path, count: usize, text: &str) -> Arc<ServerLog> {
        let log = Arc::new(ServerLog::open(folder.to_owned()));
        for first in (1..=count).step_by(100) {
            let lines = (first..first + 100)
                .map(|n| {
                    (
                        Timestamp::UNIX_EPOCH,
                        LogSource::Stdout,
                        format!("line {n} {text}"),
                    )
                })
                .collect();
            log.append_now(lines, None).unwrap();
        }
        log
    }

    async fn all(lines: Lines) -> Vec<LogRecord> {
        let (mut found, mut lines) = (Vec::new(), Some(lines));
        while let Some(some) = lines.take() {
            let Some((piece, rest)) = some.next().await.unwrap() else {
                break;
            };
            assert!(piece.dropped == 0 && piece.records.len() <= PIECE_LINES);
            found.extend(piece.records);
            lines = Some(rest);
        }
        found
    }

    #[tokio::test]
    async fn what_is_on_disk_is_found_read_and_paged() {
        let dir = tempfile::tempdir().unwrap();
        let log = filled(dir.path(), 10_000, "");
        assert!(
            log.after(0, 20_000).records.len() < 10_000,
            "the ring has less"
        );
        let search = Selection {
            needle: Needle::new("LINE 7 "),
            ..Selection::default()
        };
        let page = log.page(search, 10).await.unwrap();
        let found: Vec<u64> = page.records.iter().map(|r| r.seq).collect();
        assert_eq!((found, page.next), (vec![7], None));

        let lines = log.lines(Selection::default(), 1_000_000).await.unwrap();
        assert_eq!((lines.left_out, lines.is_beginning_gone()), (0, false));
        let numbers: Vec<u64> = all(lines).await.iter().map(|r| r.seq).collect();
        assert_eq!(numbers, (1..=10_000).collect::<Vec<_>>());
        let lines = log.lines(Selection::default(), 6_000).await.unwrap();
        assert_eq!(lines.left_out, 4_000);
        assert_eq!(all(lines).await[0].seq, 4_001);
        assert_eq!(all(log.kept_after(3_000)).await[0].seq, 3_001);
    }

    #[tokio::test]
    async fn a_flood_takes_nothing_from_who_has_asked_for_the_newest_lines() {
        let dir = tempfile::tempdir().unwrap();
        let log = filled(dir.path(), 10_000, "");
        let few = log.lines(Selection::default(), 5).await.unwrap();
        assert_eq!(few.left_out, 9_995);
        let many = log.lines(Selection::default(), 9_000).await.unwrap();
        // So many that the files are turned over, and something is still there.
        let flood = vec![(Timestamp::UNIX_EPOCH, LogSource::Stdout, "x".repeat(60_000))];
        while log.kept().unwrap().records().next().unwrap().unwrap().seq == 1 {
            log.append_now(flood.clone(), None).unwrap();
        }
        let numbers: Vec<u64> = all(few).await.iter().map(|r| r.seq).collect();
        assert_eq!(numbers, (9_996..=10_000).collect::<Vec<_>>());
        let oldest = log.kept().unwrap().records().next().unwrap().unwrap().seq;
        let rest = many.next().await.unwrap();
        let first = rest.map(|(piece, _)| (piece.dropped, piece.records[0].seq));
        let expected = (oldest <= 10_000).then_some((oldest - 1, oldest.max(1_001)));
        assert_eq!(first, expected);
    }

    #[tokio::test]
    async fn what_is_gone_from_disk_too_is_known_to_be_gone() {
        let dir = tempfile::tempdir().unwrap();
        let log = filled(dir.path(), 10_000, &"x".repeat(2_000));
        let lines = log.lines(Selection::default(), 1_000_000).await.unwrap();
        assert!(lines.is_beginning_gone());
        let oldest = lines.oldest.unwrap();
        let kept = all(lines).await;
        assert!(oldest.seq > 1 && kept[0].seq == oldest.seq);
        let page = log.page(Selection::default(), 1).await.unwrap();
        assert_eq!(page.oldest, Some(oldest));
        // Nobody who asks for what came later has lost anything.
        let recent = Selection {
            since: Some(oldest.ts),
            ..Selection::default()
        };
        assert!(!log.lines(recent, 1).await.unwrap().is_beginning_gone());
        // Who was reading meanwhile is told what is gone.
        let late = log.kept_after(1).next().await.unwrap();
        assert_eq!(late.map(|(piece, _)| piece.dropped), Some(oldest.seq - 2));
    }

    #[tokio::test]
    async fn lines_that_cannot_be_written_are_read_from_memory() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("logs");
        let log = filled(&folder, 100, "");
        // Where the folder should be there is a file.
        log.disk().file = super::super::LogFile::new(folder.join("output.jsonl"));
        let lines = vec![(
            Timestamp::UNIX_EPOCH,
            LogSource::Stdout,
            "unwritten".to_owned(),
        )];
        log.append_now(lines, None).unwrap_err();
        log.disk().file = super::super::LogFile::new(folder);
        let page = log.page(Selection::default(), 2).await.unwrap();
        let found: Vec<(u64, &str)> = page
            .records
            .iter()
            .map(|r| (r.seq, r.line.as_str()))
            .collect();
        assert_eq!(found, [(100, "line 100 "), (101, "unwritten")]);
    }
}
