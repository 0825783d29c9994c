//! What is done about a server that runs and answers nobody
//! ([ADR 21](../../../docs/adr/0021-running-stays-true.md)).

use std::time::Duration;

use super::Converge;
use crate::clock;
use crate::directory::Entry;
use crate::model::{ContainerId, Failure, Instance, KnownFault, Reason, RunState, Status};
use crate::reconcile::failure;
use crate::runtime::{Run, RuntimeError};

impl Converge {
    /// Says that it answers nobody, and since when.
    pub(super) async fn tell_silence(
        &self,
        instance: &Instance,
        reason: Reason,
        silent_for: Duration,
    ) {
        let state = &instance.state;
        let since = match state.status {
            Status::Unresponsive => state.since,
            _ => {
                let now = self.parts.clock.now();
                now.saturating_sub(silent_for).unwrap_or(now)
            }
        };
        let silent = RunState {
            status: Status::Unresponsive,
            reason,
            since,
            ..RunState::clone(state)
        };
        self.see(instance, silent).await;
    }

    /// Gives a container its network back. Where the engine refuses that, which
    /// it does while another has the address, it is a failure like that of a
    /// container that cannot be started.
    pub(super) async fn attach(&self, entry: &Entry, id: &ContainerId) -> Result<(), RuntimeError> {
        let instance = entry.instances.shown();
        let endpoint = self.parts.endpoint(instance);
        let runtime = &self.parts.runtime;
        match runtime.attach(id, instance.place.egress, &endpoint).await {
            Ok(()) => {
                tracing::warn!(server = %self.id, "its container was cut off from its network, and is connected again");
                entry.liveness.forget(clock::instant());
                Ok(())
            }
            // It ended meanwhile.
            Err(RuntimeError::NoSuchContainer) => Ok(()),
            Err(error) => self.could_not_run(instance, error).await,
        }
    }

    /// Keeps its silence as a failure; the planner then ends its run and begins
    /// another.
    pub(super) async fn give_up_silent(
        &self,
        instance: &Instance,
        container: &ContainerId,
        run: Option<&Run>,
        silent_for: Duration,
    ) -> Result<(), RuntimeError> {
        let now = self.parts.clock.now();
        let silent_secs = silent_for.as_secs();
        let failure = Failure {
            fault: KnownFault::Unresponsive { silent_secs }.into(),
            line: None,
            log_tail: failure::bounded_tail(self.log_tail(container).await?),
            at: now,
        };
        tracing::warn!(server = %self.id, silent_secs, "it answers nothing and is replaced");
        let failed = RunState {
            accounted_run: run.map(|run| run.key.clone()),
            ..failure::after_failure(
                &instance.state,
                failure,
                failure::served_long_before_silence(&instance.state),
                true,
                now,
            )
        };
        self.see(instance, failed).await;
        Ok(())
    }
}
