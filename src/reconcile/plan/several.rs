//! What is next where a server has more than one instance: a candidate that is
//! tried beside the one that serves, and what served before and is on its way
//! out. Nothing asks for a candidate yet but tests (ADR 27).

use jiff::Timestamp;

use super::{Facts, Observed, Planned, Step, create, end, run_current};
use crate::model::{Desired, Instance, InstanceRole, Server, Status};

/// An instance and its present container, if it has one.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) instance: &'a Instance,
    pub(super) current: Option<&'a Observed>,
}

/// The most urgent step of all instances: what does something goes before what
/// waits, and what serves before what is to.
pub(super) fn most_urgent(
    server: &Server,
    (shown, step): (&Instance, Step),
    others: &[View<'_>],
    facts: &Facts<'_>,
    now: Timestamp,
) -> Planned {
    let others = others.iter().map(|view| {
        let step = match view.instance.role {
            InstanceRole::Candidate => try_out(server, view, facts, now),
            InstanceRole::Serving | InstanceRole::Draining => drain(server, shown, view),
        };
        Planned::of(view.instance, step)
    });
    let first = Planned::of(shown, step);
    others.fold(first, |best, next| {
        if urgency(&next.step) < urgency(&best.step) {
            next
        } else {
            best
        }
    })
}

fn urgency(step: &Step) -> (u8, Option<Timestamp>) {
    match step {
        Step::AwaitReady(_) => (1, None),
        Step::LookAgain => (2, None),
        Step::WaitUntil(due) => (3, Some(*due)),
        Step::Nothing => (4, None),
        _ => (0, None),
    }
}

/// A candidate has one attempt. It serves from the moment it answers; one that
/// fails, or that nobody wants any more, goes, and what serves was never touched.
fn try_out(server: &Server, candidate: &View<'_>, facts: &Facts<'_>, now: Timestamp) -> Step {
    let state = &candidate.instance.state;
    let is_wanted = server.desired == Desired::Running
        && candidate.instance.generation() == server.generation
        // A disk has one user.
        && server.settings.storage.is_none()
        && state.status != Status::Error;
    if !is_wanted {
        return leave(candidate);
    }
    let Some(current) = candidate.current else {
        return create(state, now);
    };
    let answers = facts.answering_run.is_some_and(|answering| {
        let run = current.run.as_ref();
        run.is_some_and(|run| run.key == answering)
    });
    match run_current(
        state,
        current,
        facts.answering_run,
        facts.start_timeout,
        now,
    ) {
        Step::AwaitReady(_) if answers => Step::Switch,
        step => step,
    }
}

/// What served before serves on until routes lead to what does now.
fn drain(server: &Server, shown: &Instance, draining: &View<'_>) -> Step {
    let is_on_its_way = matches!(shown.state.status, Status::Building | Status::Starting);
    if server.desired == Desired::Running && is_on_its_way {
        return Step::Nothing;
    }
    leave(draining)
}

fn leave(view: &View<'_>) -> Step {
    match view.current {
        Some(current) => end(current, true).unwrap_or(Step::LookAgain),
        None => Step::Retire,
    }
}
