//! Steps of a server that runs and answers nobody, or has lost its network.

use super::*;
use crate::reconcile::alive::Alive;

const SILENT_FOR: Duration = Duration::from_secs(15);

fn next_with(server: &Server, state: &RunState, observed: &[Observed], alive: Alive) -> Step {
    let facts = Facts {
        alive: Some(alive),
        ..facts()
    };
    step(server, state, observed, facts, now())
}

fn tells() -> Alive {
    Alive::TellSilence {
        reason: Reason::NotAnswering,
        silent_for: SILENT_FOR,
    }
}

fn unresponsive() -> RunState {
    RunState {
        status: Status::Unresponsive,
        reason: Reason::NotAnswering,
        ..running()
    }
}

#[test]
fn silence_is_told_and_then_ended_by_another_run() {
    let wanted = server(Desired::Running);
    let mut observed = vec![container("c", 2, Phase::Running)];
    let told = next_with(&wanted, &running(), &observed, tells());
    assert!(matches!(told, Step::TellSilence { .. }));
    let mut state = unresponsive();
    assert_eq!(next(&wanted, &state, &observed), Step::Nothing);
    let replace = Alive::Replace {
        silent_for: SILENT_FOR,
    };
    let step = next_with(&wanted, &state, &observed, replace);
    assert!(matches!(step, Step::GiveUpSilent { .. }));
    for expected in [
        step,
        Step::Stop("c".into()),
        Step::Start("c".into()),
        Step::AwaitReady("c".into()),
    ] {
        apply(&expected, &mut state, &mut observed);
        // What was found before is not believed of what comes after.
        if expected != Step::AwaitReady("c".into()) {
            assert_ne!(next(&wanted, &state, &observed), Step::Nothing);
        }
    }
    assert_eq!(next(&wanted, &state, &observed), Step::Nothing);
}

#[test]
fn only_a_server_that_runs_and_was_found_ready_falls_silent() {
    let wanted = server(Desired::Running);
    for phase in [Phase::Paused, Phase::Exited, Phase::InTransition] {
        let observed = [container("c", 2, phase)];
        let step = next_with(&wanted, &running(), &observed, tells());
        assert!(!matches!(step, Step::TellSilence { .. }), "{phase:?}");
    }
    let starting = [container("c", 2, Phase::Running)];
    assert_eq!(
        next_with(&wanted, &state(), &starting, tells()),
        Step::AwaitReady("c".into())
    );
}

#[test]
fn a_lost_network_is_told_given_back_and_no_answer_is_believed_before() {
    let wanted = server(Desired::Running);
    let cut_off = Observed {
        is_attached: false,
        ..container("c", 2, Phase::Running)
    };
    let mut observed = vec![cut_off];
    let mut state = running();
    let step = next(&wanted, &state, &observed);
    assert!(matches!(&step, Step::TellSilence { reason, .. } if *reason == Reason::NetworkLost));
    apply(&step, &mut state, &mut observed);
    let step = next_with(&wanted, &state, &observed, Alive::TellAnswer);
    assert_eq!(step, Step::Attach("c".into()));
    apply(&step, &mut state, &mut observed);
    assert_eq!(next(&wanted, &state, &observed), Step::Nothing);
    let step = next_with(&wanted, &state, &observed, Alive::TellAnswer);
    assert_eq!(step, Step::TellAnswer);
}

#[test]
fn a_network_that_cannot_be_given_back_is_tried_again_when_it_is_due() {
    let wanted = server(Desired::Running);
    let cut_off = [Observed {
        is_attached: false,
        ..container("c", 2, Phase::Running)
    }];
    let due = now().checked_add(Duration::from_secs(4)).unwrap();
    let refused = RunState {
        status: Status::Error,
        retry_at: Some(due),
        ..state()
    };
    assert_eq!(next(&wanted, &refused, &cut_off), Step::WaitUntil(due));
    assert_eq!(
        next_at(&wanted, &refused, &cut_off, due),
        Step::Attach("c".into())
    );
}

#[test]
fn a_held_server_is_told_of_and_left_as_it_is() {
    let held = held(server(Desired::Running));
    let observed = [container("c", 2, Phase::Running)];
    let step = next_with(&held, &running(), &observed, tells());
    assert!(matches!(step, Step::TellSilence { .. }));
    let step = next_with(&held, &unresponsive(), &observed, Alive::TellAnswer);
    assert_eq!(step, Step::TellAnswer);
    let replace = Alive::Replace {
        silent_for: SILENT_FOR,
    };
    let step = next_with(&held, &unresponsive(), &observed, replace);
    assert_eq!(step, Step::Nothing);
}
