//! Old versions of code go, one server at a time or all that are due: here their
//! records, and with the next collection what lies on disk.

use std::sync::Arc;

use jiff::Timestamp;

use crate::bundles::Bundles;
use crate::directory::Directory;
use crate::model::{Result, Retention, ServerId};
use crate::store::Store;

/// Removes what is outdated.
pub(super) struct Pruner {
    directory: Arc<Directory>,
    store: Store,
    bundles: Arc<Bundles>,
    retention: Retention,
}

impl Pruner {
    /// What is outdated, `retention` says.
    pub(super) fn new(
        directory: Arc<Directory>,
        store: Store,
        bundles: Arc<Bundles>,
        retention: Retention,
    ) -> Self {
        Self {
            directory,
            store,
            bundles,
            retention,
        }
    }

    /// Removes a server's outdated versions. What fails is tried again by
    /// [`Pruner::prune_all_versions`].
    pub(super) async fn prune_versions(&self, id: ServerId) {
        if let Err(error) = self.prune(id).await {
            tracing::warn!(server = %id, %error, "old versions remain for now");
        }
    }

    /// Removes every server's outdated versions.
    pub(super) async fn prune_all_versions(&self) {
        for entry in self.directory.list() {
            self.prune_versions(entry.server.id).await;
        }
    }

    async fn prune(&self, id: ServerId) -> Result<()> {
        let (rule, now) = (self.retention, Timestamp::now());
        let pruned = self.store.prune_releases(id, rule, now).await?;
        if !pruned.is_empty() {
            tracing::info!(server = %id, versions = pruned.len(), "old versions removed");
            self.bundles.ask_for_collection();
        }
        Ok(())
    }
}
