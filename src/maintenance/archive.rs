//! A backup: one tar file with a consistent view of the database and all code.
//!
//! Code versions never change, so files copied after the database was read are
//! those it speaks of. The database comes before them: a server deleted
//! meanwhile is then in the archive without its files, and `restore` says so.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::identity::Layout;

pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const DATABASE: &str = "database.jsonl";
/// The format of archives; raised with every change that an older EMCP could
/// not read.
pub(super) const FORMAT: u32 = 1;
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
pub(super) struct Manifest {
    pub(super) format: u32,
    pub(super) emcp_version: String,
    pub(super) created_at: Timestamp,
    pub(super) with_keys: bool,
}

/// Writes the archive. Blocking.
///
/// # Errors
/// Any I/O error.
pub fn write_backup(
    out: impl Write,
    layout: &Layout,
    database: &[u8],
    with_keys: bool,
) -> io::Result<()> {
    let mut archive = tar::Builder::new(out);
    let manifest = Manifest {
        format: FORMAT,
        emcp_version: env!("CARGO_PKG_VERSION").to_owned(),
        created_at: Timestamp::now(),
        with_keys,
    };
    append(
        &mut archive,
        MANIFEST,
        &serde_json::to_vec_pretty(&manifest)?,
        0o644,
    )?;
    append(&mut archive, DATABASE, database, 0o600)?;
    for (name, path) in code_files(layout)? {
        match std::fs::read(&path) {
            Ok(bytes) => append(&mut archive, &name, &bytes, 0o644)?,
            // Deleted since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    if with_keys {
        for name in KEY_FILES {
            match std::fs::read(layout.root().join(name)) {
                Ok(bytes) => append(&mut archive, name, &bytes, 0o600)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    archive.into_inner()?.flush()
}

/// Every `{server id}/versions/{n}/server.py`, by its name in the archive.
fn code_files(layout: &Layout) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for folder in std::fs::read_dir(layout.root())? {
        let folder = folder?;
        let name = folder.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        for number in layout.versions_on_disk(id)? {
            found.push((
                format!("{id}/versions/{number}/server.py"),
                layout.code_file(id, number),
            ));
        }
    }
    Ok(found)
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
pub(super) fn read_entry(entry: &mut impl Read, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = entry.take(max_bytes + 1).read_to_end(&mut bytes)? as u64;
    if read > max_bytes {
        return Err(io::Error::other("an entry of the archive is too large"));
    }
    Ok(bytes)
}
