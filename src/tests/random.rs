//! Whatever goes wrong, and in whatever order: once it is over, every server is
//! as it is wanted, nothing that was acknowledged is lost, and nothing is left
//! over.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof};
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::json;

use super::app::TestApp;
use crate::model::ServerId;
use crate::runtime::Phase;
use crate::runtime::fake::{Fault, Faults, Op};

/// Sequences tried, in several tests that run side by side.
const SEQUENCES: u32 = 50;
const STEPS_MAX: usize = 24;
/// Servers at once.
const SERVERS: usize = 3;

/// What a person wishes, or what goes wrong.
#[derive(Debug, Clone)]
enum Happening {
    Create(usize),
    Act(usize, &'static str),
    Describe(usize, u8),
    Upload(usize, u8),
    Delete(usize),
    CallFails(Op, Fault),
    EventsAreLost(Vec<bool>),
    EngineGoesAway,
    EngineComesBack,
    EngineRestarts,
    Killed(usize, i64),
    Vanishes(usize),
    IsCutOff(usize),
    IsFrozen(usize),
    Hangs(usize, bool),
    EmcpRestarts,
    TimePasses(Duration),
}

fn happening() -> impl Strategy<Value = Happening> {
    let server = || 0..SERVERS;
    let op = prop_oneof![
        Just(Op::BeganAt),
        Just(Op::List),
        Just(Op::Inspect),
        Just(Op::Create),
        Just(Op::Start),
        Just(Op::Stop),
        Just(Op::Pause),
        Just(Op::Unpause),
        Just(Op::Remove),
        Just(Op::Attach),
        Just(Op::Output),
    ];
    let fault = prop_oneof![
        (1_u64..120).prop_map(|secs| Fault::Slow(Duration::from_secs(secs))),
        Just(Fault::Unreachable),
        Just(Fault::AnswerLost),
        Just(Fault::Refused),
    ];
    let action = prop_oneof![Just("start"), Just("stop"), Just("restart")];
    prop_oneof![
        4 => server().prop_map(Happening::Create),
        4 => (server(), action).prop_map(|(server, action)| Happening::Act(server, action)),
        1 => (server(), any::<u8>()).prop_map(|(server, n)| Happening::Describe(server, n)),
        2 => (server(), any::<u8>()).prop_map(|(server, n)| Happening::Upload(server, n)),
        1 => server().prop_map(Happening::Delete),
        6 => (op, fault).prop_map(|(op, fault)| Happening::CallFails(op, fault)),
        1 => vec(any::<bool>(), 1..8).prop_map(Happening::EventsAreLost),
        1 => Just(Happening::EngineGoesAway),
        1 => Just(Happening::EngineComesBack),
        1 => Just(Happening::EngineRestarts),
        2 => (server(), 0_i64..140).prop_map(|(server, code)| Happening::Killed(server, code)),
        1 => server().prop_map(Happening::Vanishes),
        1 => server().prop_map(Happening::IsCutOff),
        1 => server().prop_map(Happening::IsFrozen),
        1 => (server(), any::<bool>()).prop_map(|(server, in_call)| Happening::Hangs(server, in_call)),
        1 => Just(Happening::EmcpRestarts),
        6 => (0_u64..8_000).prop_map(|ms| Happening::TimePasses(Duration::from_millis(ms))),
    ]
}

/// What was acknowledged of a server.
#[derive(Debug, Clone)]
struct Acknowledged {
    id: ServerId,
    is_wanted: bool,
    description: String,
    code: String,
}

/// The platform, and what people were told.
struct World {
    app: TestApp,
    servers: BTreeMap<usize, Acknowledged>,
    deleted: Vec<ServerId>,
}

impl World {
    async fn new() -> Self {
        Self {
            app: TestApp::new().await,
            servers: BTreeMap::new(),
            deleted: Vec::new(),
        }
    }

    async fn meets(mut self, happening: Happening) -> Self {
        let id = |n: &usize| self.servers.get(n).map(|server| server.id);
        let engine = &self.app.engine;
        match happening {
            Happening::Create(n) => self.create(n).await,
            Happening::Act(n, action) => self.act(n, action).await,
            Happening::Describe(n, word) => self.describe(n, word).await,
            Happening::Upload(n, word) => self.upload(n, word).await,
            Happening::Delete(n) => self.delete(n).await,
            Happening::CallFails(op, fault) => engine.faults(|faults| faults.next(op, fault)),
            Happening::EventsAreLost(which) => engine.faults(|faults| faults.lose_events(which)),
            Happening::EngineGoesAway => engine.goes_away(),
            Happening::EngineComesBack => engine.comes_back(),
            Happening::EngineRestarts => engine.restarts(),
            Happening::Killed(n, code) => {
                id(&n).inspect(|id| engine.kill(*id, code));
            }
            Happening::Vanishes(n) => {
                id(&n).inspect(|id| engine.vanish(*id));
            }
            Happening::IsCutOff(n) => {
                id(&n).inspect(|id| engine.cut_off(*id));
            }
            Happening::IsFrozen(n) => {
                id(&n).inspect(|id| engine.freeze(*id));
            }
            Happening::Hangs(n, in_call) => {
                id(&n).inspect(|id| engine.hang(*id, true, in_call));
            }
            Happening::EmcpRestarts => self.app = self.app.restart().await,
            Happening::TimePasses(time) => tokio::time::sleep(time).await,
        }
        self
    }

    async fn create(&mut self, n: usize) {
        if self.servers.contains_key(&n) {
            return;
        }
        let code = format!("# number {n}\n");
        let body = json!({"name": format!("server-{n}"), "code": code});
        let made = self.app.call("POST", "/api/servers", Some(body)).await;
        let made = made.expect(201).json;
        let server = Acknowledged {
            id: made["id"].as_str().unwrap().parse().unwrap(),
            is_wanted: true,
            description: String::new(),
            code,
        };
        self.servers.insert(n, server);
    }

    async fn act(&mut self, n: usize, action: &str) {
        let Some(server) = self.servers.get_mut(&n) else {
            return;
        };
        self.app.act(server.id, action).await.expect(202);
        server.is_wanted = action != "stop";
    }

    async fn describe(&mut self, n: usize, word: u8) {
        let Some(server) = self.servers.get_mut(&n) else {
            return;
        };
        let path = format!("/api/servers/{}", server.id);
        let description = format!("the {word}th");
        let body = json!({"description": description});
        let changed = self.app.call("PATCH", &path, Some(body)).await;
        changed.expect(200);
        server.description = description;
    }

    async fn upload(&mut self, n: usize, word: u8) {
        let Some(server) = self.servers.get_mut(&n) else {
            return;
        };
        let path = format!("/api/servers/{}/code", server.id);
        let code = format!("# changed to {word}\n");
        let body = json!({"code": code});
        self.app.call("PUT", &path, Some(body)).await.expect(200);
        server.code = code;
    }

    async fn delete(&mut self, n: usize) {
        let Some(server) = self.servers.remove(&n) else {
            return;
        };
        let path = format!("/api/servers/{}", server.id);
        self.app.call("DELETE", &path, None).await.expect(204);
        self.deleted.push(server.id);
    }

    /// Nothing goes wrong any more, and a person starts again what EMCP has given
    /// up: then all is as it is wanted.
    async fn calms_down(&self) {
        let engine = &self.app.engine;
        engine.faults(Faults::end);
        engine.comes_back();
        for server in self.servers.values() {
            engine.hang(server.id, false, false);
        }
        let calming = async {
            while !self.is_as_wanted().await {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let calm = tokio::time::timeout(super::app::PATIENCE, calming).await;
        if calm.is_err() {
            let shown = self.app.call("GET", "/api/servers", None).await.text;
            panic!("it is never as wanted: {shown} {:?}", engine.containers());
        }
    }

    /// Whether each server that is wanted runs in one container, each other is
    /// stopped, and nobody else has a container.
    async fn is_as_wanted(&self) -> bool {
        for server in self.servers.values() {
            let shown = self.app.show(server.id).await;
            if server.is_wanted && shown["status"] == "error" && shown["retry_at"].is_null() {
                self.app.act(server.id, "start").await.expect(202);
            }
            let status = if server.is_wanted {
                "running"
            } else {
                "stopped"
            };
            if shown["status"] != status {
                return false;
            }
        }
        let all = self.app.engine.containers();
        let is_known = |id| self.servers.values().any(|server| server.id == id);
        let have_one = self.servers.values().all(|server| {
            let own: Vec<_> = all.iter().filter(|one| one.server == server.id).collect();
            match own.as_slice() {
                [one] if server.is_wanted => one.phase == Phase::Running,
                _ if server.is_wanted => false,
                own => own.iter().all(|one| one.phase == Phase::Exited),
            }
        });
        have_one && all.iter().all(|one| is_known(one.server))
    }

    /// What was acknowledged is there, and what was deleted is not.
    async fn nothing_is_lost(&self) {
        for server in self.servers.values() {
            let shown = self.app.show(server.id).await;
            assert_eq!(shown["description"], server.description.as_str());
            let path = format!("/api/servers/{}/code", server.id);
            let code = self.app.call("GET", &path, None).await.expect(200);
            assert_eq!(code.text, server.code);
        }
        for id in &self.deleted {
            let path = format!("/api/servers/{id}");
            self.app.call("GET", &path, None).await.expect(404);
        }
        self.app.until_code_is_settled().await;
    }
}

/// Tries sequences of happenings; what breaks one is made as short as it gets.
/// They are the same every time, but where `EMCP_RANDOM_SEQUENCES` says how many
/// others to try (`make soak`).
fn try_sequences(seed: u8) {
    let others = std::env::var("EMCP_RANDOM_SEQUENCES").ok();
    let config = ProptestConfig {
        cases: others.as_ref().map_or(SEQUENCES, |n| n.parse().unwrap()),
        failure_persistence: None,
        max_shrink_iters: 64,
        ..ProptestConfig::default()
    };
    let algorithm = RngAlgorithm::ChaCha;
    let mut runner = match others {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::from_seed(algorithm, &[seed; 32])),
    };
    let tried = runner.run(&vec(happening(), 1..STEPS_MAX), |sequence| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for happening in sequence {
                world = world.meets(happening).await;
            }
            world.calms_down().await;
            world.nothing_is_lost().await;
        });
        Ok(())
    });
    if let Err(broken) = tried {
        panic!("{broken}");
    }
}

#[test]
fn random_faults_end_in_what_is_wanted_1() {
    try_sequences(1);
}

#[test]
fn random_faults_end_in_what_is_wanted_2() {
    try_sequences(2);
}

#[test]
fn random_faults_end_in_what_is_wanted_3() {
    try_sequences(3);
}

#[test]
fn random_faults_end_in_what_is_wanted_4() {
    try_sequences(4);
}
