//! A look at a database that another EMCP may be writing to. The engine's own
//! lock keeps a second process out, so what is looked at is a copy in memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use redb::backends::InMemoryBackend;
use redb::{Database, StorageBackend};

use super::guard::guarded;
use super::{OpenError, Store, prepare};
use crate::model::Error;
use crate::vault::Vault;

/// Where the engine says which commit is the last one.
const HEADER_BYTES: usize = 4096;
/// What looks has little memory.
const COPY_MAX_BYTES: u64 = 64 * 1024 * 1024;
const PIECE_BYTES: usize = 1024 * 1024;
/// A commit while the copy is made spoils it.
const ATTEMPTS: usize = 10;

/// What a look at a database came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Glance {
    /// This EMCP can use it.
    Fits,
    /// It was not looked into, for this reason; the start will tell.
    Unread(&'static str),
}

impl Store {
    /// Whether this EMCP can use the database, which may be in use. Changes
    /// nothing, and takes no lock that a starting EMCP could meet. One of the
    /// vaults must fit.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn glance(path: &Path, vaults: &[Vault]) -> Result<Glance, OpenError> {
        let damaged = |detail: String| OpenError::Damaged {
            path: path.display().to_string(),
            detail,
        };
        let unread = |error| Error::internal("the database file cannot be read", error);
        let file = File::open(path).map_err(unread)?;
        let mut copy = None;
        for _ in 0..ATTEMPTS {
            let length = file.metadata().map_err(unread)?.len();
            if length == 0 {
                return Err(damaged("the file is empty".to_owned()));
            }
            if length > COPY_MAX_BYTES {
                return Ok(Glance::Unread("too large to be looked into beforehand"));
            }
            copy = copy_between_commits(&file, length).map_err(unread)?;
            if copy.is_some() {
                break;
            }
        }
        let Some(copy) = copy else {
            return Ok(Glance::Unread(
                "written all the time, so it could not be looked into beforehand",
            ));
        };
        let db = guarded(|| Database::builder().create_with_backend(copy))
            .map_err(damaged)?
            .map_err(|error| damaged(error.to_string()))?;
        let mut fits = Err(OpenError::WrongMasterKey);
        for vault in vaults {
            if matches!(fits, Err(OpenError::WrongMasterKey)) {
                fits = guarded(|| prepare(&db, vault)).map_err(damaged)?;
            }
        }
        fits?;
        let store = Self::of(path, db);
        // A newer EMCP may have written records that this one does not know.
        store.load_servers().await?;
        store.load_tokens().await?;
        Ok(Glance::Fits)
    }
}

/// None if a commit, or a change of length, came in between. What a
/// transaction writes before it commits is where the last commit has nothing.
fn copy_between_commits(file: &File, length: u64) -> io::Result<Option<InMemoryBackend>> {
    let copy = InMemoryBackend::new();
    let before = header(file)?;
    copy.set_len(length).map_err(io::Error::other)?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = 0;
    while at < length {
        let count = file.read_at(&mut piece, at)?;
        if count == 0 {
            return Ok(None);
        }
        let count = count.min(usize::try_from(length - at).unwrap_or(usize::MAX));
        copy.write(at, &piece[..count]).map_err(io::Error::other)?;
        at += count as u64;
    }
    // The pieces' own header is one of two that are the same.
    Ok((header(file)? == before && file.metadata()?.len() == length).then_some(copy))
}

fn header(file: &File) -> io::Result<Vec<u8>> {
    let mut header = vec![0; HEADER_BYTES];
    let count = file.read_at(&mut header, 0)?;
    header.truncate(count);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use redb::ReadableDatabase;

    use super::*;
    use crate::store::{codec, tables};

    fn vault() -> Vault {
        Vault::new(&[1; 32])
    }

    #[tokio::test]
    async fn a_database_in_use_is_looked_into_while_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("emcp.redb");
        let store = Store::open(&path, &vault()).unwrap();
        let db = store.database().unwrap();
        let writing = std::thread::spawn(move || {
            for number in 0..200_u128 {
                let txn = db.begin_write().unwrap();
                txn.open_table(tables::NAMES)
                    .unwrap()
                    .insert(format!("server-{number}").as_str(), number)
                    .unwrap();
                txn.commit().unwrap();
            }
            db.begin_read().unwrap();
        });
        while !writing.is_finished() {
            // Whether a commit came in between is chance; that it is never
            // taken for damage is not.
            Store::glance(&path, &[vault()]).await.unwrap();
        }
        writing.join().unwrap();
        assert_eq!(
            Store::glance(&path, &[vault()]).await.unwrap(),
            Glance::Fits
        );
        store.check().await.unwrap();
    }

    #[tokio::test]
    async fn another_format_or_another_key_does_not_fit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("emcp.redb");
        let store = Store::open(&path, &vault()).unwrap();
        let other = Vault::new(&[2; 32]);
        let refused = Store::glance(&path, std::slice::from_ref(&other)).await;
        assert!(matches!(refused, Err(OpenError::WrongMasterKey)));
        // As after a rotation that was cut short.
        let fits = Store::glance(&path, &[other, vault()]).await.unwrap();
        assert_eq!(fits, Glance::Fits);

        let db = store.database().unwrap();
        let txn = db.begin_write().unwrap();
        let format = codec::encode(&(tables::FORMAT + 1)).unwrap();
        txn.open_table(tables::META)
            .unwrap()
            .insert(tables::META_FORMAT, format.as_slice())
            .unwrap();
        txn.commit().unwrap();
        let refused = Store::glance(&path, &[vault()]).await;
        assert!(matches!(refused, Err(OpenError::TooNew { .. })));
    }
}
