//! The database: the only room that names redb.
//!
//! Records are JSON in a versioned envelope. Every public call is one
//! transaction, run off the async threads; what it acknowledged is on disk.

mod codec;
mod dump;
mod events;
mod servers;
mod tables;
mod tokens;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::{Error, Result};
use crate::vault::{Sealed, Vault};

pub use servers::{NewServer, ServerChange, StoredEnvVar, StoredServer, StoredValue};

/// A handle to the database; cheap to clone.
#[derive(Clone)]
pub struct Store {
    db: Arc<Database>,
}

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds it.
    #[error(
        "the database {0} is in use by another EMCP; stop that one first (one EMCP a data directory)"
    )]
    InUse(String),
    /// It is not readable as a database. It is never overwritten.
    #[error(
        "the database {path} cannot be read ({detail}); nothing was changed. Restore a backup, or move the file away to begin with an empty platform"
    )]
    Damaged {
        /// Where it is.
        path: String,
        /// What the database engine says.
        detail: String,
    },
    /// It was written by a newer EMCP.
    #[error("the database has format {found}, this EMCP knows up to {known}; use a newer EMCP")]
    TooNew {
        /// Format in the file.
        found: u64,
        /// Highest format this EMCP reads.
        known: u64,
    },
    /// Its secrets were sealed under another master key.
    #[error(
        "the master key does not fit this database: its secrets were sealed under another key. Put the right master.key back (or set EMCP_MASTER_KEY_FILE)"
    )]
    WrongMasterKey,
    /// Anything else, in the engine's words.
    #[error("the database failed: {0}")]
    Failed(#[from] Error),
}

impl Store {
    /// Opens or creates the database and makes sure the vault's key fits it.
    ///
    /// # Errors
    /// See [`OpenError`]. A damaged file is left as it is.
    pub fn open(path: &Path, vault: &Vault) -> std::result::Result<Self, OpenError> {
        let shown = path.display().to_string();
        // redb would take an empty file for a new database; here it is one that
        // was cut to nothing.
        if fs::metadata(path).is_ok_and(|file| file.len() == 0) {
            return Err(OpenError::Damaged {
                path: shown,
                detail: "the file is empty".to_owned(),
            });
        }
        let db = Database::create(path).map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => OpenError::InUse(shown.clone()),
            other => OpenError::Damaged {
                path: shown.clone(),
                detail: other.to_string(),
            },
        })?;
        // It holds what was sealed, and the names of what was not.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))
            .map_err(|error| Error::internal("the database file cannot be protected", error))?;
        let store = Self { db: Arc::new(db) };
        store.prepare(vault)?;
        Ok(store)
    }

    /// Makes all tables, checks the format and the canary.
    fn prepare(&self, vault: &Vault) -> std::result::Result<(), OpenError> {
        let txn = self.db.begin_write().map_err(codec::db)?;
        tables::open_all(&txn)?;
        {
            let mut meta = txn.open_table(tables::META).map_err(codec::db)?;
            match read_meta::<u64>(&meta, tables::META_FORMAT)? {
                Some(found) if found > tables::FORMAT => {
                    return Err(OpenError::TooNew {
                        found,
                        known: tables::FORMAT,
                    });
                }
                Some(_) => {}
                None => write_meta(&mut meta, tables::META_FORMAT, &tables::FORMAT)?,
            }
            match read_meta::<Sealed>(&meta, tables::META_CANARY)? {
                Some(canary) if !vault.knows(&canary) => return Err(OpenError::WrongMasterKey),
                Some(_) => {}
                None => write_meta(&mut meta, tables::META_CANARY, &vault.canary()?)?,
            }
        }
        txn.commit().map_err(codec::db)?;
        Ok(())
    }

    /// Runs one read transaction off the async threads.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&redb::ReadTransaction) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let db = Arc::clone(&self.db);
        off_thread(move || {
            let txn = db.begin_read().map_err(codec::db)?;
            work(&txn)
        })
        .await
    }

    /// Runs one durable write transaction off the async threads. An error
    /// from `work` leaves the database as it was.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&redb::WriteTransaction) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let db = Arc::clone(&self.db);
        off_thread(move || {
            let txn = db.begin_write().map_err(codec::db)?;
            let value = work(&txn)?;
            txn.commit().map_err(codec::db)?;
            Ok(value)
        })
        .await
    }

    /// Whether the database answers; for readiness.
    ///
    /// # Errors
    /// If a read transaction fails.
    pub async fn check(&self) -> Result<()> {
        self.read(|txn| {
            txn.open_table(tables::META).map_err(codec::db)?;
            Ok(())
        })
        .await
    }
}

type MetaTable<'txn> = redb::Table<'txn, &'static str, &'static [u8]>;

fn read_meta<T: DeserializeOwned>(meta: &MetaTable<'_>, key: &str) -> Result<Option<T>> {
    meta.get(key)
        .map_err(codec::db)?
        .map(|guard| codec::decode(guard.value()))
        .transpose()
}

fn write_meta<T: Serialize>(meta: &mut MetaTable<'_>, key: &str, value: &T) -> Result<()> {
    let bytes = codec::encode(value)?;
    meta.insert(key, bytes.as_slice()).map_err(codec::db)?;
    Ok(())
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::internal("a database call ended early", error))?
}
