//! One server's task: observe, plan, do one step, look again.

mod ends;
mod kept;
mod several;
mod silence;
mod sleep;

pub(super) use self::kept::StartClock;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore};

use super::Parts;
use super::failure::restarts_with_this;
use super::plan::{Facts, Observed, Planned, Step, plan};
use super::probe::{Probe, look_for_mcp, probe};
use super::told::Told;
use crate::clock;
use crate::directory::Entry;
use crate::model::{
    ContainerId, Desired, Instance, InstanceId, InstanceRole, Instances, KnownFault, Reason,
    RunState, ServerId, Serves, SleepDepth, Status,
};
use crate::runtime::{Container, Inspected, Phase, Run, RuntimeError};

/// How long one look for readiness takes before the container is observed
/// again: Docker's events may have been missed.
const PROBE_SLICE: Duration = Duration::from_secs(2);
/// Between two looks at a container that is between two states.
const TRANSITION_POLL: Duration = Duration::from_millis(200);
/// Before Docker is asked again when it does not answer.
const DOCKER_RETRY: Duration = Duration::from_secs(2);

pub(super) struct Converge {
    pub(super) parts: Arc<Parts>,
    pub(super) starts: Arc<Semaphore>,
    pub(super) interrupt: Arc<Notify>,
    pub(super) id: ServerId,
    pub(super) start: StartClock,
}

impl Converge {
    /// Runs until there is nothing to do.
    pub(super) async fn run(self) {
        let mut answering_run: Option<Answering> = None;
        let mut told = Told::default();
        loop {
            let Some(entry) = self.parts.directory.get(self.id) else {
                if super::sweep::sweep(&self.parts, self.id, &mut told).await {
                    return;
                }
                self.pause(DOCKER_RETRY).await;
                continue;
            };
            let entry = self.take_up_wish(entry).await;
            let observed = match self.observe(&entry.instances).await {
                Ok(observed) => observed,
                Err(error) => {
                    told.engine(self.id, &error, "cannot observe");
                    self.pause(DOCKER_RETRY).await;
                    continue;
                }
            };
            let facts = Facts {
                answering_run: answering_run.as_ref().map(|run| run.key.as_str()),
                depth: self.parts.wanted_depth(&entry, self.parts.clock.now()),
                alive: self.parts.wanted_alive(&entry),
                start_timeout: self.parts.config.start_timeout,
            };
            let now = self.parts.clock.now();
            let Planned { instance, step } =
                plan(&entry.server, &entry.instances, &observed, facts, now);
            tracing::debug!(server = %self.id, %instance, ?step, "next step");
            let (name, begin) = (step.name(), clock::instant());
            let done = self
                .execute(&entry.as_of(instance), step, &observed, &mut answering_run)
                .await;
            if let Some(name) = name {
                let metrics = &self.parts.metrics;
                let took = clock::instant().saturating_duration_since(begin);
                metrics.step_done(name, done.is_ok(), took);
            }
            match done {
                Ok(Next::Look) => told = Told::default(),
                Ok(Next::Rest) => return,
                Err(error) => {
                    told.engine(self.id, &error, "a step failed");
                    self.pause(DOCKER_RETRY).await;
                }
            }
        }
    }

    /// A new wish forgets what was counted against the last one, and begins the
    /// next instance where another release or configuration is to run. That has
    /// the place at once; the planner makes no container of it before those of the
    /// last instance are gone.
    async fn take_up_wish(&self, entry: Entry) -> Entry {
        let (server, before) = (&entry.server, entry.instances.shown());
        if server.settings.hold || before.generation() == server.generation {
            return entry;
        }
        let state = before.state.for_wish(server.generation, server.desired);
        let next = match server.desired {
            Desired::Running if !before.is_up_to_date(server) => before.successor(server),
            Desired::Running | Desired::Stopped => Instance::clone(before),
        };
        self.save(before, next.seen(state)).await;
        match self.parts.directory.get(self.id) {
            Some(now) => Entry {
                server: entry.server,
                ..now
            },
            // Deleted meanwhile, which the next round sees.
            None => entry,
        }
    }

    async fn observe(
        &self,
        instances: &Instances,
    ) -> std::result::Result<Vec<Observed>, RuntimeError> {
        let containers = self.parts.runtime.list(Some(self.id)).await?;
        let mut observed = Vec::with_capacity(containers.len());
        for listed in containers {
            let Inspected {
                phase,
                run,
                endpoints,
            } = match self.parts.runtime.inspect(&listed.id).await {
                Ok(inspected) => inspected,
                // Gone since it was listed.
                Err(RuntimeError::NoSuchContainer) => continue,
                Err(other) => return Err(other),
            };
            let owner = instances.owner(listed.instance);
            let is_attached =
                owner.is_some_and(|owner| endpoints.contains(&self.parts.endpoint(owner)));
            let container = Container {
                phase,
                endpoints,
                ..listed
            };
            if let Some(run) = &run {
                let by = owner.map(|owner| owner.id);
                match self.take_in_output(&container, by, run).await {
                    Ok(()) | Err(RuntimeError::NoSuchContainer) => {}
                    Err(other) => return Err(other),
                }
            }
            observed.push(Observed {
                container,
                run,
                is_attached,
            });
        }
        Ok(observed)
    }

    /// A run that is over is taken in too: it may have ended before it was
    /// seen running.
    async fn take_in_output(
        &self,
        container: &Container,
        by: Option<InstanceId>,
        run: &Run,
    ) -> std::result::Result<(), RuntimeError> {
        let logs = &self.parts.logs;
        let is_taken_in = match container.phase {
            Phase::Running | Phase::Paused => logs.is_following_run(self.id, run),
            _ => logs.has_followed_run(self.id, run),
        };
        if !is_taken_in {
            let mask = self.parts.mask(self.id, &container.id).await?;
            logs.follow(self.id, container, by, run, mask).await;
        }
        Ok(())
    }

    async fn execute(
        &self,
        entry: &Entry,
        step: Step,
        observed: &[Observed],
        answering_run: &mut Option<Answering>,
    ) -> std::result::Result<Next, RuntimeError> {
        let (server, state, instance) = (&entry.server, &entry.state, entry.instances.shown());
        let runtime = &self.parts.runtime;
        let moves = step.moves_a_container() && server.settings.storage.is_some();
        let _disk = match moves.then(|| self.parts.disks.try_lock(self.id)) {
            None => None,
            Some(Some(lock)) => Some(lock),
            Some(None) => {
                // It is being copied; afterwards it may be otherwise.
                drop(self.parts.disks.lock(self.id).await);
                return Ok(Next::Look);
            }
        };
        match step {
            Step::Nothing => return Ok(Next::Rest),
            Step::WaitUntil(due) => {
                let wait = due.duration_since(self.parts.clock.now());
                self.pause(Duration::try_from(wait).unwrap_or_default())
                    .await;
            }
            Step::LookAgain => self.pause(TRANSITION_POLL).await,
            Step::SettleStopped => {
                let settled = RunState {
                    status: Status::Stopped,
                    reason: Reason::Stopped,
                    last_error: None,
                    started_at: None,
                    ..state.for_wish(server.generation, server.desired)
                };
                self.see(instance, settled).await;
            }
            Step::Create => self.create_and_start(entry).await?,
            // Its disk was let go when it ended: a new one opens it anew.
            Step::Start(id) if server.settings.storage.is_some() => {
                self.parts.logs.drained(self.id, &id).await;
                runtime.remove(&id).await?;
            }
            Step::Start(id) => match runtime.start(&id).await {
                Ok(()) => self.starts(instance, &id, state.applied_revision).await,
                Err(error) => self.could_not_run(instance, error).await?,
            },
            Step::Unpause(id) => {
                runtime.unpause(&id).await?;
                if state.sleep_depth() != SleepDepth::Awake {
                    self.awake(entry).await;
                }
            }
            Step::Pause(id) => self.pause_idle(entry, &id).await?,
            Step::PutAway(_) => self.put_away(entry).await,
            Step::EndedAsleep(id) => {
                let ended = id.and_then(|id| find(observed, &id));
                self.ended_asleep(instance, ended.and_then(|o| o.run.as_ref()))
                    .await;
            }
            Step::SettleAwake => self.awake(entry).await,
            Step::Rouse => self.rouse(instance).await,
            Step::AwaitReady(id) => {
                let run = find(observed, &id).and_then(|o| o.run.as_ref());
                let Some(run) = run else {
                    return Ok(Next::Look);
                };
                let container = find(observed, &id).map(|o| &o.container);
                let entry = self.adopted(entry, container, run.started_at).await;
                let instance = entry.instances.shown();
                if answering_run
                    .as_ref()
                    .is_none_or(|known| known.key != run.key)
                {
                    tokio::select! {
                        () = self.interrupt.notified() => return Ok(Next::Look),
                        found = self.probe(&entry) => {
                            match found {
                                Probe::Answers(serves) => {
                                    let key = run.key.clone();
                                    *answering_run = Some(Answering { key, serves });
                                }
                                // What it asks of EMCP it asks of its clients, who have it.
                                Probe::Refuses { serves, .. } if !server.settings.pass_headers.is_empty() => {
                                    let key = run.key.clone();
                                    *answering_run = Some(Answering { key, serves });
                                }
                                Probe::Refuses { status, .. } => {
                                    let fault = KnownFault::WantsCredential { status };
                                    self.fail_for_good(instance, &id, Some(run.key.clone()), fault)
                                        .await?;
                                    return Ok(Next::Look);
                                }
                                Probe::NotYet(why) => {
                                    tracing::debug!(server = %self.id, why, "not ready yet");
                                    return Ok(Next::Look);
                                }
                            }
                        }
                    }
                }
                // No route leads to a candidate: the planner switches to it.
                if let Some(answering) = answering_run
                    && instance.role != InstanceRole::Candidate
                {
                    self.await_route(&entry, answering).await;
                }
            }
            Step::GiveUpStarting(id) => {
                let run = find(observed, &id).and_then(|o| o.run.as_ref());
                let timeout_secs = self.parts.config.start_timeout.as_secs();
                let fault = KnownFault::StartTimeout { timeout_secs };
                self.fail_for_good(instance, &id, run.map(|r| r.key.clone()), fault)
                    .await?;
            }
            Step::TellSilence { reason, silent_for } => {
                self.tell_silence(instance, reason, silent_for).await;
            }
            Step::TellAnswer => {
                self.say(instance, Status::Running, Reason::AnswersAgain)
                    .await;
            }
            Step::Attach(id) => self.attach(entry, &id).await?,
            Step::GiveUpSilent { id, silent_for } => {
                let run = find(observed, &id).and_then(|o| o.run.as_ref());
                self.give_up_silent(instance, &id, run, silent_for).await?;
            }
            Step::AccountForEnd(id) => {
                if let Some(run) = find(observed, &id).and_then(|o| o.run.as_ref()) {
                    self.account_for_end(server, instance, &id, run).await?;
                }
            }
            Step::Stop(id) => {
                // What failed keeps its reason, and so does what sleeps.
                if !matches!(state.status, Status::Error | Status::Sleeping) {
                    self.say(instance, state.status, Reason::Stopping).await;
                }
                runtime.stop(&id, self.parts.config.stop_grace).await?;
            }
            Step::Remove(id) => {
                self.parts.logs.drained(self.id, &id).await;
                runtime.remove(&id).await?;
            }
            Step::Switch => self.switch_to(instance.id).await,
            Step::Retire => self.retire(instance.id).await,
        }
        Ok(Next::Look)
    }

    async fn create_and_start(&self, entry: &Entry) -> std::result::Result<(), RuntimeError> {
        let Ok(_permit) = self.starts.acquire().await else {
            return Ok(());
        };
        let (server, before) = (&entry.server, entry.instances.shown());
        // Changed without a wish, since the last container was made.
        let next = match before.is_up_to_date(server) {
            true => Instance::clone(before),
            false => before.successor(server),
        };
        let building = next.seen(RunState {
            status: Status::Building,
            reason: Reason::CreatingContainer,
            ..RunState::clone(&before.state)
        });
        self.save(before, building.clone()).await;
        let (spec, _code_stays) = match self.parts.spec(server, &building).await {
            Ok(contents) => contents,
            Err(error) => {
                tracing::error!(server = %self.id, %error, "cannot put the container's contents together");
                self.could_not_begin(&building, KnownFault::ContentsUnreadable)
                    .await;
                return Ok(());
            }
        };
        match self.parts.runtime.run(&spec).await {
            Ok(id) => self.starts(&building, &id, Some(spec.revision)).await,
            Err(error) => self.could_not_run(&building, error).await?,
        }
        Ok(())
    }

    /// Keeps that a container has been started.
    async fn starts(&self, instance: &Instance, container: &ContainerId, revision: Option<u64>) {
        let state = &instance.state;
        let starting = RunState {
            status: Status::Starting,
            reason: Reason::AwaitingAnswer,
            container_id: Some(container.clone()),
            applied_revision: revision,
            restarts: restarts_with_this(state),
            retry_at: None,
            ready_run: None,
            started_at: Some(self.parts.clock.now()),
            ..RunState::clone(state)
        };
        self.see(instance, starting).await;
    }

    /// Takes over a container that an earlier EMCP started without writing
    /// down so.
    async fn adopted(
        &self,
        entry: &Entry,
        container: Option<&Container>,
        started_at: Option<Timestamp>,
    ) -> Entry {
        let (state, instance) = (&entry.state, entry.instances.shown());
        let Some(container) = container else {
            return entry.clone();
        };
        if state.container_id.as_ref() == Some(&container.id) && state.status == Status::Starting {
            return entry.clone();
        }
        let adopted = RunState {
            status: Status::Starting,
            reason: Reason::AwaitingAnswer,
            container_id: Some(container.id.clone()),
            applied_revision: Some(container.revision),
            started_at,
            ..RunState::clone(state)
        };
        self.see(instance, adopted).await;
        let now = self.parts.directory.get(self.id);
        now.map_or_else(|| entry.clone(), |now| now.as_of(instance.id))
    }

    /// One look whether it answers, and what it serves.
    async fn probe(&self, entry: &Entry) -> Probe {
        let (client, networks) = (&self.parts.client, &self.parts.config.networks);
        match probe(client, entry, networks, PROBE_SLICE).await {
            Probe::Answers(serves)
                if !serves.has_mcp() && look_for_mcp(client, entry, networks).await =>
            {
                Probe::Answers(Serves::mcp_alone())
            }
            found => found,
        }
    }

    /// Calls a server that answers running, once Traefik routes it as the record
    /// that was observed says. A newer one interrupts.
    async fn await_route(&self, entry: &Entry, answering: &Answering) {
        let routes = &self.parts.routes;
        let (state, instance) = (&entry.state, entry.instances.shown());
        if !routes.is_routed(entry) {
            self.say(instance, Status::Starting, Reason::AwaitingRoute)
                .await;
            tokio::select! {
                () = self.interrupt.notified() => return,
                is_routed = routes.wait_routed(entry, PROBE_SLICE) => {
                    if !is_routed {
                        return;
                    }
                }
            }
        }
        let running = RunState {
            status: Status::Running,
            reason: if answering.serves.has_mcp() {
                Reason::Serving
            } else {
                Reason::ServingHttp
            },
            ready_run: Some(answering.key.clone()),
            serves: Some(answering.serves.clone()),
            ..state.recovered()
        };
        entry.liveness.begins(
            &answering.key,
            clock::instant(),
            self.parts.config.liveness_interval,
            entry.activity.requests(),
        );
        self.see(instance, running).await;
    }

    /// Waits, unless something is new.
    async fn pause(&self, how_long: Duration) {
        let _ = tokio::time::timeout(how_long, self.interrupt.notified()).await;
    }
}

/// A run that was found to answer.
struct Answering {
    /// `Run::key`.
    key: String,
    serves: Serves,
}

/// Whether to look again or to rest.
enum Next {
    Look,
    Rest,
}

fn find<'a>(observed: &'a [Observed], id: &ContainerId) -> Option<&'a Observed> {
    observed.iter().find(|o| o.container.id == *id)
}
