//! What the engine mounts, out of EMCP's reach.
//!
//! The engine finds what it mounts by a path, and EMCP can replace any folder of
//! its own by a link at any time. So the engine is never given a path of EMCP's:
//! code is copied into the broker's own folder for each container, and the file
//! of a disk gets a second name there for as long as a device is made of it.
//! What is EMCP's is opened step by step, and no step follows a link.

use std::collections::HashSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, fchmod, fstat, linkat, mkdirat, openat, renameat,
    statat, unlinkat,
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::model::{BundleDigest, BundlePath, Manifest, ServerId};

/// The broker's folder in the data directory.
const FOLDER: &str = "broker";
/// The last two of a copy's path.
const CODE: &str = "code";
const DISKS: &str = "disks";
/// EMCP's folder there.
const BUNDLES: &str = "bundles";
/// What is copied at once.
const PIECE_BYTES: usize = 64 * 1024;
/// Folders below each other, and files of one bundle.
const DEPTH_MAX: usize = 8;
const FILES_MAX: usize = 4_096;
/// A number in decimal, which says the size that a disk was last given.
const GRANTED_MAX_BYTES: u64 = 32;

/// The broker's part of the data directory.
pub(super) struct Files {
    data: PathBuf,
    code_max_bytes: u64,
    /// Copies that no container has yet, and stages in use.
    busy: Mutex<HashSet<PathBuf>>,
}

/// A folder that is used at the moment.
pub(super) struct Busy {
    files: Arc<Files>,
    path: PathBuf,
    is_kept: bool,
}

impl Busy {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves it to a container that may have it; one that has none goes with
    /// what is idle.
    pub(super) fn keep(&mut self) {
        self.is_kept = true;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut busy = self.files.busy();
        busy.remove(&self.path);
        if !self.is_kept
            && let Err(error) = remove_folder(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "a folder that nobody uses is still there");
        }
    }
}

impl Files {
    pub(super) fn new(data: &Path, code_max_bytes: u64) -> Self {
        Self {
            data: data.to_owned(),
            code_max_bytes,
            busy: Mutex::default(),
        }
    }

    /// Whether it is in the broker's own folder.
    pub(super) fn is_own(&self, path: &Path) -> bool {
        path.starts_with(self.data.join(FOLDER))
    }

    /// Whether this is a copy of code that the broker made.
    pub(super) fn is_copy(&self, path: &Path) -> bool {
        path.parent() == Some(&self.folder(CODE))
    }

    /// Copies a bundle, and proves by its digest that the copy is nothing else:
    /// whatever EMCP has put in its place is refused.
    ///
    /// # Errors
    /// If it is not there, was altered, is too much, or is anything but folders
    /// and files.
    pub(super) fn copy_code(self: &Arc<Self>, digest: BundleDigest) -> io::Result<Busy> {
        let digits = digest.hex();
        let mut from = open_dir(CWD, &self.data)?;
        for part in [BUNDLES, &digits[..2], &digits] {
            from = open_dir(&from, part)?;
        }
        let copies = self.made(CODE)?;
        let copy = self.take(copies.join(Uuid::now_v7().to_string()))?;
        let mut copying = Copying {
            bytes: self.code_max_bytes,
            files: FILES_MAX,
            manifest: Manifest::default(),
        };
        copying.folder(&from, &make_dir(&copy.path)?, "", DEPTH_MAX)?;
        if copying.manifest.digest() != digest {
            return Err(io::Error::other("it is not what was uploaded"));
        }
        // After a power cut a container may be started again with it.
        File::open(copies)?.sync_all()?;
        Ok(copy)
    }

    /// The folders that nobody uses, unless a container does.
    ///
    /// # Errors
    /// If the disk fails.
    pub(super) fn idle(&self) -> io::Result<Vec<PathBuf>> {
        let mut idle = Vec::new();
        for folder in [CODE, DISKS] {
            for entry in there(fs::read_dir(self.folder(folder)))?
                .into_iter()
                .flatten()
            {
                idle.push(entry?.path());
            }
        }
        let busy = self.busy();
        idle.retain(|path| !busy.contains(path));
        Ok(idle)
    }

    /// Removes those of these that did not come into use meanwhile.
    ///
    /// # Errors
    /// If the disk fails.
    pub(super) fn remove(&self, idle: Vec<PathBuf>) -> io::Result<()> {
        idle.into_iter().try_for_each(|path| {
            let busy = self.busy();
            if busy.contains(&path) {
                return Ok(());
            }
            remove_folder(&path)
        })
    }

    /// What the disk of this server has now, in bytes; 0 where there is none.
    ///
    /// # Errors
    /// If it is no file, or its folder is somewhere else.
    pub(super) fn disk_bytes(&self, server: ServerId) -> io::Result<u64> {
        let Some(storage) = self.storage(server)? else {
            return Ok(0);
        };
        let Some(found) = there(statat(&storage, "disk", AtFlags::SYMLINK_NOFOLLOW))? else {
            return Ok(0);
        };
        require_file(&found)?;
        Ok(u64::try_from(found.st_size).unwrap_or(0))
    }

    /// Gives the disk of this server a second name, or a new one its first.
    ///
    /// # Errors
    /// If it is no file, its folder is somewhere else, or it is being opened.
    pub(super) fn stage_disk(self: &Arc<Self>, server: ServerId) -> io::Result<Busy> {
        let stage = self.take(self.made(DISKS)?.join(server.to_string()))?;
        // Of a broker that was killed.
        remove_folder(&stage.path)?;
        let to = make_dir(&stage.path)?;
        let storage = self.storage(server)?;
        let found = match &storage {
            Some(storage) => there(linkat(storage, "disk", &to, "disk", AtFlags::empty()))?,
            None => None,
        };
        if found.is_none() {
            create(&to, "disk.new", 0o600)?;
            return Ok(stage);
        }
        // Of what has the name now, whatever had it before.
        require_file(&statat(&to, "disk", AtFlags::SYMLINK_NOFOLLOW)?)?;
        if let Some(storage) = storage {
            copy_granted(&storage, &to)?;
        }
        Ok(stage)
    }

    /// Gives a disk that was opened its name in the server's folder, before
    /// anybody writes to it.
    ///
    /// # Errors
    /// If the folder is somewhere else, or the disk fails.
    pub(super) fn keep_disk(&self, server: ServerId, stage: &Busy) -> io::Result<()> {
        let from = open_dir(CWD, &stage.path)?;
        let data = open_dir(CWD, &self.data)?;
        already(mkdirat(
            &data,
            server.to_string(),
            Mode::from_raw_mode(0o755),
        ))?;
        let own = open_dir(&data, server.to_string())?;
        already(mkdirat(&own, "storage", Mode::from_raw_mode(0o700)))?;
        let storage = open_dir(&own, "storage")?;
        already(linkat(&from, "disk", &storage, "disk", AtFlags::empty()))?;
        let (staged, kept) = (
            statat(&from, "disk", AtFlags::SYMLINK_NOFOLLOW)?,
            statat(&storage, "disk", AtFlags::SYMLINK_NOFOLLOW)?,
        );
        if (staged.st_dev, staged.st_ino) != (kept.st_dev, kept.st_ino) {
            return Err(io::Error::other("another one has come into its place"));
        }
        there(unlinkat(&storage, "disk.new", AtFlags::empty()))?;
        copy_granted(&from, &storage)?;
        rustix::fs::fsync(&storage)?;
        Ok(())
    }

    /// The folder of a server's disk, if there is one.
    fn storage(&self, server: ServerId) -> io::Result<Option<OwnedFd>> {
        let Some(own) = there(open_dir(&open_dir(CWD, &self.data)?, server.to_string()))? else {
            return Ok(None);
        };
        there(open_dir(&own, "storage"))
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.data.join(FOLDER).join(name)
    }

    fn made(&self, name: &str) -> io::Result<PathBuf> {
        let folder = self.folder(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    fn take(self: &Arc<Self>, path: PathBuf) -> io::Result<Busy> {
        if !self.busy().insert(path.clone()) {
            return Err(io::Error::other("it is in use by another call"));
        }
        Ok(Busy {
            files: Arc::clone(self),
            path,
            is_kept: false,
        })
    }

    fn busy(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A bundle that is being copied.
struct Copying {
    /// What may still come.
    bytes: u64,
    files: usize,
    /// What has come.
    manifest: Manifest,
}

impl Copying {
    /// `above` is where the folder is in the bundle, with a `/` behind it.
    fn folder(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        above: &str,
        depth: usize,
    ) -> io::Result<()> {
        for entry in Dir::read_from(from)? {
            let entry = entry?;
            let name = entry.file_name();
            if [c".", c".."].contains(&name) {
                continue;
            }
            self.files = self.files.checked_sub(1).ok_or_else(too_much)?;
            let path = name.to_str().map(|name| format!("{above}{name}"));
            let path = path.map_err(io::Error::other)?;
            match statat(from, name, AtFlags::SYMLINK_NOFOLLOW)
                .map(|found| FileType::from_raw_mode(found.st_mode))?
            {
                FileType::Directory => {
                    let depth = depth.checked_sub(1).ok_or_else(too_much)?;
                    mkdirat(to, name, Mode::from_raw_mode(0o755))?;
                    let from = open_dir(from, name)?;
                    let to = readable(open_dir(to, name)?)?;
                    self.folder(&from, &to, &format!("{path}/"), depth)?;
                }
                FileType::RegularFile => {
                    // A pipe that has come into its place must not be waited for.
                    let flags =
                        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                    let source = openat(from, name, flags, Mode::empty())?;
                    require_file(&fstat(&source)?)?;
                    let copy = create(to, name, 0o644)?;
                    self.file(File::from(source), copy, &path)?;
                }
                _ => return Err(not_a_file()),
            }
        }
        rustix::fs::fsync(to)?;
        Ok(())
    }

    /// What is proven is what was written, and not what would be read once more.
    fn file(&mut self, source: File, mut copy: File, path: &str) -> io::Result<()> {
        let path: BundlePath = path.parse().map_err(io::Error::other)?;
        let mut source = source.take(self.bytes + 1);
        let (mut digest, mut size) = (Sha256::new(), 0);
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = source.read(&mut piece)?;
            if read == 0 {
                break;
            }
            digest.update(&piece[..read]);
            copy.write_all(&piece[..read])?;
            size += read as u64;
        }
        self.bytes = self.bytes.checked_sub(size).ok_or_else(too_much)?;
        self.manifest.add(path, digest.finalize().into(), size);
        fchmod(&copy, Mode::from_raw_mode(0o644))?;
        copy.sync_all()
    }
}

fn too_much() -> io::Error {
    io::Error::other("there is more of it than code has")
}

/// The size that the disk was given last, if it says so.
fn copy_granted(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Some(source) = there(openat(from, "granted", flags, Mode::empty()))? else {
        return Ok(());
    };
    require_file(&fstat(&source)?)?;
    let mut text = String::new();
    let read = File::from(source)
        .take(GRANTED_MAX_BYTES)
        .read_to_string(&mut text);
    if read.is_err() || text.parse::<u64>().is_err() {
        return Ok(());
    }
    there(unlinkat(to, "granted.new", AtFlags::empty()))?;
    create(to, "granted.new", 0o644)?.write_all(text.as_bytes())?;
    renameat(to, "granted.new", to, "granted")?;
    Ok(())
}

/// No step of it may be a link.
fn open_dir(at: impl AsFd, name: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(at, name, flags, Mode::empty())?)
}

/// A new file, whatever is there.
fn create(at: &OwnedFd, name: impl rustix::path::Arg, mode: u32) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(openat(
        at,
        name,
        flags,
        Mode::from_raw_mode(mode),
    )?))
}

/// A new folder that the servers' user can look into.
fn make_dir(path: &Path) -> io::Result<OwnedFd> {
    fs::create_dir(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o755))?;
    open_dir(CWD, path)
}

fn readable(folder: OwnedFd) -> io::Result<OwnedFd> {
    fchmod(&folder, Mode::from_raw_mode(0o755))?;
    Ok(folder)
}

fn remove_folder(path: &Path) -> io::Result<()> {
    there(fs::remove_dir_all(path)).map(drop)
}

fn require_file(found: &rustix::fs::Stat) -> io::Result<()> {
    match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => Ok(()),
        _ => Err(not_a_file()),
    }
}

fn not_a_file() -> io::Error {
    io::Error::other("there is something that is neither a folder nor a file")
}

/// `None` for what is not there.
fn there<T, E: Into<io::Error>>(result: Result<T, E>) -> io::Result<Option<T>> {
    match result.map_err(Into::into) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn already(result: rustix::io::Result<()>) -> io::Result<()> {
    match result {
        Err(rustix::io::Errno::EXIST) => Ok(()),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests;
