//! The service under test.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::blocking::run_blocking;
use crate::clock::Clock;
use crate::http::{InProcess, in_process};
use crate::model::ServerId;
use crate::runtime::fake::FakeEngine;
use crate::services::{App, Endings, Opened, Outside, start_in};
use crate::settings::{Settings, SettingsInput};

use super::traefik::stand_for_traefik;

/// Far more than anything takes, on the clock that leaps.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);
/// Between two looks at a condition.
pub(super) const POLL: Duration = Duration::from_millis(20);

/// EMCP, its engine, and somebody in Traefik's place.
pub(super) struct TestApp {
    pub(super) app: Arc<App>,
    pub(super) engine: FakeEngine,
    pub(super) admin: String,
    /// The public listener and the internal one.
    pub(super) web: Arc<[InProcess; 2]>,
    input: SettingsInput,
    clock: Clock,
    endings: Parts,
    dir: TempDir,
}

/// What ends EMCP.
struct Parts {
    tasks: TaskTracker,
    closing: CancellationToken,
    cancel: CancellationToken,
    /// The reconciler, and Traefik.
    running: JoinSet<()>,
}

impl Parts {
    async fn end(mut self) {
        self.closing.cancel();
        self.cancel.cancel();
        self.tasks.close();
        timeout(PATIENCE, self.tasks.wait()).await.unwrap();
        self.running.shutdown().await;
    }
}

impl TestApp {
    /// A service without servers.
    pub(super) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// The same with other settings.
    pub(super) async fn with(change: impl FnOnce(&mut SettingsInput)) -> Self {
        Self::taking_over(tempfile::tempdir().unwrap(), change).await
    }

    /// A service on the data directory `data` in `dir`; its containers are as they
    /// were left.
    pub(super) async fn taking_over(dir: TempDir, change: impl FnOnce(&mut SettingsInput)) -> Self {
        Self::on(dir, true, change).await
    }

    /// A service on such a data directory, and on another host, where there are
    /// no containers.
    pub(super) async fn elsewhere(dir: TempDir) -> Self {
        Self::on(dir, false, |_| {}).await
    }

    async fn on(
        dir: TempDir,
        has_containers: bool,
        change: impl FnOnce(&mut SettingsInput),
    ) -> Self {
        let clock = Clock::of_tokio();
        let engine = FakeEngine::new(clock);
        let mut input = SettingsInput {
            data_dir: Some(dir.path().join("data")),
            firewall: Some("off".to_owned()),
            // Nobody's: no test is to meet what this machine listens on.
            https_address: Some("127.0.0.1:9".to_owned()),
            // A disk that is nearly full is another test's.
            min_free_bytes: Some(0),
            ..SettingsInput::default()
        };
        change(&mut input);
        let (app, web, endings) = begin(input.clone(), &engine, has_containers, clock).await;
        let token = dir.path().join("data/admin-token");
        let admin = std::fs::read_to_string(token).unwrap().trim().to_owned();
        Self {
            app,
            engine,
            admin,
            web,
            input,
            clock,
            endings,
            dir,
        }
    }

    /// EMCP ends as by SIGTERM, and another one takes over.
    pub(super) async fn restart(self) -> Self {
        self.restart_with(async |_| {}).await
    }

    /// The same, and somebody changes the settings or the data in between.
    pub(super) async fn restart_with(
        self,
        meanwhile: impl AsyncFnOnce(&mut SettingsInput),
    ) -> Self {
        let Self {
            app,
            engine,
            admin,
            web,
            mut input,
            clock,
            endings,
            dir,
        } = self;
        drop((app, web));
        endings.end().await;
        meanwhile(&mut input).await;
        let (app, web, endings) = begin(input.clone(), &engine, true, clock).await;
        Self {
            app,
            engine,
            admin,
            web,
            input,
            clock,
            endings,
            dir,
        }
    }

    /// What tells EMCP the time.
    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    /// A file of the data directory.
    pub(super) fn data(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("data").join(name)
    }

    // --- waiting --------------------------------------------------------------

    /// Waits until a server has this status, by the present wish, and shows it.
    #[track_caller]
    pub(super) fn until_status(
        &self,
        id: ServerId,
        status: &str,
    ) -> impl Future<Output = Value> + use<'_> {
        self.until_shown(id, "status", status)
    }

    /// Waits until a server is as it is for this reason, by the present wish, and
    /// shows it.
    #[track_caller]
    pub(super) fn until_reason(
        &self,
        id: ServerId,
        code: &str,
    ) -> impl Future<Output = Value> + use<'_> {
        self.until_shown(id, "reason_code", code)
    }

    #[track_caller]
    fn until_shown(
        &self,
        id: ServerId,
        field: &'static str,
        wanted: &str,
    ) -> impl Future<Output = Value> + use<'_> {
        let caller = std::panic::Location::caller();
        let wanted = wanted.to_owned();
        async move {
            let mut changes = self.app.behind.directory.subscribe();
            let seen = async {
                loop {
                    changes.mark_unchanged();
                    let shown = self.show(id).await;
                    if shown[field] == *wanted && self.is_by_present_wish(id) {
                        return shown;
                    }
                    changes.changed().await.unwrap();
                }
            };
            match timeout(PATIENCE, seen).await {
                Ok(shown) => shown,
                Err(_) => panic!("{caller}: never {wanted}: {}", self.show(id).await),
            }
        }
    }

    /// Whether what is shown of a server is not what it was before the last wish.
    fn is_by_present_wish(&self, id: ServerId) -> bool {
        let found = self.app.behind.directory.get(id);
        found.is_some_and(|entry| entry.state.generation == entry.server.generation)
    }

    /// Waits until something is so.
    pub(super) async fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let seen = async {
            while !is_so() {
                tokio::time::sleep(POLL).await;
            }
        };
        let seen = timeout(PATIENCE, seen).await;
        assert!(seen.is_ok(), "never: {what}");
    }
}

/// Opens the data directory, as soon as an EMCP before this one has let it go:
/// what it had begun to write, threads write to the end.
async fn open(settings: &Settings) -> Opened {
    const TRIES: usize = 1_000;
    const PAUSE: Duration = Duration::from_millis(10);
    for _ in 0..TRIES {
        match Opened::open(settings) {
            Err(error) if format!("{error:#}").contains("in use") => {
                // By the clock of the wall.
                run_blocking(|| std::thread::sleep(PAUSE)).await.unwrap();
            }
            opened => return opened.unwrap(),
        }
    }
    panic!("the EMCP before never let its data go");
}

async fn begin(
    input: SettingsInput,
    engine: &FakeEngine,
    has_containers: bool,
    clock: Clock,
) -> (Arc<App>, Arc<[InProcess; 2]>, Parts) {
    let settings = input.check().unwrap();
    let (tasks, closing, cancel) = (
        TaskTracker::new(),
        CancellationToken::new(),
        CancellationToken::new(),
    );
    let endings = Endings {
        tasks: tasks.clone(),
        closing: closing.clone(),
        cancel: cancel.clone(),
    };
    let outside = Outside {
        runtime: Arc::new(engine.clone()),
        client: engine.client(),
        clock,
    };
    let provider_token = settings.data_dir.join("provider-token");
    let opened = open(&settings).await;
    let started = start_in(settings, opened, outside, endings).await.unwrap();
    let app = started.app;
    if has_containers && engine.containers().is_empty() {
        for entry in app.behind.directory.list() {
            engine.has_from_before(&entry, &app.settings().networks);
        }
    }
    let web = Arc::new(in_process(&app, &started.gate));
    let mut running = JoinSet::new();
    running.spawn(async move { started.reconciling.await.unwrap() });
    let token = std::fs::read_to_string(provider_token).unwrap();
    running.spawn(stand_for_traefik(Arc::clone(&web), token.trim().to_owned()));
    let parts = Parts {
        tasks,
        closing,
        cancel,
        running,
    };
    (app, web, parts)
}
