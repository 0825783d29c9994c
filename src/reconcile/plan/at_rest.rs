//! Whether there is nothing to do for a server, as far as one look at all
//! containers shows: an idle pass then costs one call to the engine. Pure.

use crate::model::{Desired, Instances, Server, SleepDepth, Status};
use crate::runtime::{Container, Endpoint, Phase};

/// Whether a server is as it is wanted. `own` are its containers, as listed;
/// `endpoint` is where it is to be found, and `is_followed` whether its output is
/// being taken in.
///
/// It may say no where the planner then finds nothing to do, and never yes where
/// the planner would find something.
pub(in crate::reconcile) fn at_rest(
    server: &Server,
    instances: &Instances,
    own: &[Container],
    endpoint: &Endpoint,
    is_followed: bool,
) -> bool {
    if server.settings.hold {
        return true;
    }
    let state = &instances.shown().state;
    // One that comes or goes is never at rest.
    if state.generation != server.generation || instances.are_several() {
        return false;
    }
    let current = match own {
        [one] if one.generation == server.generation && instances.owner(one.instance).is_some() => {
            Some(one)
        }
        _ => None,
    };
    let current = current.filter(|one| state.container_id.as_ref() == Some(&one.id));
    let is_in = |phase| current.is_some_and(|one| one.phase == phase);
    let have_ended = || own.iter().all(|one| one.phase == Phase::Exited);
    match server.desired {
        Desired::Running => match state.status {
            Status::Running | Status::Unresponsive => {
                is_in(Phase::Running)
                    && current.is_some_and(|one| one.endpoints.contains(endpoint))
                    && is_followed
            }
            Status::Sleeping => match state.sleep_depth() {
                SleepDepth::Stopped => own.is_empty(),
                // What is frozen writes nothing that had to be followed.
                SleepDepth::Awake | SleepDepth::Paused => is_in(Phase::Paused),
            },
            _ => state.gave_up && have_ended(),
        },
        Desired::Stopped => state.status == Status::Stopped && have_ended(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AddressPool, Egress, InstanceId, RunState, ServerNetworks};
    use crate::reconcile::plan::tests::{only, running, server};

    fn place() -> Endpoint {
        let open = AddressPool::parse("198.18.1.0/24").unwrap();
        let networks = ServerNetworks::new(open, open.twin().unwrap()).unwrap();
        Endpoint::of([198, 18, 1, 5].into(), Egress::Open, &networks)
    }

    fn container(phase: Phase) -> Container {
        Container {
            id: "c".into(),
            server: crate::model::ServerId::new(),
            instance: None,
            generation: 2,
            revision: 1,
            phase,
            endpoints: vec![place()],
        }
    }

    fn rests(server: &Server, state: &RunState, own: &[Container]) -> bool {
        at_rest(server, &only(server, state), own, &place(), true)
    }

    #[test]
    fn what_runs_as_wanted_rests_and_anything_else_about_it_does_not() {
        let wished = server(Desired::Running);
        let one = container(Phase::Running);
        assert!(rests(&wished, &running(), std::slice::from_ref(&one)));
        assert!(!rests(&wished, &running(), &[]));
        assert!(!rests(&wished, &running(), &[one.clone(), one.clone()]));
        assert!(!at_rest(
            &wished,
            &only(&wished, &running()),
            std::slice::from_ref(&one),
            &place(),
            false
        ));
        let others = [
            container(Phase::Paused),
            container(Phase::Exited),
            Container {
                generation: 1,
                ..one.clone()
            },
            Container {
                id: "other".into(),
                ..one.clone()
            },
            Container {
                endpoints: Vec::new(),
                ..one.clone()
            },
            Container {
                instance: Some(InstanceId::new()),
                ..one
            },
        ];
        for other in others {
            assert!(
                !rests(&wished, &running(), std::slice::from_ref(&other)),
                "{other:?}"
            );
        }
    }

    #[test]
    fn a_new_wish_is_not_at_rest_and_what_is_held_always_is() {
        let renewed = Server {
            generation: 3,
            ..server(Desired::Running)
        };
        let one = [container(Phase::Running)];
        assert!(!rests(&renewed, &running(), &one));
        let mut held = renewed;
        held.settings.hold = true;
        assert!(rests(&held, &running(), &[]));
    }

    #[test]
    fn a_stopped_server_may_keep_what_ended_and_one_that_failed_too() {
        let stopped = RunState {
            status: Status::Stopped,
            ..running()
        };
        let given_up = RunState {
            status: Status::Error,
            gave_up: true,
            ..running()
        };
        for (wished, state) in [(Desired::Stopped, stopped), (Desired::Running, given_up)] {
            let wished = server(wished);
            assert!(rests(&wished, &state, &[container(Phase::Exited)]));
            assert!(!rests(&wished, &state, &[container(Phase::Running)]));
        }
        let tries_again = RunState {
            status: Status::Error,
            gave_up: false,
            ..running()
        };
        assert!(!rests(&server(Desired::Running), &tries_again, &[]));
    }
}
