//! All of a log that is kept, as it was at one moment: what is on disk, and
//! what could not be written there. Reading it takes a few kilobytes of memory
//! however much it is, and holds up nobody who writes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::iter::Peekable;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::vec::IntoIter;

use super::LogRecord;

/// What is kept, to be read as often as is needed.
pub(super) struct Kept {
    parts: Vec<Part>,
    unwritten: Vec<LogRecord>,
}

impl Kept {
    /// `unwritten` are lines that are not in the files, in their order.
    pub(super) fn new(parts: Vec<Part>, unwritten: Vec<LogRecord>) -> Self {
        Self { parts, unwritten }
    }

    /// The lines, oldest first. A line cut by a crash is left out.
    pub(super) fn records(&self) -> Records {
        self.records_after(0, None)
    }

    /// Those with a higher number, which come behind this place if it is still
    /// there.
    pub(super) fn records_after(&self, after: u64, place: Option<Place>) -> Records {
        let mut parts = self.parts.clone();
        if let Some(Place { turn, at }) = place
            && let Some(index) = parts.iter().position(|part| part.turn == turn)
        {
            parts.drain(..index);
            parts[0].at = at;
        }
        Records {
            written: Written {
                parts: parts.into_iter(),
                reader: None,
                after,
            }
            .peekable(),
            unwritten: self.unwritten.clone().into_iter().peekable(),
            last: after,
            place,
        }
    }
}

/// Behind a line in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    turn: u64,
    at: u64,
}

/// The beginning of a file, as long as the file was when this was made: what is
/// appended later is not read.
#[derive(Clone)]
pub(super) struct Part {
    file: Arc<File>,
    /// Which of the files of this log that were ever begun.
    turn: u64,
    at: u64,
    end: u64,
}

impl Part {
    pub(super) fn new(file: File, turn: u64) -> io::Result<Self> {
        let end = file.metadata()?.len();
        Ok(Self {
            file: Arc::new(file),
            turn,
            at: 0,
            end,
        })
    }
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        let count = self.file.read_at(&mut buffer[..wanted], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Lines in their order, each once.
pub(super) struct Records {
    written: Peekable<Written>,
    unwritten: Peekable<IntoIter<LogRecord>>,
    last: u64,
    place: Option<Place>,
}

impl Records {
    /// Where the files were read to.
    pub(super) fn place(&self) -> Option<Place> {
        self.place
    }

    /// The next line, known or not.
    fn any(&mut self) -> Option<io::Result<LogRecord>> {
        let is_unwritten = match (self.written.peek(), self.unwritten.peek()) {
            (Some(Ok((written, _))), Some(unwritten)) => unwritten.seq < written.seq,
            (written, unwritten) => written.is_none() && unwritten.is_some(),
        };
        if is_unwritten {
            return self.unwritten.next().map(Ok);
        }
        let read = self.written.next()?;
        Some(read.map(|(record, place)| {
            self.place = Some(place);
            record
        }))
    }
}

impl Iterator for Records {
    type Item = io::Result<LogRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let next = self.any()?;
            match &next {
                Ok(record) if record.seq <= self.last => continue,
                Ok(record) => self.last = record.seq,
                Err(_) => {}
            }
            return Some(next);
        }
    }
}

/// The lines in the files.
struct Written {
    parts: IntoIter<Part>,
    reader: Option<(BufReader<Part>, Place)>,
    after: u64,
}

impl Iterator for Written {
    type Item = io::Result<(LogRecord, Place)>;

    fn next(&mut self) -> Option<Self::Item> {
        // As bytes: a cut may have gone through a character.
        let mut line = Vec::new();
        loop {
            let (reader, place) = match &mut self.reader {
                Some(open) => open,
                none => {
                    let part = self.parts.next()?;
                    let place = Place {
                        turn: part.turn,
                        at: part.at,
                    };
                    none.insert((BufReader::new(part), place))
                }
            };
            line.clear();
            match reader.read_until(b'\n', &mut line) {
                Ok(0) => {
                    self.reader = None;
                    continue;
                }
                Ok(count) => place.at += count as u64,
                Err(error) => {
                    self.reader = None;
                    return Some(Err(error));
                }
            }
            if number_of(&line).is_some_and(|seq| seq <= self.after) {
                continue;
            }
            if let Ok(record) = serde_json::from_slice(&line) {
                return Some(Ok((record, *place)));
            }
        }
    }
}

/// The number of a line, which stands at its end; nothing where it does not.
fn number_of(line: &[u8]) -> Option<u64> {
    let line = line.trim_ascii_end().strip_suffix(b"}")?;
    let digits = line.iter().rev().take_while(|c| c.is_ascii_digit()).count();
    let (rest, digits) = line.split_at(line.len() - digits);
    if !rest.ends_with(b",\"seq\":") {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use jiff::Timestamp;

    use super::*;
    use crate::model::LogSource;

    fn record(seq: u64) -> LogRecord {
        LogRecord {
            ts: Timestamp::UNIX_EPOCH,
            stream: LogSource::Stdout,
            line: format!("line {seq}"),
            seq,
            instance: None,
        }
    }

    fn write(file: &mut File, seqs: impl IntoIterator<Item = u64>) {
        for seq in seqs {
            serde_json::to_writer(&mut *file, &record(seq)).unwrap();
            file.write_all(b"\n").unwrap();
        }
    }

    fn numbers(kept: &Kept) -> Vec<u64> {
        kept.records().map(|record| record.unwrap().seq).collect()
    }

    #[test]
    fn it_stays_what_it_was_however_often_it_is_read() {
        let mut file = tempfile::tempfile().unwrap();
        write(&mut file, 1..=3);
        let part = Part::new(file.try_clone().unwrap(), 0).unwrap();
        let kept = Kept::new(vec![part], Vec::new());
        assert_eq!(numbers(&kept), [1, 2, 3]);
        write(&mut file, 4..=5);
        assert_eq!(numbers(&kept), [1, 2, 3]);
    }

    #[test]
    fn a_number_is_known_without_reading_the_line() {
        let mut file = tempfile::tempfile().unwrap();
        write(&mut file, 7..=9);
        let part = Part::new(file, 0).unwrap();
        let kept = Kept::new(vec![part], Vec::new());
        let rest = kept.records_after(8, None);
        let seqs: Vec<u64> = rest.map(|r| r.unwrap().seq).collect();
        assert_eq!(seqs, [9]);
        let line = serde_json::to_string(&record(42)).unwrap();
        assert_eq!(number_of(format!("{line}\n").as_bytes()), Some(42));
        for other in ["", "}", "{}", "7}", "{\"line\":\",\\\"seq\\\":7}\"}"] {
            assert_eq!(number_of(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn lines_that_could_not_be_written_stand_where_they_belong() {
        let (mut older, mut newer) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        write(&mut older, 1..=2);
        older.write_all(b"{\"line\":\"\xc3\n").unwrap();
        write(&mut newer, [2, 5, 6]);
        let parts = vec![Part::new(older, 4).unwrap(), Part::new(newer, 5).unwrap()];
        let kept = Kept::new(parts, [3, 4, 5, 7].map(record).into());
        assert_eq!(numbers(&kept), [1, 2, 3, 4, 5, 6, 7]);
        // Gone on with from each place, also where the file is not there any more.
        let mut records = kept.records();
        while let Some(record) = records.next() {
            let (seq, place) = (record.unwrap().seq, records.place());
            for place in [place, None, Some(Place { turn: 1, at: 77 })] {
                let rest: Vec<u64> = kept
                    .records_after(seq, place)
                    .map(|record| record.unwrap().seq)
                    .collect();
                assert_eq!(rest, (seq + 1..=7).collect::<Vec<_>>());
            }
        }
    }
}
