//! Steps into sleep and out of it.

use super::*;

fn asleep(rest: Rest) -> RunState {
    running().asleep(rest, Reason::NotStarted)
}

#[test]
fn an_idle_server_is_paused_and_goes_on_when_it_is_wanted() {
    let wanted = server(Desired::Running);
    let awake = [container("c", 2, Phase::Running)];
    let frozen = [container("c", 2, Phase::Paused)];
    let next = |state: &RunState, observed, rest| next_at_rest(&wanted, state, observed, rest);
    assert_eq!(
        next(&running(), &awake, Rest::Paused),
        Step::Pause("c".into())
    );
    let paused = asleep(Rest::Paused);
    assert_eq!(next(&paused, &frozen, Rest::Paused), Step::Nothing);
    assert_eq!(
        next(&paused, &frozen, Rest::Awake),
        Step::Unpause("c".into())
    );
    // What is not running yet, or frozen by hand, is not EMCP's to freeze.
    assert_eq!(
        next(&state(), &awake, Rest::Paused),
        Step::AwaitReady("c".into())
    );
    assert_eq!(
        next(&running(), &frozen, Rest::Awake),
        Step::Unpause("c".into())
    );
}

#[test]
fn a_sleeper_that_runs_is_awake_whoever_let_it_go_on() {
    let wanted = server(Desired::Running);
    let awake = [container("c", 2, Phase::Running)];
    for rest in [Rest::Awake, Rest::Paused, Rest::Stopped] {
        assert_eq!(
            next_at_rest(&wanted, &asleep(Rest::Paused), &awake, rest),
            Step::SettleAwake
        );
    }
    // In a new run it must be found ready first.
    let renewed = RunState {
        ready_run: Some("c 0".into()),
        ..asleep(Rest::Paused)
    };
    assert_eq!(
        next(&wanted, &renewed, &awake),
        Step::AwaitReady("c".into())
    );
}

#[test]
fn a_server_put_away_loses_its_container_and_is_started_when_it_is_wanted() {
    let wanted = server(Desired::Running);
    let next = |state: &RunState, observed: &[Observed], rest| {
        next_at_rest(&wanted, state, observed, rest)
    };
    for (state, phase) in [
        (running(), Phase::Running),
        (asleep(Rest::Paused), Phase::Paused),
    ] {
        let step = next(&state, &[container("c", 2, phase)], Rest::Stopped);
        assert_eq!(step, Step::PutAway("c".into()));
    }
    let away = asleep(Rest::Stopped);
    // Also when somebody wants it meanwhile: an end of EMCP's own making must
    // not be taken for a crash.
    for rest in [Rest::Stopped, Rest::Awake] {
        for (phase, step) in [
            (Phase::Running, Step::Stop("c".into())),
            (Phase::Paused, Step::Stop("c".into())),
            (Phase::Exited, Step::Remove("c".into())),
        ] {
            assert_eq!(next(&away, &[container("c", 2, phase)], rest), step);
        }
    }
    assert_eq!(next(&away, &[], Rest::Stopped), Step::Nothing);
    assert_eq!(next(&away, &[], Rest::Awake), Step::Rouse);
}

#[test]
fn the_end_of_a_frozen_container_is_no_failure() {
    let wanted = server(Desired::Running);
    let paused = asleep(Rest::Paused);
    let ended = [container("c", 2, Phase::Exited)];
    for rest in [Rest::Paused, Rest::Awake] {
        assert_eq!(
            next_at_rest(&wanted, &paused, &ended, rest),
            Step::EndedAsleep(Some("c".into()))
        );
        assert_eq!(
            next_at_rest(&wanted, &paused, &[], rest),
            Step::EndedAsleep(None)
        );
    }
}

#[test]
fn a_sleeper_that_is_to_stop_is_stopped() {
    let unwanted = server(Desired::Stopped);
    let frozen = [container("c", 2, Phase::Paused)];
    assert_eq!(
        next(&unwanted, &asleep(Rest::Paused), &frozen),
        Step::Stop("c".into())
    );
    assert_eq!(
        next(&unwanted, &asleep(Rest::Stopped), &[]),
        Step::SettleStopped
    );
}
