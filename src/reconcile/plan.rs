//! The planner: what is the next step for one server, and for which of its
//! instances? Pure and synchronous; it takes values and `now`, and returns a value.

mod at_rest;
mod several;

use std::time::Duration;

use jiff::Timestamp;

use super::alive::Alive;
use crate::model::{
    ContainerId, Desired, Instance, InstanceId, Instances, Reason, RunState, Server, SleepDepth,
    Status,
};
use crate::runtime::{Container, Phase, Run};

pub(super) use at_rest::at_rest;
use several::View;

/// A container and, where it was ever started, its present or last run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Observed {
    pub(super) container: Container,
    pub(super) run: Option<Run>,
    /// Whether it is in its network where its instance is to be found.
    pub(super) is_attached: bool,
}

/// One step towards what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Everything is as wanted, or only the user can help.
    Nothing,
    /// Nothing can be done before this time.
    WaitUntil(Timestamp),
    /// A container is between two states: look again soon.
    LookAgain,
    /// Nothing runs and nothing is wanted: say so.
    SettleStopped,
    /// Make a container and start it.
    Create,
    /// Start a container that has ended, or was made and not started.
    Start(ContainerId),
    /// Let a frozen container go on; a sleeping server is awake by that.
    Unpause(ContainerId),
    /// Nobody has used it: ask it once more, then freeze it.
    Pause(ContainerId),
    /// Nobody has used it: give its container up, after asking if it runs.
    PutAway(ContainerId),
    /// It sleeps, and its container ended or went from outside: say so.
    /// Nothing is lost by it, and the next request starts it.
    EndedAsleep(Option<ContainerId>),
    /// It is said to sleep, and runs: say so.
    SettleAwake,
    /// It sleeps without a container and is wanted: begin a start.
    Rouse,
    /// It runs: find out whether it answers, and whether Traefik has its route.
    AwaitReady(ContainerId),
    /// It ran for too long without answering: give up on it.
    GiveUpStarting(ContainerId),
    /// It answers nobody, or was cut off: say so, and since when.
    TellSilence {
        /// Why.
        reason: Reason,
        /// For how long.
        silent_for: Duration,
    },
    /// It answers again: say so.
    TellAnswer,
    /// It has lost its network: give it back.
    Attach(ContainerId),
    /// It has answered nobody for too long: keep that as a failure, and end it.
    GiveUpSilent {
        /// Which container.
        id: ContainerId,
        /// For how long.
        silent_for: Duration,
    },
    /// It has ended: keep why.
    AccountForEnd(ContainerId),
    /// End it.
    Stop(ContainerId),
    /// Remove it.
    Remove(ContainerId),
    /// A candidate answers: have it serve, and what serves drain.
    Switch,
    /// Nothing is left of an instance that is not to serve: forget it.
    Retire,
}

impl Step {
    /// Its name among the metrics; none for what only waits.
    pub(super) fn name(&self) -> Option<&'static str> {
        Some(match self {
            Self::Nothing | Self::WaitUntil(_) | Self::LookAgain => return None,
            Self::SettleStopped => "settle_stopped",
            Self::Create => "create",
            Self::Start(_) => "start",
            Self::Unpause(_) => "unpause",
            Self::Pause(_) => "pause",
            Self::PutAway(_) => "put_away",
            Self::EndedAsleep(_) => "ended_asleep",
            Self::SettleAwake => "settle_awake",
            Self::Rouse => "rouse",
            Self::AwaitReady(_) => "await_ready",
            Self::GiveUpStarting(_) => "give_up_starting",
            Self::TellSilence { .. } => "tell_silence",
            Self::TellAnswer => "tell_answer",
            Self::Attach(_) => "attach",
            Self::GiveUpSilent { .. } => "give_up_silent",
            Self::AccountForEnd(_) => "account_for_end",
            Self::Stop(_) => "stop",
            Self::Remove(_) => "remove",
            Self::Switch => "switch",
            Self::Retire => "retire",
        })
    }

    /// Whether it makes, starts, freezes or ends a container: not while its disk
    /// is being copied.
    pub(super) fn moves_a_container(&self) -> bool {
        matches!(
            self,
            Self::Create
                | Self::Start(_)
                | Self::Unpause(_)
                | Self::Pause(_)
                | Self::Stop(_)
                | Self::Remove(_)
        )
    }
}

/// What is known besides the records and what Docker says.
#[derive(Debug, Clone)]
pub(super) struct Facts<'a> {
    /// The run that was found to answer MCP, so that only Traefik is still
    /// waited for.
    pub(super) answering_run: Option<&'a str>,
    /// How deep the server is to sleep (`idle::wanted_depth`).
    pub(super) depth: SleepDepth,
    /// What is to be done about whether it answers (`alive::wanted`).
    pub(super) alive: Option<Alive>,
    /// From start to the first MCP answer.
    pub(super) start_timeout: Duration,
}

/// A step, and the instance whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) instance: InstanceId,
    pub(super) step: Step,
}

impl Planned {
    fn of(instance: &Instance, step: Step) -> Self {
        Self {
            instance: instance.id,
            step,
        }
    }
}

/// Plans the next step.
pub(super) fn plan(
    server: &Server,
    instances: &Instances,
    observed: &[Observed],
    facts: Facts<'_>,
    now: Timestamp,
) -> Planned {
    let shown = instances.shown();
    if server.settings.hold {
        return Planned::of(shown, while_held(facts.alive));
    }
    let views: Vec<View<'_>> = instances
        .all()
        .map(|instance| View {
            instance,
            current: current(server, instances, instance, observed),
        })
        .collect();
    let leftover = observed
        .iter()
        .filter(|o| {
            let mut currents = views.iter().filter_map(|view| view.current);
            currents.all(|current| current.container.id != o.container.id)
        })
        .find_map(|o| {
            let owner = instances.owner(o.container.instance);
            let is_anothers = owner.is_some_and(|owner| owner.id != shown.id);
            let is_replaced = server.desired == Desired::Running || is_anothers;
            let step = end(o, is_replaced)?;
            Some(Planned::of(owner.unwrap_or(shown), step))
        });
    if let Some(planned) = leftover {
        return planned;
    }
    let [serving, others @ ..] = views.as_slice() else {
        return Planned::of(shown, Step::Nothing);
    };
    let step = serve(server, serving, &facts, now);
    several::most_urgent(server, (shown, step), others, &facts, now)
}

/// What is so is told, and nothing done about it.
fn while_held(alive: Option<Alive>) -> Step {
    match alive {
        Some(Alive::TellSilence { reason, silent_for }) => Step::TellSilence { reason, silent_for },
        Some(Alive::TellAnswer) => Step::TellAnswer,
        Some(Alive::Replace { .. }) | None => Step::Nothing,
    }
}

/// The present container of an instance, if there is one: later ones of the same
/// generation can only come from a create whose answer was lost.
fn current<'a>(
    server: &Server,
    instances: &Instances,
    instance: &Instance,
    observed: &'a [Observed],
) -> Option<&'a Observed> {
    let has_given_it_up = instance.state.sleep_depth() == SleepDepth::Stopped;
    if server.desired != Desired::Running || has_given_it_up {
        return None;
    }
    observed.iter().find(|o| {
        let owner = instances.owner(o.container.instance);
        o.container.generation == instance.generation()
            && owner.is_some_and(|owner| owner.id == instance.id)
    })
}

/// The next step of the instance that serves.
fn serve(server: &Server, serving: &View<'_>, facts: &Facts<'_>, now: Timestamp) -> Step {
    let state = &*serving.instance.state;
    let depth = facts.depth;
    match (server.desired, serving.current) {
        (Desired::Stopped, _) => settle_stopped(server, state),
        (Desired::Running, None) => match state.sleep_depth() {
            SleepDepth::Awake => create(state, now),
            SleepDepth::Paused => Step::EndedAsleep(None),
            SleepDepth::Stopped if depth == SleepDepth::Awake => Step::Rouse,
            SleepDepth::Stopped => Step::Nothing,
        },
        (Desired::Running, Some(current)) => answers_or_not(state, current, facts.alive.clone())
            .or_else(|| asleep_or_idle(state, current, depth))
            .unwrap_or_else(|| {
                run_current(
                    state,
                    current,
                    facts.answering_run,
                    facts.start_timeout,
                    now,
                )
            }),
    }
}

/// What becomes of a server that ran and was found ready, and answers nobody or
/// lost its network.
fn answers_or_not(state: &RunState, current: &Observed, alive: Option<Alive>) -> Option<Step> {
    let is_up = matches!(state.status, Status::Running | Status::Unresponsive)
        && current.container.phase == Phase::Running
        && is_ready(state, current);
    if !is_up {
        return None;
    }
    let id = current.container.id.clone();
    match alive {
        Some(Alive::Replace { silent_for }) => Some(Step::GiveUpSilent { id, silent_for }),
        _ if !current.is_attached && state.reason != Reason::NetworkLost => {
            Some(Step::TellSilence {
                reason: Reason::NetworkLost,
                silent_for: Duration::ZERO,
            })
        }
        _ if !current.is_attached => Some(Step::Attach(id)),
        Some(Alive::TellSilence { reason, silent_for }) => {
            Some(Step::TellSilence { reason, silent_for })
        }
        Some(Alive::TellAnswer) => Some(Step::TellAnswer),
        None => None,
    }
}

/// What sleep makes of a container that is neither starting nor failing.
///
/// Only a server that runs is ever frozen, and only by [`Step::Pause`], which
/// asks it first: a sleeping server that is seen running is awake, whoever let
/// it go on.
fn asleep_or_idle(state: &RunState, current: &Observed, depth: SleepDepth) -> Option<Step> {
    let id = current.container.id.clone();
    match (state.sleep_depth(), current.container.phase) {
        (SleepDepth::Paused, Phase::Paused) => Some(match depth {
            SleepDepth::Awake => Step::Unpause(id),
            SleepDepth::Paused => Step::Nothing,
            SleepDepth::Stopped => Step::PutAway(id),
        }),
        (SleepDepth::Paused, Phase::Running) if is_ready(state, current) => Some(Step::SettleAwake),
        (SleepDepth::Paused, Phase::Exited | Phase::Created) => Some(Step::EndedAsleep(Some(id))),
        (SleepDepth::Awake, Phase::Running)
            if state.status == Status::Running && is_ready(state, current) =>
        {
            match depth {
                SleepDepth::Awake => None,
                SleepDepth::Paused => Some(Step::Pause(id)),
                SleepDepth::Stopped => Some(Step::PutAway(id)),
            }
        }
        _ => None,
    }
}

fn is_ready(state: &RunState, current: &Observed) -> bool {
    let run = current.run.as_ref();
    run.is_some_and(|run| state.ready_run.as_deref() == Some(&run.key))
}

/// What ends a container that is not wanted. An ended one of a stopped server
/// stays, with its output, until the next start.
fn end(unwanted: &Observed, replaced: bool) -> Option<Step> {
    let id = unwanted.container.id.clone();
    match unwanted.container.phase {
        Phase::Running | Phase::Paused => Some(Step::Stop(id)),
        Phase::InTransition => Some(Step::LookAgain),
        Phase::Created => Some(Step::Remove(id)),
        Phase::Exited if replaced => Some(Step::Remove(id)),
        Phase::Exited => None,
    }
}

fn settle_stopped(server: &Server, state: &RunState) -> Step {
    if state.status == Status::Stopped && state.generation == server.generation {
        Step::Nothing
    } else {
        Step::SettleStopped
    }
}

fn create(state: &RunState, now: Timestamp) -> Step {
    if state.gave_up {
        return Step::Nothing;
    }
    match state.retry_at {
        Some(due) if now < due => Step::WaitUntil(due),
        _ => Step::Create,
    }
}

fn run_current(
    state: &RunState,
    current: &Observed,
    answering_run: Option<&str>,
    start_timeout: Duration,
    now: Timestamp,
) -> Step {
    let id = current.container.id.clone();
    match (current.container.phase, &current.run) {
        (Phase::InTransition, _) | (Phase::Running | Phase::Exited, None) => Step::LookAgain,
        (Phase::Paused, _) => Step::Unpause(id),
        (Phase::Created, _) => match create(state, now) {
            Step::Create => Step::Start(id),
            other => other,
        },
        (Phase::Running, Some(run))
            if state.gave_up || state.accounted_run.as_deref() == Some(&run.key) =>
        {
            Step::Stop(id)
        }
        (Phase::Running, Some(_)) if !current.is_attached => match create(state, now) {
            Step::Create => Step::Attach(id),
            other => other,
        },
        (Phase::Running, Some(run)) => {
            let answers = answering_run == Some(run.key.as_str());
            let overdue = run
                .started_at
                .is_some_and(|start| now.duration_since(start).unsigned_abs() > start_timeout);
            if is_ready(state, current) {
                Step::Nothing
            } else if overdue && !answers {
                Step::GiveUpStarting(id)
            } else {
                Step::AwaitReady(id)
            }
        }
        (Phase::Exited, Some(run)) => {
            if state.accounted_run.as_deref() != Some(&run.key) {
                return Step::AccountForEnd(id);
            }
            match create(state, now) {
                Step::Create => Step::Start(id),
                other => other,
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
