//! Removes from disk what nobody needs any more: bundles that no release has,
//! and code that an EMCP before bundles has left.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::parts::Parts;
use crate::blocking::run_blocking;
use crate::bundles::{Bundles, former};
use crate::directory::Directory;
use crate::model::{BundleDigest, Error, Result};
use crate::runtime::Runtime;
use crate::store::{Store, is_kept_of_before};
use crate::trouble;

/// How long something may stay that nobody has asked for to go.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// Until it is tried again where Docker or the disk failed.
const RETRY: Duration = Duration::from_secs(10);
/// Between two, however often it is asked for: each reads all releases.
const PAUSE: Duration = Duration::from_secs(1);

/// What is collected, and what it depends on.
struct Collector {
    store: Store,
    bundles: Arc<Bundles>,
    runtime: Arc<dyn Runtime>,
    directory: Arc<Directory>,
    data_dir: PathBuf,
    database: PathBuf,
}

/// Begins it, as a task of EMCP's.
pub(super) fn begin(parts: &Parts) {
    let collector = Collector {
        store: parts.store.clone(),
        bundles: Arc::clone(&parts.bundles),
        runtime: Arc::clone(&parts.runtime),
        directory: Arc::clone(&parts.directory),
        data_dir: parts.layout.root().to_owned(),
        database: parts.layout.database(),
    };
    let cancel = parts.endings.cancel.clone();
    parts.endings.tasks.spawn(run(collector, cancel));
}

/// Runs until cancelled.
async fn run(collector: Collector, cancel: CancellationToken) {
    let collecting = async {
        loop {
            let next = match collector.collect().await {
                Ok(collected) => {
                    trouble::COLLECTION.worked();
                    match collected {
                        Collected::All => EVERY,
                        Collected::WithoutDocker => RETRY,
                    }
                }
                Err(error) => {
                    trouble::COLLECTION.met(&error);
                    RETRY
                }
            };
            sleep(PAUSE).await;
            tokio::select! {
                () = collector.bundles.collection_asked() => {}
                () = sleep(next) => {}
            }
        }
    };
    let _ = cancel.run_until_cancelled(collecting).await;
}

/// How far a collection came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Collected {
    /// What remains is in use.
    All,
    /// Docker did not tell what containers have mounted, so that may be more than
    /// is in use.
    WithoutDocker,
}

impl Collector {
    async fn collect(&self) -> Result<Collected> {
        let bundles = collect(&self.store, &self.bundles, &*self.runtime).await?;
        let former = self.remove_former().await?;
        Ok(if bundles == Collected::All {
            former
        } else {
            bundles
        })
    }

    async fn remove_former(&self) -> Result<Collected> {
        // An EMCP of before, if somebody goes back to it, finds its code there.
        let database = self.database.clone();
        if on_disk(move || is_kept_of_before(&database)).await? {
            return Ok(Collected::All);
        }
        let root = self.data_dir.clone();
        let found = on_disk(move || former::find(&root)).await?;
        if found.is_empty() {
            return Ok(Collected::All);
        }
        let Ok(mounted) = self.runtime.mounted().await else {
            return Ok(Collected::WithoutDocker);
        };
        let directory = Arc::clone(&self.directory);
        let removing = on_disk(move || {
            found.iter().try_for_each(|versions| {
                let is_known = directory.get(versions.server()).is_some();
                versions.remove(&mounted, is_known)
            })
        });
        removing.await.map(|()| Collected::All)
    }
}

/// One collection; there is never another at the same time. What nobody uses is
/// condemned first, and looked up in the records then: whoever records a release
/// has its bundle leased until then, and so has taken it out of the condemned.
pub(super) async fn collect(
    store: &Store,
    bundles: &Arc<Bundles>,
    runtime: &dyn Runtime,
) -> Result<Collected> {
    let noted = store.loose_bundles().await?;
    if noted.is_empty() {
        return Ok(Collected::All);
    }
    let condemned = bundles.condemn(noted.iter().map(|loose| loose.digest));
    let in_use = store.bundles_in_use().await?;
    let is_unneeded = |digest: &BundleDigest| !in_use.contains(digest);
    let mut unneeded: Vec<_> = condemned.into_iter().filter(is_unneeded).collect();
    let mut collected = Collected::All;
    // What was never anybody's is in no container, and need not wait for Docker.
    if !unneeded.iter().all(|digest| bundles.is_fresh(*digest)) {
        match runtime.mounted().await {
            Ok(mounted) => unneeded.retain(|digest| !is_mounted(&mounted, *digest)),
            Err(_) => {
                unneeded.retain(|digest| bundles.is_fresh(*digest));
                collected = Collected::WithoutDocker;
            }
        }
    }
    let removing = {
        let bundles = Arc::clone(bundles);
        on_disk(move || Ok(bundles.remove_condemned(&unneeded)))
    };
    let gone = removing.await?;
    if !gone.is_empty() {
        tracing::info!(bundles = gone.len(), "code that no version has was removed");
    }
    let is_settled = |digest: &BundleDigest| in_use.contains(digest) || gone.contains(digest);
    let settled = noted.into_iter().filter(|loose| is_settled(&loose.digest));
    store.forget_loose_bundles(settled.collect()).await?;
    Ok(collected)
}

/// The engine may write the path to it in another way.
fn is_mounted(mounted: &[PathBuf], digest: BundleDigest) -> bool {
    let digits = digest.hex();
    mounted.iter().any(|path| path.ends_with(&digits))
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T> {
    let done = run_blocking(work)
        .await
        .map_err(|error| Error::internal("removing files ended early", error))?;
    done.map_err(|error| Error::internal("files could not be removed", error))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::Timestamp;

    use super::*;
    use crate::clock::Clock;
    use crate::identity::Layout;
    use crate::maintenance::check;
    use crate::model::{
        AddressPool, Bundle, Deed, Event, Happening, Principal, Release, Retention, RunState,
        Server, ServerId,
    };
    use crate::runtime::fake::FakeEngine;
    use crate::store::{NewRelease, NewServer, ServerChange};
    use crate::vault::{Place, Vault};

    /// A data directory, and who uses it.
    struct Setting {
        dir: tempfile::TempDir,
        vault: Vault,
        store: Store,
        bundles: Arc<Bundles>,
        engine: FakeEngine,
    }

    impl Setting {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let vault = Vault::new(&[7; 32]);
            Self {
                store: Store::open(&dir.path().join("emcp.redb"), &vault).unwrap(),
                bundles: Arc::new(Bundles::new(dir.path())),
                engine: FakeEngine::new(Clock::Wall),
                dir,
                vault,
            }
        }

        /// A process that knows of nothing but what is on disk.
        fn again(self) -> Self {
            drop(self.store);
            Self {
                store: Store::open(&self.dir.path().join("emcp.redb"), &self.vault).unwrap(),
                bundles: Arc::new(Bundles::new(self.dir.path())),
                ..self
            }
        }

        async fn collect(&self) -> Collected {
            collect(&self.store, &self.bundles, &self.engine)
                .await
                .unwrap()
        }

        /// As an upload does.
        async fn release(&self, number: u32, code: &str) -> NewRelease {
            let (by, now) = (Principal::by_name("ada"), Timestamp::now());
            let release = Release::of_file(number, code.as_bytes(), by, now);
            let bundle = self.bundles.lease(release.bundle);
            if !bundle.is_there() {
                self.store.note_loose_bundle(release.bundle).await.unwrap();
            }
            bundle
                .write(&Bundle::of_one_file(code.as_bytes().to_vec()))
                .unwrap();
            NewRelease { release, bundle }
        }

        async fn create(&self, name: &str, code: &str) -> ServerId {
            let (id, now, actor) = (ServerId::new(), Timestamp::now(), Principal::by_name("ada"));
            let new = NewServer {
                server: Server::new(id, name.parse().unwrap(), actor.clone(), now),
                release: self.release(1, code).await,
                env: Vec::new(),
                gateway_key: self.vault.seal(Place::GatewayKey(id), "key").unwrap(),
                state: RunState::never_ran(now),
                event: Event::of_deed(now, Deed::Created, &actor),
            };
            let pool = AddressPool::parse("198.18.4.0/24").unwrap();
            self.store.insert_server(new, pool, None).await.unwrap();
            id
        }

        async fn use_version(&self, id: ServerId, number: u32, new: Option<NewRelease>) {
            let uploaded = Deed::CodeUploaded { version: number };
            let event = Event::of_deed(Timestamp::now(), uploaded, &Principal::by_name("ada"));
            let change = move |server: &mut Server| {
                server.version = number;
                server.newest_version = server.newest_version.max(number);
                Ok(ServerChange {
                    release: new,
                    ..ServerChange::of_record(event)
                })
            };
            self.store.update_server(id, None, change).await.unwrap();
        }

        /// All is as it must be, and nothing lies there that no release has.
        async fn assert_sound(&self) {
            let layout = Layout::new(self.dir.path());
            let found = check(&self.store, &self.vault, &layout).await.unwrap();
            assert_eq!(found, []);
            let there: BTreeSet<_> = self.bundles.on_disk().unwrap().into_iter().collect();
            assert_eq!(there, self.store.bundles_in_use().await.unwrap());
            assert_eq!(self.store.loose_bundles().await.unwrap(), []);
        }
    }

    fn code(number: u32) -> String {
        format!("number = {number}\n")
    }

    const NONE_KEPT: Retention = Retention { newest: 1, days: 0 };

    #[tokio::test]
    async fn old_versions_go_records_first_and_a_crash_in_between_is_finished() {
        let setting = Setting::new();
        let id = setting.create("demo", &code(1)).await;
        for number in 2..=25 {
            let new = setting.release(number, &code(number)).await;
            setting.use_version(id, number, Some(new)).await;
        }
        setting.use_version(id, 3, None).await;
        let lately = Retention {
            newest: 20,
            days: 30,
        };
        // All of them were in use today.
        let now = Timestamp::now();
        let pruned = setting.store.prune_releases(id, lately, now).await.unwrap();
        assert!(pruned.is_empty());
        let in_two_months = now + jiff::SignedDuration::from_hours(24 * 60);
        let pruning = setting.store.prune_releases(id, lately, in_two_months);
        assert_eq!(pruning.await.unwrap(), [1, 2, 4, 5]);

        // Killed here: the records are gone and the files are not.
        let setting = setting.again();
        assert_eq!(setting.bundles.on_disk().unwrap().len(), 25);
        let layout = Layout::new(setting.dir.path());
        let found = check(&setting.store, &setting.vault, &layout).await;
        assert_eq!(found.unwrap(), []);
        assert_eq!(setting.collect().await, Collected::All);
        assert_eq!(setting.bundles.on_disk().unwrap().len(), 21);
        setting.assert_sound().await;

        // Killed between the files and the note.
        let gone = setting.release(26, &code(26)).await;
        let folder = gone.bundle.folder();
        drop(gone);
        std::fs::remove_dir_all(folder).unwrap();
        let setting = setting.again();
        setting.collect().await;
        setting.assert_sound().await;
        let told = setting.store.events_of(id, 1).await.unwrap();
        let expected = Deed::VersionsPruned {
            versions: 4,
            newest: 5,
        };
        assert_eq!(told[0].what, Happening::Deed(expected));
    }

    #[tokio::test]
    async fn a_version_that_is_gone_cannot_be_put_into_use() {
        let setting = Setting::new();
        let id = setting.create("demo", &code(1)).await;
        for number in 2..=3 {
            let new = setting.release(number, &code(number)).await;
            setting.use_version(id, number, Some(new)).await;
        }
        let later = Timestamp::now() + jiff::SignedDuration::from_hours(1);
        let pruning = setting.store.prune_releases(id, NONE_KEPT, later);
        assert_eq!(pruning.await.unwrap(), [1, 2]);
        let event = Event::of_deed(later, Deed::StartAsked, &Principal::by_name("ada"));
        let refused = setting.store.update_server(id, None, |server| {
            server.version = 2;
            Ok(ServerChange::of_record(event))
        });
        assert_eq!(refused.await.unwrap_err().code(), "version_pruned");
        let servers = setting.store.load_servers().await.unwrap();
        assert_eq!(servers[0].server.version, 3);
    }

    #[tokio::test]
    async fn what_another_server_has_too_stays_until_both_are_gone() {
        let setting = Setting::new();
        let one = setting.create("one", &code(1)).await;
        let other = setting.create("other", &code(1)).await;
        assert_eq!(setting.bundles.on_disk().unwrap().len(), 1);
        setting.store.delete_server(one, |_| Ok(())).await.unwrap();
        setting.collect().await;
        setting.assert_sound().await;
        assert_eq!(setting.bundles.on_disk().unwrap().len(), 1);
        setting
            .store
            .delete_server(other, |_| Ok(()))
            .await
            .unwrap();
        setting.collect().await;
        assert_eq!(setting.bundles.on_disk().unwrap(), []);
        assert_eq!(setting.store.loose_bundles().await.unwrap(), []);
    }

    #[tokio::test]
    async fn an_upload_that_comes_in_the_middle_of_a_collection_keeps_its_files() {
        let setting = Setting::new();
        let id = setting.create("demo", &code(1)).await;
        let new = setting.release(2, &code(2)).await;
        setting.use_version(id, 2, Some(new)).await;
        let later = Timestamp::now() + jiff::SignedDuration::from_hours(1);
        let pruning = setting.store.prune_releases(id, NONE_KEPT, later);
        assert_eq!(pruning.await.unwrap(), [1]);
        // A collection has looked at the records, and goes on only now.
        let noted = setting.store.loose_bundles().await.unwrap();
        let condemned = setting.bundles.condemn(noted.iter().map(|one| one.digest));
        assert_eq!(condemned.len(), 1);
        let new = setting.release(3, &code(1)).await;
        setting.use_version(id, 3, Some(new)).await;
        assert_eq!(setting.bundles.remove_condemned(&condemned), []);
        setting.store.forget_loose_bundles(noted).await.unwrap();
        setting.collect().await;
        setting.assert_sound().await;
    }

    #[tokio::test]
    async fn a_note_that_was_made_anew_is_not_taken_back() {
        let setting = Setting::new();
        let digest = Bundle::of_one_file(b"x".to_vec()).digest();
        setting.store.note_loose_bundle(digest).await.unwrap();
        let noted = setting.store.loose_bundles().await.unwrap();
        setting.store.note_loose_bundle(digest).await.unwrap();
        setting.store.forget_loose_bundles(noted).await.unwrap();
        let noted = setting.store.loose_bundles().await.unwrap();
        assert_eq!(noted.len(), 1);
        setting.store.forget_loose_bundles(noted).await.unwrap();
        assert_eq!(setting.store.loose_bundles().await.unwrap(), []);
    }

    #[tokio::test]
    async fn without_docker_only_what_was_never_anybodys_goes() {
        let setting = Setting::new();
        let id = setting.create("demo", &code(1)).await;
        setting.store.delete_server(id, |_| Ok(())).await.unwrap();
        drop(setting.release(2, &code(2)).await);
        setting.engine.goes_away();
        assert_eq!(setting.collect().await, Collected::WithoutDocker);
        let once = Bundle::of_one_file(code(1).into_bytes()).digest();
        assert_eq!(setting.bundles.on_disk().unwrap(), [once]);
        setting.engine.comes_back();
        assert_eq!(setting.collect().await, Collected::All);
        setting.assert_sound().await;
    }

    #[tokio::test]
    async fn what_another_database_knows_of_is_left_alone() {
        let setting = Setting::new();
        setting.create("demo", &code(1)).await;
        let foreign = setting.release(2, &code(2)).await;
        let digest = foreign.release.bundle;
        foreign.bundle.keep();
        // An older copy of the database, or an empty one, tells nothing of it.
        let noted = setting.store.loose_bundles().await.unwrap();
        setting.store.forget_loose_bundles(noted).await.unwrap();
        let setting = setting.again();
        setting.collect().await;
        assert!(setting.bundles.has(digest));
        let layout = Layout::new(setting.dir.path());
        let found = check(&setting.store, &setting.vault, &layout)
            .await
            .unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].0.contains("is of no version"), "{found:?}");
    }
}
