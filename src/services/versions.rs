//! Old versions of code go, one server at a time or all that are due.

use std::io::ErrorKind;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::RwLock;

use crate::directory::Directory;
use crate::identity::Layout;
use crate::model::{Result, Retention, ServerId};
use crate::store::Store;

/// Removes what is outdated.
pub(super) struct Pruner {
    directory: Arc<Directory>,
    store: Store,
    layout: Layout,
    retention: Retention,
    code_removal: Arc<RwLock<()>>,
}

impl Pruner {
    /// What is outdated, `retention` says; `code_removal` is held by whoever copies
    /// code.
    pub(super) fn new(
        directory: Arc<Directory>,
        store: Store,
        layout: Layout,
        retention: Retention,
        code_removal: Arc<RwLock<()>>,
    ) -> Self {
        Self {
            directory,
            store,
            layout,
            retention,
            code_removal,
        }
    }

    /// Removes a server's outdated versions. What fails is tried again by
    /// [`Pruner::prune_all_versions`].
    pub(super) async fn prune_versions(&self, id: ServerId) {
        if let Err(error) = self.prune(id).await {
            tracing::warn!(server = %id, %error, "old versions remain for now");
        }
    }

    /// Removes every server's outdated versions, and files of which a crash has
    /// left no more than a note.
    pub(super) async fn prune_all_versions(&self) {
        for entry in self.directory.list() {
            self.prune_versions(entry.server.id).await;
        }
        if let Err(error) = self.remove_pruned_files().await {
            tracing::warn!(%error, "files of old versions remain for now");
        }
    }

    async fn prune(&self, id: ServerId) -> Result<()> {
        let (rule, now) = (self.retention, Timestamp::now());
        let pruned = self.store.prune_versions(id, rule, now).await?;
        if pruned.is_empty() {
            return Ok(());
        }
        tracing::info!(server = %id, versions = pruned.len(), "old versions removed");
        self.remove_pruned_files().await
    }

    async fn remove_pruned_files(&self) -> Result<()> {
        // A backup that copies code right now may have their records. It may
        // take long, and files can wait.
        let Ok(_may_remove) = self.code_removal.try_write() else {
            return Ok(());
        };
        remove_files(&self.store, &self.layout).await
    }
}

/// Removes the files of versions that have no record any more, and then the
/// notes that led to them.
async fn remove_files(store: &Store, layout: &Layout) -> Result<()> {
    let remaining = store.pruned_files().await?;
    if remaining.is_empty() {
        return Ok(());
    }
    let mut gone = Vec::with_capacity(remaining.len());
    for (id, number) in remaining {
        let folder = layout.code_dir(id, number);
        match tokio::fs::remove_dir_all(&folder).await {
            Ok(()) => gone.push((id, number)),
            Err(error) if error.kind() == ErrorKind::NotFound => gone.push((id, number)),
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "an old version's file remains");
            }
        }
    }
    store.pruned_files_removed(gone).await
}

#[cfg(test)]
mod tests {
    use std::fs;

    use sha2::{Digest, Sha256};

    use super::*;
    use crate::maintenance::check;
    use crate::model::{AddressPool, CodeVersion, Deed, Event, Principal, RunState, Server};
    use crate::store::{NewServer, ServerChange};
    use crate::vault::{Place, Vault};

    const CODE: &str = "mcp = None\n";

    fn version(number: u32) -> CodeVersion {
        CodeVersion {
            number,
            sha256: hex::encode(Sha256::digest(CODE)),
            size_bytes: CODE.len() as u64,
            uploaded_by: Principal::by_name("ada"),
            uploaded_at: Timestamp::now(),
            last_in_use_at: None,
        }
    }

    fn put_file(layout: &Layout, id: ServerId, number: u32) {
        fs::create_dir_all(layout.code_dir(id, number)).unwrap();
        fs::write(layout.code_file(id, number), CODE).unwrap();
    }

    /// A server of which versions 1 to `count` were uploaded, and `active` put
    /// into use then.
    async fn server(
        store: &Store,
        vault: &Vault,
        layout: &Layout,
        count: u32,
        active: u32,
    ) -> ServerId {
        let (id, now, actor) = (ServerId::new(), Timestamp::now(), Principal::by_name("ada"));
        let new = NewServer {
            server: Server::new(id, "demo".parse().unwrap(), actor.clone(), now),
            version: version(1),
            env: Vec::new(),
            gateway_key: vault.seal(Place::GatewayKey(id), "key").unwrap(),
            state: RunState::never_ran(now),
            event: Event::of_deed(now, Deed::Created, &actor),
        };
        let pool = AddressPool::parse("198.18.4.0/24").unwrap();
        store.insert_server(new, pool, None).await.unwrap();
        put_file(layout, id, 1);
        for number in (2..=count).chain([active]) {
            put_file(layout, id, number);
            let uploaded = Event::of_deed(now, Deed::CodeUploaded { version: number }, &actor);
            let change = move |server: &mut Server| {
                let is_new = number > server.newest_version;
                server.version = number;
                server.newest_version = server.newest_version.max(number);
                Ok(ServerChange {
                    version: is_new.then(|| version(number)),
                    ..ServerChange::of_record(uploaded)
                })
            };
            store.update_server(id, None, change).await.unwrap();
        }
        id
    }

    #[tokio::test]
    async fn old_versions_go_records_first_and_a_crash_in_between_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        let (layout, vault) = (Layout::new(dir.path()), Vault::new(&[7; 32]));
        let open = || Store::open(&layout.database(), &vault).unwrap();
        let store = open();
        let id = server(&store, &vault, &layout, 25, 3).await;
        let lately = Retention {
            newest: 20,
            days: 30,
        };
        // All of them were in use today.
        let now = Timestamp::now();
        assert!(
            store
                .prune_versions(id, lately, now)
                .await
                .unwrap()
                .is_empty()
        );
        let in_two_months = now + jiff::SignedDuration::from_hours(24 * 60);
        let pruned = store
            .prune_versions(id, lately, in_two_months)
            .await
            .unwrap();
        assert_eq!(pruned, [1, 2, 4, 5]);

        // Killed here: the records are gone and the files are not.
        drop(store);
        let store = open();
        assert!(layout.code_file(id, 1).exists());
        assert_eq!(check(&store, &vault, &layout).await.unwrap(), []);
        remove_files(&store, &layout).await.unwrap();
        let mut left = layout.versions_on_disk(id).unwrap();
        left.sort_unstable();
        assert_eq!(left, [vec![3], (6..=25).collect()].concat());

        // Killed between the files and the note.
        put_file(&layout, id, 26);
        remove_files(&store, &layout).await.unwrap();
        assert!(store.pruned_files().await.unwrap().is_empty());
        assert!(layout.code_file(id, 26).exists(), "no note leads to it");
        fs::remove_dir_all(layout.code_dir(id, 26)).unwrap();
        assert_eq!(check(&store, &vault, &layout).await.unwrap(), []);
        let told = store.events_of(id, 1).await.unwrap();
        let expected = Deed::VersionsPruned {
            versions: 4,
            newest: 5,
        };
        assert_eq!(told[0].what, crate::model::Happening::Deed(expected));
    }

    #[tokio::test]
    async fn a_version_that_is_gone_cannot_be_put_into_use() {
        let dir = tempfile::tempdir().unwrap();
        let (layout, vault) = (Layout::new(dir.path()), Vault::new(&[7; 32]));
        let store = Store::open(&layout.database(), &vault).unwrap();
        let id = server(&store, &vault, &layout, 3, 3).await;
        let rule = Retention { newest: 1, days: 0 };
        let later = Timestamp::now() + jiff::SignedDuration::from_hours(1);
        assert_eq!(store.prune_versions(id, rule, later).await.unwrap(), [1, 2]);
        let event = Event::of_deed(later, Deed::StartAsked, &Principal::by_name("ada"));
        let refused = store.update_server(id, None, |server| {
            server.version = 2;
            Ok(ServerChange::of_record(event))
        });
        assert_eq!(refused.await.unwrap_err().code(), "version_pruned");
        assert_eq!(store.load_servers().await.unwrap()[0].server.version, 3);
    }
}
