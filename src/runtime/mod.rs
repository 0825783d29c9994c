//! Where containers live. The types here are the whole vocabulary the
//! reconciler shares with a container engine; only `docker` names bollard. The
//! `broker` keeps the engine in another process.
//!
//! Nothing outside this room may assume one engine, one container per server or
//! a bind mount: Docker Swarm is to become another runtime.

mod broker;
mod brokered;
mod client;
mod docker;
mod endpoint;
#[cfg(test)]
pub(crate) mod fake;
mod measured;
mod programs;
mod types;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use secrecy::SecretString;

use crate::model::{ContainerId, Egress, ServerId, ServerNetworks};

pub use broker::{BrokerRuntime, serve as serve_broker};
pub use client::{NoTestimony, SendError, ServerClient};
pub use docker::DockerRuntime;
pub use endpoint::Endpoint;
pub use measured::Measured;
pub use programs::{CHECK, REACH};
pub use types::{
    Change, Container, ContainerSpec, DiskSpec, EngineInfo, Inspected, OneShot, OutputLine,
    OutputStream, Phase, ResourceUsage, Run, RuntimeError, STORAGE_TARGET,
};

/// A container engine, as far as EMCP needs one. All it shows and does is of
/// one EMCP's own containers.
#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// Prepares the engine: agrees on an API version, makes the networks unless
    /// they are there as they must be, and removes what [`Runtime::run_once`]
    /// left behind when EMCP was killed.
    ///
    /// # Errors
    /// `Unreachable`, or `Refused` if a network of that name has another subnet.
    async fn connect(&self, networks: ServerNetworks) -> Result<(), RuntimeError>;

    /// Whether the engine answers.
    ///
    /// # Errors
    /// If it does not.
    async fn ping(&self) -> Result<(), RuntimeError>;

    /// Whether the process that stands between EMCP and the engine answers, be
    /// the engine as it may; `None` where there is none.
    async fn greet_broker(&self) -> Option<Result<(), RuntimeError>> {
        None
    }

    /// The engine and its host.
    ///
    /// # Errors
    /// If it does not answer.
    async fn info(&self) -> Result<EngineInfo, RuntimeError>;

    /// When the engine began to run, after it had settled what the last one
    /// left. `None` for one that does not tell.
    ///
    /// # Errors
    /// If it does not answer.
    async fn began_at(&self) -> Result<Option<Timestamp>, RuntimeError>;

    /// All containers of this instance, or those of one server.
    ///
    /// # Errors
    /// If the engine does not answer.
    async fn list(&self, server: Option<ServerId>) -> Result<Vec<Container>, RuntimeError>;

    /// Every path outside of containers that one of this instance has mounted, or
    /// mounts when it is started again; in the engine's own writing.
    ///
    /// # Errors
    /// If the engine does not answer.
    async fn mounted(&self) -> Result<Vec<PathBuf>, RuntimeError>;

    /// What a container is doing. To be believed over the list: at the moment of
    /// its end Docker Engine still lists a container as running.
    ///
    /// # Errors
    /// `NoSuchContainer`, or what the engine says.
    async fn inspect(&self, id: &ContainerId) -> Result<Inspected, RuntimeError>;

    /// Makes a container, with the disk it is to have, and starts it. Returns its
    /// id. One that could be made and not started remains.
    ///
    /// # Errors
    /// `ImageMissing`, `Storage`, or what the engine says.
    async fn run(&self, spec: &ContainerSpec) -> Result<ContainerId, RuntimeError>;

    /// Starts a container that has no disk; one that runs already is left
    /// running.
    ///
    /// # Errors
    /// What the engine says.
    async fn start(&self, id: &ContainerId) -> Result<(), RuntimeError>;

    /// Asks a container to end and returns once it has: SIGTERM, then SIGKILL
    /// after the grace period. A frozen container goes on to meet the signal.
    ///
    /// # Errors
    /// What the engine says; a container that is gone counts as stopped.
    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError>;

    /// Freezes a container: its processes get no time and keep their memory.
    ///
    /// # Errors
    /// What the engine says.
    async fn pause(&self, id: &ContainerId) -> Result<(), RuntimeError>;

    /// Lets a frozen container go on.
    ///
    /// # Errors
    /// What the engine says.
    async fn unpause(&self, id: &ContainerId) -> Result<(), RuntimeError>;

    /// Removes a container, running or not.
    ///
    /// # Errors
    /// What the engine says; a container that is gone counts as removed.
    async fn remove(&self, id: &ContainerId) -> Result<(), RuntimeError>;

    /// Puts a container that runs back into its network, at its endpoint, whatever
    /// is left of its place there.
    ///
    /// # Errors
    /// `NoSuchContainer`, or what the engine says.
    async fn attach(
        &self,
        id: &ContainerId,
        egress: Egress,
        endpoint: &Endpoint,
    ) -> Result<(), RuntimeError>;

    /// Runs a container to its end and returns what it wrote to standard output.
    ///
    /// # Errors
    /// `ImageMissing`, `Refused` if it takes too long, or what the engine says.
    async fn run_once(&self, shot: &OneShot<'_>) -> Result<String, RuntimeError>;

    /// What a container uses at the moment.
    ///
    /// # Errors
    /// `NoSuchContainer` also for one that does not run, or what the engine says.
    async fn usage(&self, id: &ContainerId) -> Result<ResourceUsage, RuntimeError>;

    /// The values of the secret variables that a container was made with.
    ///
    /// # Errors
    /// `NoSuchContainer`, or what the engine says.
    async fn given_secrets(&self, id: &ContainerId) -> Result<Vec<SecretString>, RuntimeError>;

    /// The last lines a container wrote.
    ///
    /// # Errors
    /// `NoSuchContainer`, or what the engine says.
    async fn tail(&self, id: &ContainerId, lines: usize) -> Result<Vec<OutputLine>, RuntimeError>;

    /// A container's output from its beginning, then live until it ends. Times go
    /// back up to a second before `since_secs`: the caller drops what it has.
    fn follow(
        &self,
        id: &ContainerId,
        since_secs: i64,
    ) -> BoxStream<'static, Result<OutputLine, RuntimeError>>;

    /// What changes, as hints to look again. Ends when the connection does: the
    /// caller asks anew and looks at everything.
    fn changes(&self) -> BoxStream<'static, Change>;
}
