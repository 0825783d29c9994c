//! A backup of the running platform.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use uuid::Uuid;

use super::App;
use crate::access::CanAdminister;
use crate::blocking::run_blocking;
use crate::maintenance::write_backup;
use crate::model::{Error, Result};

impl App {
    /// Writes a backup into a file without a name and returns it, at its
    /// beginning: however this ends, nothing is left behind.
    ///
    /// # Errors
    /// If the database fails, or `disk_full`.
    pub async fn backup(&self, leave: &CanAdminister, with_keys: bool) -> Result<File> {
        // Taken before the database is read: what it speaks of then stays.
        let code_stays = Arc::clone(&self.code_removal).read_owned().await;
        let dump = self.store.dump().await?;
        let layout = self.layout.clone();
        let written = run_blocking(move || {
            let path = layout
                .root()
                .join(format!(".backup-{}.tmp", Uuid::now_v7()));
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?;
            std::fs::remove_file(&path)?;
            write_backup(BufWriter::new(&mut file), &layout, &dump, with_keys)?;
            drop(code_stays);
            file.seek(SeekFrom::Start(0))?;
            Ok(file)
        })
        .await
        .map_err(|error| Error::internal("a backup ended early", error))?;
        let file = written.map_err(|error: std::io::Error| match error.kind() {
            std::io::ErrorKind::StorageFull => Error::disk_full(),
            _ => Error::internal("a backup could not be written", error),
        })?;
        tracing::info!(by = leave.actor().0, with_keys, "backup made");
        Ok(file)
    }
}
