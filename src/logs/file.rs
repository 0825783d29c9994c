//! Lines on disk: the present file and the one before it, both bounded, so
//! that a server's last output outlives its container and EMCP itself.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::kept::Part;
use super::spelled_out;
use crate::model::LogRecord;

/// Two files of this size are kept at most for each server.
const FILE_MAX_BYTES: u64 = 2 * 1024 * 1024;

/// The files of one server.
pub(super) struct LogFile {
    folder: PathBuf,
    open: Option<(File, u64)>,
    /// How often the files were turned over.
    turns: u64,
}

impl LogFile {
    /// Files in this folder; nothing is made before the first line.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            open: None,
            turns: 0,
        }
    }

    /// What is on disk now, oldest first. The files stay readable for whoever
    /// holds these, also when they are turned over.
    pub(super) fn parts(&self) -> io::Result<Vec<Part>> {
        let mut parts = Vec::with_capacity(2);
        for (path, turn) in [(self.older(), self.turns), (self.newer(), self.turns + 1)] {
            match File::open(path) {
                Ok(file) => parts.push(Part::new(file, turn)?),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(parts)
    }

    /// Appends lines, turning the files over where the present one is full.
    pub(super) fn append(&mut self, records: &[LogRecord]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for record in records {
            let before = bytes.len();
            // An operator may look at the file as it is.
            let line = serde_json::to_string(record)?;
            bytes.extend_from_slice(spelled_out(&line).as_bytes());
            bytes.push(b'\n');
            if self.size()? + bytes.len() as u64 > FILE_MAX_BYTES {
                let next = bytes.split_off(before);
                self.write(&bytes)?;
                self.open = None;
                fs::rename(self.newer(), self.older())?;
                self.turns += 1;
                bytes = next;
            }
        }
        self.write(&bytes)
    }

    /// Of the present file.
    fn size(&mut self) -> io::Result<u64> {
        match &self.open {
            Some((_, size)) => Ok(*size),
            None => {
                let (file, size) = self.open_newer()?;
                self.open = Some((file, size));
                Ok(size)
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Taken out: after a failed write the file is opened anew, which ends
        // the line that was cut.
        let (mut file, size) = match self.open.take() {
            Some(open) => open,
            None => self.open_newer()?,
        };
        file.write_all(bytes)?;
        self.open = Some((file, size + bytes.len() as u64));
        Ok(())
    }

    fn open_newer(&self) -> io::Result<(File, u64)> {
        fs::create_dir_all(&self.folder)?;
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(self.newer())?;
        let mut size = file.metadata()?.len();
        if size > 0 {
            // Ends a line that a crash may have cut, so the next one stands alone.
            file.write_all(b"\n")?;
            size += 1;
        }
        Ok((file, size))
    }

    fn newer(&self) -> PathBuf {
        self.folder.join("output.jsonl")
    }

    fn older(&self) -> PathBuf {
        self.folder.join("output.1.jsonl")
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::kept::Kept;
    use super::*;
    use crate::model::LogSource;

    fn kept_in(file: &LogFile) -> Vec<u64> {
        let kept = Kept::new(file.parts().unwrap(), Vec::new());
        kept.records().map(|record| record.unwrap().seq).collect()
    }

    fn record(seq: u64, line: String) -> LogRecord {
        LogRecord {
            ts: Timestamp::UNIX_EPOCH,
            stream: LogSource::Stdout,
            line,
            seq,
            instance: None,
        }
    }

    #[test]
    fn what_was_written_is_read_back_after_a_cut_line() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("logs");
        LogFile::new(folder.clone())
            .append(&[record(1, "one".into())])
            .unwrap();
        let cut = OpenOptions::new()
            .append(true)
            .open(folder.join("output.jsonl"))
            // In the middle of a character of two bytes.
            .and_then(|mut file| file.write_all(b"{\"line\":\"\xc3"));
        cut.unwrap();
        let mut file = LogFile::new(folder);
        file.append(&[record(2, "two".into())]).unwrap();
        assert_eq!(kept_in(&file), [1, 2]);
    }

    #[test]
    fn a_turn_of_the_files_takes_nothing_from_who_reads() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = LogFile::new(dir.path().to_owned());
        file.append(&[record(1, "one".into())]).unwrap();
        let before = Kept::new(file.parts().unwrap(), Vec::new());
        for seq in 2..400 {
            file.append(&[record(seq, "x".repeat(16 * 1024))]).unwrap();
        }
        assert!(!kept_in(&file).contains(&1), "it was turned over twice");
        let seen: Vec<u64> = before.records().map(|r| r.unwrap().seq).collect();
        assert_eq!(seen, [1]);
    }

    fn sizes_in(folder: &std::path::Path) -> Vec<u64> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .collect()
    }

    #[test]
    fn disk_use_is_bounded() {
        // Line by line, and many long lines at once.
        for at_once in [1, 250] {
            let dir = tempfile::tempdir().unwrap();
            let mut file = LogFile::new(dir.path().to_owned());
            let records: Vec<_> = (0..1_000)
                .map(|seq| record(seq, "x".repeat(16 * 1024)))
                .collect();
            for some in records.chunks(at_once) {
                file.append(some).unwrap();
            }
            let sizes = sizes_in(dir.path());
            assert_eq!(sizes.len(), 2);
            assert!(
                sizes.iter().all(|size| *size <= FILE_MAX_BYTES),
                "{sizes:?}"
            );
            let kept = kept_in(&file);
            let first = kept[0];
            assert!(first < 1_000 - 128, "the older file is kept too");
            assert_eq!(kept, (first..1_000).collect::<Vec<_>>());
        }
    }
}
