//! A container engine in memory, for tests: it does what Docker Engine does, as
//! far as EMCP can see it, and goes wrong as Docker does. Time is tokio's, which
//! a test may stop; what goes wrong, and when, is the test's too.
//!
//! It models: phases; that an ended container is still listed as running for a
//! moment; names and addresses that are taken; exit codes, SIGTERM and SIGKILL,
//! want of memory, output; calls that are slow, refused, not heard, or done
//! without an answer; events that get lost, and a stream of them that ends;
//! an engine that is away, or begins anew and has ended everything meanwhile;
//! containers that somebody else kills, freezes, cuts off or removes.

mod brokered;
mod container;
mod engine;
mod faults;
mod program;
mod serve;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use tokio::sync::{mpsc, watch};

use super::{Change, Container, Phase, Run, RuntimeError, ServerClient};
use crate::clock::Clock;
use crate::directory::Entry;
use crate::model::{ContainerId, ServerId, ServerNetworks, Status};
use container::{Given, Kept};
pub(crate) use faults::{Fault, Faults, Op};

/// What a call takes at least.
const CALL: Duration = Duration::from_millis(5);
/// What it takes to make a container, or to start one.
const BEGIN: Duration = Duration::from_millis(200);
/// What a program takes to end after SIGTERM.
const GOODBYE: Duration = Duration::from_millis(50);
/// So long an ended container is still listed as running.
const LISTED_RUNNING: Duration = Duration::from_millis(20);

/// The engine; cheap to clone.
#[derive(Clone)]
pub(crate) struct FakeEngine(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    clock: Clock,
    /// Rises with everything that happens.
    happened: watch::Sender<u64>,
}

struct State {
    containers: BTreeMap<ContainerId, Kept>,
    /// How many were ever made.
    made: u64,
    /// How often each server ran.
    runs: BTreeMap<ServerId, u32>,
    began_at: Timestamp,
    is_away: bool,
    /// Whether a broker before it answers, where there is one.
    broker: Option<bool>,
    listeners: Vec<mpsc::UnboundedSender<Change>>,
    faults: Faults,
    calls: Vec<Op>,
}

impl FakeEngine {
    /// An engine without containers.
    pub(crate) fn new(clock: Clock) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                containers: BTreeMap::new(),
                made: 0,
                runs: BTreeMap::new(),
                began_at: clock.now(),
                is_away: false,
                broker: None,
                listeners: Vec::new(),
                faults: Faults::default(),
                calls: Vec::new(),
            }),
            clock,
            happened: watch::Sender::new(0),
        }))
    }

    /// The way to its containers.
    pub(crate) fn client(&self) -> ServerClient {
        ServerClient::of_fake(self.clone())
    }

    /// The container that an earlier EMCP wrote down for this server, as it was
    /// left, with its code in a folder as that EMCP had them.
    pub(crate) fn has_from_before(&self, entry: &Entry, networks: &ServerNetworks) {
        let (server, state) = (&entry.server, &entry.state);
        let Some(id) = &state.container_id else {
            return;
        };
        let phase = match state.status {
            Status::Running | Status::Unresponsive | Status::Starting => Phase::Running,
            Status::Sleeping => Phase::Paused,
            _ => Phase::Exited,
        };
        let key = state.ready_run.clone().or(state.accounted_run.clone());
        let run = Run {
            key: key.unwrap_or_default(),
            started_at: state.started_at,
            finished_at: (phase == Phase::Exited).then_some(state.since),
            exit_code: state.exit_code.unwrap_or_default(),
            oom_killed: false,
            engine_error: None,
        };
        let env = vec![(
            "EMCP_GATEWAY_KEY".to_owned(),
            SecretString::clone(&entry.gateway_key),
        )];
        let kept = Kept {
            phase,
            run: Some(run),
            starts: 1,
            is_attached: true,
            is_ready: true,
            generation: server.generation,
            revision: state.applied_revision.unwrap_or(server.revision),
            code_dir: format!("/data/{}/versions/{}", server.id, server.version).into(),
            ..Kept::new(server.id, entry.endpoint(networks), env)
        };
        let mut state = self.state();
        // It did not begin after those.
        state.began_at = Timestamp::UNIX_EPOCH;
        state.containers.insert(id.clone(), kept);
    }

    // --- what a test makes happen -------------------------------------------

    /// Changes what goes wrong.
    pub(crate) fn faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.state().faults);
    }

    /// Nothing answers from now on.
    pub(crate) fn goes_away(&self) {
        let mut state = self.state();
        state.is_away = true;
        state.listeners.clear();
    }

    /// It answers again, and nothing has happened to its containers.
    pub(crate) fn comes_back(&self) {
        self.state().is_away = false;
    }

    /// There is a broker before it, which answers or does not; without its
    /// answer there is none of the engine.
    pub(crate) fn has_broker(&self, answers: bool) {
        let mut state = self.state();
        (state.broker, state.is_away) = (Some(answers), !answers);
    }

    /// It ends, and all containers with it, and begins anew.
    pub(crate) fn restarts(&self) {
        let now = self.0.clock.now();
        let mut state = self.state();
        for one in state.containers.values_mut() {
            // Docker lets what is frozen go on to end it.
            one.end(now, 137, false);
        }
        state.listeners.clear();
        state.is_away = false;
        // After it has settled what the last one left.
        state.began_at = now + GOODBYE;
        drop(state);
        self.happens();
    }

    /// Somebody ends a server's containers from outside.
    pub(crate) fn kill(&self, server: ServerId, exit_code: i64) {
        self.each_of(server, |one, now| one.end(now, exit_code, false));
    }

    /// Somebody removes a server's containers from outside (`docker rm -f`).
    pub(crate) fn vanish(&self, server: ServerId) {
        self.each_of(server, |one, now| one.end(now, 137, false));
        self.state()
            .containers
            .retain(|_, one| one.server != server);
        self.tell(Change::Server(server));
    }

    /// Somebody takes a server's containers out of their network.
    pub(crate) fn cut_off(&self, server: ServerId) {
        self.each_of(server, |one, _| one.is_attached = false);
        for container in self.containers_of(server) {
            self.tell(Change::CutOff(container.id));
        }
    }

    /// Somebody freezes a server's containers from outside.
    pub(crate) fn freeze(&self, server: ServerId) {
        self.each_of(server, |one, _| {
            if one.phase == Phase::Running {
                one.phase = Phase::Paused;
            }
        });
    }

    /// Somebody lets a server's containers go on.
    pub(crate) fn thaw(&self, server: ServerId) {
        self.each_of(server, |one, _| {
            if one.phase == Phase::Paused {
                one.phase = Phase::Running;
            }
        });
    }

    /// A server's program answers nothing any more, or does again; `in_call`
    /// tells whether a call that blocks it is why.
    pub(crate) fn hang(&self, server: ServerId, hangs: bool, in_call: bool) {
        self.each_of(server, |one, _| {
            one.hangs = hangs;
            one.is_in_call = in_call;
        });
    }

    /// A server's program has so many requests open.
    pub(crate) fn set_open_requests(&self, server: ServerId, count: u64) {
        let now = crate::clock::instant();
        self.each_of(server, |one, _| {
            one.open_requests = count;
            one.used_at = now;
        });
    }

    // --- what a test looks at -----------------------------------------------

    /// All containers, as they truly are.
    pub(crate) fn containers(&self) -> Vec<Container> {
        let state = self.state();
        let all = state.containers.iter();
        all.map(|(id, one)| one.listed(id, one.phase)).collect()
    }

    /// Those of one server.
    pub(crate) fn containers_of(&self, server: ServerId) -> Vec<Container> {
        let mut all = self.containers();
        all.retain(|container| container.server == server);
        all
    }

    /// What a server's container was made with; of several, the last one.
    pub(crate) fn given(&self, server: ServerId) -> Given {
        self.of_last(server, |one| one.given.clone())
    }

    /// A variable of a server's container; of several, the last one.
    pub(crate) fn variable(&self, server: ServerId, key: &str) -> String {
        self.of_last(server, |one| one.variable(key))
    }

    /// How often a server's containers were started.
    pub(crate) fn runs(&self, server: ServerId) -> u32 {
        self.state().runs.get(&server).copied().unwrap_or_default()
    }

    /// What was asked of it so far.
    pub(crate) fn calls(&self) -> Vec<Op> {
        self.state().calls.clone()
    }

    /// How often this was asked of it so far.
    pub(crate) fn count(&self, op: Op) -> usize {
        let calls = &self.state().calls;
        calls.iter().filter(|asked| **asked == op).count()
    }

    // --- within ---------------------------------------------------------------

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of_last<T>(&self, server: ServerId, what: impl FnOnce(&Kept) -> T) -> T {
        let state = self.state();
        let mut all = state.containers.values();
        let last = all.rfind(|one| one.server == server);
        what(last.expect("it has a container"))
    }

    fn happens(&self) {
        self.0.happened.send_modify(|count| *count += 1);
    }

    fn tell(&self, change: Change) {
        let mut state = self.state();
        if !state.faults.loses_event() {
            state
                .listeners
                .retain(|listener| listener.send(change.clone()).is_ok());
        }
        drop(state);
        self.happens();
    }

    fn each_of(&self, server: ServerId, change: impl Fn(&mut Kept, Timestamp)) {
        let now = self.0.clock.now();
        let mut state = self.state();
        let all = state.containers.values_mut();
        let mut is_heard = false;
        for one in all.filter(|one| one.server == server) {
            change(one, now);
            // Of another instance's, only what its network tells.
            is_heard |= !one.is_foreign;
        }
        drop(state);
        if is_heard {
            self.tell(Change::Server(server));
        }
    }

    /// One call: what is to be done, or what goes wrong instead.
    async fn call<T>(
        &self,
        op: Op,
        takes: Duration,
        act: impl FnOnce(&mut State) -> Result<T, RuntimeError>,
    ) -> Result<T, RuntimeError> {
        let fault = {
            let mut state = self.state();
            state.calls.push(op);
            if state.is_away {
                return Err(no_answer());
            }
            state.faults.of(op)
        };
        match fault {
            Some(Fault::Unreachable) => return Err(no_answer()),
            Some(Fault::Refused) => return Err(RuntimeError::Refused("not today".into())),
            Some(Fault::ImageMissing) => return Err(RuntimeError::ImageMissing("none".into())),
            Some(Fault::NoStorage) => return Err(RuntimeError::Storage("no room".into())),
            Some(Fault::Slow(time)) => tokio::time::sleep(time).await,
            Some(Fault::AnswerLost) | None => {}
        }
        tokio::time::sleep(takes).await;
        let done = {
            let mut state = self.state();
            if state.is_away {
                return Err(no_answer());
            }
            act(&mut state)
        };
        if fault == Some(Fault::AnswerLost) {
            return Err(no_answer());
        }
        done
    }
}

fn no_answer() -> RuntimeError {
    RuntimeError::Unreachable("nothing answers".into())
}

impl State {
    fn find(&mut self, id: &ContainerId) -> Result<&mut Kept, RuntimeError> {
        self.containers
            .get_mut(id)
            .ok_or(RuntimeError::NoSuchContainer)
    }
}
