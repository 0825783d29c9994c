//! The database: the only room that names redb.
//!
//! Records are JSON in a versioned envelope. Every public call is one
//! transaction, run off the async threads; what it acknowledged is on disk.

mod audit;
mod before;
mod codec;
mod dump;
mod events;
mod examine;
mod glance;
mod guard;
mod instances;
mod leases;
mod principals;
mod quota;
mod records;
mod releases;
mod scan;
mod servers;
mod tables;
mod tokens;
mod upgrade;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use jiff::Timestamp;
use redb::{Database, ReadableDatabase, ReadableTable};

use crate::blocking::run_blocking;
use crate::metrics::Commits;
use crate::model::{Error, Result};
use crate::trouble;
use crate::vault::{Sealed, Vault};

use guard::guarded;
use records::Record;

pub use audit::AuditWrite;
pub use before::is_kept_of_before;
pub use dump::Dump;
pub use examine::{Damage, Examined};
pub use glance::Glance;
pub use leases::JobLease;
pub use quota::Allowance;
pub use releases::{LooseBundle, NewRelease};
pub use servers::{NewServer, ServerChange, StoredEnvVar, StoredServer, StoredValue};

/// A handle to the database; cheap to clone.
#[derive(Clone)]
pub struct Store {
    path: Arc<Path>,
    /// Empty from a failed write until the next call opens it anew: after an
    /// I/O error (a full disk) redb refuses all work on an open database.
    db: Arc<RwLock<Option<Arc<Database>>>>,
    commits: Commits,
}

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds it.
    #[error(
        "the database {0} is in use by another EMCP; stop that one first (one EMCP a data directory)"
    )]
    InUse(String),
    /// There is none, where there must be one.
    #[error("there is no database at {0}; name the platform's data directory in EMCP_DATA_DIR")]
    Missing(String),
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
        let damaged = |detail| OpenError::Damaged {
            path: shown.clone(),
            detail,
        };
        let mut db = open_file(path)?;
        // It holds what was sealed, and the names of what was not.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))
            .map_err(|error| Error::internal("the database file cannot be protected", error))?;
        if guarded(|| before::is_of_before(&db)).map_err(damaged)?? {
            // Nobody may write to it while it is copied.
            drop(db);
            before::keep(path).map_err(|error| {
                let doing = "the database, which an earlier EMCP wrote, cannot be copied before it is brought to a newer format; it is as it was";
                Error::internal(doing, error)
            })?;
            db = open_file(path)?;
        }
        guarded(|| prepare(&db, vault)).map_err(damaged)??;
        Ok(Self::of(path, db))
    }

    fn of(path: &Path, db: Database) -> Self {
        Self {
            path: Arc::from(path),
            db: Arc::new(RwLock::new(Some(Arc::new(db)))),
            commits: Commits::default(),
        }
    }

    /// As [`Store::open`], where there must be a database already.
    ///
    /// # Errors
    /// `Missing` where there is none; else as [`Store::open`].
    pub fn open_existing(path: &Path, vault: &Vault) -> std::result::Result<Self, OpenError> {
        if !path.exists() {
            return Err(OpenError::Missing(path.display().to_string()));
        }
        Self::open(path, vault)
    }

    /// The same database, its commits timed.
    #[must_use]
    pub fn measured(self, commits: Commits) -> Self {
        Self { commits, ..self }
    }

    /// Checks format and key anew, after everything was filled in from a dump.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn verify_key(&self, vault: &Vault) -> std::result::Result<(), OpenError> {
        prepare(&*self.database()?, vault)
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
        let begin = Instant::now();
        let writing = self.with_database(move |db| {
            let txn = db.begin_write().map_err(codec::db)?;
            let value = work(&txn)?;
            let begin = Instant::now();
            txn.commit().map_err(codec::db)?;
            Ok((value, begin.elapsed()))
        });
        let written = writing.await;
        match &written {
            Ok((_, took)) => self.commits.took(true, *took),
            // A full disk may show before the commit.
            Err(Error::Internal(_) | Error::Unavailable { .. }) => {
                self.commits.took(false, begin.elapsed());
            }
            Err(_) => {}
        }
        written.map(|(value, _)| value)
    }

    async fn with_database<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = self.clone();
        run_blocking(move || {
            let db = store.database()?;
            trouble::DATABASE.worked();
            let result = guarded(|| work(&db)).unwrap_or_else(|panic| Err(codec::damaged(&panic)));
            if let Err(Error::Internal(_) | Error::Unavailable { .. }) = &result {
                // What panics here too refuses as well.
                let _ = guarded(|| store.close_if_refusing(db));
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
        let opened = guarded(|| Database::create(&*self.path));
        let opened = opened.map_err(|panic| codec::damaged(&panic))?;
        let db = Arc::new(opened.map_err(codec::db)?);
        *slot = Some(Arc::clone(&db));
        Ok(db)
    }

    /// Gives up a database that refuses to work. It closes when the last call
    /// that uses it has ended; until then opening it anew fails.
    fn close_if_refusing(&self, db: Arc<Database>) {
        let refuses = guarded(|| match db.begin_write() {
            Ok(txn) => txn.open_table(tables::META).is_err(),
            Err(_) => true,
        });
        let refuses = refuses.unwrap_or(true);
        if !refuses {
            return;
        }
        let mut slot = self.db.write().unwrap_or_else(PoisonError::into_inner);
        slot.take_if(|present| Arc::ptr_eq(present, &db));
        trouble::DATABASE.met(&"a write failed");
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

impl Store {
    /// Keeps when the newest backup was made.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn note_backup(&self, at: Timestamp) -> Result<()> {
        let second = u64::try_from(at.as_second()).unwrap_or(0);
        self.write(move |txn| {
            let mut meta = txn.open_table(tables::META).map_err(codec::db)?;
            write_meta(&mut meta, tables::META_BACKUP, &second)
        })
        .await
    }

    /// When the newest backup was made, in whole seconds; `None` for never. One
    /// that this database came from knows only of those before it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn last_backup(&self) -> Result<Option<Timestamp>> {
        let second: Option<u64> = self
            .read(|txn| {
                let meta = txn.open_table(tables::META).map_err(codec::db)?;
                read_meta(&meta, tables::META_BACKUP)
            })
            .await?;
        let second = second.and_then(|second| i64::try_from(second).ok());
        Ok(second.and_then(|second| Timestamp::from_second(second).ok()))
    }
}

/// Whether an error says nothing of what is in the file.
fn is_of_the_disk(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::StorageFull
            | ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::NotFound
    )
}

/// Opens or creates the file itself.
fn open_file(path: &Path) -> std::result::Result<Database, OpenError> {
    let shown = || path.display().to_string();
    let damaged = |detail| OpenError::Damaged {
        path: shown(),
        detail,
    };
    guarded(|| Database::create(path))
        .map_err(damaged)?
        .map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => OpenError::InUse(shown()),
            redb::DatabaseError::Storage(redb::StorageError::Io(error))
                if is_of_the_disk(&error) =>
            {
                OpenError::Failed(codec::db(redb::StorageError::Io(error)))
            }
            other => damaged(other.to_string()),
        })
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
            Some(tables::FORMAT) => {}
            // The levels below are what it takes.
            Some(_) | None => write_meta(&mut meta, tables::META_FORMAT, &tables::FORMAT)?,
        }
        match read_meta::<Sealed>(&meta, tables::META_CANARY)? {
            Some(canary) if !vault.knows(&canary) => return Err(OpenError::WrongMasterKey),
            Some(_) => {}
            None => write_meta(&mut meta, tables::META_CANARY, &vault.canary()?)?,
        }
        let level = read_meta::<u64>(&meta, tables::META_LEVEL)?.unwrap_or(0);
        if level < 1 {
            scan::add_checksums(&txn)?;
        }
        if level < 2 {
            principals::take_in_all(&txn)?;
            // Its keys were names.
            audit::drop_index(&txn)?;
        }
        if level < 3 {
            upgrade::to_instances(&txn)?;
        }
        if level < tables::LEVEL {
            write_meta(&mut meta, tables::META_LEVEL, &tables::LEVEL)?;
        }
    }
    audit::index_if_needed(&txn)?;
    txn.commit().map_err(codec::db)?;
    Ok(())
}

type MetaTable<'txn> = redb::Table<'txn, &'static str, &'static [u8]>;

fn read_meta<T: Record>(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
) -> Result<Option<T>> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[tokio::test]
    async fn the_newest_backup_is_remembered_and_each_commit_is_timed() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::new(&[1; 32]);
        let path = dir.path().join("emcp.redb");
        let metrics = Metrics::default();
        let store = Store::open(&path, &vault).unwrap();
        let store = store.measured(metrics.commits());
        assert_eq!(store.last_backup().await.unwrap(), None);
        for second in [7, 9] {
            let at = Timestamp::from_second(second).unwrap();
            store.note_backup(at).await.unwrap();
        }
        drop(store);
        let store = Store::open(&path, &vault).unwrap();
        let last = store.last_backup().await.unwrap();
        assert_eq!(last.map(Timestamp::as_second), Some(9));
        let text = metrics.render(std::iter::empty()).unwrap();
        let commits = "emcp_store_commit_duration_seconds_count{outcome=\"ok\"} 2\n";
        assert!(text.contains(commits), "{text}");
    }
}
