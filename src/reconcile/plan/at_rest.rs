//! Whether there is nothing to do for a server, as far as one look at all
//! containers shows: an idle pass then costs one call to the engine. Pure.

use std::net::Ipv4Addr;

use crate::model::{Desired, RunState, Server, SleepDepth, Status};
use crate::runtime::{Container, Phase};

/// Whether a server is as it is wanted. `own` are its containers, as listed;
/// `address` is where it is to be found, and `is_followed` whether its output is
/// being taken in.
///
/// It may say no where the planner then finds nothing to do, and never yes where
/// the planner would find something.
pub(in crate::reconcile) fn at_rest(
    server: &Server,
    state: &RunState,
    own: &[Container],
    address: Ipv4Addr,
    is_followed: bool,
) -> bool {
    if server.settings.hold {
        return true;
    }
    if state.generation != server.generation {
        return false;
    }
    let current = match own {
        [one] if one.generation == server.generation => Some(one),
        _ => None,
    };
    let current = current.filter(|one| state.container_id.as_deref() == Some(&one.id));
    let is_in = |phase| current.is_some_and(|one| one.phase == phase);
    let have_ended = || own.iter().all(|one| one.phase == Phase::Exited);
    match server.desired {
        Desired::Running => match state.status {
            Status::Running | Status::Unresponsive => {
                is_in(Phase::Running)
                    && current.is_some_and(|one| one.addresses.contains(&address))
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
    use crate::reconcile::plan::tests::{running, server};

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 5);

    fn container(phase: Phase) -> Container {
        Container {
            id: "c".into(),
            server: crate::model::ServerId::new(),
            generation: 2,
            revision: 1,
            phase,
            addresses: vec![ADDRESS],
        }
    }

    fn rests(server: &Server, state: &RunState, own: &[Container]) -> bool {
        at_rest(server, state, own, ADDRESS, true)
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
            &running(),
            std::slice::from_ref(&one),
            ADDRESS,
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
                addresses: Vec::new(),
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
