//! The loop in front of an engine that accepts and says nothing, as one does
//! that hangs: on a real socket, since that is where the waiting is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;
use crate::bounds::Bounds;
use crate::bundles::Bundles;
use crate::clock::Clock;
use crate::directory::{Directory, Entry};
use crate::identity::Layout;
use crate::logs::Logs;
use crate::model::{AddressPool, Desired, Principal, RunState, Server, ServerNetworks, Status};
use crate::reconcile::{Config, Waker};
use crate::runtime::{DockerRuntime, ServerClient};
use crate::settings::SettingsInput;
use crate::store::Store;
use crate::traefik::{RouteFacts, Routes};
use crate::vault::Vault;

/// Far more than anything here takes, and far less than bollard waits for an
/// answer (60 s) or the loop for its next full pass.
const PROMPT: Duration = Duration::from_secs(15);
/// The question for all containers; one server's has its label too.
const LIST: &str = "/containers/json";

/// An engine without containers that can make none, or says nothing.
#[derive(Default)]
struct FakeEngine {
    is_silent: AtomicBool,
    /// What it was asked, in the order of coming.
    asked: watch::Sender<Vec<String>>,
    /// Open connections, which are cut when it goes on.
    connections: Mutex<JoinSet<()>>,
}

impl FakeEngine {
    async fn listen(self: Arc<Self>, listener: UnixListener) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let engine = Arc::clone(&self);
            let mut connections = self.connections();
            connections.spawn(async move { engine.answer(stream).await });
        }
    }

    /// One request of one connection: its answers say that they are the last.
    async fn answer(&self, mut stream: UnixStream) {
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let asked = String::from_utf8_lossy(&head);
        let line = asked.lines().next().unwrap_or_default().to_owned();
        self.asked.send_modify(|all| all.push(line.clone()));
        if self.is_silent.load(Ordering::Relaxed) || line.contains("/events") {
            std::future::pending::<()>().await;
        }
        let (status, body) = if line.contains(LIST) {
            ("200 OK", "[]")
        } else {
            (
                "500 Internal Server Error",
                r#"{"message":"it makes none"}"#,
            )
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let _ = stream.write_all(answer.as_bytes()).await;
    }

    /// As after a restart: what was asked before is never answered.
    fn goes_on(&self) {
        self.is_silent.store(false, Ordering::Relaxed);
        *self.connections() = JoinSet::new();
    }

    /// Waits until it was asked for all containers so many times.
    async fn until_asked_for_all(&self, times: usize) {
        let is_for_all = |line: &&String| line.contains(LIST) && !line.contains("emcp.server");
        let mut asked = self.asked.subscribe();
        let enough = asked.wait_for(|all| all.iter().filter(is_for_all).count() >= times);
        timeout(PROMPT, enough).await.unwrap().unwrap();
    }

    fn connections(&self) -> std::sync::MutexGuard<'_, JoinSet<()>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The loop with what it needs, in front of an engine that says nothing.
struct Setting {
    engine: Arc<FakeEngine>,
    parts: Arc<Parts>,
    tasks: TaskTracker,
    cancel: CancellationToken,
    running: JoinSet<()>,
    _dir: TempDir,
}

impl Setting {
    fn with(servers: &[&Server]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let engine = Arc::new(FakeEngine {
            is_silent: true.into(),
            ..FakeEngine::default()
        });
        let mut running = JoinSet::new();
        running.spawn(Arc::clone(&engine).listen(listener));

        let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
        let host = format!("unix://{}", socket.display());
        let runtime = Arc::new(DockerRuntime::new(&host, "net", "test").unwrap());
        let vault = Arc::new(Vault::new(&[7; 32]));
        let open = AddressPool::parse("198.18.1.0/24").unwrap();
        let networks = ServerNetworks::new(open, open.twin().unwrap()).unwrap();
        let entries = servers.iter().map(|server| {
            let state = RunState::never_ran(Timestamp::UNIX_EPOCH);
            Entry::of_test(Server::clone(server), state, [198, 18, 1, 17])
        });
        let directory = Arc::new(Directory::new(entries.collect()));
        let facts = RouteFacts {
            requests_per_address: 512,
            allowed_origins: Vec::new(),
            traefik_address: ([127, 0, 0, 1], 80).into(),
            networks,
            internal_url: String::new(),
            upstream_url: String::new(),
            certificate: None,
            cert_resolver: None,
            public_host: String::new(),
            servers_host: None,
            serves_metrics: false,
        };
        let (routes, _) = Routes::new(Arc::clone(&directory), Arc::default(), facts).unwrap();
        let logs = Logs::new(
            runtime.clone(),
            dir.path().to_owned(),
            tasks.clone(),
            cancel.clone(),
        );
        let parts = Arc::new(Parts {
            store: Store::open(&dir.path().join("emcp.redb"), &vault).unwrap(),
            directory,
            runtime,
            vault,
            routes: Arc::new(routes),
            logs: Arc::new(logs),
            waker: Arc::new(Waker::default()),
            bundles: Arc::new(Bundles::new(dir.path())),
            disks: Arc::default(),
            bounds: Arc::new(Bounds::new(
                SettingsInput::default().check().unwrap().bounds,
            )),
            metrics: Arc::default(),
            client: ServerClient::new().unwrap(),
            clock: Clock::Wall,
            layout: Layout::new(dir.path()),
            config: Config {
                base_image: "none".to_owned(),
                networks,
                instance: "test".to_owned(),
                start_timeout: PROMPT,
                liveness_interval: PROMPT,
                unresponsive_restart: None,
                stop_grace: PROMPT,
                sleep: None,
                parallel_starts: 2,
                passed_env: Vec::new(),
            },
        });
        running.spawn(run(Arc::clone(&parts), tasks.clone(), cancel.clone()));
        Self {
            engine,
            parts,
            tasks,
            cancel,
            running,
            _dir: dir,
        }
    }

    async fn until_state(&self, id: ServerId, is_so: impl Fn(&RunState) -> bool) {
        let mut changes = self.parts.directory.subscribe();
        let seen = async {
            while !is_so(&self.parts.directory.get(id).unwrap().state) {
                changes.changed().await.unwrap();
            }
        };
        timeout(PROMPT, seen).await.expect("the state did not come");
    }
}

fn wanted(name: &str) -> Server {
    Server {
        desired: Desired::Running,
        ..Server::new(
            ServerId::new(),
            name.parse().unwrap(),
            Principal::by_name("ann"),
            Timestamp::now(),
        )
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_hangs_holds_up_no_wake_up_and_not_the_end() {
    let (one, two) = (wanted("one"), wanted("two"));
    let mut setting = Setting::with(&[&one, &two]);
    setting.engine.until_asked_for_all(1).await;
    for server in [&one, &two] {
        setting.parts.waker.wake(server.id);
        // The wish is taken up, as far as that goes without an engine.
        let is_taken_up = |state: &RunState| state.status == Status::Building;
        setting.until_state(server.id, is_taken_up).await;
    }

    setting.cancel.cancel();
    setting.tasks.close();
    timeout(PROMPT, setting.tasks.wait()).await.unwrap();
    // The loop itself; the engine listens on.
    timeout(PROMPT, setting.running.join_next()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_goes_on_is_asked_again_and_nothing_was_forgotten() {
    let demo = wanted("demo");
    let setting = Setting::with(&[&demo]);
    setting.engine.until_asked_for_all(1).await;
    // During a look: what it will show may be older than this.
    setting.parts.waker.wake_all();
    setting.parts.waker.wake(demo.id);
    let is_taken_up = |state: &RunState| state.status == Status::Building;
    setting.until_state(demo.id, is_taken_up).await;
    setting.engine.goes_on();
    setting.engine.until_asked_for_all(2).await;
    // It came as far as asking for a container, which this engine refuses.
    setting
        .until_state(demo.id, |state| state.status == Status::Error)
        .await;
    setting.cancel.cancel();
}
