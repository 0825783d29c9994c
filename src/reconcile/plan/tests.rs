mod several;
mod silence;
mod sleep;

use proptest::prelude::*;

use super::*;
use crate::model::{InstanceRole, Principal, Reason, ServerId};

const TIMEOUT: Duration = Duration::from_secs(60);

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

pub(in crate::reconcile) fn held(mut server: Server) -> Server {
    server.settings.hold = true;
    server
}

pub(in crate::reconcile) fn server(desired: Desired) -> Server {
    Server {
        desired,
        generation: 2,
        ..Server::new(
            ServerId::from_u128(1),
            "demo".parse().unwrap(),
            Principal::by_name("admin"),
            now(),
        )
    }
}

pub(in crate::reconcile) fn state() -> RunState {
    RunState {
        generation: 2,
        ..RunState::never_ran(now())
    }
}

fn container(id: &str, generation: u64, phase: Phase) -> Observed {
    let has_run = matches!(phase, Phase::Running | Phase::Paused | Phase::Exited);
    Observed {
        container: Container {
            id: id.into(),
            server: ServerId::from_u128(1),
            instance: None,
            generation,
            revision: 1,
            phase,
            endpoints: Vec::new(),
        },
        is_attached: true,
        run: has_run.then(|| Run {
            key: format!("{id} 1"),
            started_at: Some(now()),
            finished_at: None,
            exit_code: 0,
            oom_killed: false,
            engine_error: None,
        }),
    }
}

fn next(server: &Server, state: &RunState, observed: &[Observed]) -> Step {
    next_at_rest(server, state, observed, SleepDepth::Awake)
}

fn next_at_rest(
    server: &Server,
    state: &RunState,
    observed: &[Observed],
    depth: SleepDepth,
) -> Step {
    let facts = Facts { depth, ..facts() };
    step(server, state, observed, facts, now())
}

/// A server's one instance, in this state.
pub(in crate::reconcile) fn only(server: &Server, state: &RunState) -> Instances {
    let role = InstanceRole::Serving;
    Instances::only(Instance::new(
        server,
        role,
        [198, 18, 1, 5].into(),
        state.clone(),
    ))
}

/// The next step of a server with one instance.
fn step(
    server: &Server,
    state: &RunState,
    observed: &[Observed],
    facts: Facts<'_>,
    now: Timestamp,
) -> Step {
    let instances = only(server, state);
    let planned = plan(server, &instances, observed, facts, now);
    assert_eq!(planned.instance, instances.shown().id);
    planned.step
}

/// Of a server that is awake, and of which nothing is known besides.
fn facts() -> Facts<'static> {
    Facts {
        answering_run: None,
        depth: SleepDepth::Awake,
        alive: None,
        start_timeout: TIMEOUT,
    }
}

fn next_at(server: &Server, state: &RunState, observed: &[Observed], now: Timestamp) -> Step {
    step(server, state, observed, facts(), now)
}

#[test]
fn a_wanted_server_is_created_awaited_and_then_left_alone() {
    let wanted = server(Desired::Running);
    assert_eq!(next(&wanted, &state(), &[]), Step::Create);
    let running = [container("c", 2, Phase::Running)];
    assert_eq!(
        next(&wanted, &state(), &running),
        Step::AwaitReady("c".into())
    );
    let ready = RunState {
        ready_run: Some("c 1".into()),
        ..state()
    };
    assert_eq!(next(&wanted, &ready, &running), Step::Nothing);
}

#[test]
fn a_container_of_an_older_wish_is_stopped_then_removed_then_replaced() {
    let wanted = server(Desired::Running);
    let old = [container("old", 1, Phase::Running)];
    assert_eq!(next(&wanted, &state(), &old), Step::Stop("old".into()));
    let ended = [container("old", 1, Phase::Exited)];
    assert_eq!(next(&wanted, &state(), &ended), Step::Remove("old".into()));
}

#[test]
fn stopped_is_said_only_when_nothing_runs() {
    let unwanted = server(Desired::Stopped);
    let running = [container("c", 1, Phase::Running)];
    let was_running = RunState {
        status: Status::Running,
        ..state()
    };
    assert_eq!(
        next(&unwanted, &was_running, &running),
        Step::Stop("c".into())
    );
    let ended = [container("c", 1, Phase::Exited)];
    assert_eq!(next(&unwanted, &was_running, &ended), Step::SettleStopped);
    assert_eq!(next(&unwanted, &state(), &ended), Step::Nothing);
}

#[test]
fn a_crash_is_accounted_for_once_and_retried_when_due() {
    let wanted = server(Desired::Running);
    let ended = [container("c", 2, Phase::Exited)];
    assert_eq!(
        next(&wanted, &state(), &ended),
        Step::AccountForEnd("c".into())
    );
    let due = now().checked_add(Duration::from_secs(4)).unwrap();
    let accounted = RunState {
        accounted_run: Some("c 1".into()),
        retry_at: Some(due),
        ..state()
    };
    assert_eq!(next(&wanted, &accounted, &ended), Step::WaitUntil(due));
    assert_eq!(
        next_at(&wanted, &accounted, &ended, due),
        Step::Start("c".into())
    );
    let gave_up = RunState {
        gave_up: true,
        ..accounted
    };
    assert_eq!(next_at(&wanted, &gave_up, &ended, due), Step::Nothing);
}

#[test]
fn a_server_that_never_answers_is_given_up_and_one_that_only_lacks_a_route_is_not() {
    let wanted = server(Desired::Running);
    let running = [container("c", 2, Phase::Running)];
    let late = now().checked_add(TIMEOUT * 2).unwrap();
    assert_eq!(
        next_at(&wanted, &state(), &running, late),
        Step::GiveUpStarting("c".into())
    );
    assert_eq!(
        step(
            &wanted,
            &state(),
            &running,
            Facts {
                answering_run: Some("c 1"),
                ..facts()
            },
            late
        ),
        Step::AwaitReady("c".into())
    );
    let gave_up = RunState {
        gave_up: true,
        ..state()
    };
    assert_eq!(
        next_at(&wanted, &gave_up, &running, late),
        Step::Stop("c".into())
    );
}

#[test]
fn a_held_server_is_left_as_it_is() {
    let held = held(server(Desired::Running));
    for phase in [Phase::Running, Phase::Exited, Phase::Paused] {
        let old = [container("c", 1, phase)];
        assert_eq!(next(&held, &state(), &old), Step::Nothing);
    }
    assert_eq!(next(&held, &state(), &[]), Step::Nothing);
}

pub(in crate::reconcile) fn running() -> RunState {
    RunState {
        status: Status::Running,
        container_id: Some("c".into()),
        ready_run: Some("c 1".into()),
        ..state()
    }
}

fn any_depth() -> impl Strategy<Value = SleepDepth> {
    prop_oneof![
        Just(SleepDepth::Awake),
        Just(SleepDepth::Paused),
        Just(SleepDepth::Stopped)
    ]
}

fn any_observed() -> impl Strategy<Value = Vec<Observed>> {
    let phase = prop_oneof![
        Just(Phase::Created),
        Just(Phase::Running),
        Just(Phase::Paused),
        Just(Phase::Exited),
        Just(Phase::InTransition),
    ];
    proptest::collection::vec((1_u64..=2, phase, any::<bool>()), 0..4).prop_map(|items| {
        items
            .into_iter()
            .enumerate()
            .map(|(n, (generation, phase, is_attached))| Observed {
                is_attached,
                ..container(&format!("c{n}"), generation, phase)
            })
            .collect()
    })
}

fn any_state() -> impl Strategy<Value = RunState> {
    let failing = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(gave_up, accounted, ready, waiting)| RunState {
            gave_up,
            accounted_run: accounted.then(|| "c0 1".to_owned()),
            ready_run: ready.then(|| "c0 1".to_owned()),
            retry_at: waiting.then(|| now().checked_add(Duration::from_secs(9)).unwrap()),
            ..state()
        },
    );
    let healthy = (any_depth(), any::<bool>()).prop_map(|(depth, ready)| {
        let running = RunState {
            container_id: Some("c0".into()),
            ready_run: ready.then(|| "c0 1".to_owned()),
            ..running()
        };
        match depth {
            SleepDepth::Awake => running,
            SleepDepth::Paused | SleepDepth::Stopped => running.asleep(depth, Reason::NotStarted),
        }
    });
    prop_oneof![failing, healthy]
}

/// How deep the sleep is that is wanted of a server in this state (`idle::wanted_depth`).
fn wanted_of(state: &RunState, idle: SleepDepth) -> SleepDepth {
    match state.status {
        Status::Running => idle,
        Status::Sleeping if idle == SleepDepth::Awake => idle,
        Status::Sleeping => idle.max(state.sleep_depth()),
        _ => SleepDepth::Awake,
    }
}

/// What a step does, as far as the planner can see.
fn apply(step: &Step, state: &mut RunState, observed: &mut Vec<Observed>) {
    match step {
        Step::Create => {
            let mut ids = (observed.len()..).map(|n| ContainerId::from(format!("new{n}")));
            let is_free = |id: &ContainerId| observed.iter().all(|o| o.container.id != *id);
            let id = ids.find(is_free).unwrap();
            observed.push(container(id.as_str(), 2, Phase::Running));
            state.status = Status::Starting;
            state.container_id = Some(id);
        }
        Step::Unpause(id) => {
            for o in observed.iter_mut().filter(|o| o.container.id == *id) {
                o.container.phase = Phase::Running;
            }
            if state.sleep_depth() != SleepDepth::Awake {
                state.status = Status::Running;
            }
        }
        Step::Pause(id) => {
            for o in observed.iter_mut().filter(|o| o.container.id == *id) {
                o.container.phase = Phase::Paused;
            }
            state.container_id = Some(id.clone());
            *state = state.asleep(SleepDepth::Paused, Reason::NotStarted);
        }
        Step::PutAway(_) | Step::EndedAsleep(_) => {
            *state = state.asleep(SleepDepth::Stopped, Reason::NotStarted);
        }
        Step::SettleAwake => state.status = Status::Running,
        Step::Rouse => state.status = Status::Building,
        Step::Start(id) => {
            state.status = Status::Starting;
            for o in observed.iter_mut().filter(|o| o.container.id == *id) {
                *o = container(id.as_str(), o.container.generation, Phase::Running);
                // A new run has a new key.
                o.run.as_mut().unwrap().key = format!("{id} 2");
            }
        }
        Step::Stop(id) => {
            for o in observed.iter_mut().filter(|o| o.container.id == *id) {
                o.container.phase = Phase::Exited;
            }
        }
        Step::Remove(id) => observed.retain(|o| o.container.id != *id),
        Step::AwaitReady(id) => {
            let found = observed.iter().find(|o| o.container.id == *id).unwrap();
            state.ready_run = found.run.as_ref().map(|run| run.key.clone());
            state.container_id = Some(id.clone());
            state.status = Status::Running;
        }
        Step::GiveUpStarting(id) => {
            let found = observed.iter().find(|o| o.container.id == *id).unwrap();
            state.accounted_run = found.run.as_ref().map(|run| run.key.clone());
            state.status = Status::Error;
            state.gave_up = true;
        }
        Step::AccountForEnd(id) => {
            let found = observed.iter().find(|o| o.container.id == *id).unwrap();
            state.accounted_run = found.run.as_ref().map(|run| run.key.clone());
            state.status = Status::Error;
        }
        Step::TellSilence { reason, .. } => {
            state.status = Status::Unresponsive;
            state.reason = reason.clone();
        }
        Step::TellAnswer => state.status = Status::Running,
        Step::Attach(id) => {
            let cut_off = observed.iter_mut().find(|o| o.container.id == *id).unwrap();
            cut_off.is_attached = true;
        }
        Step::GiveUpSilent { id, .. } => {
            let found = observed.iter().find(|o| o.container.id == *id).unwrap();
            state.accounted_run = found.run.as_ref().map(|run| run.key.clone());
            state.status = Status::Error;
            state.ready_run = None;
        }
        Step::SettleStopped => state.status = Status::Stopped,
        Step::LookAgain => {
            for o in observed.iter_mut() {
                if o.container.phase == Phase::InTransition {
                    *o = container(
                        o.container.id.clone().as_str(),
                        o.container.generation,
                        Phase::Exited,
                    );
                }
            }
        }
        // Of others than the one instance that there is.
        Step::Switch | Step::Retire => unreachable!(),
        Step::Nothing | Step::WaitUntil(_) => {}
    }
}

proptest! {
    #[test]
    fn steps_always_lead_to_rest_and_rest_is_what_was_wanted(
        wanted in any::<bool>(),
        idle in any_depth(),
        start in any_state(),
        observed in any_observed(),
    ) {
        let server = server(if wanted { Desired::Running } else { Desired::Stopped });
        let (mut state, mut observed) = (start, observed);
        let mut steps = 0;
        let at_rest = loop {
            let depth = wanted_of(&state, idle);
            let step = next_at_rest(&server, &state, &observed, depth);
            if matches!(step, Step::Nothing | Step::WaitUntil(_)) {
                break step;
            }
            apply(&step, &mut state, &mut observed);
            steps += 1;
            prop_assert!(steps < 40, "no rest: {step:?} with {observed:?}");
        };
        // Planning again gives the same: rest is rest.
        let depth = wanted_of(&state, idle);
        prop_assert_eq!(next_at_rest(&server, &state, &observed, depth), at_rest.clone());
        let count = |phase| observed.iter().filter(|o| o.container.phase == phase).count();
        let (running, paused) = (count(Phase::Running), count(Phase::Paused));
        if !wanted || state.gave_up {
            prop_assert_eq!((running, paused), (0, 0));
        } else if at_rest == Step::Nothing {
            // As deep as wanted, and the containers are as is said.
            prop_assert_eq!(state.sleep_depth(), depth);
            let expected = match depth {
                SleepDepth::Awake => (1, 0),
                SleepDepth::Paused => (0, 1),
                SleepDepth::Stopped => (0, 0),
            };
            prop_assert_eq!((running, paused), expected);
        }
    }

    #[test]
    fn the_order_of_containers_does_not_decide_what_survives(
        start in any_state(),
        observed in any_observed(),
    ) {
        let server = server(Desired::Stopped);
        let mut reversed = observed.clone();
        reversed.reverse();
        for list in [observed, reversed] {
            let (mut state, mut list) = (start.clone(), list);
            for _ in 0..40 {
                let step = next(&server, &state, &list);
                apply(&step, &mut state, &mut list);
            }
            prop_assert!(list.iter().all(|o| o.container.phase == Phase::Exited));
        }
    }
}
