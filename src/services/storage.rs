//! What servers keep beyond their containers: whether there is room for it, and
//! its disks while they are copied.

use std::sync::Arc;

use super::parts::Parts;
use crate::blocking::run_blocking;
use crate::disk::space;
use crate::disk_locks::{DiskLock, DiskLocks};
use crate::identity::Layout;
use crate::model::{ContainerId, Error, Result, ServerId, Storage};
use crate::reconcile::Waker;
use crate::runtime::{Phase, Runtime, RuntimeError};

/// A disk that nobody writes to: the server's containers are frozen, and what
/// the kernel held back has been written.
pub(super) struct StillDisk {
    id: ServerId,
    frozen: Vec<ContainerId>,
    waker: Arc<Waker>,
    _lock: DiskLock,
}

impl Drop for StillDisk {
    /// However a copy ends, also where its caller hung up in the middle: the
    /// reconciler finds what is still frozen, and lets it go on.
    fn drop(&mut self) {
        self.waker.wake(self.id);
    }
}

/// Storage is set aside when the server starts; what the disk cannot give
/// is refused while somebody is there to read it. Where that cannot be
/// known, the start will tell.
///
/// # Errors
/// `disk_full`.
pub(super) async fn check_room(
    layout: &Layout,
    wanted: Option<Storage>,
    has: Option<Storage>,
) -> Result<()> {
    let bytes = |storage: Option<Storage>| storage.map_or(0, |storage| storage.size_bytes);
    let more = bytes(wanted).saturating_sub(bytes(has));
    if more == 0 {
        return Ok(());
    }
    let root = layout.root().to_owned();
    match run_blocking(move || space(&root)).await {
        Ok(Ok(space)) if space.free_bytes < more => Err(Error::disk_full()),
        _ => Ok(()),
    }
}

/// Holds servers' disks still.
pub(super) struct Disks {
    runtime: Arc<dyn Runtime>,
    /// Taken by whoever copies a server's disk.
    locks: Arc<DiskLocks>,
    waker: Arc<Waker>,
}

impl Disks {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            runtime: Arc::clone(&parts.runtime),
            locks: Arc::clone(&parts.disk_locks),
            waker: Arc::clone(&parts.waker),
        }
    }

    /// Freezes a server for as long as its disk is copied. Its calls wait.
    ///
    /// # Errors
    /// `docker_unavailable`, or what else the engine says.
    pub(super) async fn still_disk(&self, id: ServerId) -> Result<StillDisk> {
        // Most of what is to be written is written before anybody waits for it.
        flush().await?;
        let mut still = StillDisk {
            id,
            frozen: Vec::new(),
            waker: Arc::clone(&self.waker),
            _lock: self.locks.lock(id).await,
        };
        for container in self.runtime.list(Some(id)).await.map_err(refused)? {
            if container.phase != Phase::Running {
                continue;
            }
            match self.runtime.pause(&container.id).await {
                Ok(()) => still.frozen.push(container.id),
                // One that ended meanwhile writes no more either.
                Err(error) => {
                    let now = self.runtime.inspect(&container.id).await;
                    if now.is_ok_and(|now| now.phase == Phase::Running) {
                        return Err(refused(error));
                    }
                }
            }
        }
        flush().await?;
        Ok(still)
    }

    /// Lets a server go on.
    pub(super) async fn go_on(&self, still: StillDisk) {
        for container in &still.frozen {
            if let Err(error) = self.runtime.unpause(container).await {
                tracing::warn!(server = %still.id, %error, "a server is still frozen after its disk was copied");
            }
        }
    }
}

async fn flush() -> Result<()> {
    run_blocking(crate::disk::flush)
        .await
        .map_err(|error| Error::internal("the disks could not be flushed", error))
}

fn refused(error: RuntimeError) -> Error {
    match error {
        RuntimeError::Unreachable(_) => Error::Unavailable {
            code: "docker_unavailable",
            message: "Docker Engine does not answer, so what servers have stored cannot be copied; try again in a moment".to_owned(),
        },
        other => Error::internal("a disk could not be copied", other),
    }
}
