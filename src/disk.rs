//! How much room a disk has, and files with holes.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FallocateFlags, SeekFrom, fallocate, seek};
use rustix::io::Errno;

use crate::api::Space;

/// The room on the disk that a path is on. Blocking: a network's disk may take
/// its time.
///
/// # Errors
/// If the path cannot be reached.
pub fn space(path: &Path) -> io::Result<Space> {
    let found = rustix::fs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Ok(Space {
        // Some is kept for root, which EMCP need not be.
        free_bytes: bytes(found.f_bavail),
        total_bytes: bytes(found.f_blocks),
    })
}

/// Where a file has something at or after `at`; `None` if it is empty from
/// there on. A file system that knows of no holes has something everywhere.
///
/// # Errors
/// Any I/O error.
pub fn next_data(file: &File, at: u64, length: u64) -> io::Result<Option<u64>> {
    if at >= length {
        return Ok(None);
    }
    match seek(file, SeekFrom::Data(at)) {
        Ok(data) => Ok(Some(data)),
        Err(Errno::NXIO) => Ok(None),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(Some(at)),
        Err(error) => Err(error.into()),
    }
}

/// Takes room on the disk for a whole file, where the file system can.
///
/// # Errors
/// If there is not so much, or any other I/O error.
pub fn set_aside(file: &File, length: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, length) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::INVAL) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Has the kernel write what it holds back for all disks. Blocking. Only root
/// may ask for one that is mounted in a container, but anybody for all of them
/// (sync(2)).
pub fn flush() {
    rustix::fs::sync();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_has_some_room_and_no_more_than_all() {
        let found = space(Path::new("/")).unwrap();
        assert!(found.total_bytes > 0);
        assert!(found.free_bytes <= found.total_bytes);
        assert!(space(Path::new("/nowhere/at/all")).is_err());
    }
}
