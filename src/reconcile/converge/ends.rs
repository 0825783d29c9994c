//! What is kept of a run that ended, and of one that could not begin.

use super::Converge;
use crate::logs::hide_in;
use crate::model::{ContainerId, Failure, Instance, KnownFault, RunState, Server};
use crate::reconcile::failure;
use crate::runtime::{Run, RuntimeError};

impl Converge {
    /// A run that goes on and does not do what it is for: another would not
    /// either.
    pub(super) async fn fail_for_good(
        &self,
        instance: &Instance,
        container: &ContainerId,
        run_key: Option<String>,
        fault: KnownFault,
    ) -> std::result::Result<(), RuntimeError> {
        let now = self.parts.clock.now();
        let failure = Failure {
            fault: fault.into(),
            line: None,
            log_tail: failure::bounded_tail(self.log_tail(container).await?),
            at: now,
        };
        let failed = RunState {
            accounted_run: run_key,
            ..failure::after_failure(&instance.state, failure, false, false, now)
        };
        self.see(instance, failed).await;
        Ok(())
    }

    pub(super) async fn account_for_end(
        &self,
        server: &Server,
        instance: &Instance,
        container: &ContainerId,
        run: &Run,
    ) -> std::result::Result<(), RuntimeError> {
        let state = &instance.state;
        let engine_began_at = self.parts.runtime.began_at().await?;
        if failure::ended_with_engine(run, engine_began_at) {
            tracing::info!(server = %self.id, exit_code = run.exit_code, "a run ended with Docker Engine");
            let ended = RunState {
                accounted_run: Some(run.key.clone()),
                exit_code: Some(run.exit_code),
                container_id: Some(container.clone()),
                ..failure::after_engine_restart(state, failure::was_healthy(state, run))
            };
            self.see(instance, ended).await;
            return Ok(());
        }
        let now = self.parts.clock.now();
        let tail = self.log_tail(container).await?;
        let limits = self.parts.bounds.maxima().cap(server.settings.limits);
        let failure = failure::explain(run, limits.memory_bytes, tail, now);
        tracing::info!(server = %self.id, code = failure.fault.code, exit_code = run.exit_code, "a run ended");
        let failed = RunState {
            accounted_run: Some(run.key.clone()),
            exit_code: Some(run.exit_code),
            container_id: Some(container.clone()),
            ..failure::after_failure(
                state,
                failure,
                failure::was_healthy(state, run),
                failure::retry_helps(run),
                now,
            )
        };
        self.see(instance, failed).await;
        Ok(())
    }

    /// Docker made or started no container. What a missing image or a refused
    /// container is, is kept as a failure; a Docker that does not answer is
    /// not the server's fault and is simply tried again.
    pub(super) async fn could_not_run(
        &self,
        instance: &Instance,
        error: RuntimeError,
    ) -> std::result::Result<(), RuntimeError> {
        let fault = match error {
            RuntimeError::Unreachable(_) | RuntimeError::NoSuchContainer => return Err(error),
            RuntimeError::ImageMissing(image) => KnownFault::image_missing(&image),
            RuntimeError::Storage(detail) => KnownFault::StorageFailed { detail },
            RuntimeError::Refused(detail) => KnownFault::ContainerFailed { detail },
        };
        self.could_not_begin(instance, fault).await;
        Ok(())
    }

    /// A run that failed before there was one.
    pub(super) async fn could_not_begin(&self, instance: &Instance, fault: KnownFault) {
        let now = self.parts.clock.now();
        let failure = Failure {
            fault: fault.into(),
            line: None,
            log_tail: Vec::new(),
            at: now,
        };
        let failed = failure::after_failure(&instance.state, failure, false, true, now);
        self.see(instance, failed).await;
    }

    pub(super) async fn log_tail(
        &self,
        container: &ContainerId,
    ) -> std::result::Result<Vec<String>, RuntimeError> {
        let lines = self
            .parts
            .runtime
            .tail(container, failure::TAIL_LINES)
            .await?;
        let mask = self.parts.mask(self.id, container).await?;
        Ok(hide_in(&mask, lines)
            .into_iter()
            .map(|line| line.text)
            .collect())
    }
}
