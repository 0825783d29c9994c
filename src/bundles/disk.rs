//! Folders of files that never change. Blocking.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::Unreadable;
use crate::model::{Bundle, BundlePath};

/// The container's user looks into folders and reads files; nobody writes to
/// these. A folder can be removed by who owns it without further ado.
const FOLDER_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o444;

/// Makes a folder unless it is there.
///
/// # Errors
/// If it cannot be made.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        made => made?,
    }
    // The mode given at creation is cut by the umask.
    fs::set_permissions(path, Permissions::from_mode(FOLDER_MODE))
}

/// Makes a folder with these files; all in it is on disk afterwards.
///
/// # Errors
/// If it is there already, or the disk fails.
pub(super) fn write(folder: &Path, bundle: &Bundle) -> io::Result<()> {
    fs::create_dir(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(FOLDER_MODE))?;
    for (path, content) in bundle.files() {
        let parts: Vec<&str> = path.as_str().split('/').collect();
        let mut above = folder.to_owned();
        for part in &parts[..parts.len() - 1] {
            above.push(part);
            make_folder(&above)?;
        }
        write_file(&above.join(parts[parts.len() - 1]), content)?;
    }
    sync_folders(folder)
}

fn write_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    file.write_all(content)?;
    file.sync_all()
}

/// Hands over each file below a folder, with where it is in it.
///
/// # Errors
/// If there is no folder, or anything in it that is in no bundle.
pub(super) fn read(
    folder: &Path,
    take: &mut impl FnMut(BundlePath, Vec<u8>),
) -> Result<(), Unreadable> {
    read_below(folder, "", take)
}

fn read_below(
    folder: &Path,
    above: &str,
    take: &mut impl FnMut(BundlePath, Vec<u8>),
) -> Result<(), Unreadable> {
    for entry in fs::read_dir(folder).map_err(super::unreadable)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_str().ok_or(Unreadable::Altered)?;
        let path: BundlePath = format!("{above}{name}")
            .parse()
            .map_err(|_| Unreadable::Altered)?;
        // Of the name itself, and not of what a link leads to.
        let kind = entry.file_type()?;
        if kind.is_dir() {
            read_below(&entry.path(), &format!("{path}/"), take)?;
        } else if kind.is_file() {
            take(path, fs::read(entry.path())?);
        } else {
            return Err(Unreadable::Altered);
        }
    }
    Ok(())
}

/// The names in a folder; none where there is no folder.
///
/// # Errors
/// If the disk fails.
pub(super) fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect(),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// Removes a folder with all in it, if it is there.
///
/// # Errors
/// If the disk fails.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Makes sure that what was put into a folder is still in it after a power cut.
///
/// # Errors
/// If the disk fails.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn sync_folders(folder: &Path) -> io::Result<()> {
    for name in names(folder)? {
        let path = folder.join(name);
        if path.is_dir() {
            sync_folders(&path)?;
        }
    }
    sync_folder(folder)
}
