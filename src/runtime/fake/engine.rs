//! The fake engine's side of [`Runtime`].

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use jiff::Timestamp;
use secrecy::SecretString;
use tokio::sync::mpsc;

use super::container::{Given, Kept};
use super::faults::Op;
use super::program::{Ending, Program};
use super::{BEGIN, CALL, FakeEngine, GOODBYE, State, no_answer};
use crate::model::{ContainerId, Egress, ServerId, ServerNetworks};
use crate::runtime::{
    Change, Container, ContainerSpec, Endpoint, EngineInfo, Inspected, OneShot, OutputLine, Phase,
    ResourceUsage, Runtime, RuntimeError,
};

/// A file is checked by the real bootstrap alone: to this engine all are good.
const CHECKED: &str =
    r#"{"ok":true,"runtime":"mcp2","entry_objects":["mcp"],"imports":[],"problems":[]}"#;

#[async_trait]
impl Runtime for FakeEngine {
    async fn connect(&self, _networks: ServerNetworks) -> Result<(), RuntimeError> {
        self.call(Op::Connect, CALL, |_| Ok(())).await
    }

    async fn ping(&self) -> Result<(), RuntimeError> {
        self.call(Op::Info, CALL, |_| Ok(())).await
    }

    async fn greet_broker(&self) -> Option<Result<(), RuntimeError>> {
        let answers = self.state().broker?;
        Some(answers.then_some(()).ok_or_else(no_answer))
    }

    async fn info(&self) -> Result<EngineInfo, RuntimeError> {
        let info = EngineInfo {
            version: "fake".into(),
            os: "memory".into(),
            cpus: 4,
            memory_bytes: 8 << 30,
        };
        self.call(Op::Info, CALL, |_| Ok(info)).await
    }

    async fn began_at(&self) -> Result<Option<Timestamp>, RuntimeError> {
        self.call(Op::BeganAt, CALL, |state| Ok(Some(state.began_at)))
            .await
    }

    async fn list(&self, server: Option<ServerId>) -> Result<Vec<Container>, RuntimeError> {
        self.call(Op::List, CALL, |state| {
            let own = state.containers.iter().filter(|(_, one)| !one.is_foreign);
            let wanted = own.filter(|(_, one)| server.is_none_or(|id| id == one.server));
            Ok(wanted
                .map(|(id, one)| one.listed(id, one.listed_phase()))
                .collect())
        })
        .await
    }

    async fn mounted(&self) -> Result<Vec<PathBuf>, RuntimeError> {
        self.call(Op::Mounted, CALL, |state| {
            let own = state.containers.values().filter(|one| !one.is_foreign);
            Ok(own.map(|one| one.code_dir.clone()).collect())
        })
        .await
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Inspected, RuntimeError> {
        self.call(Op::Inspect, CALL, |state| {
            state.find(id).map(|one| one.inspected())
        })
        .await
    }

    async fn run(&self, spec: &ContainerSpec) -> Result<ContainerId, RuntimeError> {
        let path = spec.bundle.dir().join("server.py");
        let code = tokio::fs::read(&path)
            .await
            .map_err(|error| RuntimeError::Refused(format!("{}: {error}", path.display())))?;
        let program = Program::of(&String::from_utf8_lossy(&code));
        let id = self
            .call(Op::Create, BEGIN, |state| state.create(spec, program))
            .await?;
        self.begin(&id).await?;
        Ok(id)
    }

    async fn start(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let has_disk = self
            .state()
            .find(id)
            .is_ok_and(|one| one.given.disk_bytes.is_some());
        assert!(!has_disk, "its disk was let go when it ended");
        self.begin(id).await
    }

    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError> {
        // It is let go on to meet the signal.
        let heeds = self.call(Op::Stop, CALL, |state| {
            let Ok(one) = state.find(id) else {
                return Ok(None);
            };
            if one.phase == Phase::Paused {
                one.phase = Phase::Running;
            }
            let is_up = one.is_up();
            Ok(is_up.then_some((one.server, one.program.heeds_sigterm && !one.is_in_call)))
        });
        let Some((server, heeds_sigterm)) = heeds.await? else {
            return Ok(());
        };
        let (takes, exit_code) = if heeds_sigterm {
            (GOODBYE, 0)
        } else {
            (grace, 137)
        };
        tokio::time::sleep(takes).await;
        let now = self.0.clock.now();
        if let Ok(one) = self.state().find(id) {
            one.end(now, exit_code, false);
        }
        self.tell(Change::Server(server));
        // An answer to a call that took long may not come either.
        if self.state().is_away {
            return Err(no_answer());
        }
        Ok(())
    }

    async fn pause(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let server = self.call(Op::Pause, CALL, |state| {
            let one = state.find(id)?;
            if one.phase != Phase::Running {
                return Err(RuntimeError::Refused("it does not run".into()));
            }
            one.phase = Phase::Paused;
            Ok(one.server)
        });
        self.tell(Change::Server(server.await?));
        Ok(())
    }

    async fn unpause(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let server = self.call(Op::Unpause, CALL, |state| {
            let one = state.find(id)?;
            if one.phase != Phase::Paused {
                return Err(RuntimeError::Refused("it is not paused".into()));
            }
            one.phase = Phase::Running;
            Ok(one.server)
        });
        self.tell(Change::Server(server.await?));
        Ok(())
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let gone = self.call(Op::Remove, CALL, |state| Ok(state.containers.remove(id)));
        if let Some(gone) = gone.await? {
            self.tell(Change::Server(gone.server));
        }
        Ok(())
    }

    async fn attach(
        &self,
        id: &ContainerId,
        _egress: Egress,
        endpoint: &Endpoint,
    ) -> Result<(), RuntimeError> {
        self.call(Op::Attach, CALL, |state| {
            state.must_be_free(id, endpoint)?;
            let one = state.find(id)?;
            (one.endpoint, one.is_attached) = (endpoint.clone(), true);
            Ok(())
        })
        .await
    }

    async fn run_once(&self, _shot: &OneShot<'_>) -> Result<String, RuntimeError> {
        self.call(Op::RunOnce, BEGIN, |_| Ok(CHECKED.to_owned()))
            .await
    }

    async fn usage(&self, id: &ContainerId) -> Result<ResourceUsage, RuntimeError> {
        self.call(Op::Usage, CALL, |state| {
            let one = state.find(id)?;
            let usage = ResourceUsage {
                cpu_time_nanos: 1_000_000,
                memory_bytes: 50 << 20,
            };
            one.is_up()
                .then_some(usage)
                .ok_or(RuntimeError::NoSuchContainer)
        })
        .await
    }

    async fn given_secrets(&self, id: &ContainerId) -> Result<Vec<SecretString>, RuntimeError> {
        self.call(Op::Inspect, CALL, |state| {
            let one = state.find(id)?;
            let given = one.env.iter();
            let secret = given.filter(|(key, _)| one.secret_keys.contains(key));
            Ok(secret.map(|(_, value)| value.clone()).collect())
        })
        .await
    }

    async fn tail(&self, id: &ContainerId, lines: usize) -> Result<Vec<OutputLine>, RuntimeError> {
        self.call(Op::Output, CALL, |state| {
            let output = &state.find(id)?.output;
            Ok(output[output.len().saturating_sub(lines)..].to_vec())
        })
        .await
    }

    fn follow(
        &self,
        id: &ContainerId,
        since_secs: i64,
    ) -> BoxStream<'static, Result<OutputLine, RuntimeError>> {
        let (engine, id) = (self.clone(), id.clone());
        let reading = (engine, id, 0_usize);
        stream::unfold(reading, |(engine, id, read)| async move {
            let mut happened = engine.0.happened.subscribe();
            loop {
                happened.borrow_and_update();
                let next = {
                    let mut state = engine.state();
                    if state.is_away {
                        return None;
                    }
                    let one = state.find(&id).ok()?;
                    match one.output.get(read) {
                        Some(line) => Some(line.clone()),
                        None if one.is_up() => None,
                        None => return None,
                    }
                };
                if let Some(line) = next {
                    return Some((Ok(line), (engine, id, read + 1)));
                }
                happened.changed().await.ok()?;
            }
        })
        .filter(move |line| {
            let is_new = line
                .as_ref()
                .is_ok_and(|line| line.at.as_second() >= since_secs);
            std::future::ready(is_new)
        })
        .boxed()
    }

    fn changes(&self) -> BoxStream<'static, Change> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut state = self.state();
        if !state.is_away {
            state.listeners.push(sender);
        }
        stream::unfold(receiver, |mut receiver| async move {
            Some((receiver.recv().await?, receiver))
        })
        .boxed()
    }
}

impl State {
    fn create(
        &mut self,
        spec: &ContainerSpec,
        program: Program,
    ) -> Result<ContainerId, RuntimeError> {
        if self.containers.values().any(|one| one.name == spec.name) {
            let name = &spec.name;
            return Err(RuntimeError::Refused(format!(
                "Conflict. The container name \"/{name}\" is already in use"
            )));
        }
        self.made += 1;
        let id = ContainerId::of_engine(format!("{:064x}", self.made));
        let made = Kept {
            name: spec.name.clone(),
            instance: Some(spec.instance),
            generation: spec.generation,
            revision: spec.revision,
            secret_keys: spec.secret_keys.clone(),
            given: Given {
                limits: spec.limits,
                disk_bytes: spec.disk.as_ref().map(|disk| disk.size_bytes),
                egress: spec.egress,
            },
            code_dir: spec.bundle.dir().to_owned(),
            program,
            ..Kept::new(spec.server, spec.endpoint.clone(), spec.env.clone())
        };
        self.containers.insert(id.clone(), made);
        Ok(id)
    }

    fn must_be_free(&self, id: &ContainerId, endpoint: &Endpoint) -> Result<(), RuntimeError> {
        let mut others = self.containers.iter().filter(|(other, _)| *other != id);
        if others.any(|(_, one)| one.is_up() && one.is_attached && one.endpoint == *endpoint) {
            return Err(RuntimeError::Refused("Address already in use".into()));
        }
        Ok(())
    }
}

impl FakeEngine {
    async fn begin(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let now_of = self.0.clock;
        let begun = self.call(Op::Start, BEGIN, |state| {
            let one = state.find(id)?;
            if one.is_up() {
                return Ok(None);
            }
            let (server, endpoint) = (one.server, one.endpoint.clone());
            state.must_be_free(id, &endpoint)?;
            let run = state.runs.entry(server).or_default();
            *run += 1;
            let run = *run;
            let one = state.find(id)?;
            one.begin(id, now_of.now());
            one.greet(now_of.now());
            let begun = (server, one.starts, one.program.clone(), run);
            // The program runs also where nobody hears that it was begun.
            self.goes_on(id, begun.0, begun.1, begun.2, begun.3);
            Ok(Some(server))
        });
        if let Some(server) = begun.await? {
            self.tell(Change::Server(server));
        }
        Ok(())
    }

    /// What the program does by itself from now on.
    fn goes_on(&self, id: &ContainerId, server: ServerId, start: u64, program: Program, run: u32) {
        let mut due: Vec<(Duration, What)> = Vec::new();
        due.extend(program.ready_after.map(|after| (after, What::IsReady)));
        due.extend(program.hangs_after.map(|after| (after, What::Hangs)));
        due.extend(
            program
                .ending(run)
                .map(|(ending, after)| (after, What::Ends(ending))),
        );
        due.sort_by_key(|(after, _)| *after);
        let (engine, id) = (self.clone(), id.clone());
        let mut happened = self.0.happened.subscribe();
        let living = async move {
            let mut lived = Duration::ZERO;
            for (after, what) in due {
                tokio::time::sleep(after - lived).await;
                lived = after;
                // What is frozen gets no time.
                loop {
                    happened.borrow_and_update();
                    {
                        let now = engine.0.clock.now();
                        let mut state = engine.state();
                        let Ok(one) = state.find(&id) else { return };
                        if one.starts != start || !one.is_up() {
                            return;
                        }
                        if one.phase == Phase::Running {
                            what.happens(one, now);
                            break;
                        }
                    }
                    if happened.changed().await.is_err() {
                        return;
                    }
                }
                engine.tell(Change::Server(server));
            }
        };
        tokio::spawn(living.boxed());
    }
}

/// What a program does.
enum What {
    IsReady,
    Hangs,
    Ends(Ending),
}

impl What {
    fn happens(&self, one: &mut Kept, now: Timestamp) {
        match self {
            Self::IsReady => one.is_ready = true,
            Self::Hangs => one.hangs = true,
            Self::Ends(Ending::Exit(code)) => one.end(now, *code, false),
            Self::Ends(Ending::OutOfMemory) => one.end(now, 137, true),
        }
    }
}
