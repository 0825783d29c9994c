//! The service under test.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::http::{InProcess, in_process};
use crate::model::ServerId;
use crate::runtime::fake::FakeEngine;
use crate::services::{App, Endings, Opened, Outside, start_in};
use crate::settings::SettingsInput;

/// Far more than anything takes, on the clock that leaps.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);
/// Between two looks at a condition.
const POLL: Duration = Duration::from_millis(20);

/// EMCP, its engine, and somebody in Traefik's place.
pub(super) struct TestApp {
    pub(super) app: Arc<App>,
    pub(super) engine: FakeEngine,
    pub(super) admin: String,
    web: Arc<[InProcess; 2]>,
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

/// An answer, read.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: http::HeaderMap,
    /// The body, and what it says if it is JSON.
    pub(super) text: String,
    pub(super) json: Value,
}

impl Reply {
    /// The same, if it is of this status.
    #[track_caller]
    pub(super) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.json);
        self
    }

    /// The code of the error.
    pub(super) fn code(&self) -> &str {
        self.json["error"]["code"].as_str().unwrap_or_default()
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
        let clock = Clock::of_tokio();
        let engine = FakeEngine::new(clock);
        let mut input = SettingsInput {
            data_dir: Some(dir.path().join("data")),
            firewall: Some("off".to_owned()),
            ..SettingsInput::default()
        };
        change(&mut input);
        let (app, web, endings) = begin(input, &engine, clock).await;
        let token = dir.path().join("data/admin-token");
        let admin = std::fs::read_to_string(token).unwrap().trim().to_owned();
        Self {
            app,
            engine,
            admin,
            web,
            clock,
            endings,
            dir,
        }
    }

    /// EMCP ends as by SIGTERM, and another one takes over.
    pub(super) async fn restart(self) -> Self {
        let Self {
            app,
            engine,
            admin,
            web,
            clock,
            mut endings,
            dir,
        } = self;
        endings.closing.cancel();
        endings.cancel.cancel();
        endings.tasks.close();
        timeout(PATIENCE, endings.tasks.wait()).await.unwrap();
        endings.running.shutdown().await;
        drop((app, web, endings));
        let input = SettingsInput {
            data_dir: Some(dir.path().join("data")),
            firewall: Some("off".to_owned()),
            ..SettingsInput::default()
        };
        let (app, web, endings) = begin(input, &engine, clock).await;
        Self {
            app,
            engine,
            admin,
            web,
            clock,
            endings,
            dir,
        }
    }

    // --- calls ----------------------------------------------------------------

    /// A call of the API by the administrator.
    pub(super) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.call_as(&self.admin, method, path, body).await
    }

    /// The same with another token.
    pub(super) async fn call_as(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Reply {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = method.parse::<Method>().unwrap();
        *request.uri_mut() = path.parse().unwrap();
        let headers = request.headers_mut();
        if !token.is_empty() {
            let bearer = format!("Bearer {token}").parse().unwrap();
            headers.insert("authorization", bearer);
        }
        if let Some(body) = body {
            headers.insert("content-type", "application/json".parse().unwrap());
            *request.body_mut() = body.to_string().into();
        }
        self.send(request).await
    }

    /// Any request to the public listener.
    pub(super) async fn send(&self, request: Request<Bytes>) -> Reply {
        let answer = self.web[0].call(request).await;
        let (head, body) = answer.into_parts();
        Reply {
            status: head.status,
            headers: head.headers,
            text: String::from_utf8_lossy(&body).into_owned(),
            json: serde_json::from_slice(&body).unwrap_or(Value::Null),
        }
    }

    /// What the gate says of a call of a server with this token.
    pub(super) async fn knock(&self, token: &str, server: ServerId) -> StatusCode {
        let entry = self.app.find_server(&server.to_string()).unwrap();
        let at = entry.server.address_in(&self.app.settings().networks);
        let name = &entry.server.name;
        let request = Request::get(format!("/gate?server={server}&at={at}"))
            .header("authorization", format!("Bearer {token}"))
            .header("x-forwarded-method", "POST")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-host", "localhost:8443")
            .header("x-forwarded-uri", format!("/api/{name}/mcp"))
            .body(Bytes::new())
            .unwrap();
        self.web[1].call(request).await.status()
    }

    /// Makes a server of this file.
    pub(super) async fn create(&self, name: &str, code: &str) -> ServerId {
        let body = json!({"name": name, "code": code});
        let made = self.call("POST", "/api/servers", Some(body)).await;
        let made = made.expect(201);
        made.json["id"].as_str().unwrap().parse().unwrap()
    }

    /// Starts, stops or restarts a server.
    pub(super) async fn act(&self, id: ServerId, action: &str) -> Reply {
        let path = format!("/api/servers/{id}/action");
        let body = json!({"action": action});
        self.call("POST", &path, Some(body)).await
    }

    /// A server as the API shows it.
    pub(super) async fn show(&self, id: ServerId) -> Value {
        let path = format!("/api/servers/{id}");
        self.call("GET", &path, None).await.expect(200).json
    }

    // --- waiting --------------------------------------------------------------

    /// Waits until a server has this status, and shows it.
    #[track_caller]
    pub(super) fn until_status(
        &self,
        id: ServerId,
        status: &str,
    ) -> impl Future<Output = Value> + use<'_> {
        let caller = std::panic::Location::caller();
        let status = status.to_owned();
        async move {
            let seen = async {
                loop {
                    let shown = self.show(id).await;
                    if shown["status"] == *status {
                        return shown;
                    }
                    tokio::time::sleep(POLL).await;
                }
            };
            match timeout(PATIENCE, seen).await {
                Ok(shown) => shown,
                Err(_) => panic!("{caller}: never {status}: {}", self.show(id).await),
            }
        }
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

async fn begin(
    input: SettingsInput,
    engine: &FakeEngine,
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
    let opened = Opened::open(&settings).unwrap();
    let (app, reconciling) = start_in(settings, opened, outside, endings).await.unwrap();
    if engine.containers().is_empty() {
        for entry in app.directory_entries() {
            engine.has_from_before(&entry, &app.settings().networks);
        }
    }
    let web = Arc::new(in_process(&app));
    let mut running = JoinSet::new();
    running.spawn(async move { reconciling.await.unwrap() });
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

/// Polls, routes by what it was given, and tells so.
async fn stand_for_traefik(web: Arc<[InProcess; 2]>, token: String) {
    let ask = async |path: String| {
        let request = Request::get(path)
            .header("authorization", format!("Bearer {token}"))
            .body(Bytes::new())
            .unwrap();
        web[1].call(request).await.into_body()
    };
    let in_effect = tokio::sync::watch::Sender::new(None::<String>);
    let fetching = async {
        loop {
            let document = ask("/traefik/config".to_owned()).await;
            let document: Value = serde_json::from_slice(&document).unwrap_or_default();
            let path =
                document["http"]["middlewares"]["emcp-in-effect"]["replacePath"]["path"].as_str();
            in_effect.send_replace(path.map(str::to_owned));
            tokio::time::sleep(POLL).await;
        }
    };
    let telling = async {
        loop {
            let path = in_effect.borrow().clone();
            if let Some(path) = path {
                ask(path).await;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::join!(fetching, telling);
}
