//! Old versions of code go, one server at a time or all that are due: here their
//! records, and with the next collection what lies on disk.

use jiff::Timestamp;

use super::App;
use crate::model::{Result, ServerId};

impl App {
    /// Removes a server's outdated versions. What fails is tried again by
    /// [`App::prune_all_versions`].
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
        let (rule, now) = (self.settings.retention, Timestamp::now());
        let pruned = self.store.prune_releases(id, rule, now).await?;
        if !pruned.is_empty() {
            tracing::info!(server = %id, versions = pruned.len(), "old versions removed");
            self.bundles.ask_for_collection();
        }
        Ok(())
    }
}
