//! Bundles on disk: the only room that writes and reads them.
//!
//! A bundle lies at `{data}/bundles/{first two digits}/{digest}/`, its files
//! read-only, and never changes: what has another content has another name, and
//! the same content is there once, whoever has it. There is one order for every
//! upload, so that whatever happens in between, a record has its files:
//!
//! 1. a [`Lease`] is taken, in memory: what is leased is not removed;
//! 2. a bundle that is not there is noted as loose, in the database;
//! 3. its files are written below another name and synced, the folder is renamed
//!    to what it is called, and the folders above it are synced;
//! 4. the release is recorded, in a transaction that touches no file and takes
//!    the note back.
//!
//! What is cut short leaves a note, and what loses its last record gets one in
//! the same transaction. Only what is noted is ever removed: by one collection at
//! a time, of which leases, holds and containers keep what they use. A bundle
//! without note or record came with another database, and is a person's to
//! remove.

mod disk;
pub mod former;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::identity::BundleSource;
use crate::model::{Bundle, BundleDigest, Release};

/// The folder in the data directory.
const FOLDER: &str = "bundles";
/// What is being written or removed, in that folder.
const TEMPORARY: &str = ".tmp";
/// How often a place that others write to as well is tried.
const TRIES: usize = 8;

/// Why files cannot be had, in words that follow what they are called.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// There are none.
    #[error("is missing")]
    Missing,
    /// They are not what was uploaded.
    #[error("was altered")]
    Altered,
    /// The disk does not give them.
    #[error("cannot be read ({0})")]
    Disk(#[from] io::Error),
}

/// All bundles of a data directory.
#[derive(Debug)]
pub struct Bundles {
    data: PathBuf,
    state: Mutex<State>,
    asked: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// How many use each.
    leased: HashMap<BundleDigest, usize>,
    /// Written by this process, and never anybody's: no container can have them.
    fresh: HashSet<BundleDigest>,
    /// What the collection that runs is to remove, unless somebody takes it.
    condemned: HashSet<BundleDigest>,
    /// How many need everything to stay.
    holds: usize,
}

impl Bundles {
    /// The bundles of this data directory; nothing is read or made yet.
    pub fn new(data_dir: &Path) -> Self {
        Self {
            data: data_dir.to_owned(),
            state: Mutex::default(),
            asked: Notify::new(),
        }
    }

    /// The folder of a bundle, for a container to mount.
    pub fn folder(&self, digest: BundleDigest) -> PathBuf {
        let digits = digest.hex();
        self.root().join(&digits[..2]).join(&digits)
    }

    /// Whether there is a bundle of that name, whatever is in it.
    pub fn has(&self, digest: BundleDigest) -> bool {
        self.folder(digest).is_dir()
    }

    /// All there are.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn on_disk(&self) -> io::Result<Vec<BundleDigest>> {
        let mut found = Vec::new();
        for folder in disk::names(&self.root())? {
            for name in disk::names(&self.root().join(folder))? {
                let digest = name.to_str().map(BundleDigest::from_hex);
                found.extend(digest.and_then(Result::ok));
            }
        }
        Ok(found)
    }

    /// The file of a release that is served, as it was uploaded. Blocking.
    ///
    /// # Errors
    /// If it is not there or not that.
    pub fn read(&self, release: &Release) -> Result<Vec<u8>, Unreadable> {
        let path = self
            .folder(release.bundle)
            .join(release.entry_file.as_str());
        let content = fs::read(path).map_err(unreadable)?;
        if hex::encode(Sha256::digest(&content)) == release.sha256 {
            Ok(content)
        } else {
            Err(Unreadable::Altered)
        }
    }

    /// A whole bundle, as it was uploaded. Blocking.
    ///
    /// # Errors
    /// If it is not there or not that.
    pub fn read_whole(&self, digest: BundleDigest) -> Result<Bundle, Unreadable> {
        let mut bundle = Bundle::default();
        disk::read(&self.folder(digest), &mut |path, content| {
            bundle.insert(path, content);
        })?;
        if bundle.digest() == digest {
            Ok(bundle)
        } else {
            Err(Unreadable::Altered)
        }
    }

    /// Whether a bundle is what was uploaded. Blocking.
    ///
    /// # Errors
    /// If it is not there or not that.
    pub fn verify(&self, digest: BundleDigest) -> Result<(), Unreadable> {
        self.read_whole(digest).map(drop)
    }

    /// Keeps a bundle where it is, or its place for who writes it.
    pub fn lease(self: &Arc<Self>, digest: BundleDigest) -> Lease {
        let mut state = self.state();
        *state.leased.entry(digest).or_default() += 1;
        state.condemned.remove(&digest);
        Lease {
            bundles: Arc::clone(self),
            digest,
        }
    }

    /// Keeps every bundle where it is: what was in a record when it was taken, or
    /// comes into one afterwards.
    pub fn hold(self: &Arc<Self>) -> Hold {
        self.state().holds += 1;
        Hold(Arc::clone(self))
    }

    /// Removes what a process that was killed was about to write or to remove, and
    /// makes the place for it, so that something can be removed where there is no
    /// room for a folder. Blocking; nobody may write meanwhile.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn clear(&self) -> io::Result<()> {
        let folder = self.root().join(TEMPORARY);
        for name in disk::names(&folder)? {
            disk::remove(&folder.join(name))?;
        }
        disk::make_folder(&self.root())?;
        disk::make_folder(&folder)
    }

    /// Removes the folders of bundles where there is nothing in them. Blocking;
    /// nobody may write meanwhile.
    pub fn remove_empty_folders(&self) {
        let folders = disk::names(&self.root()).unwrap_or_default();
        for folder in folders {
            let _ = fs::remove_dir(self.root().join(folder));
        }
        let _ = fs::remove_dir(self.root());
    }

    // --- collecting -----------------------------------------------------------

    /// Has the next collection be made now.
    pub fn ask_for_collection(&self) {
        self.asked.notify_one();
    }

    /// Waits until a collection is asked for.
    pub async fn collection_asked(&self) {
        self.asked.notified().await;
    }

    /// The first step of a collection: takes those of these that nobody uses for
    /// condemned. Which of them a record has is to be looked up after that.
    pub fn condemn(&self, loose: impl Iterator<Item = BundleDigest>) -> Vec<BundleDigest> {
        let mut state = self.state();
        let idle: Vec<_> = loose
            .filter(|digest| !state.leased.contains_key(digest))
            .collect();
        state.condemned = idle.iter().copied().collect();
        idle
    }

    /// Whether no container can have it: no release ever had it.
    pub fn is_fresh(&self, digest: BundleDigest) -> bool {
        self.state().fresh.contains(&digest)
    }

    /// The last step: removes those of these that are still condemned, and tells
    /// which are gone. Blocking.
    pub fn remove_condemned(&self, unneeded: &[BundleDigest]) -> Vec<BundleDigest> {
        let is_gone = |digest: &&BundleDigest| match self.remove(**digest) {
            Ok(is_gone) => is_gone,
            Err(error) => {
                tracing::warn!(bundle = %digest, %error, "a bundle that nobody needs is still there");
                false
            }
        };
        let gone = unneeded.iter().filter(is_gone).copied().collect();
        self.state().condemned.clear();
        gone
    }

    /// Whether it is gone.
    fn remove(&self, digest: BundleDigest) -> io::Result<bool> {
        let aside = self.temporary()?;
        {
            // Whoever takes a lease from here on finds nothing, and writes it anew.
            let mut state = self.state();
            if state.holds > 0 || !state.condemned.remove(&digest) {
                return Ok(false);
            }
            match fs::rename(self.folder(digest), &aside) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                renamed => renamed?,
            }
            state.fresh.remove(&digest);
        }
        disk::remove(&aside)?;
        Ok(true)
    }

    // --- within ---------------------------------------------------------------

    fn root(&self) -> PathBuf {
        self.data.join(FOLDER)
    }

    /// A path that nobody else has, in a folder that is there.
    fn temporary(&self) -> io::Result<PathBuf> {
        let folder = self.root().join(TEMPORARY);
        disk::make_folder(&self.root())?;
        disk::make_folder(&folder)?;
        Ok(folder.join(Uuid::now_v7().to_string()))
    }

    /// Puts a bundle in its place, unless it is there as it must be.
    fn write(&self, digest: BundleDigest, bundle: &Bundle) -> io::Result<()> {
        let place = self.folder(digest);
        let above = self.root().join(&digest.hex()[..2]);
        let mut tries = 0;
        loop {
            match self.verify(digest) {
                Ok(()) => break,
                Err(Unreadable::Missing) => {}
                Err(Unreadable::Altered) => {
                    tracing::warn!(bundle = %digest, "a bundle was altered; it is written anew");
                    let aside = self.temporary()?;
                    match fs::rename(&place, &aside) {
                        Err(error) if error.kind() == ErrorKind::NotFound => {}
                        renamed => renamed?,
                    }
                    disk::remove(&aside)?;
                }
                Err(Unreadable::Disk(error)) => return Err(error),
            }
            let new = self.temporary()?;
            disk::make_folder(&above)?;
            let written = disk::write(&new, bundle).and_then(|()| fs::rename(&new, &place));
            match written {
                Ok(()) => {
                    self.state().fresh.insert(digest);
                    break;
                }
                Err(error) => {
                    // The write's own error is the one to report.
                    let _ = disk::remove(&new);
                    let is_taken = matches!(
                        error.kind(),
                        ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty
                    );
                    tries += 1;
                    if !is_taken || tries == TRIES {
                        return Err(error);
                    }
                }
            }
        }
        // Also where another put it there: that one may not have come so far yet.
        for folder in [above.as_path(), &self.root(), &self.data] {
            disk::sync_folder(folder)?;
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A bundle that stays where it is, or comes to be there.
#[derive(Debug)]
pub struct Lease {
    bundles: Arc<Bundles>,
    digest: BundleDigest,
}

impl Lease {
    /// The bundle.
    pub fn digest(&self) -> BundleDigest {
        self.digest
    }

    /// Whether it is there already.
    pub fn is_there(&self) -> bool {
        self.bundles.has(self.digest)
    }

    /// What is in it, as the runtime is given it.
    pub fn source(&self) -> BundleSource {
        BundleSource::of_dir(self.folder())
    }

    /// Its folder.
    pub fn folder(&self) -> PathBuf {
        self.bundles.folder(self.digest)
    }

    /// Puts these files there; all of it is on disk afterwards. One that was
    /// altered is replaced. Blocking.
    ///
    /// # Errors
    /// If the disk fails, or it is another bundle than was leased.
    pub fn write(&self, bundle: &Bundle) -> io::Result<()> {
        if bundle.digest() != self.digest {
            return Err(io::Error::other("another bundle was leased"));
        }
        self.bundles.write(self.digest, bundle)
    }

    /// Ends it for a release that is recorded, or may be.
    pub fn keep(self) {
        self.bundles.state().fresh.remove(&self.digest);
    }

    /// Takes back what was written, if it was not there before. Blocking; for who
    /// is alone with the data directory.
    pub fn take_back(self) {
        if self.bundles.is_fresh(self.digest) {
            let _ = disk::remove(&self.folder());
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.bundles.state();
        if let Some(count) = state.leased.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                state.leased.remove(&self.digest);
            }
        }
        if state.fresh.contains(&self.digest) {
            self.bundles.ask_for_collection();
        }
    }
}

/// While it lives, no bundle goes.
#[derive(Debug)]
pub struct Hold(Arc<Bundles>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.state().holds -= 1;
        // For what could not go meanwhile.
        self.0.ask_for_collection();
    }
}

fn unreadable(error: io::Error) -> Unreadable {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Unreadable::Missing,
        _ => Unreadable::Disk(error),
    }
}

#[cfg(test)]
mod tests;
