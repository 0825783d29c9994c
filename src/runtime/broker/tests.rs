use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use super::policy::{Policy, check_grace, check_id};
use super::protocol::{self, GREETING, RunWish, ShotKind, WISH_MAX_BYTES, Wish};
use super::*;
use crate::model::{AddressPool, Egress, InstanceId, Limits, Maxima, ServerId, ServerNetworks};
use crate::runtime::{Endpoint, Runtime, RuntimeError};
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

fn wish() -> RunWish {
    let server = ServerId::new();
    RunWish {
        server,
        instance: InstanceId::new(),
        name: "emcp-0123456789abcdef".to_owned(),
        server_name: "demo".parse().unwrap(),
        generation: 1,
        revision: 1,
        egress: Egress::Open,
        endpoint: at("198.18.0.20"),
        code: format!("{server}/versions/3"),
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
fn code_is_a_folder_of_the_same_server_and_nothing_else() {
    let other = ServerId::new();
    for code in [
        String::new(),
        "/".to_owned(),
        "/etc".to_owned(),
        "..".to_owned(),
        "broker/code".to_owned(),
        other.to_string(),
        format!("{other}/versions/1"),
    ] {
        assert!(is_refused(|wish| wish.code = code.clone()), "{code}");
    }
    for tail in ["", "/..", "/versions/../..", "/a/b/c/d", "/versions/1\0"] {
        let refused = is_refused(|wish| wish.code = format!("{}{tail}", wish.server));
        assert!(refused, "{tail:?}");
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
    let check = |code: &str| {
        policy().check_shot(&ShotKind::Check {
            code: code.to_owned(),
            entry_object: "mcp".parse().unwrap(),
            runtime: crate::model::RuntimeChoice::Auto,
        })
    };
    assert!(check(&format!("{}/versions/1", ServerId::new())).is_ok());
    for wrong in ["", "etc", "broker/code", "../etc"] {
        assert!(check(wrong).is_err(), "{wrong}");
    }
    let reach = |address: &str| {
        let endpoint = at(address);
        policy().check_shot(&ShotKind::Reach { endpoint })
    };
    assert!(reach("198.18.0.62").is_ok());
    assert!(reach("198.18.0.1").is_err());
}

/// A broker whose engine is away.
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
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let input = SettingsInput {
            data_dir: Some(dir.path().join("data")),
            broker: Some(dir.path().join("socket")),
            docker_host: Some(format!("unix://{}", dir.path().join("nobody").display())),
            ..SettingsInput::default()
        };
        let running = Self {
            settings: input.check().unwrap(),
            _dir: dir,
            cancel: CancellationToken::new(),
        };
        let (settings, cancel) = (running.settings.clone(), running.cancel.clone());
        tokio::spawn(async move { serve(&settings, cancel).await });
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
