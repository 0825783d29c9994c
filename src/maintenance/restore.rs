//! Brings a backup back into an empty data directory.
//!
//! The whole archive is read and tried in memory first: its digest, every
//! record, every secret under the key at hand. Only then is anything written,
//! in a folder of its own, and moved into place when all of it is on disk, the
//! database last: until that is there, there is no platform, and the same
//! restore can be made again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path};

use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};

use super::archive::{BUNDLES, DATABASE, KEY_FILES, MANIFEST, read};
use super::check::unopenable;
use super::disk::{self, DiskDigest};
use super::moved::Moved;
use crate::bundles::{Bundles, Unreadable};
use crate::identity::{
    Layout, create_dir_private, parse_master_key, read_master_key, write_atomically,
};
use crate::model::{AddressPool, Bundle, BundleDigest, BundlePath, Manifest, ServerId};
use crate::settings::{SecretSource, Settings};
use crate::store::{OpenError, Store};
use crate::vault::Vault;

/// Restores a backup. The next start brings every server to its wanted state.
/// Returns how many servers there are. Where it fails, the data directory is as
/// it was.
///
/// # Errors
/// If the data directory has a database or other files that the backup brings,
/// the archive is not a whole backup of a known format, or its secrets do not
/// open under the master key at hand.
pub async fn restore(settings: &Settings, archive: &Path) -> anyhow::Result<usize> {
    let layout = Layout::new(&settings.data_dir);
    refuse_a_platform(&layout)?;
    let mut backup = Backup::read(archive)?;
    let vault = backup.vault(settings)?;
    let pool = settings.networks.open();
    let servers = backup.try_out(&vault, pool).await?;

    let made = !settings.data_dir.exists();
    create_dir_private(&settings.data_dir)?;
    let restored = put_in_place(&layout, &backup, archive, &vault, pool).await;
    if restored.is_err() && made {
        // Only if nothing came into it.
        let _ = fs::remove_dir(&settings.data_dir);
    }
    restored.map(|()| servers)
}

const DISK_WITHOUT_SIZE: &str = "the archive has a piece of a disk before its size";

/// What an archive holds, without code and disks themselves.
pub(super) struct Backup {
    dump: Vec<u8>,
    pub(super) keys: BTreeMap<&'static str, Vec<u8>>,
    /// The bundles that it brings; once it was tried out, those that are needed.
    pub(super) bundles: BTreeSet<BundleDigest>,
    /// The size and the digest of each disk.
    pub(super) disks: BTreeMap<ServerId, (u64, [u8; 32])>,
}

impl Backup {
    fn read(archive: &Path) -> anyhow::Result<Self> {
        let mut dump = None;
        let mut keys = BTreeMap::new();
        let mut manifests: BTreeMap<BundleDigest, Manifest> = BTreeMap::new();
        let mut disks: BTreeMap<ServerId, (u64, DiskDigest)> = BTreeMap::new();
        read(archive, |name, bytes| {
            match Entry::of(name)? {
                Entry::Manifest => {}
                Entry::Database => dump = Some(bytes.to_vec()),
                Entry::Key(key) => {
                    keys.insert(key, bytes.to_vec());
                }
                Entry::BundleFile(digest, path) => {
                    let sha256 = Sha256::digest(bytes).into();
                    let manifest = manifests.entry(digest).or_default();
                    manifest.add(path, sha256, bytes.len() as u64);
                }
                Entry::FormerCode => {
                    let mut manifest = Manifest::default();
                    let sha256 = Sha256::digest(bytes).into();
                    manifest.add(BundlePath::only_file(), sha256, bytes.len() as u64);
                    manifests.insert(manifest.digest(), manifest);
                }
                Entry::DiskSize(id) => {
                    let size = disk::read_size(bytes)?;
                    disks.insert(id, (size, DiskDigest::new(size)));
                }
                Entry::DiskPiece(id, at) => {
                    let (size, digest) = disks.get_mut(&id).context(DISK_WITHOUT_SIZE)?;
                    disk::check_piece(*size, at, bytes)?;
                    digest.take(at, bytes);
                }
            }
            Ok(())
        })?;
        for (digest, manifest) in &manifests {
            ensure!(
                manifest.digest() == *digest,
                "the archive has a bundle that is not what its name says: {digest}"
            );
        }
        Ok(Self {
            dump: dump.context("the archive has no database")?,
            keys,
            bundles: manifests.into_keys().collect(),
            disks: disks
                .into_iter()
                .map(|(id, (size, digest))| (id, (size, digest.finish())))
                .collect(),
        })
    }

    /// The key that the platform will start with.
    fn vault(&self, settings: &Settings) -> anyhow::Result<Vault> {
        let brought = match (&settings.master_key, self.keys.get("master.key")) {
            (SecretSource::DataDir, Some(key)) => Some(String::from_utf8_lossy(key)),
            _ => None,
        };
        let key = match brought {
            Some(text) => parse_master_key(&text).context("the backup's master.key")?,
            None => read_master_key(settings).context(
                "the backup is without keys: put the master.key of the platform that was backed up in place first",
            )?,
        };
        Ok(Vault::new(&key))
    }

    /// Fills a database in memory, and opens everything in it.
    async fn try_out(&mut self, vault: &Vault, pool: AddressPool) -> anyhow::Result<usize> {
        let store = Store::in_memory(vault)?;
        fill(&store, vault, self.dump.clone(), pool).await?;
        if let Some(problem) = unopenable(&store, vault).await?.first() {
            bail!("the backup cannot be used: {}", problem.0);
        }
        let servers = store.load_servers().await?;
        let mut needed = BTreeSet::new();
        for stored in &servers {
            let id = stored.server.id;
            for release in store.releases_of(id).await? {
                if !self.bundles.contains(&release.bundle) {
                    // It was so when the backup was made, which said so.
                    tracing::warn!(server = %id, version = release.number, "the backup is without the code of this version as it was uploaded");
                }
                needed.insert(release.bundle);
            }
        }
        self.bundles.retain(|brought| needed.contains(brought));
        Ok(servers.len())
    }
}

async fn fill(
    store: &Store,
    vault: &Vault,
    dump: Vec<u8>,
    pool: AddressPool,
) -> anyhow::Result<()> {
    store.load_dump(dump, pool).await?;
    // The backup's canary took the place of the new one: a master key that is
    // not the backup's is refused here.
    store.verify_key(vault).map_err(|error| match error {
        OpenError::WrongMasterKey => anyhow::anyhow!(
            "the master key does not fit the backup; put the master.key of the platform that was backed up in place first"
        ),
        other => other.into(),
    })
}

/// One entry of an archive, if it is EMCP's: an archive from elsewhere must not
/// write where it likes.
enum Entry {
    Manifest,
    Database,
    Key(&'static str),
    BundleFile(BundleDigest, BundlePath),
    /// A server's version, as archives had them before bundles.
    FormerCode,
    DiskSize(ServerId),
    DiskPiece(ServerId, u64),
}

impl Entry {
    fn of(name: &Path) -> anyhow::Result<Self> {
        let foreign = || {
            format!(
                "the archive has an entry that is not EMCP's: {}",
                name.display()
            )
        };
        let text = name.to_str().with_context(foreign)?;
        if let Some(key) = KEY_FILES.into_iter().find(|key| *key == text) {
            return Ok(Self::Key(key));
        }
        match text {
            MANIFEST => return Ok(Self::Manifest),
            DATABASE => return Ok(Self::Database),
            _ => {}
        }
        let parts: Vec<&str> = name
            .components()
            .filter_map(|part| match part {
                Component::Normal(text) => text.to_str(),
                _ => None,
            })
            .collect();
        if let Some((digits, path)) = bundle_file(text) {
            let digest = BundleDigest::from_hex(digits).with_context(foreign)?;
            return Ok(Self::BundleFile(
                digest,
                path.parse().with_context(foreign)?,
            ));
        }
        let id = parts.first().and_then(|id| id.parse().ok());
        let id = id.with_context(foreign)?;
        match parts[1..] {
            ["versions", number, "server.py"] => {
                number.parse::<u32>().with_context(foreign)?;
                Ok(Self::FormerCode)
            }
            ["storage", "size"] => Ok(Self::DiskSize(id)),
            ["storage", at] => Ok(Self::DiskPiece(id, at.parse().ok().with_context(foreign)?)),
            _ => bail!(foreign()),
        }
    }
}

/// The digits of a bundle and the path in it.
fn bundle_file(name: &str) -> Option<(&str, &str)> {
    let inner = name.strip_prefix(BUNDLES)?.strip_prefix('/')?;
    inner.split_once('/')
}

/// Writes everything beside, then moves it. Only bundles are written where they
/// belong: they are nothing without the records.
async fn put_in_place(
    layout: &Layout,
    backup: &Backup,
    archive: &Path,
    vault: &Vault,
    pool: AddressPool,
) -> anyhow::Result<()> {
    let _alone = alone(layout.root())?;
    // Another restore may have ended meanwhile.
    refuse_a_platform(layout)?;
    refuse_what_differs(layout, backup)?;
    let beside = Layout::new(&layout.restore_dir());
    // Of a restore that was killed.
    remove_if_there(beside.root())?;
    let mut moved = Moved::new(layout);
    let done = async {
        write_beside(&beside, backup, archive, vault, pool, &mut moved).await?;
        moved.all(&beside, layout, backup)
    }
    .await;
    if done.is_err() {
        moved.take_back();
    }
    let cleared = remove_if_there(beside.root());
    done.and(cleared)
}

fn refuse_a_platform(layout: &Layout) -> anyhow::Result<()> {
    ensure!(
        !layout.database().exists(),
        "{} exists: a backup is restored into an empty data directory only; name another one in EMCP_DATA_DIR, or move this one away",
        layout.database().display()
    );
    Ok(())
}

/// One restore at a time; the lock goes with the process.
fn alone(root: &Path) -> anyhow::Result<File> {
    let folder = File::open(root).with_context(|| format!("cannot open {}", root.display()))?;
    match folder.try_lock() {
        Ok(()) => Ok(folder),
        Err(TryLockError::WouldBlock) => bail!("another restore into {} runs", root.display()),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", root.display()))
        }
    }
}

/// What the backup brings and is there already with another content is not
/// replaced: it may be the only one of its kind.
fn refuse_what_differs(layout: &Layout, backup: &Backup) -> anyhow::Result<()> {
    for (name, bytes) in &backup.keys {
        let path = layout.root().join(name);
        if let Some(present) = content(&path)?
            && present.trim_ascii() != bytes.trim_ascii()
        {
            bail!(
                "{} exists and is not the backup's; it is not replaced: move it away",
                path.display()
            );
        }
    }
    let bundles = Bundles::new(layout.root());
    for digest in &backup.bundles {
        let path = bundles.folder(*digest);
        match bundles.verify(*digest) {
            Ok(()) | Err(Unreadable::Missing) => {}
            Err(Unreadable::Altered) => bail!(
                "{} exists and is not the backup's; it is not replaced: move it away",
                path.display()
            ),
            Err(Unreadable::Disk(error)) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        }
    }
    for (id, (_, digest)) in &backup.disks {
        let path = layout.disk_image(*id);
        if path.exists() {
            let present =
                DiskDigest::of(&path).with_context(|| format!("cannot read {}", path.display()))?;
            ensure!(
                present == *digest,
                "{} exists and is not the backup's; it is not replaced: move it away",
                path.display()
            );
        }
    }
    Ok(())
}

fn content(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

async fn write_beside(
    beside: &Layout,
    backup: &Backup,
    archive: &Path,
    vault: &Vault,
    pool: AddressPool,
    moved: &mut Moved,
) -> anyhow::Result<()> {
    create_dir_private(beside.root())?;
    let store = Store::open(&beside.database(), vault)?;
    fill(&store, vault, backup.dump.clone(), pool).await?;
    drop(store);
    let mut open: Option<(ServerId, File)> = None;
    let mut coming: Option<(BundleDigest, Bundle)> = None;
    // Read once more, and whole once more: it may have been replaced meanwhile.
    read(archive, |name, bytes| {
        let entry = Entry::of(name)?;
        let goes_on =
            matches!((&entry, &coming), (Entry::BundleFile(of, _), Some((last, _))) if of == last);
        if !goes_on {
            moved.put(backup, coming.take())?;
        }
        match entry {
            Entry::Manifest | Entry::Database => {}
            Entry::Key(key) => {
                ensure!(
                    backup.keys.get(key).is_some_and(|known| known == bytes),
                    "the archive was altered meanwhile"
                );
                let mode = if key == "ca.crt" { 0o644 } else { 0o600 };
                write(&beside.root().join(key), bytes, mode)?;
            }
            Entry::BundleFile(digest, path) => {
                let (_, bundle) = coming.get_or_insert_with(|| (digest, Bundle::default()));
                bundle.insert(path, bytes.to_vec());
            }
            Entry::FormerCode => {
                let bundle = Bundle::of_one_file(bytes.to_vec());
                moved.put(backup, Some((bundle.digest(), bundle)))?;
            }
            Entry::DiskSize(id) => {
                finish_disk(open.take())?;
                create_dir_private(&beside.storage_dir(id))?;
                let disk = disk::create(&beside.disk_image(id), disk::read_size(bytes)?)?;
                open = Some((id, disk));
            }
            Entry::DiskPiece(id, at) => {
                let disk = open.as_ref().filter(|(of, _)| *of == id);
                let (_, disk) = disk.context(DISK_WITHOUT_SIZE)?;
                let written = disk.write_all_at(bytes, at);
                written.with_context(|| format!("cannot write the disk of {id}"))?;
            }
        }
        Ok(())
    })?;
    moved.put(backup, coming)?;
    finish_disk(open)
}

fn finish_disk(disk: Option<(ServerId, File)>) -> anyhow::Result<()> {
    match disk {
        Some((id, disk)) => disk
            .sync_all()
            .with_context(|| format!("cannot write the disk of {id}")),
        None => Ok(()),
    }
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    write_atomically(path, bytes, mode).with_context(|| format!("cannot write {}", path.display()))
}

fn remove_if_there(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}
