//! Code files: checked before they are kept, kept whole or not at all.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::identity::{Layout, write_atomically};
use crate::model::{Actor, CodeVersion, Error, Result, ServerId};

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
        }
    }

    /// Writes the file where the container mounts it from. Blocking.
    pub(super) fn write(&self, layout: &Layout, id: ServerId, number: u32) -> Result<()> {
        let cannot = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::StorageFull => Error::disk_full(),
            _ => Error::internal("a code file could not be written", error),
        };
        let dir = layout.code_dir(id, number);
        DirBuilder::new()
            .recursive(true)
            .mode(READABLE_DIR)
            .create(&dir)
            .map_err(cannot)?;
        // The mode given at creation is cut by the umask.
        fs::set_permissions(&dir, fs::Permissions::from_mode(READABLE_DIR)).map_err(cannot)?;
        write_atomically(&layout.code_file(id, number), &self.0, READABLE_FILE).map_err(cannot)
    }
}
