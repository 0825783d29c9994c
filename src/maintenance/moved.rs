//! What a restore puts in place, and takes back where it fails.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;

use super::restore::Backup;
use crate::bundles::{Bundles, Lease};
use crate::identity::Layout;
use crate::model::{Bundle, BundleDigest};

/// What has been moved or put in place.
pub(super) struct Moved {
    bundles: Arc<Bundles>,
    put: Vec<Lease>,
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Moved {
    pub(super) fn new(layout: &Layout) -> Self {
        Self {
            bundles: Arc::new(Bundles::new(layout.root())),
            put: Vec::new(),
            files: Vec::new(),
            folders: Vec::new(),
        }
    }

    /// Puts a bundle in place, if it is needed.
    pub(super) fn put(
        &mut self,
        backup: &Backup,
        whole: Option<(BundleDigest, Bundle)>,
    ) -> anyhow::Result<()> {
        let Some((digest, bundle)) = whole.filter(|(digest, _)| backup.bundles.contains(digest))
        else {
            return Ok(());
        };
        let lease = self.bundles.lease(digest);
        let written = lease.write(&bundle);
        self.put.push(lease);
        written.with_context(|| format!("cannot write the bundle {digest}"))
    }

    pub(super) fn all(
        &mut self,
        beside: &Layout,
        layout: &Layout,
        backup: &Backup,
    ) -> anyhow::Result<()> {
        for id in backup.disks.keys() {
            self.make_folder(&layout.server_dir(*id), 0o755)?;
            self.make_folder(&layout.storage_dir(*id), 0o700)?;
            self.rename(&beside.disk_image(*id), &layout.disk_image(*id))?;
        }
        for name in backup.keys.keys() {
            self.rename(&beside.root().join(name), &layout.root().join(name))?;
        }
        // With the database there is a platform.
        self.rename(&beside.database(), &layout.database())?;
        sync(layout.root())
    }

    fn make_folder(&mut self, path: &Path, mode: u32) -> anyhow::Result<()> {
        match fs::create_dir(path) {
            Ok(()) => self.folders.push(path.to_owned()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot make {}", path.display()));
            }
        }
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .with_context(|| format!("cannot make {}", path.display()))
    }

    /// Leaves a file alone that is there: it has the same content.
    fn rename(&mut self, from: &Path, to: &Path) -> anyhow::Result<()> {
        if to.exists() {
            return Ok(());
        }
        fs::rename(from, to).with_context(|| format!("cannot write {}", to.display()))?;
        self.files.push(to.to_owned());
        match to.parent() {
            Some(folder) => sync(folder),
            None => Ok(()),
        }
    }

    /// The error that led here is the one to tell.
    pub(super) fn take_back(&mut self) {
        for lease in self.put.drain(..) {
            lease.take_back();
        }
        self.bundles.remove_empty_folders();
        for file in self.files.iter().rev() {
            let _ = fs::remove_file(file);
        }
        for folder in self.folders.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

fn sync(folder: &Path) -> anyhow::Result<()> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .with_context(|| format!("cannot write {}", folder.display()))
}
