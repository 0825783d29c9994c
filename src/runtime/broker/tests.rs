use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use super::policy::{Policy, check_grace, check_id};
use super::protocol::{self, ANSWER_MAX_BYTES, GREETING, RunWish, ShotKind, WISH_MAX_BYTES, Wish};
use super::server::serve_with;
use super::setup::Setup;
use super::*;
use crate::bundles::Bundles;
use crate::clock::Clock;
use crate::model::{
    AddressPool, Bundle, BundleDigest, Egress, InstanceId, Limits, Maxima, ServerId, ServerNetworks,
};
use crate::runtime::fake::{FakeEngine, Fault, Op};
use crate::runtime::{Change, Endpoint, Runtime, RuntimeError};
use crate::settings::{Settings, SettingsInput};

const MAXIMA: Maxima = Maxima {
    memory_bytes: 1 << 30,
    cpus: 2.0,
    pids: 256,
    storage_bytes: 1 << 30,
};

fn policy() -> Policy {
    let open = AddressPool::parse("198.18.0.0/26").unwrap();
    Policy {
        instance: "emcp".to_owned(),
        networks: ServerNetworks::new(open, open.twin().unwrap()).unwrap(),
    }
}

fn at(address: &str) -> Endpoint {
    Endpoint::at(address.parse().unwrap())
}

fn digest() -> BundleDigest {
    Bundle::of_one_file(b"mcp = None\n".to_vec()).digest()
}

fn wish() -> RunWish {
    RunWish {
        server: ServerId::new(),
        instance: InstanceId::new(),
        name: "emcp-0123456789abcdef".to_owned(),
        server_name: "demo".parse().unwrap(),
        generation: 1,
        revision: 1,
        egress: Egress::Open,
        endpoint: at("198.18.0.20"),
        code: digest(),
        disk_bytes: Some(1 << 20),
        env: vec![("KEY".to_owned(), "value".to_owned())],
        secret_keys: vec!["KEY".to_owned()],
        limits: Limits::default(),
        stop_grace_secs: 10,
    }
}

/// Whether the wish is refused once this is done to it.
fn is_refused(change: impl FnOnce(&mut RunWish)) -> bool {
    let mut wish = wish();
    change(&mut wish);
    policy().check_run(&mut wish, &MAXIMA, 0).is_err()
}

#[test]
fn what_emcp_asks_for_is_allowed() {
    assert!(!is_refused(|_| {}));
    assert!(!is_refused(|wish| {
        wish.egress = Egress::None;
        wish.endpoint = at("198.18.128.20");
        wish.disk_bytes = None;
    }));
}

#[test]
fn code_is_named_by_its_digest_and_by_nothing_else() {
    let mut wish = serde_json::to_value(wish()).unwrap();
    assert!(serde_json::from_value::<RunWish>(wish.clone()).is_ok());
    let hex = digest().hex();
    for code in [
        String::new(),
        "/etc".to_owned(),
        "..".to_owned(),
        "broker/code".to_owned(),
        format!("bundles/{}/{hex}", &hex[..2]),
        hex.clone(),
        format!("sha256:{hex}/.."),
        format!("sha256:../../{}", &hex[6..]),
        format!("sha256:{}", hex.to_uppercase()),
    ] {
        wish["code"] = code.clone().into();
        let read = serde_json::from_value::<RunWish>(wish.clone());
        assert!(read.is_err(), "{code}");
    }
}

#[test]
fn names_addresses_and_disks_are_those_of_servers() {
    for name in [
        "emcp",
        "emcp-traefik",
        "emcp-0123456789ABCDEF",
        "other-0123456789abcdef",
        "emcp-0123456789abcdef0",
    ] {
        assert!(is_refused(|wish| wish.name = name.to_owned()), "{name}");
    }
    // The gateway's, Docker's own part, the other network's, and the world's.
    for address in ["198.18.0.1", "198.18.0.3", "198.18.128.20", "10.0.0.1"] {
        let refused = is_refused(|wish| wish.endpoint = at(address));
        assert!(refused, "{address}");
    }
    assert!(is_refused(|wish| wish.disk_bytes = Some(2 << 30)));
    assert!(is_refused(|wish| wish.stop_grace_secs = 601));
}

#[test]
fn a_disk_that_was_larger_before_keeps_its_size() {
    let mut wish = wish();
    wish.disk_bytes = Some(2 << 30);
    assert!(policy().check_run(&mut wish, &MAXIMA, 2 << 30).is_ok());
}

#[test]
fn variables_are_bounded_and_cannot_be_taken_for_others() {
    let variable = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    for env in [
        vec![variable("", "x")],
        vec![variable("1A", "x")],
        vec![variable("A=B", "x")],
        vec![variable("A B", "x")],
        vec![variable("A", "x\0y")],
        vec![variable("A", &"x".repeat(9 << 20))],
        vec![variable("A", "x"); 257],
    ] {
        let refused = is_refused(|wish| {
            wish.secret_keys.clear();
            wish.env = env;
        });
        assert!(refused);
    }
    assert!(is_refused(|wish| wish.secret_keys = vec!["A,B".to_owned()]));
}

#[test]
fn limits_come_within_the_maxima() {
    let mut greedy = wish();
    greedy.limits = Limits::HIGHEST;
    policy().check_run(&mut greedy, &MAXIMA, 0).unwrap();
    assert_eq!(MAXIMA.cap(greedy.limits), greedy.limits);
    for cpus in [f64::NAN, -1.0, 0.0] {
        let refused = is_refused(|wish| wish.limits.cpus = cpus);
        // What is no number is the least of it and a number.
        assert!(refused || cpus.is_nan(), "{cpus}");
    }
    assert!(is_refused(|wish| wish.limits.pids = 0));
    assert!(is_refused(|wish| wish.limits.memory_bytes = 0));
}

#[test]
fn only_whole_ids_are_ids() {
    let id = "0f".repeat(32);
    assert!(check_id(&id).is_ok());
    let (upper, long) = (id.to_uppercase(), format!("{id}0"));
    for wrong in [
        "",
        "emcp-traefik",
        "0f0f0f0f0f0f",
        "../..",
        upper.as_str(),
        long.as_str(),
    ] {
        assert!(check_id(wrong).is_err(), "{wrong}");
    }
    assert!(check_grace(600).is_ok() && check_grace(601).is_err());
}

#[test]
fn what_is_run_to_its_end_is_bounded_too() {
    let check = policy().check_shot(&ShotKind::Check {
        code: digest(),
        entry_object: "mcp".parse().unwrap(),
        runtime: crate::model::RuntimeChoice::Auto,
    });
    assert!(check.is_ok());
    let reach = |address: &str| {
        let endpoint = at(address);
        policy().check_shot(&ShotKind::Reach { endpoint })
    };
    assert!(reach("198.18.0.62").is_ok());
    assert!(reach("198.18.0.1").is_err());
}

mod attacks;
mod serves;

/// A broker.
struct Running {
    settings: Settings,
    _dir: tempfile::TempDir,
    cancel: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl Running {
    /// Its engine is away.
    async fn start() -> Self {
        Self::start_with(async |settings, cancel| serve(&settings, cancel).await).await
    }

    /// Its engine is in memory.
    async fn with_engine() -> (Self, FakeEngine) {
        let engine = FakeEngine::new(Clock::Wall);
        let found = engine.clone();
        let running = Self::start_with(async move |settings, cancel| {
            let find = Box::new(move |_: &Setup| Ok(found.clone()));
            serve_with(&settings, find, cancel).await
        });
        (running.await, engine)
    }

    async fn start_with<S>(serve: impl FnOnce(Settings, CancellationToken) -> S) -> Self
    where
        S: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let dir = tempfile::tempdir().unwrap();
        let input = SettingsInput {
            data_dir: Some(dir.path().join("data")),
            broker: Some(dir.path().join("socket")),
            subnet: Some("198.18.0.0/26".to_owned()),
            max_memory: Some("1g".to_owned()),
            max_cpus: Some(2.0),
            max_pids: Some(256),
            max_storage: Some("1g".to_owned()),
            docker_host: Some(format!("unix://{}", dir.path().join("nobody").display())),
            ..SettingsInput::default()
        };
        let running = Self {
            settings: input.check().unwrap(),
            _dir: dir,
            cancel: CancellationToken::new(),
        };
        let (settings, cancel) = (running.settings.clone(), running.cancel.clone());
        tokio::spawn(serve(settings, cancel));
        let there = async {
            while !running.path().exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), there)
            .await
            .unwrap();
        running
    }

    fn path(&self) -> &Path {
        self.settings.broker.as_deref().unwrap()
    }

    fn client(&self) -> BrokerRuntime {
        BrokerRuntime::new(self.path(), &self.settings)
    }

    fn data(&self, name: impl AsRef<Path>) -> std::path::PathBuf {
        self.settings.data_dir.join(name)
    }

    /// A wish for a container of a server that has code.
    fn wish(&self) -> RunWish {
        let bundle = Bundle::of_one_file(b"# fake: say hello\n".to_vec());
        let bundles = Arc::new(Bundles::new(&self.settings.data_dir));
        let lease = bundles.lease(bundle.digest());
        lease.write(&bundle).unwrap();
        lease.keep();
        RunWish {
            code: bundle.digest(),
            ..wish()
        }
    }

    /// Where EMCP has code.
    fn folder(&self, code: BundleDigest) -> std::path::PathBuf {
        Bundles::new(&self.settings.data_dir).folder(code)
    }

    /// What it answers to what whoever took EMCP over says; null if it hangs up.
    async fn answers(&self, wish: &Value) -> Value {
        let content = serde_json::to_vec(wish).unwrap();
        let head = u32::try_from(content.len()).unwrap().to_be_bytes();
        let mut stream = UnixStream::connect(self.path()).await.unwrap();
        let said = [&GREETING[..], &head, &content].concat();
        stream.write_all(&said).await.unwrap();
        stream.read_exact(&mut [0; GREETING.len()]).await.unwrap();
        let length = protocol::length_of_next(&mut stream, ANSWER_MAX_BYTES).await;
        match length {
            Ok(Some(length)) => protocol::receive(&mut stream, length).await.unwrap(),
            Ok(None) | Err(_) => Value::Null,
        }
    }

    /// What it says to these bytes until it hangs up.
    async fn says(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = UnixStream::connect(self.path()).await.unwrap();
        let mut said = Vec::new();
        // It may hang up in the middle.
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut said).await;
        said
    }
}

#[tokio::test]
async fn an_engine_that_is_away_is_told_as_such() {
    let running = Running::start().await;
    let client = running.client();
    let refused = client.ping().await.unwrap_err();
    assert!(matches!(refused, RuntimeError::Unreachable(_)), "{refused}");
    let listed = client.list(None).await.unwrap_err();
    assert!(matches!(listed, RuntimeError::Unreachable(_)), "{listed}");
    let followed = client
        .follow(&"0".repeat(64).into(), 0)
        .next()
        .await
        .unwrap();
    assert!(matches!(followed, Err(RuntimeError::Unreachable(_))));
    assert_eq!(client.changes().next().await, None);
}

#[tokio::test]
async fn ids_that_are_none_never_reach_the_engine() {
    let running = Running::start().await;
    let client = running.client();
    for id in ["emcp-traefik", "..", "", "abc"] {
        let refused = client.remove(&id.into()).await.unwrap_err();
        assert!(
            matches!(refused, RuntimeError::Refused(_)),
            "{id}: {refused}"
        );
    }
}

#[tokio::test]
async fn the_socket_is_its_owners_alone() {
    let running = Running::start().await;
    let mode = std::fs::metadata(running.path())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn settings_that_differ_are_named() {
    let running = Running::start().await;
    let mut settings = running.settings.clone();
    settings.base_image = "evil".to_owned();
    settings.bounds.max_pids = Some(17);
    let other = BrokerRuntime::new(running.path(), &settings);
    let refused = other
        .connect(settings.networks)
        .await
        .unwrap_err()
        .to_string();
    for word in ["EMCP_BASE_IMAGE", "evil", "EMCP_MAX_PIDS", "17"] {
        assert!(refused.contains(word), "{refused}");
    }
}

#[tokio::test]
async fn garbage_and_what_is_too_long_end_the_connection_and_nothing_else() {
    let running = Running::start().await;
    let greeted = |rest: &[u8]| [&GREETING[..], rest].concat();
    let too_long = u32::try_from(WISH_MAX_BYTES + 1).unwrap().to_be_bytes();
    let framed = |text: &str| {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        greeted(&[&length[..], text.as_bytes()].concat())
    };
    for bytes in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"emcp-broker 9\n\0\0\0\x06\"ping\"".to_vec(),
        greeted(&too_long),
        greeted(&[0, 0, 0, 9, b'x']),
        framed("{}"),
        framed("\"unheard of\""),
        framed("{\"inspect\":{\"id\":1}}"),
        framed("{\"inspect\":{\"id\":\"a\",\"more\":1}}"),
        framed(&"[".repeat(100_000)),
    ] {
        assert_eq!(running.says(&bytes).await, GREETING);
    }
    // And it goes on.
    assert!(running.client().ping().await.is_err());
    let said = running.says(&framed("{\"inspect\":{\"id\":\"a\"}}")).await;
    assert!(said.len() >= GREETING.len());
}

#[tokio::test]
async fn a_broker_of_another_version_is_told_and_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"emcp-broker 1\n").await;
        }
    });
    let settings = SettingsInput::default().check().unwrap();
    let told = BrokerRuntime::new(&path, &settings)
        .ping()
        .await
        .unwrap_err();
    assert!(matches!(told, RuntimeError::Unreachable(_)));
    assert!(told.to_string().contains("another version"), "{told}");
}

#[tokio::test]
async fn frames_arrive_as_they_were_sent() {
    let (mut one, mut other) = tokio::io::duplex(64);
    let sending = tokio::spawn(async move {
        let wish = Wish::Run(Box::new(wish()));
        protocol::send(&mut one, &wish, WISH_MAX_BYTES)
            .await
            .unwrap();
    });
    let length = protocol::length_of_next(&mut other, WISH_MAX_BYTES)
        .await
        .unwrap();
    let Wish::Run(got) = protocol::receive(&mut other, length.unwrap())
        .await
        .unwrap()
    else {
        panic!("another wish arrived");
    };
    assert_eq!(
        (got.name.as_str(), got.env.len()),
        ("emcp-0123456789abcdef", 1)
    );
    sending.await.unwrap();
    let end = protocol::length_of_next(&mut other, WISH_MAX_BYTES)
        .await
        .unwrap();
    assert_eq!(end, None);
    let (mut one, _other) = tokio::io::duplex(64);
    let much = HashMap::from([("x", "y".repeat(100))]);
    assert!(protocol::send(&mut one, &much, 64).await.is_err());
}
