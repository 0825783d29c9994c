//! Brings a backup back into an empty data directory.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path};

use anyhow::{Context, bail};

use super::archive::{DATABASE, KEY_FILES, MANIFEST, unpack, verify};
use crate::identity::{Identity, Layout, create_dir_private, write_atomically};
use crate::model::AddressPool;
use crate::settings::Settings;
use crate::store::Store;
use crate::vault::Vault;

/// Restores a backup. The next start brings every server to its wanted state.
/// Returns how many servers there are.
///
/// # Errors
/// If the data directory has a database, the archive is not a whole backup of a
/// known format, or its secrets do not open under the master key at hand.
pub async fn restore(settings: &Settings, archive: &Path) -> anyhow::Result<usize> {
    let layout = Layout::new(&settings.data_dir);
    if layout.database().exists() {
        bail!(
            "{} exists: a backup is restored into an empty data directory only; name another one in EMCP_DATA_DIR, or move this one away",
            layout.database().display()
        );
    }
    // Before anything is written: a refused archive leaves no trace.
    verify(archive)?;
    create_dir_private(&settings.data_dir)?;
    let dump = unpack_into(&settings.data_dir, archive)?;
    let identity = Identity::load_or_create(settings)?;
    let vault = Vault::new(&identity.master_key);
    let restored = fill(&layout, &vault, dump, settings.networks.open()).await;
    if restored.is_err() {
        // A half-filled database must not pass for a whole one.
        let _ = fs::remove_file(layout.database());
    }
    restored
}

async fn fill(
    layout: &Layout,
    vault: &Vault,
    dump: Vec<u8>,
    pool: AddressPool,
) -> anyhow::Result<usize> {
    let store = Store::open(&layout.database(), vault)?;
    store.load_dump(dump, pool).await?;
    drop(store);
    // The backup's canary took the place of the new one: a master key that is
    // not the backup's is refused here.
    let store = Store::open(&layout.database(), vault).context(
        "put the master.key of the platform that was backed up into the data directory first",
    )?;
    Ok(store.load_servers().await?.len())
}

/// Puts files in their places and returns the database's dump.
fn unpack_into(root: &Path, archive: &Path) -> anyhow::Result<Vec<u8>> {
    let mut dump = None;
    unpack(archive, |name, bytes| match name.to_str() {
        Some(MANIFEST) => Ok(()),
        Some(DATABASE) => {
            dump = Some(bytes.to_vec());
            Ok(())
        }
        Some(key) if KEY_FILES.contains(&key) => put_key(root, key, bytes),
        _ => put_code(root, name, bytes),
    })?;
    dump.context("the archive has no database")
}

/// Never replaces a key that is there.
fn put_key(root: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let path = root.join(name);
    if path.exists() {
        bail!(
            "{} exists and is not replaced; move it away",
            path.display()
        );
    }
    let mode = if name == "ca.crt" { 0o644 } else { 0o600 };
    write_atomically(&path, bytes, mode).with_context(|| format!("cannot write {}", path.display()))
}

/// Writes `{server id}/versions/{n}/server.py` and nothing else: an archive
/// from elsewhere must not write where it likes.
fn put_code(root: &Path, name: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let parts: Vec<&str> = name
        .components()
        .filter_map(|part| match part {
            Component::Normal(text) => text.to_str(),
            _ => None,
        })
        .collect();
    let [id, "versions", number, "server.py"] = parts.as_slice() else {
        bail!(
            "the archive has an entry that is not EMCP's: {}",
            name.display()
        );
    };
    let (id, number) = (id.parse()?, number.parse()?);
    let layout = Layout::new(root);
    let dir = layout.code_dir(id, number);
    fs::create_dir_all(&dir)?;
    // The container's user reads it.
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))?;
    write_atomically(&layout.code_file(id, number), bytes, 0o644)?;
    Ok(())
}
