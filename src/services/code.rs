//! Code files: checked before they are kept, kept whole or not at all.

use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::ServerView;
use super::changes::{Changes, event};
use super::parts::Parts;
use super::version_files::UnrecordedVersion;
use super::versions::Pruner;
use crate::access::{CanInspect, CanRead, CanWrite};
use crate::blocking::run_blocking;
use crate::directory::Directory;
use crate::identity::Layout;
use crate::model::{
    CodeVersion, Deed, Error, Event, Principal, Result, Seen, ServerId, Tag, decode_source,
    encode_source,
};
use crate::store::{ServerChange, Store};

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

    /// The record of this file as version `number`.
    pub(super) fn version(&self, number: u32, actor: Principal, now: Timestamp) -> CodeVersion {
        CodeVersion {
            number,
            sha256: hex::encode(Sha256::digest(&self.0)),
            size_bytes: self.0.len() as u64,
            uploaded_by: actor,
            uploaded_at: now,
            last_in_use_at: None,
        }
    }

    /// The file.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Servers' code, and its versions.
pub struct Code {
    directory: Arc<Directory>,
    store: Store,
    layout: Layout,
    files: CodeFiles,
    changes: Changes,
    pruner: Arc<Pruner>,
}

impl Code {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            directory: Arc::clone(&parts.directory),
            store: parts.store.clone(),
            layout: parts.layout.clone(),
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
        let code = tokio::fs::read(self.layout.code_file(server.id, server.version))
            .await
            .map_err(|error| Error::internal("a code file could not be read", error))?;
        Ok((code, server.etags().code))
    }

    /// The code of one version.
    ///
    /// # Errors
    /// `server_not_found`, `version_not_found`, `version_pruned`, or if the file cannot be read.
    pub async fn of_version(&self, permit: &CanInspect, number: u32) -> Result<Vec<u8>> {
        let id = permit.server();
        self.require_version(id, number).await?;
        tokio::fs::read(self.layout.code_file(id, number))
            .await
            .map_err(|error| match error.kind() {
                // Removed since its record was looked up.
                std::io::ErrorKind::NotFound => Error::version_pruned(number),
                _ => Error::internal("a code file could not be read", error),
            })
    }

    /// Takes the next version of a server's code; a running server is
    /// restarted with it unless `restart` is false. Of uploads at the same time
    /// the last to come is in use afterwards.
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
        let newest = known.newest_version;
        let (files, code) = self.files.write_version(id, newest, code).await?;
        let number = files.number();
        let record = code.version(number, permit.actor().clone(), Timestamp::now());
        let actor = permit.actor().clone();
        let changed = self.changes.make(permit, move |server| {
            seen.require(&server.etags().code)?;
            // One that came later may have been quicker; it stays in use.
            if server.newest_version < number {
                server.newest_version = number;
                server.version = number;
                server.revision += 1;
            }
            if restart {
                server.wish_again_if_running();
            }
            let uploaded = Deed::CodeUploaded { version: number };
            let event = Event::of_deed(record.uploaded_at, uploaded, &actor);
            Ok(ServerChange {
                version: Some(record),
                ..ServerChange::of_record(event)
            })
        });
        let changed = changed.await;
        self.files.settle_version(files, changed.is_ok()).await;
        if changed.is_ok() {
            self.pruner.prune_versions(id).await;
        }
        changed
    }

    /// All versions of a server's code, oldest first.
    ///
    /// # Errors
    /// `server_not_found`, or if the database fails.
    pub async fn versions(&self, _: &CanRead, id_or_name: &str) -> Result<Vec<CodeVersion>> {
        let id = self.directory.require(id_or_name)?.server.id;
        self.store.versions_of(id).await
    }

    /// Puts an earlier version into use.
    ///
    /// # Errors
    /// `server_not_found`, `version_not_found`, `version_pruned`,
    /// `precondition_failed`, or if the database fails.
    pub async fn activate(&self, permit: &CanWrite, seen: Seen, number: u32) -> Result<ServerView> {
        let id = permit.server();
        self.require_version(id, number).await?;
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

    async fn require_version(&self, id: ServerId, number: u32) -> Result<()> {
        let known = self.store.versions_of(id).await?;
        if known.iter().any(|version| version.number == number) {
            return Ok(());
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

/// Writes versions' files until they have their records.
pub(super) struct CodeFiles {
    layout: Layout,
    store: Store,
}

impl CodeFiles {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            layout: parts.layout.clone(),
            store: parts.store.clone(),
        }
    }

    /// Takes a number after `newest` and writes the file, which has no record
    /// yet. Whoever gets it hands it to [`CodeFiles::settle_version`].
    ///
    /// # Errors
    /// A full disk; nothing remains then.
    pub(super) async fn write_version(
        &self,
        id: ServerId,
        newest: u32,
        code: CodeUpload,
    ) -> Result<(UnrecordedVersion, CodeUpload)> {
        let layout = self.layout.clone();
        let written = run_blocking(move || {
            let files = UnrecordedVersion::take(&layout, id, newest)?;
            match files.write(&code) {
                Ok(()) => Ok((files, code)),
                Err(error) => {
                    files.remove();
                    Err(error)
                }
            }
        });
        written
            .await
            .map_err(|error| Error::internal("writing a code file ended early", error))?
    }

    /// Takes the mark off a version that has its record now, or removes the
    /// files of one that got none.
    pub(super) async fn settle_version(&self, files: UnrecordedVersion, is_recorded: bool) {
        let has_record = if is_recorded {
            Some(true)
        } else {
            self.has_version(&files).await
        };
        let Some(has_record) = has_record else {
            // Marked as it is, the next start tells what it must be.
            return;
        };
        let settled = run_blocking(move || match has_record {
            true => files.keep(),
            false => files.remove(),
        });
        if let Err(error) = settled.await {
            tracing::error!(%error, "an upload's files could not be settled");
        }
    }

    /// Whether a version is recorded: a transaction that failed may have
    /// reached the disk all the same. `None` if that cannot be known.
    async fn has_version(&self, files: &UnrecordedVersion) -> Option<bool> {
        let recorded = self.store.versions_of(files.server()).await.ok()?;
        let number = files.number();
        Some(recorded.iter().any(|version| version.number == number))
    }
}
