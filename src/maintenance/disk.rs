//! The disk of a server in a backup: a sparse file, piece by piece, without
//! what is empty.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, ensure};
use sha2::{Digest, Sha256};

use crate::disk::{next_data, set_aside};
use crate::model::Storage;

/// What an entry of an archive has at most; pieces begin at multiples of it.
pub(super) const PIECE_BYTES: u64 = 4 * 1024 * 1024;

/// Hands over every piece that is not empty, in order, with its place.
///
/// # Errors
/// Any I/O error, or what `take` says.
pub(super) fn for_each_piece(
    disk: &File,
    mut take: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let length = disk.metadata()?.len();
    let mut buffer = vec![0; PIECE_BYTES as usize];
    let mut at = 0;
    while let Some(data) = next_data(disk, at, length)? {
        at = data - data % PIECE_BYTES;
        let piece = PIECE_BYTES.min(length - at);
        let piece = &mut buffer[..piece as usize];
        disk.read_exact_at(piece, at)?;
        // Written is not used: what was deleted may have left nothing but zeros.
        if piece.iter().any(|byte| *byte != 0) {
            take(at, piece)?;
        }
        at += PIECE_BYTES;
    }
    Ok(())
}

/// What a disk holds, in short.
#[derive(Clone)]
pub(super) struct DiskDigest(Sha256);

impl DiskDigest {
    pub(super) fn new(size_bytes: u64) -> Self {
        let mut digest = Sha256::new();
        digest.update(size_bytes.to_le_bytes());
        Self(digest)
    }

    pub(super) fn take(&mut self, at: u64, piece: &[u8]) {
        self.0.update(at.to_le_bytes());
        self.0.update((piece.len() as u64).to_le_bytes());
        self.0.update(piece);
    }

    pub(super) fn finish(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }

    /// That of a file.
    pub(super) fn of(path: &Path) -> io::Result<[u8; 32]> {
        let disk = File::open(path)?;
        let mut digest = Self::new(disk.metadata()?.len());
        for_each_piece(&disk, |at, piece| {
            digest.take(at, piece);
            Ok(())
        })?;
        Ok(digest.finish())
    }
}

/// Whether this can be a piece of a disk.
pub(super) fn check_piece(size_bytes: u64, at: u64, piece: &[u8]) -> anyhow::Result<()> {
    let ends = at.checked_add(piece.len() as u64);
    ensure!(
        at.is_multiple_of(PIECE_BYTES)
            && piece.len() as u64 <= PIECE_BYTES
            && ends.is_some_and(|end| end <= size_bytes),
        "the archive has a piece of a disk that does not fit it"
    );
    Ok(())
}

/// The size of a disk, as an archive has it.
pub(super) fn read_size(text: &[u8]) -> anyhow::Result<u64> {
    let size = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
    size.filter(|size| *size <= Storage::HIGHEST_BYTES)
        .context("the archive has a disk without a size")
}

/// Makes an empty disk, with all its room set aside as EMCP does for servers.
pub(super) fn create(path: &Path, size_bytes: u64) -> anyhow::Result<File> {
    let made = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|disk| {
            disk.set_len(size_bytes)?;
            set_aside(&disk, size_bytes)?;
            Ok(disk)
        });
    made.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_empty_is_handed_over_and_comes_back_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let size = 5 * PIECE_BYTES + 4096;
        let disk = create(&dir.path().join("disk"), size).unwrap();
        disk.write_all_at(b"one", PIECE_BYTES + 7).unwrap();
        disk.write_all_at(b"end", size - 3).unwrap();
        disk.write_all_at(&[0; 8192], 3 * PIECE_BYTES).unwrap();
        let disk = File::open(dir.path().join("disk")).unwrap();
        let copy = create(&dir.path().join("copy"), size).unwrap();
        let mut places = Vec::new();
        for_each_piece(&disk, |at, piece| {
            check_piece(size, at, piece).unwrap();
            places.push(at);
            copy.write_all_at(piece, at)
        })
        .unwrap();
        assert_eq!(places, [PIECE_BYTES, 5 * PIECE_BYTES]);
        assert_eq!(
            fs::read(dir.path().join("disk")).unwrap(),
            fs::read(dir.path().join("copy")).unwrap()
        );
        let digest = |name| DiskDigest::of(&dir.path().join(name)).unwrap();
        assert_eq!(digest("disk"), digest("copy"));
        copy.write_all_at(b"x", 0).unwrap();
        assert_ne!(digest("disk"), digest("copy"));
    }

    #[test]
    fn pieces_that_do_not_fit_are_refused() {
        assert!(check_piece(PIECE_BYTES, 0, &[1; 10]).is_ok());
        assert!(check_piece(PIECE_BYTES, 1, &[1; 10]).is_err());
        assert!(check_piece(PIECE_BYTES, PIECE_BYTES, &[1]).is_err());
        assert!(check_piece(PIECE_BYTES, u64::MAX - (u64::MAX % PIECE_BYTES), &[1; 10]).is_err());
        assert!(read_size(b"12").is_ok());
        assert!(read_size(b"-1").is_err() && read_size(b"\xff").is_err());
        assert!(read_size(u64::MAX.to_string().as_bytes()).is_err());
    }
}
