//! Code files: checked before they are kept, kept whole or not at all.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::servers::event;
use super::{App, ServerView};
use crate::access::{CanInspect, CanRead, CanWrite};
use crate::identity::{Layout, write_atomically};
use crate::model::{Actor, CodeVersion, Deed, Error, Event, Result, Server, ServerId};
use crate::store::ServerChange;

/// Directories and files that the container's user must read.
const READABLE_DIR: u32 = 0o755;
const READABLE_FILE: u32 = 0o644;

/// A checked code file.
#[derive(Debug, Clone)]
pub struct CodeUpload(Vec<u8>);

impl CodeUpload {
    /// Checks that the bytes can be a Python source file.
    ///
    /// # Errors
    /// `code_empty`, `code_not_text`, or too large.
    pub fn check(bytes: &[u8], max_bytes: u64) -> Result<Self> {
        if bytes.len() as u64 > max_bytes {
            return Err(Error::TooLarge {
                field: Some("file"),
                message: format!(
                    "the file has {} bytes, at most {max_bytes} are taken; move data out of the code",
                    bytes.len()
                ),
            });
        }
        let text = std::str::from_utf8(bytes)
            .ok()
            .filter(|text| !text.contains('\0'))
            .ok_or_else(|| {
                Error::invalid(
                    "code_not_text",
                    "file",
                    "the file is not UTF-8 text; upload one Python source file (.py)",
                )
            })?;
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
    pub(super) fn version(&self, number: u32, actor: Actor, now: Timestamp) -> CodeVersion {
        CodeVersion {
            number,
            sha256: hex::encode(Sha256::digest(&self.0)),
            size_bytes: self.0.len() as u64,
            uploaded_by: actor,
            uploaded_at: now,
            last_in_use_at: None,
        }
    }

    /// Writes the file where the container mounts it from, marked as not
    /// recorded yet. Blocking.
    pub(super) fn write(&self, layout: &Layout, id: ServerId, number: u32) -> Result<()> {
        let cannot = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::StorageFull => Error::disk_full(),
            _ => Error::internal("a code file could not be written", error),
        };
        let mut new_dir = DirBuilder::new();
        new_dir.recursive(true).mode(READABLE_DIR);
        let (dir, mark) = (
            layout.code_dir(id, number),
            layout.unrecorded_mark(id, number),
        );
        if let Some(above) = mark.parent() {
            new_dir.create(above).map_err(cannot)?;
        }
        File::create(&mark).map_err(cannot)?;
        new_dir.create(&dir).map_err(cannot)?;
        // The mode given at creation is cut by the umask.
        fs::set_permissions(&dir, fs::Permissions::from_mode(READABLE_DIR)).map_err(cannot)?;
        write_atomically(&layout.code_file(id, number), &self.0, READABLE_FILE).map_err(cannot)
    }
}

/// The number of a server's next version: one that has no directory yet, since
/// code without a record may lie there (`strays`).
fn next_version(layout: &Layout, server: &Server) -> Result<u32> {
    let on_disk = layout
        .versions_on_disk(server.id)
        .map_err(|error| Error::internal("the versions on disk could not be listed", error))?;
    let highest = on_disk.into_iter().max().unwrap_or_default();
    Ok(highest.max(server.newest_version) + 1)
}

impl App {
    /// The code in use.
    ///
    /// # Errors
    /// `server_not_found`, or if the file cannot be read.
    pub async fn code(&self, leave: &CanInspect) -> Result<Vec<u8>> {
        let server = self.find_server(&leave.server().to_string())?.server;
        tokio::fs::read(self.layout.code_file(server.id, server.version))
            .await
            .map_err(|error| Error::internal("a code file could not be read", error))
    }

    /// The code of one version.
    ///
    /// # Errors
    /// `server_not_found`, `version_not_found`, `version_pruned`, or if the file cannot be read.
    pub async fn code_of_version(&self, leave: &CanInspect, number: u32) -> Result<Vec<u8>> {
        let id = leave.server();
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
    /// restarted with it unless `restart` is false.
    ///
    /// # Errors
    /// `server_not_found`, or a full disk; the present version then stays.
    pub async fn put_code(
        &self,
        leave: &CanWrite,
        code: CodeUpload,
        restart: bool,
    ) -> Result<ServerView> {
        let id = leave.server();
        let layout = self.layout.clone();
        let actor = leave.actor().clone();
        let written = Arc::new(OnceLock::new());
        let write_note = Arc::clone(&written);
        let changed = self.change(leave, move |server| {
            let now = Timestamp::now();
            server.newest_version = next_version(&layout, server)?;
            server.version = server.newest_version;
            server.revision += 1;
            if restart {
                server.wish_again_if_running();
            }
            write_note.get_or_init(|| server.version);
            code.write(&layout, id, server.version)?;
            let uploaded = Deed::CodeUploaded {
                version: server.version,
            };
            Ok(ServerChange {
                version: Some(code.version(server.version, actor.clone(), now)),
                ..ServerChange::of_record(Event::of_deed(now, uploaded, &actor))
            })
        });
        let changed = changed.await;
        match (&changed, written.get()) {
            (Ok(_), Some(number)) => self.is_recorded(id, *number).await,
            (Err(_), Some(number)) => self.remove_unrecorded_version(id, *number).await,
            (_, None) => {}
        }
        if changed.is_ok() {
            self.prune_versions(id).await;
        }
        changed
    }

    /// Takes the mark off a version that has its record now.
    pub(super) async fn is_recorded(&self, id: ServerId, number: u32) {
        if let Err(error) = tokio::fs::remove_file(self.layout.unrecorded_mark(id, number)).await {
            tracing::warn!(server = %id, number, %error, "a mark remains until the next start");
        }
    }

    /// The file of an upload that was refused, unless a later upload has taken
    /// its number since.
    async fn remove_unrecorded_version(&self, id: ServerId, number: u32) {
        let (folder, mark) = (
            self.layout.code_dir(id, number),
            self.layout.unrecorded_mark(id, number),
        );
        let removed = self
            .store
            .if_unrecorded(id, number, move || {
                fs::remove_dir_all(&folder)
                    .and_then(|()| fs::remove_file(&mark))
                    .map_err(|error| Error::internal("an unrecorded version remains", error))
            })
            .await;
        if let Err(error) = removed {
            tracing::warn!(server = %id, number, %error, "a refused upload remains until the next start");
        }
    }

    /// All versions of a server's code, oldest first.
    ///
    /// # Errors
    /// `server_not_found`, or if the database fails.
    pub async fn versions(&self, _: &CanRead, id_or_name: &str) -> Result<Vec<CodeVersion>> {
        let id = self.find_server(id_or_name)?.server.id;
        self.store.versions_of(id).await
    }

    /// Puts an earlier version into use.
    ///
    /// # Errors
    /// `server_not_found`, `version_not_found`, `version_pruned`, or if the database fails.
    pub async fn activate_version(&self, leave: &CanWrite, number: u32) -> Result<ServerView> {
        let id = leave.server();
        self.require_version(id, number).await?;
        let event = event(Deed::VersionActivated { version: number }, leave);
        self.change(leave, move |server| {
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
        let newest = self.find_server(&id.to_string())?.server.newest_version;
        if (1..=newest).contains(&number) {
            return Err(Error::version_pruned(number));
        }
        Err(Error::NotFound {
            code: "version_not_found",
            message: format!("the server has no version {number}"),
        })
    }

    pub(super) async fn write_code(
        &self,
        id: ServerId,
        number: u32,
        code: CodeUpload,
    ) -> Result<()> {
        let layout = self.layout.clone();
        let written = tokio::task::spawn_blocking(move || code.write(&layout, id, number))
            .await
            .map_err(|error| Error::internal("writing a code file ended early", error))?;
        if written.is_err() {
            self.remove_files(id).await;
        }
        written
    }

    /// Files of a server that did not come to be.
    pub(super) async fn remove_files(&self, id: ServerId) {
        if let Err(error) = tokio::fs::remove_dir_all(self.layout.server_dir(id)).await
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(server = %id, %error, "files of a failed upload remain until the next start");
        }
    }
}
