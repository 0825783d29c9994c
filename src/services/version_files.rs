//! The files of a code version until it has its record. Blocking.
//!
//! There is one order for every upload, so that whatever happens in between,
//! a record has its file and nothing that was acknowledged is lost:
//!
//! 1. a number is taken, and marked as not recorded ([`Layout::unrecorded_mark`]);
//! 2. the file is written under a temporary name, synced and renamed, and the
//!    directories above it are synced;
//! 3. the version is recorded, in a transaction that touches no file;
//! 4. the mark goes.
//!
//! What is cut short before 3 has its mark and goes with the next start
//! (`orphans`); a mark that remains after 3 goes then too.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;

use super::CodeUpload;
use crate::identity::{Layout, write_atomically};
use crate::model::{Error, Result, ServerId};

/// Directories and files that the container's user must read.
const READABLE_DIR: u32 = 0o755;
const READABLE_FILE: u32 = 0o644;

/// A version's number, which nobody else can take, and its files.
#[derive(Debug)]
pub(super) struct UnrecordedVersion {
    layout: Layout,
    server: ServerId,
    number: u32,
    /// Whether the server had no version before.
    is_first: bool,
}

impl UnrecordedVersion {
    /// Takes the next number after `newest`. The file system is the judge: a
    /// mark and a directory are made only where there are none, so two uploads
    /// never get the same number, nor one under which code without a record
    /// lies.
    ///
    /// # Errors
    /// `disk_full`, or another fault of the disk; nothing remains then.
    pub(super) fn take(layout: &Layout, server: ServerId, newest: u32) -> Result<Self> {
        let taken = || {
            let versions = layout.versions_dir(server);
            let is_first = !versions.exists();
            readable_dir().recursive(true).create(&versions)?;
            let on_disk = layout.versions_on_disk(server)?.into_iter().max();
            let mut version = Self {
                layout: layout.clone(),
                server,
                number: newest.max(on_disk.unwrap_or_default()),
                is_first,
            };
            loop {
                version.number += 1;
                if version.is_taken_now()? {
                    return Ok(version);
                }
            }
        };
        taken().map_err(|error| {
            remove_empty(layout, server);
            cannot_write(error)
        })
    }

    /// Whose it is.
    pub(super) fn server(&self) -> ServerId {
        self.server
    }

    /// Its number.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Writes the file where the container mounts it from; it is on disk
    /// afterwards.
    ///
    /// # Errors
    /// As [`UnrecordedVersion::take`], but the number stays taken.
    pub(super) fn write(&self, code: &CodeUpload) -> Result<()> {
        let file = self.layout.code_file(self.server, self.number);
        let written = || {
            // Syncs the version's own directory.
            write_atomically(&file, code.bytes(), READABLE_FILE)?;
            let versions = self.layout.versions_dir(self.server);
            sync_dir(versions.clone())?;
            if self.is_first {
                sync_dir(self.layout.server_dir(self.server))?;
                sync_dir(self.layout.root().to_owned())?;
            }
            Ok(())
        };
        written().map_err(cannot_write)
    }

    /// Keeps it: takes the mark off, since it has its record.
    pub(super) fn keep(self) {
        let mark = self.layout.unrecorded_mark(self.server, self.number);
        if let Err(error) = absent_is_fine(fs::remove_file(mark)) {
            tracing::warn!(server = %self.server, number = self.number, %error, "a mark remains until the next start");
        }
    }

    /// Removes it: it will have no record.
    pub(super) fn remove(self) {
        let (server, number) = (self.server, self.number);
        let removed = absent_is_fine(fs::remove_dir_all(self.layout.code_dir(server, number)))
            .and_then(|()| {
                absent_is_fine(fs::remove_file(self.layout.unrecorded_mark(server, number)))
            });
        if let Err(error) = removed {
            tracing::warn!(%server, number, %error, "files of a failed upload remain until the next start");
        }
        remove_empty(&self.layout, server);
    }

    /// Takes its number, unless somebody has it.
    fn is_taken_now(&self) -> io::Result<bool> {
        let mark = self.layout.unrecorded_mark(self.server, self.number);
        match File::create_new(&mark) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
            made => made?,
        };
        let dir = self.layout.code_dir(self.server, self.number);
        let made = readable_dir().create(&dir).and_then(|()| {
            // The mode given at creation is cut by the umask.
            fs::set_permissions(&dir, fs::Permissions::from_mode(READABLE_DIR))
        });
        let Err(error) = made else {
            return Ok(true);
        };
        fs::remove_file(&mark)?;
        match error.kind() {
            ErrorKind::AlreadyExists => Ok(false),
            _ => Err(error),
        }
    }
}

/// Of a server that did not come to be nothing stays. Others have something in
/// their directories, which therefore cannot be removed.
fn remove_empty(layout: &Layout, server: ServerId) {
    let _ = fs::remove_dir(layout.versions_dir(server))
        .and_then(|()| fs::remove_dir(layout.server_dir(server)));
}

fn readable_dir() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(READABLE_DIR);
    builder
}

/// Makes sure that what was put into a directory is still in it after a power
/// cut.
fn sync_dir(dir: PathBuf) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn absent_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn cannot_write(error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::disk_full(),
        _ => Error::internal("a code file could not be written", error),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_number_is_taken_once_and_none_that_anything_lies_under() {
        let dir = tempfile::tempdir().unwrap();
        let (layout, id) = (Layout::new(dir.path()), ServerId::new());
        // Of another database, say: it has neither mark nor record.
        fs::create_dir_all(layout.code_dir(id, 7)).unwrap();
        let numbers: BTreeSet<u32> = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..24)
                .map(|_| scope.spawn(|| UnrecordedVersion::take(&layout, id, 3).unwrap().number()))
                .collect();
            takers
                .into_iter()
                .map(|taker| taker.join().unwrap())
                .collect()
        });
        assert_eq!(numbers, (8..32).collect());
    }

    #[test]
    fn what_is_removed_leaves_nothing_and_takes_nothing_along() {
        let dir = tempfile::tempdir().unwrap();
        let (layout, id) = (Layout::new(dir.path()), ServerId::new());
        let code = CodeUpload::check(b"a = 1\n", 100).unwrap();
        let first = UnrecordedVersion::take(&layout, id, 0).unwrap();
        first.write(&code).unwrap();
        first.remove();
        assert!(!layout.server_dir(id).exists());

        let first = UnrecordedVersion::take(&layout, id, 0).unwrap();
        first.write(&code).unwrap();
        assert_eq!(layout.unrecorded_on_disk(id).unwrap(), [1]);
        first.keep();
        UnrecordedVersion::take(&layout, id, 1).unwrap().remove();
        assert_eq!(layout.versions_on_disk(id).unwrap(), [1]);
        assert!(layout.unrecorded_on_disk(id).unwrap().is_empty());
        assert_eq!(fs::read(layout.code_file(id, 1)).unwrap(), b"a = 1\n");
    }
}
