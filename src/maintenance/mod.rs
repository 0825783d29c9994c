//! What an operator does to a data directory: rotate the master key, check,
//! back up, restore. All but the backup work on one that no EMCP is using.

mod archive;
mod check;
mod disk;
mod moved;
mod preflight;
mod restore;
mod rotate;

pub use archive::{BackupWriter, write_backup};
pub use check::{Finding, check, check_directory};
pub use preflight::{Preflight, preflight};
pub use restore::restore;
pub use rotate::{finish_rotation, rotate_key};
