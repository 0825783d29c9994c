//! How deep a server is to sleep: its setting, its state and its use, compared
//! with the clock. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::{Desired, RunState, Server, SleepAfter, SleepDepth, Status};

/// What is known of a server's use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use {
    /// How long nobody has used it.
    pub(super) idle: Duration,
    /// Whether anybody wanted it since it was put to sleep.
    pub(super) is_asked_for: bool,
}

/// How deep a server is to sleep now. Whatever does not sleep, cannot, or is on
/// hold, is to be as it is.
pub(super) fn wanted_depth(
    server: &Server,
    state: &RunState,
    platform: Option<SleepAfter>,
    used: Use,
    now: Timestamp,
) -> SleepDepth {
    let depth = state.sleep_depth();
    if server.settings.hold
        || server.desired == Desired::Stopped
        || server.generation != state.generation
        || !matches!(state.status, Status::Running | Status::Sleeping)
    {
        return depth;
    }
    let Some(after) = server.settings.sleep.effective(platform) else {
        return SleepDepth::Awake;
    };
    match depth {
        SleepDepth::Awake => after.depth_after(used.idle),
        _ if used.is_asked_for => SleepDepth::Awake,
        // By the clock of the wall, the only one that goes on while EMCP is
        // down. At worst a server is stopped early, and woken by a start.
        SleepDepth::Paused => {
            let asleep = Duration::try_from(now.duration_since(state.since)).unwrap_or_default();
            match after.paused_at_most() {
                Some(most) if asleep >= most => SleepDepth::Stopped,
                _ => SleepDepth::Paused,
            }
        }
        SleepDepth::Stopped => SleepDepth::Stopped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Never, Reason, SleepChoice};
    use crate::reconcile::plan::tests::{held, server, state};

    const TIMES: SleepAfter = SleepAfter {
        pause_after_secs: Some(10),
        stop_after_secs: Some(30),
    };

    fn sleeper() -> Server {
        with_sleep(SleepChoice::After(TIMES), server(Desired::Running))
    }

    fn with_sleep(sleep: SleepChoice, mut server: Server) -> Server {
        server.settings.sleep = sleep;
        server
    }

    fn running() -> RunState {
        RunState {
            status: Status::Running,
            container_id: Some("c".into()),
            ready_run: Some("c 1".into()),
            ..state()
        }
    }

    fn idle_for(secs: u64) -> Use {
        Use {
            idle: Duration::from_secs(secs),
            is_asked_for: false,
        }
    }

    fn rest(server: &Server, state: &RunState, used: Use) -> SleepDepth {
        wanted_depth(server, state, None, used, state.since)
    }

    #[test]
    fn an_idle_server_rests_deeper_with_time_and_one_without_the_setting_never() {
        let expected = [
            (9, SleepDepth::Awake),
            (10, SleepDepth::Paused),
            (30, SleepDepth::Stopped),
        ];
        for (secs, depth) in expected {
            assert_eq!(rest(&sleeper(), &running(), idle_for(secs)), depth);
            let silent = server(Desired::Running);
            assert_eq!(rest(&silent, &running(), idle_for(secs)), SleepDepth::Awake);
            // Unless the platform has it; and never against its own word.
            let by_default = |server: &Server| {
                let state = running();
                wanted_depth(server, &state, Some(TIMES), idle_for(secs), state.since)
            };
            assert_eq!(by_default(&silent), depth);
            let never = with_sleep(SleepChoice::Never(Never::Never), silent);
            assert_eq!(by_default(&never), SleepDepth::Awake);
        }
    }

    #[test]
    fn only_what_runs_as_wanted_is_put_to_sleep() {
        let held = held(sleeper());
        assert_eq!(rest(&held, &running(), idle_for(99)), SleepDepth::Awake);
        let renewed = Server {
            generation: 3,
            ..sleeper()
        };
        assert_eq!(rest(&renewed, &running(), idle_for(99)), SleepDepth::Awake);
        for status in [Status::Building, Status::Starting, Status::Error] {
            let state = RunState {
                status,
                ..running()
            };
            assert_eq!(rest(&sleeper(), &state, idle_for(99)), SleepDepth::Awake);
        }
    }

    #[test]
    fn a_sleeper_wakes_when_asked_for_or_no_longer_to_sleep_and_else_stays() {
        for depth in [SleepDepth::Paused, SleepDepth::Stopped] {
            let asleep = running().asleep(depth, Reason::NotStarted);
            let asked = Use {
                is_asked_for: true,
                ..idle_for(0)
            };
            assert_eq!(rest(&sleeper(), &asleep, asked), SleepDepth::Awake);
            assert_eq!(rest(&sleeper(), &asleep, idle_for(0)), depth);
            assert_eq!(
                rest(&server(Desired::Running), &asleep, idle_for(99)),
                SleepDepth::Awake
            );
            let held = held(sleeper());
            assert_eq!(rest(&held, &asleep, asked), depth);
        }
    }

    #[test]
    fn a_paused_server_is_stopped_when_the_rest_of_its_time_is_over() {
        let paused = running().asleep(SleepDepth::Paused, Reason::NotStarted);
        let after = |secs: u64| {
            let now = paused.since.checked_add(Duration::from_secs(secs)).unwrap();
            // EMCP may have restarted: nothing is known of the use before.
            wanted_depth(&sleeper(), &paused, None, idle_for(0), now)
        };
        assert_eq!(after(19), SleepDepth::Paused);
        assert_eq!(after(20), SleepDepth::Stopped);
        // A clock set back does not count.
        let early = paused.since.checked_sub(Duration::from_secs(99)).unwrap();
        assert_eq!(
            wanted_depth(&sleeper(), &paused, None, idle_for(0), early),
            SleepDepth::Paused
        );
    }
}
