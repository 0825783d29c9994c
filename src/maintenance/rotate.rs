//! A new master key: everything sealed is sealed anew in one transaction.
//!
//! The new key is on disk before the transaction and takes the old one's place
//! after it. A crash in between leaves both files; the next start sees which
//! one fits the database.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use secrecy::ExposeSecret;

use crate::identity::{Identity, Layout, write_atomically};
use crate::settings::{SecretSource, Settings};
use crate::store::{OpenError, Store};
use crate::vault::{Vault, random_bytes};

/// Seals everything under a new random key. Returns how many values there were.
///
/// # Errors
/// If an EMCP is using the data directory, a value does not open, or the key
/// was given as a value rather than a file.
pub async fn rotate_key(settings: &Settings) -> anyhow::Result<usize> {
    let key_file = key_file(settings)?;
    let identity = Identity::load_or_create(settings)?;
    let old = Vault::new(&identity.master_key);
    let layout = Layout::new(&settings.data_dir);
    let store = Store::open(&layout.database(), &old)?;
    let key = random_bytes::<32>()?;
    let new = Vault::new(&key);
    let next = next_file(&key_file);
    write_atomically(&next, hex::encode(key).as_bytes(), 0o600)
        .with_context(|| format!("cannot write {}", next.display()))?;
    let canary = new.canary()?;
    let count = store
        .reseal(canary, move |place, sealed| {
            let plaintext = old.open(place, sealed)?;
            new.seal(place, plaintext.expose_secret())
        })
        .await?;
    put_in_place(&next, &key_file)?;
    Ok(count)
}

/// Opens the database, finishing a rotation that a crash cut short.
///
/// # Errors
/// As [`Store::open`].
pub fn finish_rotation(settings: &Settings, vault: Vault) -> anyhow::Result<(Store, Vault)> {
    let database = Layout::new(&settings.data_dir).database();
    let next = key_file(settings).ok().map(|file| next_file(&file));
    let next_key = next.as_deref().and_then(read_key);
    match (Store::open(&database, &vault), next, next_key) {
        (Ok(store), next, _) => {
            // A rotation that did not get to its transaction.
            if let Some(next) = next
                && next.exists()
            {
                fs::remove_file(&next)
                    .with_context(|| format!("cannot remove {}", next.display()))?;
            }
            Ok((store, vault))
        }
        (Err(OpenError::WrongMasterKey), Some(next), Some(key)) => {
            let new = Vault::new(&key);
            let store = Store::open(&database, &new)?;
            put_in_place(&next, &key_file(settings)?)?;
            tracing::warn!("a rotation of the master key that was cut short is finished");
            Ok((store, new))
        }
        (Err(error), ..) => Err(error.into()),
    }
}

/// The vaults one of which fits the database: a rotation that was cut short
/// leaves a second key behind.
pub(super) fn possible_vaults(settings: &Settings, vault: Vault) -> Vec<Vault> {
    let next = key_file(settings).ok().map(|file| next_file(&file));
    let next_key = next.as_deref().and_then(read_key);
    std::iter::once(vault)
        .chain(next_key.map(|key| Vault::new(&key)))
        .collect()
}

fn key_file(settings: &Settings) -> anyhow::Result<PathBuf> {
    match &settings.master_key {
        SecretSource::DataDir => Ok(Layout::new(&settings.data_dir).master_key()),
        SecretSource::File(path) => Ok(path.clone()),
        SecretSource::Given(_) => bail!(
            "the master key is given as a value (EMCP_MASTER_KEY); put it into a file and name that in EMCP_MASTER_KEY_FILE, so that it can be replaced"
        ),
    }
}

fn next_file(key_file: &Path) -> PathBuf {
    let mut name = key_file.as_os_str().to_owned();
    name.push(".next");
    PathBuf::from(name)
}

fn read_key(path: &Path) -> Option<[u8; 32]> {
    let mut key = [0_u8; 32];
    let text = fs::read_to_string(path).ok()?;
    hex::decode_to_slice(text.trim(), &mut key).ok()?;
    Some(key)
}

fn put_in_place(next: &Path, key_file: &Path) -> anyhow::Result<()> {
    fs::rename(next, key_file).with_context(|| {
        format!(
            "the new key is in {} and could not take the place of {}",
            next.display(),
            key_file.display()
        )
    })
}
