//! A backup: one tar file with a consistent view of the database, all code, and
//! what servers have stored.
//!
//! Bundles never change, so files copied after the database was read are those
//! it speaks of; whoever calls sees to it that none goes meanwhile. Each is in it
//! once, whoever has it. The last entry holds a digest of all before it: an archive that was cut short or
//! altered is known before anything of it is used.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::disk::for_each_piece;
use crate::bundles::{Bundles, Unreadable};
use crate::identity::Layout;
use crate::model::{Release, ServerId};
use crate::store::Dump;

pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const DATABASE: &str = "database.jsonl";
/// The folder of bundles: each is a folder in it, named by its digits.
pub(super) const BUNDLES: &str = "bundles";
/// The last entry: the SHA-256 of everything before it.
const DIGEST: &str = "digest.txt";
/// The format of archives; raised with every change that an older EMCP could
/// not read.
const FORMAT: u32 = 4;
/// The oldest that this EMCP reads: 2 knew of no storage, and 3 had code by its
/// server and number.
const OLDEST_FORMAT: u32 = 2;
/// Far above any real entry; guards against an archive that is not ours.
const ENTRY_MAX_BYTES: u64 = 1024 * 1024 * 1024;
/// Files that prove who this EMCP is; only in a backup made with keys.
pub(super) const KEY_FILES: [&str; 5] = [
    "master.key",
    "admin-token",
    "provider-token",
    "ca.key",
    "ca.crt",
];

/// What the archive is.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    emcp_version: String,
    created_at: Timestamp,
    with_keys: bool,
}

/// Writes the archive of a platform that is at rest. Blocking.
///
/// # Errors
/// Any I/O error.
pub fn write_backup<W: Write>(
    out: W,
    layout: &Layout,
    dump: &Dump,
    with_keys: bool,
) -> io::Result<W> {
    let bundles = Bundles::new(layout.root());
    let mut backup = BackupWriter::begin(out, layout, &bundles, dump, with_keys)?;
    for id in &dump.disks {
        backup.add_disk(layout, *id)?;
    }
    backup.finish()
}

/// A backup that is being written.
pub struct BackupWriter<W: Write> {
    tar: tar::Builder<W>,
    digest: Sha256,
}

impl<W: Write> BackupWriter<W> {
    /// Writes all but what servers have stored. Blocking. No bundle that the dump
    /// speaks of may be removed meanwhile.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn begin(
        out: W,
        layout: &Layout,
        bundles: &Bundles,
        dump: &Dump,
        with_keys: bool,
    ) -> io::Result<Self> {
        let mut archive = Self {
            tar: tar::Builder::new(out),
            digest: Sha256::new(),
        };
        let manifest = Manifest {
            format: FORMAT,
            emcp_version: env!("CARGO_PKG_VERSION").to_owned(),
            created_at: Timestamp::now(),
            with_keys,
        };
        archive.add(MANIFEST, &serde_json::to_vec_pretty(&manifest)?, 0o644)?;
        archive.add(DATABASE, &dump.lines, 0o600)?;
        let mut known = BTreeSet::new();
        for (id, release) in &dump.releases {
            if known.insert(release.bundle) {
                archive.add_bundle(bundles, *id, release)?;
            }
        }
        if with_keys {
            for name in KEY_FILES {
                archive.add_file(name, &layout.root().join(name), 0o600)?;
            }
        }
        Ok(archive)
    }

    fn add_bundle(&mut self, bundles: &Bundles, id: ServerId, release: &Release) -> io::Result<()> {
        let bundle = match bundles.read_whole(release.bundle) {
            Ok(bundle) => bundle,
            Err(Unreadable::Disk(error)) => return Err(error),
            Err(lost) => {
                // Lost before: what is left is worth a backup all the same.
                let (number, bundle) = (release.number, release.bundle);
                tracing::warn!(server = %id, number, %bundle, "the code of this version {lost}; the backup is without it");
                return Ok(());
            }
        };
        let digits = release.bundle.hex();
        for (path, content) in bundle.files() {
            self.add(&format!("{BUNDLES}/{digits}/{path}"), content, 0o444)?;
        }
        Ok(())
    }

    /// Adds the disk of a server, to which nobody may write meanwhile. Blocking.
    /// A server that has never started has none yet.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn add_disk(&mut self, layout: &Layout, id: ServerId) -> io::Result<()> {
        let disk = match File::open(layout.disk_image(id)) {
            Ok(disk) => disk,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let size = disk.metadata()?.len();
        self.add(
            &format!("{id}/storage/size"),
            size.to_string().as_bytes(),
            0o600,
        )?;
        for_each_piece(&disk, |at, piece| {
            self.add(&format!("{id}/storage/{at}"), piece, 0o600)
        })
    }

    /// Writes the end, and returns what it was written to.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn finish(mut self) -> io::Result<W> {
        let digest = hex::encode(self.digest.finalize());
        append(&mut self.tar, DIGEST, digest.as_bytes(), 0o644)?;
        let mut out = self.tar.into_inner()?;
        out.flush()?;
        Ok(out)
    }

    fn add(&mut self, name: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
        take_up(&mut self.digest, Path::new(name), bytes);
        append(&mut self.tar, name, bytes, mode)
    }

    /// Tells whether there is such a file.
    fn add_file(&mut self, name: &str, path: &Path, mode: u32) -> io::Result<bool> {
        match std::fs::read(path) {
            Ok(bytes) => self.add(name, &bytes, mode).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Hands over every entry but the digest, in order, and reads the archive to
/// its end: whether it is whole and of a format that this EMCP knows is told
/// only then. Blocking.
///
/// # Errors
/// If it is not, saying why; or what `take` says.
pub(super) fn read(
    archive: &Path,
    mut take: impl FnMut(&Path, &[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut digest = Sha256::new();
    let mut written = None;
    let mut has_manifest = false;
    // What is wrong with an entry is told only of a whole archive.
    let mut refused = Ok(());
    for_each_entry(archive, |name, bytes| {
        ensure!(
            written.is_none(),
            "the archive is damaged: it goes on behind its end"
        );
        if !has_manifest {
            ensure!(name == Path::new(MANIFEST), "this is not a backup of EMCP");
            check_format(bytes)?;
            has_manifest = true;
        }
        if name == Path::new(DIGEST) {
            written = Some(bytes.to_vec());
        } else {
            take_up(&mut digest, name, bytes);
            if refused.is_ok() {
                refused = take(name, bytes);
            }
        }
        Ok(())
    })?;
    ensure!(has_manifest, "this is not a backup of EMCP");
    let written = written.context("the archive is damaged: its end is missing")?;
    ensure!(
        written == hex::encode(digest.finalize()).as_bytes(),
        "the archive is damaged: its content is not what was written"
    );
    refused
}

fn for_each_entry(
    archive: &Path,
    mut take: impl FnMut(&Path, &[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let file = File::open(archive).with_context(|| format!("cannot open {}", archive.display()))?;
    let mut entries = tar::Archive::new(BufReader::new(file));
    for entry in entries.entries()? {
        let mut entry = entry.context("the archive is damaged, or no backup of EMCP")?;
        let name = entry.path()?.into_owned();
        let size = entry.size();
        let bytes = read_entry(&mut entry, ENTRY_MAX_BYTES)
            .with_context(|| format!("{} in the archive", name.display()))?;
        ensure!(
            bytes.len() as u64 == size,
            "the archive is damaged: {} is cut short",
            name.display()
        );
        take(&name, &bytes)?;
    }
    Ok(())
}

fn check_format(manifest: &[u8]) -> anyhow::Result<()> {
    let manifest: Manifest =
        serde_json::from_slice(manifest).context("this is not a backup of EMCP")?;
    if !(OLDEST_FORMAT..=FORMAT).contains(&manifest.format) {
        bail!(
            "the backup has format {}, this EMCP reads {OLDEST_FORMAT} to {FORMAT}; use EMCP {}",
            manifest.format,
            manifest.emcp_version
        );
    }
    Ok(())
}

/// Lengths go first, so that no two different archives are taken up alike.
fn take_up(digest: &mut Sha256, name: &Path, bytes: &[u8]) {
    let name = name.as_os_str().as_encoded_bytes();
    for part in [name, bytes] {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
}

fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    name: &str,
    bytes: &[u8],
    mode: u32,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    header.set_mtime(u64::try_from(Timestamp::now().as_second()).unwrap_or(0));
    archive.append_data(&mut header, name, bytes)
}

/// Reads one entry whole, within a bound.
fn read_entry(entry: &mut impl Read, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = entry.take(max_bytes + 1).read_to_end(&mut bytes)? as u64;
    if read > max_bytes {
        return Err(io::Error::other("an entry of the archive is too large"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_of_before_are_read_and_those_to_come_are_not() {
        let check = |format| {
            let manifest = Manifest {
                format,
                emcp_version: "1.2.3".into(),
                created_at: Timestamp::UNIX_EPOCH,
                with_keys: false,
            };
            check_format(&serde_json::to_vec(&manifest).unwrap())
        };
        assert!(check(2).is_ok() && check(FORMAT).is_ok());
        for format in [1, FORMAT + 1] {
            let refused = check(format).unwrap_err().to_string();
            assert!(refused.contains("use EMCP 1.2.3"), "{refused}");
        }
    }
}
