//! Steps into sleep and out of it.

use super::*;

fn asleep(depth: SleepDepth) -> RunState {
    running().asleep(depth, Reason::NotStarted)
}

#[test]
fn an_idle_server_is_paused_and_goes_on_when_it_is_wanted() {
    let wanted = server(Desired::Running);
    let awake = [container("c", 2, Phase::Running)];
    let frozen = [container("c", 2, Phase::Paused)];
    let next = |state: &RunState, observed, depth| next_at_rest(&wanted, state, observed, depth);
    assert_eq!(
        next(&running(), &awake, SleepDepth::Paused),
        Step::Pause("c".into())
    );
    let paused = asleep(SleepDepth::Paused);
    assert_eq!(next(&paused, &frozen, SleepDepth::Paused), Step::Nothing);
    assert_eq!(
        next(&paused, &frozen, SleepDepth::Awake),
        Step::Unpause("c".into())
    );
    // What is not running yet, or frozen by hand, is not EMCP's to freeze.
    assert_eq!(
        next(&state(), &awake, SleepDepth::Paused),
        Step::AwaitReady("c".into())
    );
    assert_eq!(
        next(&running(), &frozen, SleepDepth::Awake),
        Step::Unpause("c".into())
    );
}

#[test]
fn a_sleeper_that_runs_is_awake_whoever_let_it_go_on() {
    let wanted = server(Desired::Running);
    let awake = [container("c", 2, Phase::Running)];
    for depth in [SleepDepth::Awake, SleepDepth::Paused, SleepDepth::Stopped] {
        assert_eq!(
            next_at_rest(&wanted, &asleep(SleepDepth::Paused), &awake, depth),
            Step::SettleAwake
        );
    }
    // In a new run it must be found ready first.
    let renewed = RunState {
        ready_run: Some("c 0".into()),
        ..asleep(SleepDepth::Paused)
    };
    assert_eq!(
        next(&wanted, &renewed, &awake),
        Step::AwaitReady("c".into())
    );
}

#[test]
fn a_server_put_away_loses_its_container_and_is_started_when_it_is_wanted() {
    let wanted = server(Desired::Running);
    let next = |state: &RunState, observed: &[Observed], depth| {
        next_at_rest(&wanted, state, observed, depth)
    };
    for (state, phase) in [
        (running(), Phase::Running),
        (asleep(SleepDepth::Paused), Phase::Paused),
    ] {
        let step = next(&state, &[container("c", 2, phase)], SleepDepth::Stopped);
        assert_eq!(step, Step::PutAway("c".into()));
    }
    let away = asleep(SleepDepth::Stopped);
    // Also when somebody wants it meanwhile: an end of EMCP's own making must
    // not be taken for a crash.
    for depth in [SleepDepth::Stopped, SleepDepth::Awake] {
        for (phase, step) in [
            (Phase::Running, Step::Stop("c".into())),
            (Phase::Paused, Step::Stop("c".into())),
            (Phase::Exited, Step::Remove("c".into())),
        ] {
            assert_eq!(next(&away, &[container("c", 2, phase)], depth), step);
        }
    }
    assert_eq!(next(&away, &[], SleepDepth::Stopped), Step::Nothing);
    assert_eq!(next(&away, &[], SleepDepth::Awake), Step::Rouse);
}

#[test]
fn the_end_of_a_frozen_container_is_no_failure() {
    let wanted = server(Desired::Running);
    let paused = asleep(SleepDepth::Paused);
    let ended = [container("c", 2, Phase::Exited)];
    for depth in [SleepDepth::Paused, SleepDepth::Awake] {
        assert_eq!(
            next_at_rest(&wanted, &paused, &ended, depth),
            Step::EndedAsleep(Some("c".into()))
        );
        assert_eq!(
            next_at_rest(&wanted, &paused, &[], depth),
            Step::EndedAsleep(None)
        );
    }
}

#[test]
fn a_sleeper_that_is_to_stop_is_stopped() {
    let unwanted = server(Desired::Stopped);
    let frozen = [container("c", 2, Phase::Paused)];
    assert_eq!(
        next(&unwanted, &asleep(SleepDepth::Paused), &frozen),
        Step::Stop("c".into())
    );
    assert_eq!(
        next(&unwanted, &asleep(SleepDepth::Stopped), &[]),
        Step::SettleStopped
    );
}
