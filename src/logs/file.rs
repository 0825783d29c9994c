//! Lines on disk: the present file and the one before it, both bounded, so
//! that a server's last output outlives its container and EMCP itself.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::LogRecord;

/// Two files of this size are kept at most for each server.
const FILE_MAX_BYTES: u64 = 2 * 1024 * 1024;

/// The files of one server.
pub(super) struct LogFile {
    folder: PathBuf,
    open: Option<(File, u64)>,
}

impl LogFile {
    /// Files in this folder; nothing is made before the first line.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, open: None }
    }

    /// What is kept, oldest first. A line cut by a crash is left out.
    pub(super) fn read_back(&self) -> Vec<LogRecord> {
        [self.older(), self.newer()]
            .into_iter()
            .filter_map(|path| File::open(path).ok())
            .flat_map(|file| BufReader::new(file).lines().map_while(Result::ok))
            .filter_map(|line| serde_json::from_str(&line).ok())
            .collect()
    }

    /// Appends lines, turning the files over when the present one is full.
    pub(super) fn append(&mut self, records: &[LogRecord]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for record in records {
            serde_json::to_writer(&mut bytes, record)?;
            bytes.push(b'\n');
        }
        let (mut file, size) = match self.open.take() {
            Some(open) => open,
            None => self.open_newer()?,
        };
        file.write_all(&bytes)?;
        let size = size + bytes.len() as u64;
        if size < FILE_MAX_BYTES {
            self.open = Some((file, size));
            return Ok(());
        }
        fs::rename(self.newer(), self.older())
    }

    fn open_newer(&self) -> io::Result<(File, u64)> {
        fs::create_dir_all(&self.folder)?;
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(self.newer())?;
        let size = file.metadata()?.len();
        if size > 0 {
            // Ends a line that a crash may have cut, so the next one stands alone.
            file.write_all(b"\n")?;
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

    use super::super::Source;
    use super::*;

    fn record(seq: u64, line: String) -> LogRecord {
        LogRecord {
            ts: Timestamp::UNIX_EPOCH,
            stream: Source::Stdout,
            line,
            seq,
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
            .and_then(|mut file| file.write_all(b"{\"ts\":\"20"));
        cut.unwrap();
        let mut file = LogFile::new(folder);
        file.append(&[record(2, "two".into())]).unwrap();
        let seqs: Vec<u64> = file.read_back().iter().map(|r| r.seq).collect();
        assert_eq!(seqs, [1, 2]);
    }

    #[test]
    fn disk_use_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = LogFile::new(dir.path().to_owned());
        for seq in 0..1_000 {
            file.append(&[record(seq, "x".repeat(16 * 1024))]).unwrap();
        }
        let total: u64 = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(total <= 2 * (FILE_MAX_BYTES + 64 * 1024), "{total} bytes");
        assert_eq!(file.read_back().last().map(|r| r.seq), Some(999));
    }
}
