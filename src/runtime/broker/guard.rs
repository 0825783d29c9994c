//! The engine, as far as EMCP may use it.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OnceCell, Semaphore};

use super::files::{Busy, Files};
use super::policy::{self, Forbidden, Policy};
use super::protocol::{Agreed, RunWish, Shot, ShotKind};
use super::setup::Setup;
use crate::blocking::run_blocking;
use crate::bounds::Bounds;
use crate::identity::{BundleSource, DiskSource};
use crate::model::{BundleDigest, ContainerId, Egress, ServerId};
use crate::runtime::brokered::{Brokered, Provenance};
use crate::runtime::{
    CHECK, Change, Container, ContainerSpec, DiskSpec, Endpoint, EngineInfo, Inspected, OneShot,
    OutputLine, REACH, ResourceUsage, RuntimeError,
};

/// Containers in the making at once: each may take a helper of 512 MiB.
const RUNS_MAX: usize = 32;
/// Containers at once that are run to their end.
const SHOTS_MAX: usize = 8;
/// Ids that are known to be this instance's; so many are asked for again.
const KNOWN_MAX: usize = 65_536;
/// Containers in all, for each address: the next one, and what is on its way
/// out.
const CONTAINERS_PER_ADDRESS: usize = 2;
/// The least that is taken for code, whatever the setting was before.
const CODE_MAX_BYTES: u64 = 64 * 1024 * 1024;

type Answer<T> = Result<T, RuntimeError>;

/// Where the engine is; it is not asked anything yet.
pub(super) type Find<E> = Box<dyn Fn(&Setup) -> Answer<E> + Send + Sync>;

/// Checks every wish, and has the engine fulfil it.
pub(super) struct Guard<E> {
    setup: Setup,
    policy: Policy,
    files: Arc<Files>,
    bounds: Bounds,
    find: Find<E>,
    engine: OnceCell<E>,
    /// Ids of this instance's containers: an id is one container's for ever,
    /// and so are a container's labels.
    known: Mutex<HashSet<ContainerId>>,
    runs: Semaphore,
    shots: Semaphore,
}

impl<E: Brokered> Guard<E> {
    pub(super) fn new(setup: Setup, find: Find<E>) -> Self {
        Self {
            policy: Policy {
                instance: setup.instance.clone(),
                networks: setup.networks,
            },
            files: Arc::new(Files::new(
                &setup.data_dir,
                setup.max_code_bytes.max(CODE_MAX_BYTES),
            )),
            bounds: Bounds::new(setup.bounds),
            find,
            engine: OnceCell::new(),
            known: Mutex::default(),
            runs: Semaphore::new(RUNS_MAX),
            shots: Semaphore::new(SHOTS_MAX),
            setup,
        }
    }

    /// The engine, made ready by whoever needs it first.
    async fn engine(&self) -> Answer<&E> {
        let ready = || async {
            let setup = &self.setup;
            let engine = (self.find)(setup)?;
            engine.connect(setup.networks).await?;
            let info = engine.info().await?;
            self.bounds.learn(info.memory_bytes, info.cpus);
            Ok(engine)
        };
        self.engine.get_or_try_init(ready).await
    }

    /// The engine, for a container of this instance and no other.
    async fn engine_of(&self, id: &ContainerId) -> Answer<&E> {
        policy::check_id(id.as_str())?;
        let engine = self.engine().await?;
        if !self.known().contains(id) {
            engine.provenance(id.as_str()).await?;
            self.learn([id.clone()]);
        }
        Ok(engine)
    }

    /// The engine and what the container was made with.
    async fn look_into(&self, id: &ContainerId) -> Answer<(&E, Provenance)> {
        policy::check_id(id.as_str())?;
        let engine = self.engine().await?;
        Ok((engine, engine.provenance(id.as_str()).await?))
    }

    pub(super) async fn connect(&self, emcp: &Agreed) -> Answer<()> {
        let differences = self.setup.agreed().differences(emcp);
        if !differences.is_empty() {
            return Err(RuntimeError::Refused(format!(
                "the broker and EMCP are set up differently: {}; give both the same variables (compose/.env), and none of these in EMCP_CONFIG",
                differences.join("; ")
            )));
        }
        let was_ready = self.engine.initialized();
        let engine = self.engine().await?;
        if was_ready {
            engine.connect(self.setup.networks).await?;
        }
        self.remove_unused(engine).await;
        Ok(())
    }

    pub(super) async fn ping(&self) -> Answer<()> {
        self.engine().await?.ping().await
    }

    pub(super) async fn info(&self) -> Answer<EngineInfo> {
        self.engine().await?.info().await
    }

    pub(super) async fn began_at(&self) -> Answer<Option<jiff::Timestamp>> {
        self.engine().await?.began_at().await
    }

    pub(super) async fn list(&self, server: Option<ServerId>) -> Answer<Vec<Container>> {
        let listed = self.engine().await?.list(server).await?;
        self.learn(listed.iter().map(|one| one.id.clone()));
        Ok(listed)
    }

    /// Of EMCP's, that is: what the broker has made is for it to remove.
    pub(super) async fn mounted(&self) -> Answer<Vec<PathBuf>> {
        let mut mounted = self.engine().await?.mounted().await?;
        mounted.retain(|path| !self.files.is_own(path));
        Ok(mounted)
    }

    pub(super) async fn inspect(&self, id: &ContainerId) -> Answer<Inspected> {
        self.engine_of(id).await?.inspect(id).await
    }

    pub(super) async fn run(&self, mut wish: RunWish) -> Answer<ContainerId> {
        let _place = self.runs.acquire().await.map_err(closing)?;
        let engine = self.engine().await?;
        let server = wish.server;
        let disk_bytes = match wish.disk_bytes {
            Some(_) => self
                .on_disk(move |files| files.disk_bytes(server))
                .await
                .map_err(storage)?,
            None => 0,
        };
        self.policy
            .check_run(&mut wish, &self.bounds.maxima(), disk_bytes)?;
        self.leave_room(engine).await?;
        let mut code = self.copy(wish.code).await?;
        let stage = match wish.disk_bytes {
            Some(_) => {
                let staged = self.on_disk(move |files| files.stage_disk(server)).await;
                Some(Arc::new(staged.map_err(storage)?))
            }
            None => None,
        };
        let spec = self.spec(wish, &code, stage.as_deref());
        let disk = self.open_disk(engine, &spec, stage.as_ref()).await?;
        // From here on a container may have it, also if EMCP hangs up meanwhile.
        code.keep();
        let made = engine.run_with(&spec, disk).await;
        drop(code);
        match &made {
            Ok(id) => self.learn([id.clone()]),
            // Unless it was made and could not be started.
            Err(_) => self.remove_unused(engine).await,
        }
        made
    }

    /// A disk has its name in the data directory before anybody writes to it.
    async fn open_disk(
        &self,
        engine: &E,
        spec: &ContainerSpec,
        stage: Option<&Arc<Busy>>,
    ) -> Answer<Option<E::Disk>> {
        let Some(stage) = stage.map(Arc::clone) else {
            return Ok(None);
        };
        let Some(disk) = engine.open_disk(spec).await? else {
            return Ok(None);
        };
        let server = spec.server;
        let kept = self
            .on_disk(move |files| files.keep_disk(server, &stage))
            .await;
        match kept {
            Ok(()) => Ok(Some(disk)),
            Err(error) => {
                engine.let_go(disk, server).await;
                Err(storage(error))
            }
        }
    }

    async fn copy(&self, code: BundleDigest) -> Answer<Busy> {
        let copied = self.on_disk(move |files| files.copy_code(code)).await;
        copied.map_err(no_code)
    }

    fn spec(&self, wish: RunWish, code: &Busy, stage: Option<&Busy>) -> ContainerSpec {
        let disk = wish.disk_bytes.zip(stage);
        ContainerSpec {
            server: wish.server,
            instance: wish.instance,
            name: wish.name,
            server_name: wish.server_name,
            image: self.setup.base_image.clone(),
            generation: wish.generation,
            revision: wish.revision,
            egress: wish.egress,
            disk: disk.map(|(size_bytes, stage)| DiskSpec {
                source: DiskSource::of_dir(stage.path().to_owned()),
                size_bytes,
            }),
            endpoint: wish.endpoint,
            bundle: BundleSource::of_dir(code.path().to_owned()),
            env: wish
                .env
                .into_iter()
                .map(|(key, value)| (key, SecretString::from(value)))
                .collect(),
            secret_keys: wish.secret_keys,
            limits: wish.limits,
            stop_grace: Duration::from_secs(wish.stop_grace_secs),
        }
    }

    /// One that the broker has not made would mount what a path leads to now. It
    /// is removed, so that EMCP makes it anew.
    pub(super) async fn start(&self, id: &ContainerId) -> Answer<()> {
        let (engine, made) = self.look_into(id).await?;
        let is_ours = made.folders.iter().all(|path| self.files.is_copy(path));
        if !is_ours || made.has_more {
            tracing::info!(
                container = %id,
                "a container that was made without the broker is made anew"
            );
            engine.remove(id).await?;
            return Err(RuntimeError::NoSuchContainer);
        }
        engine.start(id).await
    }

    pub(super) async fn stop(&self, id: &ContainerId, grace_secs: u64) -> Answer<()> {
        policy::check_grace(grace_secs)?;
        match self.engine_of(id).await {
            Ok(engine) => engine.stop(id, Duration::from_secs(grace_secs)).await,
            Err(error) => gone(error),
        }
    }

    pub(super) async fn pause(&self, id: &ContainerId) -> Answer<()> {
        self.engine_of(id).await?.pause(id).await
    }

    pub(super) async fn unpause(&self, id: &ContainerId) -> Answer<()> {
        self.engine_of(id).await?.unpause(id).await
    }

    pub(super) async fn remove(&self, id: &ContainerId) -> Answer<()> {
        let (engine, made) = match self.look_into(id).await {
            Ok(found) => found,
            Err(error) => return gone(error),
        };
        engine.remove(id).await?;
        self.known().remove(id);
        let copies: Vec<PathBuf> = made
            .folders
            .into_iter()
            .filter(|path| self.files.is_copy(path))
            .collect();
        let removed = run_blocking(move || copies.iter().try_for_each(std::fs::remove_dir_all));
        if let Err(error) = flat(removed.await) {
            tracing::warn!(container = %id, %error, "its copy of the code is still there");
        }
        Ok(())
    }

    pub(super) async fn attach(
        &self,
        id: &ContainerId,
        egress: Egress,
        endpoint: &Endpoint,
    ) -> Answer<()> {
        self.policy.check_endpoint(egress, endpoint)?;
        let (engine, made) = self.look_into(id).await?;
        if made.egress != Some(egress) {
            return Err(Forbidden("another network than it was made in").into());
        }
        engine.attach(id, egress, endpoint).await
    }

    pub(super) async fn run_once(&self, shot: &Shot) -> Answer<String> {
        self.policy.check_shot(&shot.what)?;
        if shot.patience_secs > policy::PATIENCE_MAX_SECS {
            return Err(Forbidden("so long a time").into());
        }
        let _place = self.shots.acquire().await.map_err(closing)?;
        let engine = self.engine().await?;
        let patience = Duration::from_secs(shot.patience_secs);
        let image = self.setup.base_image.as_str();
        match &shot.what {
            ShotKind::Check {
                code,
                entry_object,
                runtime,
            } => {
                let copy = self.copy(*code).await?;
                let bundle = BundleSource::of_dir(copy.path().to_owned());
                let shot = OneShot {
                    image,
                    command: CHECK,
                    env: vec![
                        format!("EMCP_ENTRY_OBJECT={}", entry_object.as_str()),
                        format!("EMCP_RUNTIME={}", runtime.as_str()),
                    ],
                    bundle: Some(&bundle),
                    endpoint: None,
                    patience,
                };
                engine.run_once(&shot).await
            }
            ShotKind::Reach { endpoint } => {
                let shot = OneShot {
                    image,
                    command: REACH,
                    env: Vec::new(),
                    bundle: None,
                    endpoint: Some(endpoint.clone()),
                    patience,
                };
                engine.run_once(&shot).await
            }
        }
    }

    pub(super) async fn usage(&self, id: &ContainerId) -> Answer<ResourceUsage> {
        self.engine_of(id).await?.usage(id).await
    }

    pub(super) async fn given_secrets(&self, id: &ContainerId) -> Answer<Vec<String>> {
        let secrets = self.engine_of(id).await?.given_secrets(id).await?;
        let opened = secrets
            .iter()
            .map(|secret| secret.expose_secret().to_owned());
        Ok(opened.collect())
    }

    pub(super) async fn tail(&self, id: &ContainerId, lines: usize) -> Answer<Vec<OutputLine>> {
        if lines > policy::TAIL_MAX_LINES {
            return Err(Forbidden("so many lines").into());
        }
        self.engine_of(id).await?.tail(id, lines).await
    }

    pub(super) async fn follow(
        &self,
        id: &ContainerId,
        since_secs: i64,
    ) -> Answer<BoxStream<'static, Answer<OutputLine>>> {
        Ok(self.engine_of(id).await?.follow(id, since_secs))
    }

    pub(super) async fn changes(self: &Arc<Self>) -> Answer<BoxStream<'static, Change>> {
        let changes = self.engine().await?.changes();
        let guard = Arc::clone(self);
        // Others share the networks, which is nothing of EMCP's.
        let own = changes.filter_map(move |change| {
            let guard = Arc::clone(&guard);
            async move {
                match &change {
                    Change::Server(_) => Some(change),
                    Change::CutOff(id) => {
                        let is_own = guard.engine_of(id).await.is_ok();
                        is_own.then_some(change)
                    }
                }
            }
        });
        Ok(own.boxed())
    }

    /// Refuses more containers than a platform can have use for.
    async fn leave_room(&self, engine: &E) -> Answer<()> {
        let most = self.setup.networks.open().capacity() * CONTAINERS_PER_ADDRESS;
        if self.known().len() < most.min(KNOWN_MAX) {
            return Ok(());
        }
        let listed = engine.list(None).await?;
        let count = listed.len();
        *self.known() = listed.into_iter().map(|one| one.id).collect();
        if count >= most {
            return Err(Forbidden("more containers than servers could be").into());
        }
        Ok(())
    }

    /// Removes copies of code that no container has.
    async fn remove_unused(&self, engine: &E) {
        let removed = async {
            // First what is not in use, then what is: what comes into use
            // meanwhile is not among the first.
            let mut idle = self.on_disk(|files| files.idle()).await?;
            let used = engine.mounted().await.map_err(io::Error::other)?;
            // The engine may write the path to it in another way.
            let used: HashSet<_> = used.iter().filter_map(|path| path.file_name()).collect();
            idle.retain(|path| path.file_name().is_none_or(|name| !used.contains(name)));
            self.on_disk(move |files| files.remove(idle)).await
        };
        if let Err(error) = removed.await {
            tracing::warn!(%error, "copies of code that nothing uses are still there");
        }
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Files>) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let files = Arc::clone(&self.files);
        flat(run_blocking(move || work(&files)).await)
    }

    fn learn(&self, ids: impl IntoIterator<Item = ContainerId>) {
        let mut known = self.known();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.extend(ids);
    }

    fn known(&self) -> MutexGuard<'_, HashSet<ContainerId>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Forbidden> for RuntimeError {
    fn from(forbidden: Forbidden) -> Self {
        Self::Refused(forbidden.to_string())
    }
}

fn flat<T>(result: Result<io::Result<T>, tokio::task::JoinError>) -> io::Result<T> {
    result.map_err(io::Error::other).flatten()
}

fn gone(error: RuntimeError) -> Answer<()> {
    match error {
        RuntimeError::NoSuchContainer => Ok(()),
        other => Err(other),
    }
}

fn storage(error: io::Error) -> RuntimeError {
    RuntimeError::Storage(error.to_string())
}

fn no_code(error: io::Error) -> RuntimeError {
    RuntimeError::Refused(format!("the code cannot be read: {error}"))
}

fn closing(_: tokio::sync::AcquireError) -> RuntimeError {
    RuntimeError::Unreachable("the broker is ending".to_owned())
}
