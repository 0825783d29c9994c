//! The database: the only room that names redb.
//!
//! Records are JSON in a versioned envelope. Every public call is one
//! transaction, run off the async threads; what it acknowledged is on disk.

mod audit;
mod codec;
mod dump;
mod events;
mod glance;
mod records;
mod servers;
mod tables;
mod tokens;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use redb::{Database, ReadableDatabase, ReadableTable};

use crate::blocking::run_blocking;
use crate::model::{Error, Result};
use crate::vault::{Sealed, Vault};

use records::Record;

pub use dump::Dump;
pub use glance::Glance;
pub use servers::{NewServer, ServerChange, StoredEnvVar, StoredServer, StoredValue};

/// A handle to the database; cheap to clone.
#[derive(Clone)]
pub struct Store {
    path: Arc<Path>,
    /// Empty from a failed write until the next call opens it anew: after an
    /// I/O error (a full disk) redb refuses all work on an open database.
    db: Arc<RwLock<Option<Arc<Database>>>>,
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
        "the database {path} cannot be read ({detail}); nothing was changed. Restore a backup, or move the file away to begin with an empty platform (the code of the servers stays on disk)"
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
        prepare(&db, vault)?;
        Ok(Self {
            path: Arc::from(path),
            db: Arc::new(RwLock::new(Some(Arc::new(db)))),
        })
    }

    /// Runs one read transaction off the async threads.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&redb::ReadTransaction) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.with_database(move |db| {
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
        self.with_database(move |db| {
            let txn = db.begin_write().map_err(codec::db)?;
            let value = work(&txn)?;
            txn.commit().map_err(codec::db)?;
            Ok(value)
        })
        .await
    }

    async fn with_database<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = self.clone();
        run_blocking(move || {
            let db = store.database()?;
            let result = work(&db);
            if let Err(Error::Internal(_) | Error::Unavailable { .. }) = &result {
                store.close_if_refusing(db);
            }
            result
        })
        .await
        .map_err(|error| Error::internal("a database call ended early", error))?
    }

    /// The database, opened anew if a failed write had closed it.
    fn database(&self) -> Result<Arc<Database>> {
        if let Some(db) = &*self.db.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(Arc::clone(db));
        }
        let mut slot = self.db.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(db) = &*slot {
            return Ok(Arc::clone(db));
        }
        let db = Arc::new(Database::create(&*self.path).map_err(codec::db)?);
        tracing::info!("the database was opened anew after a failed write");
        *slot = Some(Arc::clone(&db));
        Ok(db)
    }

    /// Gives up a database that refuses to work. It closes when the last call
    /// that uses it has ended; until then opening it anew fails.
    fn close_if_refusing(&self, db: Arc<Database>) {
        let refuses = match db.begin_write() {
            Ok(txn) => txn.open_table(tables::META).is_err(),
            Err(_) => true,
        };
        if !refuses {
            return;
        }
        let mut slot = self.db.write().unwrap_or_else(PoisonError::into_inner);
        slot.take_if(|present| Arc::ptr_eq(present, &db));
    }

    /// Whether the database can be written to; for readiness. A transaction
    /// that changes nothing costs no disk access.
    ///
    /// # Errors
    /// If it cannot.
    pub async fn check(&self) -> Result<()> {
        self.with_database(|db| {
            let txn = db.begin_write().map_err(codec::db)?;
            txn.open_table(tables::META).map_err(codec::db)?;
            txn.abort().map_err(codec::db)
        })
        .await
    }
}

/// Makes all tables, checks the format and the canary.
fn prepare(db: &Database, vault: &Vault) -> std::result::Result<(), OpenError> {
    let txn = db.begin_write().map_err(codec::db)?;
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

type MetaTable<'txn> = redb::Table<'txn, &'static str, &'static [u8]>;

fn read_meta<T: Record>(meta: &MetaTable<'_>, key: &str) -> Result<Option<T>> {
    meta.get(key)
        .map_err(codec::db)?
        .map(|guard| codec::decode(guard.value()))
        .transpose()
}

fn write_meta<T: Record>(meta: &mut MetaTable<'_>, key: &str, value: &T) -> Result<()> {
    let bytes = codec::encode(value)?;
    meta.insert(key, bytes.as_slice()).map_err(codec::db)?;
    Ok(())
}
