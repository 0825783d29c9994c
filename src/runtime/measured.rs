//! An engine whose calls are timed, each by its name and by what came of it.
//! Streams are not: they end when somebody has heard enough.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use secrecy::SecretString;

use super::{
    Change, Container, ContainerSpec, Endpoint, EngineInfo, Inspected, OneShot, OutputLine,
    ResourceUsage, Runtime, RuntimeError,
};
use crate::metrics::EngineCalls;
use crate::model::{ContainerId, Egress, ServerId, ServerNetworks};

/// An engine, and who takes its times.
pub struct Measured {
    engine: Arc<dyn Runtime>,
    calls: EngineCalls,
}

impl Measured {
    /// The same engine, its calls told to these metrics.
    pub fn new(engine: Arc<dyn Runtime>, calls: EngineCalls) -> Self {
        Self { engine, calls }
    }
}

/// What is told of an answer. That a container is gone is an answer too, and no
/// trouble of the engine's.
fn outcome_of<T>(answer: &Result<T, RuntimeError>) -> &'static str {
    match answer {
        Ok(_) => "ok",
        Err(RuntimeError::NoSuchContainer) => "gone",
        Err(RuntimeError::ImageMissing(_) | RuntimeError::Refused(_)) => "refused",
        Err(RuntimeError::Storage(_)) => "storage",
        Err(RuntimeError::Unreachable(_)) => "unreachable",
    }
}

/// Passes a call on, and times it under its own name.
macro_rules! timed {
    ($self:ident.$call:ident($($argument:expr),*)) => {
        $self
            .calls
            .time(stringify!($call), outcome_of, $self.engine.$call($($argument),*))
            .await
    };
}

#[async_trait]
impl Runtime for Measured {
    async fn connect(&self, networks: ServerNetworks) -> Result<(), RuntimeError> {
        timed!(self.connect(networks))
    }

    async fn ping(&self) -> Result<(), RuntimeError> {
        timed!(self.ping())
    }

    async fn greet_broker(&self) -> Option<Result<(), RuntimeError>> {
        self.engine.greet_broker().await
    }

    async fn info(&self) -> Result<EngineInfo, RuntimeError> {
        timed!(self.info())
    }

    async fn began_at(&self) -> Result<Option<Timestamp>, RuntimeError> {
        timed!(self.began_at())
    }

    async fn list(&self, server: Option<ServerId>) -> Result<Vec<Container>, RuntimeError> {
        timed!(self.list(server))
    }

    async fn mounted(&self) -> Result<Vec<PathBuf>, RuntimeError> {
        timed!(self.mounted())
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Inspected, RuntimeError> {
        timed!(self.inspect(id))
    }

    async fn run(&self, spec: &ContainerSpec) -> Result<ContainerId, RuntimeError> {
        timed!(self.run(spec))
    }

    async fn start(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        timed!(self.start(id))
    }

    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError> {
        timed!(self.stop(id, grace))
    }

    async fn pause(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        timed!(self.pause(id))
    }

    async fn unpause(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        timed!(self.unpause(id))
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        timed!(self.remove(id))
    }

    async fn attach(
        &self,
        id: &ContainerId,
        egress: Egress,
        endpoint: &Endpoint,
    ) -> Result<(), RuntimeError> {
        timed!(self.attach(id, egress, endpoint))
    }

    async fn run_once(&self, shot: &OneShot<'_>) -> Result<String, RuntimeError> {
        timed!(self.run_once(shot))
    }

    async fn usage(&self, id: &ContainerId) -> Result<ResourceUsage, RuntimeError> {
        timed!(self.usage(id))
    }

    async fn given_secrets(&self, id: &ContainerId) -> Result<Vec<SecretString>, RuntimeError> {
        timed!(self.given_secrets(id))
    }

    async fn tail(&self, id: &ContainerId, lines: usize) -> Result<Vec<OutputLine>, RuntimeError> {
        timed!(self.tail(id, lines))
    }

    fn follow(
        &self,
        id: &ContainerId,
        since_secs: i64,
    ) -> BoxStream<'static, Result<OutputLine, RuntimeError>> {
        self.engine.follow(id, since_secs)
    }

    fn changes(&self) -> BoxStream<'static, Change> {
        self.engine.changes()
    }
}
