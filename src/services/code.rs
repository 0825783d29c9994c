//! Code files: checked before they are kept, kept whole or not at all.

use std::io::ErrorKind;
use std::sync::Arc;

use jiff::Timestamp;

use super::changes::{Changes, event};
use super::parts::Parts;
use super::versions::Pruner;
use crate::access::{CanInspect, CanRead, CanWrite};
use crate::api::ServerView;
use crate::blocking::run_blocking;
use crate::bundles::{Bundles, Lease, Unreadable};
use crate::directory::Directory;
use crate::model::{
    Bundle, Deed, Error, Event, Principal, Release, Result, Seen, ServerId, Tag, decode_source,
    encode_source,
};
use crate::store::{NewRelease, ServerChange, Store};

/// A checked code file.
#[derive(Debug, Clone)]
pub struct CodeUpload(Vec<u8>);

impl CodeUpload {
    /// Checks that the text can be a Python source file, and takes it in the
    /// encoding that it declares.
    ///
    /// # Errors
    /// As [`CodeUpload::check`].
    pub fn check_text(text: &str, max_bytes: u64) -> Result<Self> {
        Self::check_size(text.len(), max_bytes)?;
        Self::check(&encode_source(text)?, max_bytes)
    }

    fn check_size(bytes: usize, max_bytes: u64) -> Result<()> {
        if bytes as u64 > max_bytes {
            return Err(Error::TooLarge {
                field: Some("file"),
                message: format!(
                    "the file has {bytes} bytes, at most {max_bytes} are taken; move data out of the code"
                ),
            });
        }
        Ok(())
    }

    /// Checks that the bytes can be a Python source file, in UTF-8 or in the
    /// encoding that they declare.
    ///
    /// # Errors
    /// `code_empty`, `code_not_text`, or too large.
    pub fn check(bytes: &[u8], max_bytes: u64) -> Result<Self> {
        Self::check_size(bytes.len(), max_bytes)?;
        let text = decode_source(bytes)?;
        if text.contains('\0') {
            return Err(Error::invalid(
                "code_not_text",
                "file",
                "the file has NUL characters, so it is no text; upload one Python source file (.py)",
            ));
        }
        if text.trim().is_empty() {
            return Err(Error::invalid(
                "code_empty",
                "file",
                "the file is empty; upload one Python source file (.py)",
            ));
        }
        Ok(Self(bytes.to_vec()))
    }

    /// The record of this file as release `number`.
    pub(super) fn release(&self, number: u32, by: Principal, at: Timestamp) -> Release {
        Release::of_file(number, &self.0, by, at)
    }
}

/// Servers' code, and its versions.
pub struct Code {
    directory: Arc<Directory>,
    store: Store,
    bundles: Arc<Bundles>,
    files: CodeFiles,
    changes: Changes,
    pruner: Arc<Pruner>,
}

impl Code {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            directory: Arc::clone(&parts.directory),
            store: parts.store.clone(),
            bundles: Arc::clone(&parts.bundles),
            files: CodeFiles::of(parts),
            changes: Changes::of(parts),
            pruner: Arc::clone(&parts.pruner),
        }
    }

    /// The code in use, and its tag.
    ///
    /// # Errors
    /// `server_not_found`, or if the file cannot be read.
    pub async fn in_use(&self, permit: &CanInspect) -> Result<(Vec<u8>, Tag)> {
        let server = self.directory.require(&permit.server().to_string())?.server;
        let code = self.read(server.id, server.version).await?;
        Ok((code, server.etags().code))
    }

    /// The code of one version.
    ///
    /// # Errors
    /// `server_not_found`, `version_not_found`, `version_pruned`, or if the file cannot be read.
    pub async fn of_version(&self, permit: &CanInspect, number: u32) -> Result<Vec<u8>> {
        self.read(permit.server(), number).await
    }

    async fn read(&self, id: ServerId, number: u32) -> Result<Vec<u8>> {
        let release = self.require_release(id, number).await?;
        let bundles = Arc::clone(&self.bundles);
        let read = run_blocking(move || bundles.read(&release));
        let read = read
            .await
            .map_err(|error| Error::internal("reading a bundle ended early", error))?;
        match read {
            Ok(code) => Ok(code),
            // Removed since its record was looked up.
            Err(Unreadable::Missing) if self.store.release(id, number).await?.is_none() => {
                Err(Error::version_pruned(number))
            }
            Err(unreadable) => Err(Error::Internal(format!(
                "the code of version {number} {unreadable}"
            ))),
        }
    }

    /// Takes the next version of a server's code; a running server is
    /// restarted with it unless `restart` is false. Of uploads at the same time
    /// the last to be recorded is in use afterwards.
    ///
    /// # Errors
    /// `server_not_found`, `precondition_failed`, or a full disk; the present
    /// version then stays.
    pub async fn put(
        &self,
        permit: &CanWrite,
        seen: Seen,
        code: CodeUpload,
        restart: bool,
    ) -> Result<ServerView> {
        let id = permit.server();
        let known = self.directory.require(&id.to_string())?.server;
        // The transaction decides; this spares writing a file for nothing.
        seen.require(&known.etags().code)?;
        let actor = permit.actor().clone();
        let mut release = code.release(0, actor.clone(), Timestamp::now());
        let bundle = self.files.write(code).await?;
        let changed = self.changes.make(permit, move |server| {
            seen.require(&server.etags().code)?;
            server.newest_version += 1;
            server.version = server.newest_version;
            server.revision += 1;
            if restart {
                server.wish_again_if_running();
            }
            release.number = server.version;
            let uploaded = Deed::CodeUploaded {
                version: release.number,
            };
            let event = Event::of_deed(release.uploaded_at, uploaded, &actor);
            Ok(ServerChange {
                release: Some(NewRelease { release, bundle }),
                ..ServerChange::of_record(event)
            })
        });
        let changed = changed.await;
        if changed.is_ok() {
            self.pruner.prune_versions(id).await;
        }
        changed
    }

    /// All versions of a server's code, oldest first.
    ///
    /// # Errors
    /// `server_not_found`, or if the database fails.
    pub async fn versions(&self, _: &CanRead, id_or_name: &str) -> Result<Vec<Release>> {
        let id = self.directory.require(id_or_name)?.server.id;
        self.store.releases_of(id).await
    }

    /// Puts an earlier version into use.
    ///
    /// # Errors
    /// `server_not_found`, `version_not_found`, `version_pruned`,
    /// `precondition_failed`, or if the database fails.
    pub async fn activate(&self, permit: &CanWrite, seen: Seen, number: u32) -> Result<ServerView> {
        self.require_release(permit.server(), number).await?;
        let event = event(Deed::VersionActivated { version: number }, permit);
        self.changes
            .make(permit, move |server| {
                seen.require(&server.etags().code)?;
                server.version = number;
                server.revision += 1;
                server.wish_again_if_running();
                Ok(ServerChange::of_record(event))
            })
            .await
    }

    async fn require_release(&self, id: ServerId, number: u32) -> Result<Release> {
        if let Some(release) = self.store.release(id, number).await? {
            return Ok(release);
        }
        let newest = self
            .directory
            .require(&id.to_string())?
            .server
            .newest_version;
        if (1..=newest).contains(&number) {
            return Err(Error::version_pruned(number));
        }
        Err(Error::NotFound {
            code: "version_not_found",
            message: format!("the server has no version {number}"),
        })
    }
}

/// Writes the files of releases that are to be recorded.
pub(super) struct CodeFiles {
    bundles: Arc<Bundles>,
    store: Store,
}

impl CodeFiles {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            bundles: Arc::clone(&parts.bundles),
            store: parts.store.clone(),
        }
    }

    /// Puts a file on disk, for a release that is to be recorded. It stays for
    /// as long as the lease lives, and goes by itself where no release has it
    /// then.
    ///
    /// # Errors
    /// A full disk.
    pub(super) async fn write(&self, code: CodeUpload) -> Result<Lease> {
        let cut_short = |error| Error::internal("writing a bundle ended early", error);
        let bundles = Arc::clone(&self.bundles);
        let taking = run_blocking(move || {
            let bundle = Bundle::of_one_file(code.0);
            let lease = bundles.lease(bundle.digest());
            (lease.is_there(), lease, bundle)
        });
        let (is_there, lease, bundle) = taking.await.map_err(cut_short)?;
        if !is_there {
            self.store.note_loose_bundle(lease.digest()).await?;
        }
        let writing = run_blocking(move || lease.write(&bundle).map(|()| lease));
        let written = writing.await.map_err(cut_short)?;
        written.map_err(|error| match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::disk_full(),
            _ => Error::internal("a code file could not be written", error),
        })
    }
}
