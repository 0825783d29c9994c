//! Looks at a database file without changing it: in a copy in memory, since the
//! engine mends what it opens, and may fall back to an older state by that.

use std::fs::{self, OpenOptions};
use std::io;
use std::ops::Bound;
use std::path::Path;

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{Database, StorageBackend};

use super::guard::guarded;
use super::{OpenError, Store, prepare, scan};
use crate::model::Error;
use crate::vault::Vault;

/// Something in the file that is not what was written, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The table, where it is known.
    pub table: Option<&'static str>,
    /// The record's key, where it is known.
    pub key: Option<String>,
    /// What is wrong.
    pub detail: String,
}

impl Damage {
    fn of_file(detail: impl Into<String>) -> Self {
        Self {
            table: None,
            key: None,
            detail: detail.into(),
        }
    }
}

/// What a look at a database file found.
pub struct Examined {
    /// The database, as a copy that may be read and is thrown away; none where
    /// the file is damaged.
    pub store: Option<Store>,
    /// What is not what was written; none where all is well.
    pub damages: Vec<Damage>,
}

impl Store {
    /// Verifies every page and every record of a database that no EMCP is using.
    /// Nothing is written. Blocking; takes as much memory as the file is long.
    ///
    /// # Errors
    /// [`OpenError`] where the file cannot be read, is in use, or is whole and
    /// not for this EMCP or this key.
    pub fn examine(path: &Path, vault: &Vault) -> std::result::Result<Examined, OpenError> {
        let unreadable =
            |error| OpenError::Failed(Error::internal("the database cannot be read", error));
        // Others' writes are kept out from before the copy is made.
        let locks = lock_out_others(path)?;
        let content = fs::read(path).map_err(unreadable)?;
        let only = |damage| Examined {
            store: None,
            damages: vec![damage],
        };
        if content.is_empty() {
            return Ok(only(Damage::of_file("the file is empty")));
        }
        let opened = guarded(|| verified(&content));
        drop(locks);
        let why = match opened {
            Ok(Ok(db)) => match guarded(|| scan::all(&db)) {
                Ok(Ok(damages)) if damages.is_empty() => return whole(path, db, vault),
                Ok(Ok(damages)) => {
                    return Ok(Examined {
                        store: None,
                        damages,
                    });
                }
                Ok(Err(error)) => error.to_string(),
                Err(panic) => panic,
            },
            Ok(Err(why)) => why,
            Err(panic) => panic,
        };
        // It is damaged. Which records, as far as it can still be read?
        let mut damages = guarded(|| {
            let db = in_memory(&content).map_err(super::codec::db)?;
            scan::all(&db)
        })
        .unwrap_or_else(|_| Ok(Vec::new()))
        .unwrap_or_default();
        damages.insert(0, Damage::of_file(why));
        Ok(Examined {
            store: None,
            damages,
        })
    }

    /// A new database that is nowhere but in memory.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn in_memory(vault: &Vault) -> std::result::Result<Self, OpenError> {
        let db = Database::builder()
            .create_with_backend(InMemoryBackend::new())
            .map_err(super::codec::db)?;
        whole_store(Path::new(""), db, vault)
    }
}

fn whole(path: &Path, db: Database, vault: &Vault) -> std::result::Result<Examined, OpenError> {
    Ok(Examined {
        store: Some(whole_store(path, db, vault)?),
        damages: Vec::new(),
    })
}

fn whole_store(path: &Path, db: Database, vault: &Vault) -> std::result::Result<Store, OpenError> {
    prepare(&db, vault)?;
    Ok(Store::of(path, db))
}

/// A copy whose every page is what was written, or why there is none.
fn verified(content: &[u8]) -> std::result::Result<Database, String> {
    let mut db = in_memory(content).map_err(|error| error.to_string())?;
    match db.check_integrity() {
        Ok(true) => Ok(db),
        Ok(false) => Err("pages of the file are not what was written".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn in_memory(content: &[u8]) -> std::result::Result<Database, redb::DatabaseError> {
    let backend = InMemoryBackend::new();
    backend.set_len(content.len() as u64)?;
    backend.write(0, content)?;
    Database::builder().create_with_backend(backend)
}

/// Holds the engine's own lock on the file, so that nobody writes to it while
/// it is copied. Where it may not be written to there is no lock to be had.
fn lock_out_others(path: &Path) -> std::result::Result<Option<FileBackend>, OpenError> {
    let unreadable =
        |error: io::Error| OpenError::Failed(Error::internal("the database cannot be read", error));
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(unreadable(error)),
    };
    let backend =
        FileBackend::new(file).map_err(|error| OpenError::Failed(super::codec::db(error)))?;
    match backend.try_lock_range(Bound::Unbounded, Bound::Unbounded) {
        Ok(true) => Ok(Some(backend)),
        Ok(false) => Err(OpenError::InUse(path.display().to_string())),
        Err(error) => Err(unreadable(io::Error::other(error.to_string()))),
    }
}
