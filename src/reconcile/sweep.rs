//! What remains of a deleted server: containers, files, its addresses.

use super::Parts;
use super::told::Told;
use crate::model::ServerId;

/// Removes it all; tells whether nothing is left. The addresses are freed last,
/// so that a crash in between is swept up by the next pass.
pub(super) async fn sweep(parts: &Parts, id: ServerId, told: &mut Told) -> bool {
    // Whoever copies its disk ends first.
    let _disk = parts.disks.lock(id).await;
    let containers = match parts.runtime.list(Some(id)).await {
        Ok(containers) => containers,
        Err(error) => {
            told.engine(id, &error, "cannot see what remains of a deleted server");
            return false;
        }
    };
    for container in containers {
        let gone = async {
            parts
                .runtime
                .stop(&container.id, parts.config.stop_grace)
                .await?;
            parts.logs.drained(id, &container.id).await;
            parts.runtime.remove(&container.id).await
        };
        if let Err(error) = gone.await {
            told.engine(id, &error, "cannot remove a container of a deleted server");
            return false;
        }
    }
    parts.logs.forget(id);
    // What its releases had is collected by itself, now that no container has it.
    parts.bundles.ask_for_collection();
    let removed = tokio::fs::remove_dir_all(parts.layout.server_dir(id)).await;
    match removed {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            told.tell(id, &error, "cannot remove a deleted server's files");
            return false;
        }
    }
    match parts.store.release_addresses(id, parts.clock.now()).await {
        Ok(()) => {
            parts.disks.forget(id);
            tracing::info!(server = %id, "deleted server swept up");
            true
        }
        Err(error) => {
            told.tell(id, &error, "cannot free a deleted server's address");
            false
        }
    }
}
