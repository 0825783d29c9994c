//! What the gate computes for one request, with 10,000 tokens and 1,000
//! servers: find the server, read the credential, hash and look it up, note
//! its use, decide; and the same with what is recorded of it for Prometheus.
//! Network and HTTP are measured by `tests/bench/gate.py`.

#![expect(
    clippy::unwrap_used,
    reason = "a measurement may panic, and is no library"
)]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use divan::Bencher;
use divan::counter::ItemsCount;
use emcp::access::{Limiter, Proxies, TokenTable};
use emcp::directory::{Directory, Entry};
use emcp::gate::{self, GateRequest, Recognised, Verdict};
use emcp::metrics::{GateOutcome, Metrics};
use emcp::model::{
    Desired, Error, Grant, Instance, InstanceRole, Instances, Origin, Principal, Role, RunState,
    Server, ServerId, Status, Token, TokenId, TokenSecret,
};
use jiff::Timestamp;
use secrecy::SecretString;
use uuid::Uuid;

const TOKENS: usize = 10_000;
const SERVERS: usize = 1_000;
/// Requests are taken in turn from so many, so that no measurement is of one
/// token that the processor's cache holds.
const REQUESTS: usize = 4_096;
/// Long enough to take every request many times: the first of each finds nothing
/// in the processor's cache.
const MEASURED: Duration = Duration::from_secs(1);
const TRAEFIK: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 2));

fn main() {
    divan::main();
}

/// What EMCP keeps in memory, and the requests to put to it.
struct World {
    tokens: TokenTable,
    limiter: Mutex<Limiter>,
    directory: Directory,
    proxies: Proxies,
    /// A right token, for the server it is for.
    right: Vec<Request>,
    /// A token nobody has.
    wrong: Vec<Request>,
    /// A right token that is for another server.
    elsewhere: Vec<Request>,
    /// A right token as the `key` in the URL.
    in_url: Vec<Request>,
}

/// One request as Traefik puts it.
struct Request {
    server: String,
    authorization: Option<String>,
    uri: String,
    forwarded_for: String,
}

static WORLD: LazyLock<World> = LazyLock::new(World::new);
static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::default);

impl World {
    fn new() -> Self {
        let now = Timestamp::now();
        let entries: Vec<Entry> = (0..SERVERS).map(|number| entry(number, now)).collect();
        let ids: Vec<ServerId> = entries.iter().map(|entry| entry.server.id).collect();
        let secret = |number: usize| TokenSecret::from_random(bytes_of(number));
        let tokens = (0..TOKENS)
            .map(|number| token(number, &secret(number), ids[number % SERVERS], now))
            .collect();
        let requests = |shift: usize, first: usize| {
            (0..REQUESTS)
                // Far apart, so that neighbours share no memory.
                .map(|turn| turn * 7_919 % TOKENS)
                .map(|number| Request {
                    server: ids[(number + shift) % SERVERS].to_string(),
                    authorization: Some(format!("Bearer {}", secret(first + number).expose())),
                    uri: format!("/api/server-{}/mcp", number % SERVERS),
                    forwarded_for: Ipv4Addr::from(0xC612_0000 + number as u32).to_string(),
                })
                .collect::<Vec<_>>()
        };
        let in_url = requests(0, 0)
            .into_iter()
            .map(|request| Request {
                uri: format!(
                    "{}?key={}",
                    request.uri,
                    &request.authorization.unwrap()["Bearer ".len()..]
                ),
                authorization: None,
                ..request
            })
            .collect();
        let proxies = Proxies::new([[198, 18, 1, 1].into(), [198, 18, 129, 1].into()]);
        proxies.see(TRAEFIK, Instant::now());
        Self {
            tokens: TokenTable::new(
                &SecretString::from("emcp_administrator-administrator"),
                tokens,
            ),
            limiter: Mutex::new(Limiter::new(u32::MAX)),
            directory: Directory::new(entries),
            proxies,
            right: requests(0, 0),
            wrong: requests(0, TOKENS),
            elsewhere: requests(1, 0),
            in_url,
        }
    }

    /// `http::controllers::gate` and `Authentication::identify` without HTTP and logs.
    fn decide(&self, request: &Request) -> Verdict {
        let entry = request
            .server
            .parse()
            .ok()
            .and_then(|id| self.directory.get(id));
        let asked = GateRequest {
            authorization: request.authorization.as_deref(),
            uri: &request.uri,
            ..GateRequest::default()
        };
        gate::decide(&asked, || self.caller(request, &asked), entry.as_ref(), &[])
    }

    fn caller(&self, request: &Request, asked: &GateRequest<'_>) -> Result<Recognised, Error> {
        let mut presented = gate::credentials(asked).into_iter();
        let (by, presented) = presented.next().ok_or_else(gate::no_credential)?;
        let instant = Instant::now();
        let from = self
            .proxies
            .client(TRAEFIK, Some(&request.forwarded_for), instant)
            .into();
        let now = Timestamp::now();
        let Some(found) = self.tokens.identify(&presented, from, now) else {
            let mut limiter = self.limiter.lock().unwrap();
            limiter.standing(from, instant);
            limiter.wrong(from, instant);
            return Err(Error::Unauthenticated {
                is_wrong: true,
                message: "this token is not valid (any more)".to_owned(),
            });
        };
        self.tokens.note_use(found.caller.credential(), from, now);
        Ok(Recognised {
            caller: found.caller,
            by,
        })
    }
}

fn bytes_of(number: usize) -> [u8; 32] {
    TokenSecret::hash_of(&number.to_string())
}

fn entry(number: usize, now: Timestamp) -> Entry {
    let server = Server {
        desired: Desired::Running,
        ..Server::new(
            ServerId::new(),
            format!("server-{number}").parse().unwrap(),
            Principal::by_name("maker"),
            now,
        )
    };
    let state = RunState {
        status: Status::Running,
        generation: 1,
        ..RunState::never_ran(now)
    };
    let role = InstanceRole::Serving;
    let instance = Instance::new(&server, role, [198, 18, 1, 0].into(), state);
    let key = SecretString::from("gateway");
    Entry::new(server, Instances::only(instance), key)
}

fn token(number: usize, secret: &TokenSecret, server: ServerId, now: Timestamp) -> Token {
    let (id, maker) = (TokenId(Uuid::now_v7()), Principal::by_name("maker"));
    Token {
        id,
        principal: Origin::Token(id).called(format!("client-{number}")),
        grant: Grant {
            role: Role::Connect,
            servers: Some(vec![server]),
            bound_to: Some(maker.clone()),
        },
        hash: hex::encode(TokenSecret::hash_of(secret.expose())),
        created_at: now,
        created_by: maker,
        expires_at: None,
        last_used_at: None,
        quota: Default::default(),
    }
}

/// Measures `World::decide` over requests in turn, all of which must be decided
/// as `is_expected` says.
fn measure(bencher: Bencher<'_, '_>, requests: &[Request], is_expected: fn(&Verdict) -> bool) {
    // Traefik is believed for 30 s after it fetched the routes.
    WORLD.proxies.see(TRAEFIK, Instant::now());
    for request in requests {
        let verdict = WORLD.decide(request);
        assert!(is_expected(&verdict), "{verdict:?}");
    }
    let mut turns = requests.iter().cycle();
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench_local(|| turns.next().map(|request| WORLD.decide(request)));
}

/// What is recorded of a request that passes: by the gate's controller, and by the
/// listener when it is answered.
fn record(begun: Instant) {
    METRICS.gate_decided("allow");
    METRICS.gate_took(GateOutcome::Allowed, false, begun.elapsed());
    METRICS.request_done("/gate", "GET", 200, begun.elapsed());
}

/// Measures `World::decide` over requests in turn, by several at once: what is
/// recorded is counted by all of them together.
fn measure_recording(bencher: Bencher<'_, '_>, after: fn(Instant)) {
    WORLD.proxies.see(TRAEFIK, Instant::now());
    let turns = AtomicUsize::new(0);
    bencher.counter(ItemsCount::new(1_u32)).bench(|| {
        let turn = turns.fetch_add(1, Ordering::Relaxed);
        let begun = Instant::now();
        let verdict = WORLD.decide(&WORLD.right[turn % REQUESTS]);
        after(begun);
        verdict
    });
}

/// What `recorded` is to be compared with.
#[divan::bench(min_time = MEASURED, threads = [1, 2])]
fn unrecorded(bencher: Bencher<'_, '_>) {
    measure_recording(bencher, |_| {});
}

#[divan::bench(min_time = MEASURED, threads = [1, 2])]
fn recorded(bencher: Bencher<'_, '_>) {
    measure_recording(bencher, record);
}

fn is_refused(verdict: &Verdict, wanted: &str) -> bool {
    matches!(verdict, Verdict::Refuse(refusal) if refusal.code == wanted)
}

#[divan::bench(min_time = MEASURED)]
fn right_token(bencher: Bencher<'_, '_>) {
    measure(bencher, &WORLD.right, |verdict| {
        matches!(verdict, Verdict::Allow { .. })
    });
}

#[divan::bench(min_time = MEASURED)]
fn right_token_in_the_url(bencher: Bencher<'_, '_>) {
    measure(bencher, &WORLD.in_url, |verdict| {
        matches!(verdict, Verdict::Allow { .. })
    });
}

#[divan::bench(min_time = MEASURED)]
fn token_for_another_server(bencher: Bencher<'_, '_>) {
    measure(bencher, &WORLD.elsewhere, |verdict| {
        is_refused(verdict, "token_not_for_server")
    });
}

#[divan::bench(min_time = MEASURED)]
fn wrong_token(bencher: Bencher<'_, '_>) {
    measure(bencher, &WORLD.wrong, |verdict| {
        is_refused(verdict, "unauthenticated")
    });
}
