//! A backup of the running platform.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::parts::Parts;
use super::storage::Disks;
use crate::access::CanAdminister;
use crate::blocking::run_blocking;
use crate::bundles::Bundles;
use crate::identity::Layout;
use crate::maintenance::BackupWriter;
use crate::metrics::Metrics;
use crate::model::{Error, Result};
use crate::store::Store;

/// Makes backups.
pub struct Backups {
    store: Store,
    layout: Layout,
    bundles: Arc<Bundles>,
    disks: Disks,
    metrics: Arc<Metrics>,
}

impl Backups {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            store: parts.store.clone(),
            layout: parts.layout.clone(),
            bundles: Arc::clone(&parts.bundles),
            disks: Disks::of(parts),
            metrics: Arc::clone(&parts.metrics),
        }
    }

    /// Writes a backup into a file without a name and returns it, at its
    /// beginning: however this ends, nothing is left behind. Servers with
    /// storage are frozen one by one, each while its disk is copied.
    ///
    /// # Errors
    /// If the database fails, `docker_unavailable` where a server has storage,
    /// or `disk_full`.
    pub async fn make(&self, permit: &CanAdminister, with_keys: bool) -> Result<File> {
        // Taken before the database is read: what it speaks of then stays.
        let code_stays = self.bundles.hold();
        let mut dump = self.store.dump().await?;
        let disks = std::mem::take(&mut dump.disks);
        let (layout, bundles) = (self.layout.clone(), Arc::clone(&self.bundles));
        let mut backup = writing(move || {
            // Also where the caller hangs up meanwhile.
            let _code_stays = code_stays;
            let path = layout
                .root()
                .join(format!(".backup-{}.tmp", Uuid::now_v7()));
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?;
            std::fs::remove_file(&path)?;
            BackupWriter::begin(BufWriter::new(file), &layout, &bundles, &dump, with_keys)
        })
        .await?;
        for id in disks {
            let still = self.disks.still_disk(id).await?;
            let layout = self.layout.clone();
            let added = writing(move || backup.add_disk(&layout, id).map(|()| backup)).await;
            self.disks.go_on(still).await;
            backup = added?;
        }
        let file = writing(move || {
            let mut file = backup.finish()?.into_inner()?;
            file.seek(SeekFrom::Start(0))?;
            Ok(file)
        })
        .await?;
        let now = Timestamp::now();
        self.metrics.backed_up(Some(now));
        if let Err(error) = self.store.note_backup(now).await {
            // Only monitoring asks for it, and only after the next start.
            tracing::warn!(%error, "a backup was made, and its time is not kept");
        }
        tracing::info!(by = permit.actor().name, with_keys, "backup made");
        Ok(file)
    }
}

async fn writing<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let written = run_blocking(work)
        .await
        .map_err(|error| Error::internal("a backup ended early", error))?;
    written.map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull => Error::disk_full(),
        _ => Error::internal("a backup could not be written", error),
    })
}
