//! Code where an EMCP before bundles kept it, `{data}/{server}/versions/{n}/`:
//! taken over at the start, and removed when no container has it mounted.
//!
//! A file `{n}.unrecorded` beside such a folder says that it may go. Before, it
//! stood there from before the folder was made until its record was; now also
//! from when a bundle has what is in it. An EMCP of before leaves alone what has
//! a record, and takes the mark off, so that going back to it stays possible. A
//! folder with neither record nor mark came with another database: nobody but a
//! person may remove it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{Bundles, Unreadable, disk, unreadable};
use crate::model::{Bundle, Release, ServerId};

const MARK: &str = ".unrecorded";

/// The versions of one server that an EMCP before bundles has left.
#[derive(Debug)]
pub struct FormerVersions {
    folder: PathBuf,
    server: ServerId,
    numbers: BTreeSet<u32>,
    marked: BTreeSet<u32>,
}

/// What has been left of each server. Blocking.
///
/// # Errors
/// If the disk fails.
pub fn find(data_dir: &Path) -> io::Result<Vec<FormerVersions>> {
    let mut found = Vec::new();
    for name in disk::names(data_dir)? {
        let Some(server) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let folder = versions_of(data_dir, server);
        if !folder.is_dir() {
            continue;
        }
        let names = disk::names(&folder)?;
        let numbers = |ending: &str| {
            let numbers = names.iter().filter_map(|name| {
                let digits = name.to_str()?.strip_suffix(ending)?;
                digits.parse().ok()
            });
            numbers.collect()
        };
        found.push(FormerVersions {
            server,
            numbers: numbers(""),
            marked: numbers(MARK),
            folder,
        });
    }
    Ok(found)
}

/// The file of a version where it was before bundles, as it was uploaded.
/// Blocking.
///
/// # Errors
/// If it is not there or not that.
pub fn read(data_dir: &Path, server: ServerId, release: &Release) -> Result<Vec<u8>, Unreadable> {
    let folder = versions_of(data_dir, server).join(release.number.to_string());
    let content = fs::read(folder.join(release.entry_file.as_str())).map_err(unreadable)?;
    if hex::encode(Sha256::digest(&content)) == release.sha256 {
        Ok(content)
    } else {
        Err(Unreadable::Altered)
    }
}

fn versions_of(data_dir: &Path, server: ServerId) -> PathBuf {
    data_dir.join(server.to_string()).join("versions")
}

impl FormerVersions {
    /// Whose they are.
    pub fn server(&self) -> ServerId {
        self.server
    }

    /// The numbers of those with neither record nor mark.
    pub fn foreign(&self, releases: &[Release], pruned: &[(ServerId, u32)]) -> Vec<u32> {
        let is_known = |number: &u32| {
            self.marked.contains(number)
                || releases.iter().any(|release| release.number == *number)
                || pruned.contains(&(self.server, *number))
        };
        let numbers = self.numbers.iter();
        numbers
            .filter(|number| !is_known(number))
            .copied()
            .collect()
    }

    /// Takes the versions that have a record into bundles, and marks them, and
    /// those of which EMCP has noted that they may go (`pruned`). Blocking, and
    /// on disk afterwards. It can be made again whenever it was cut short.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn take_over(
        &self,
        bundles: &Arc<Bundles>,
        releases: &[Release],
        pruned: &[(ServerId, u32)],
    ) -> io::Result<()> {
        for &number in &self.numbers {
            let release = releases.iter().find(|release| release.number == number);
            let is_marked = self.marked.contains(&number);
            let may_go = match release {
                Some(release) if is_marked && bundles.has(release.bundle) => true,
                Some(release) => self.take_in(bundles, release)?,
                None => is_marked || pruned.contains(&(self.server, number)),
            };
            if may_go && !is_marked {
                File::create(self.mark(number))?;
            }
            if !may_go {
                if is_marked {
                    fs::remove_file(self.mark(number))?;
                }
                tracing::warn!(
                    folder = %self.folder_of(number).display(),
                    "this code is of no version in the database, or not as it was uploaded; it is left as it is"
                );
            }
        }
        disk::sync_folder(&self.folder)
    }

    /// Whether its bundle is there.
    fn take_in(&self, bundles: &Arc<Bundles>, release: &Release) -> io::Result<bool> {
        let folder = self.folder_of(release.number);
        let content = match fs::read(folder.join(release.entry_file.as_str())) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            content => content?,
        };
        let bundle = Bundle::of_one_file(content);
        // It is what was uploaded, or has another digest.
        if bundle.digest() != release.bundle {
            return Ok(false);
        }
        let lease = bundles.lease(release.bundle);
        lease.write(&bundle)?;
        lease.keep();
        Ok(true)
    }

    /// Removes what is marked, but for what a container has mounted; and the
    /// server's folder, if nothing is left in it and there is no such server.
    /// Blocking.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn remove(&self, mounted: &[PathBuf], is_known: bool) -> io::Result<()> {
        for &number in &self.marked {
            // The engine may write the path to it in another way.
            let end: PathBuf = [self.server.to_string().as_str(), "versions"]
                .iter()
                .collect();
            let end = end.join(number.to_string());
            if mounted.iter().any(|path| path.ends_with(&end)) {
                continue;
            }
            disk::remove(&self.folder_of(number))?;
            fs::remove_file(self.mark(number))?;
        }
        // Unless something is left in them.
        let _ = fs::remove_dir(&self.folder);
        if let Some(own) = self.folder.parent().filter(|_| !is_known) {
            let _ = fs::remove_dir(own);
        }
        Ok(())
    }

    fn folder_of(&self, number: u32) -> PathBuf {
        self.folder.join(number.to_string())
    }

    fn mark(&self, number: u32) -> PathBuf {
        self.folder.join(format!("{number}{MARK}"))
    }
}
