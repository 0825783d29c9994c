//! Falling asleep and waking up ([ADR 9](../../../docs/adr/0009-sleep-by-what-the-server-reports.md)).

use jiff::Timestamp;

use super::Converge;
use crate::clock;
use crate::directory::Entry;
use crate::model::{ContainerId, Instance, Reason, RunState, SleepDepth, Status};
use crate::reconcile::Parts;
use crate::reconcile::idle::{self, Use};
use crate::reconcile::probe::usage;
use crate::runtime::{Run, RuntimeError};

impl Parts {
    /// How deep a server is to sleep now.
    pub(in crate::reconcile) fn wanted_depth(&self, entry: &Entry, now: Timestamp) -> SleepDepth {
        let used = Use {
            idle: entry.activity.idle(),
            is_asked_for: entry.activity.is_asked_for(),
        };
        idle::wanted_depth(&entry.server, &entry.state, self.config.sleep, used, now)
    }
}

impl Converge {
    /// Freezes a server that nobody uses, if it says so too.
    pub(super) async fn pause_idle(
        &self,
        entry: &Entry,
        container: &ContainerId,
    ) -> Result<(), RuntimeError> {
        let Some(asleep) = self.fall_asleep(entry, SleepDepth::Paused).await else {
            return Ok(());
        };
        if let Err(error) = self.parts.runtime.pause(container).await {
            tracing::warn!(server = %self.id, %error, "an idle server could not be paused");
            self.stay_awake(entry);
            return Err(error);
        }
        self.see(entry.instances.shown(), asleep).await;
        Ok(())
    }

    /// Gives up the container of a server that nobody uses: one that is frozen
    /// already, or one that runs, if it says that it is idle too. The planner
    /// then ends and removes what is there.
    pub(super) async fn put_away(&self, entry: &Entry) {
        let asleep = match entry.state.sleep_depth() {
            SleepDepth::Awake => self.fall_asleep(entry, SleepDepth::Stopped).await,
            SleepDepth::Paused | SleepDepth::Stopped => {
                Some(self.asleep(entry, SleepDepth::Stopped))
            }
        };
        if let Some(asleep) = asleep {
            self.see(entry.instances.shown(), asleep).await;
        }
    }

    /// Shows the gate that the server sleeps, having made sure that nobody uses
    /// it; the caller then does what makes it true. The order is what counts:
    ///
    /// 1. The server itself must say that it has been idle for long enough.
    /// 2. From `judge` on, the gate's requests are told apart from those before.
    ///    Those show in the idle time, which is judged again after that.
    /// 3. From `put_state` on, the gate holds every request and wakes us.
    /// 4. A request that passed the gate before step 3 was noted after step 2,
    ///    or it was noted before, hence so long ago that it has reached the
    ///    server; then the server counts it when it is asked once more.
    async fn fall_asleep(&self, entry: &Entry, depth: SleepDepth) -> Option<RunState> {
        let is_idle =
            |entry: &Entry| self.parts.wanted_depth(entry, self.parts.clock.now()) >= depth;
        if !self.learn_usage(entry).await || !is_idle(entry) {
            return None;
        }
        entry.activity.judge();
        // A person may have changed what is wanted while the server was asked.
        let entry = &Entry {
            server: self.parts.directory.get(self.id)?.server,
            ..entry.clone()
        };
        if !is_idle(entry) {
            return None;
        }
        let asleep = RunState {
            since: self.parts.clock.now(),
            ..self.asleep(entry, depth)
        };
        self.parts.directory.put_state(self.id, asleep.clone());
        let is_still_idle =
            self.learn_usage(entry).await && !entry.activity.is_asked_for() && is_idle(entry);
        if is_still_idle {
            return Some(asleep);
        }
        self.stay_awake(entry);
        None
    }

    /// Asks the server who uses it, and tells whether it answered. One that
    /// does not is taken for busy: it may be in a call that blocks it.
    async fn learn_usage(&self, entry: &Entry) -> bool {
        let told = usage(&self.parts.client, entry, &self.parts.config.networks).await;
        if let (Ok(_), Some(run)) = (&told, &entry.state.ready_run) {
            let requests = entry.activity.requests();
            let interval = self.parts.config.liveness_interval;
            entry
                .liveness
                .answered(run, clock::instant(), interval, requests);
        }
        match told {
            Ok(Some(usage)) if usage.open_requests > 0 => entry.activity.touch(),
            Ok(Some(usage)) => entry.activity.used_before(usage.idle()),
            Ok(None) => {
                tracing::warn!(
                    server = %self.id,
                    "it never sleeps: its base image is too old to report its open requests; rebuild the image and restart the server"
                );
                entry.activity.touch();
                return false;
            }
            Err(why) => {
                tracing::info!(server = %self.id, why, "it does not tell who uses it, so it stays awake");
                entry.activity.touch();
                return false;
            }
        }
        true
    }

    /// Takes back what [`Converge::fall_asleep`] showed.
    fn stay_awake(&self, entry: &Entry) {
        entry.activity.touch();
        self.parts
            .directory
            .put_state(self.id, RunState::clone(&entry.state));
    }

    fn asleep(&self, entry: &Entry, depth: SleepDepth) -> RunState {
        let after = entry
            .server
            .settings
            .sleep
            .effective(self.parts.config.sleep);
        // Where the setting has changed meanwhile, what it led to is told.
        let idle = after.and_then(|after| after.idle_time(depth));
        let idle_secs = idle.unwrap_or_else(|| entry.activity.idle()).as_secs();
        let reason = match depth {
            SleepDepth::Stopped => Reason::StoppedIdle { idle_secs },
            SleepDepth::Awake | SleepDepth::Paused => Reason::PausedIdle { idle_secs },
        };
        entry.state.asleep(depth, reason)
    }

    /// It runs where it was: the same run, which was found ready before.
    pub(super) async fn awake(&self, entry: &Entry) {
        entry.activity.touch();
        self.say(entry.instances.shown(), Status::Running, Reason::WokenUp)
            .await;
    }

    /// Begins a start for who wants it.
    pub(super) async fn rouse(&self, instance: &Instance) {
        self.say(instance, Status::Building, Reason::WakingByStart)
            .await;
    }

    /// What is frozen cannot fail by itself, so its end, from outside, counts
    /// against nobody. A machine that comes up again thus leaves asleep what
    /// slept.
    pub(super) async fn ended_asleep(&self, instance: &Instance, run: Option<&Run>) {
        let state = &instance.state;
        let reason = match run {
            Some(run) => Reason::EndedWhilePaused {
                exit_code: run.exit_code,
            },
            None => Reason::RemovedWhilePaused,
        };
        let stopped = RunState {
            exit_code: run.map_or(state.exit_code, |run| Some(run.exit_code)),
            ..state.asleep(SleepDepth::Stopped, reason)
        };
        self.see(instance, stopped).await;
    }
}
