//! How much room a disk has.

use std::io;
use std::path::Path;

use serde::Serialize;
use utoipa::ToSchema;

/// Room on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Space {
    /// What EMCP may still write.
    pub free_bytes: u64,
    /// All there is.
    pub total_bytes: u64,
}

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
