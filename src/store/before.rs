//! The database as an earlier EMCP left it, kept while this one brings it to a
//! newer format: the earlier one does not read that, and going back to it takes
//! what it wrote. `make up` does so where the new EMCP does not get ready.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use redb::{Database, ReadableDatabase, TableError};

use super::{codec, read_meta, tables};
use crate::model::Result;

/// How long it is kept: by then somebody has seen whether the new one serves.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether opening the database will bring it to a newer format or level.
///
/// # Errors
/// If it does not read.
pub(super) fn is_of_before(db: &Database) -> Result<bool> {
    let txn = db.begin_read().map_err(codec::db)?;
    let meta = match txn.open_table(tables::META) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(false),
        opened => opened.map_err(codec::db)?,
    };
    let level = read_meta::<u64>(&meta, tables::META_LEVEL)?.unwrap_or(0);
    Ok(read_meta::<u64>(&meta, tables::META_FORMAT)?
        .is_some_and(|format| format < tables::FORMAT || level < tables::LEVEL))
}

/// Copies a database that nobody has open; the copy is on disk afterwards.
///
/// # Errors
/// If the disk fails or is full.
pub(super) fn keep(database: &Path) -> io::Result<()> {
    let kept = path(database);
    let mut new = OsString::from(&kept);
    new.push(".new");
    // With its mode, which lets nobody else read it.
    fs::copy(database, &new)?;
    let copy = File::options().write(true).open(&new)?;
    // A copy keeps no time on every system, and its age is what counts.
    copy.set_modified(SystemTime::now())?;
    copy.sync_all()?;
    fs::rename(&new, &kept)?;
    match kept.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Whether the database as it was before an upgrade is still kept beside it;
/// one that was kept for a day is removed. Blocking.
///
/// # Errors
/// If the disk fails.
pub fn is_kept_of_before(database: &Path) -> io::Result<bool> {
    let kept = path(database);
    let modified = match fs::metadata(&kept) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        found => found?.modified()?,
    };
    // A time to come, of a clock that was set back, is no age.
    if modified.elapsed().is_ok_and(|age| age >= KEPT) {
        fs::remove_file(&kept)?;
        return Ok(false);
    }
    Ok(true)
}

fn path(database: &Path) -> PathBuf {
    let mut path = OsString::from(database);
    path.push(".before-upgrade");
    path.into()
}
