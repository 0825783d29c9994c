//! What lies in the data directory at the start: code of an EMCP before bundles
//! is taken over, and what no record speaks of is told and left alone.
//!
//! What a crash cut short is noted, or marked, and goes with the next
//! collection. Anything else without a record was acknowledged once, by a
//! database that is not this one: a person put an older copy back, or began with
//! an empty one.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::fs;

use crate::blocking::run_blocking;
use crate::bundles::{Bundles, former};
use crate::identity::Layout;
use crate::model::ServerId;
use crate::store::Store;

/// Takes over what is there. However often it is cut short, the next start goes
/// on with it; no container is touched. Folders of deleted servers are the
/// reconciler's, which removes their containers first.
pub(super) async fn take_over(
    layout: &Layout,
    store: &Store,
    bundles: &Arc<Bundles>,
) -> anyhow::Result<()> {
    let found = {
        let (bundles, root) = (Arc::clone(bundles), layout.root().to_owned());
        run_blocking(move || bundles.clear().and_then(|()| former::find(&root))).await??
    };
    let deleted = store.deleted_servers().await?;
    let pruned = Arc::new(store.pruned_files().await?);
    for versions in found {
        if deleted.contains(&versions.server()) {
            continue;
        }
        let releases = store.releases_of(versions.server()).await?;
        let (bundles, pruned) = (Arc::clone(bundles), Arc::clone(&pruned));
        run_blocking(move || versions.take_over(&bundles, &releases, &pruned)).await??;
    }
    // All that was noted is marked now, or was gone.
    store.forget_pruned_files(pruned.to_vec()).await?;
    tell_foreign_bundles(store, bundles).await?;
    tell_foreign_folders(layout, store, &deleted).await
}

async fn tell_foreign_bundles(store: &Store, bundles: &Arc<Bundles>) -> anyhow::Result<()> {
    let looking = {
        let bundles = Arc::clone(bundles);
        run_blocking(move || bundles.on_disk())
    };
    let mut foreign: BTreeSet<_> = looking.await??.into_iter().collect();
    for known in store.bundles_in_use().await? {
        foreign.remove(&known);
    }
    for loose in store.loose_bundles().await? {
        foreign.remove(&loose.digest);
    }
    for digest in foreign {
        tracing::warn!(
            folder = %bundles.folder(digest).display(),
            "this code is of no version in the database; it is left as it is"
        );
    }
    Ok(())
}

async fn tell_foreign_folders(
    layout: &Layout,
    store: &Store,
    deleted: &[ServerId],
) -> anyhow::Result<()> {
    let servers = store.load_servers().await?;
    let mut folders = fs::read_dir(layout.root()).await?;
    while let Some(folder) = folders.next_entry().await? {
        let name = folder.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let is_known = servers.iter().any(|stored| stored.server.id == id);
        if !is_known && !deleted.contains(&id) {
            tracing::warn!(
                folder = %layout.server_dir(id).display(),
                "this folder belongs to no server of the database; it is left as it is"
            );
        }
    }
    Ok(())
}
