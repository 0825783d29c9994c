//! An engine whose calls are timed, each by its name and by what came of it.
//! Streams are not: they end when somebody has heard enough.

use std::net::Ipv4Addr;
use std::time::Duration;

use futures_util::Stream;
use jiff::Timestamp;
use secrecy::SecretString;

use super::docker::{DockerRuntime as Engine, OneShot, OpenDisk};
use super::{Container, ContainerSpec, EngineInfo, Inspected, OutputLine, RuntimeError, Usage};
use crate::metrics::EngineCalls;
use crate::model::{Egress, ServerId, ServerNetworks};

/// One Docker Engine, two networks, one instance label; its calls are timed.
#[derive(Clone)]
pub struct DockerRuntime {
    engine: Engine,
    calls: EngineCalls,
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

macro_rules! timed {
    ($self:ident.$call:ident($($argument:expr),*)) => {
        $self
            .calls
            .time(stringify!($call), outcome_of, $self.engine.$call($($argument),*))
            .await
    };
}

impl DockerRuntime {
    /// An engine at this address, which is not asked anything yet.
    ///
    /// # Errors
    /// If the address is malformed.
    pub fn new(host: &str, network: &str, instance: &str) -> Result<Self, RuntimeError> {
        Ok(Self {
            engine: Engine::new(host, network, instance)?,
            calls: EngineCalls::default(),
        })
    }

    /// The same engine, its calls told to these metrics.
    #[must_use]
    pub fn measured(self, calls: EngineCalls) -> Self {
        Self { calls, ..self }
    }

    /// Agrees with the engine on an API version, for all clones.
    ///
    /// # Errors
    /// If nothing answers.
    pub async fn negotiate(&self) -> Result<(), RuntimeError> {
        timed!(self.negotiate())
    }

    /// Makes the networks unless they are there as they must be.
    ///
    /// # Errors
    /// If a network of that name has another subnet, or the engine refuses.
    pub async fn ensure_networks(&self, networks: ServerNetworks) -> Result<(), RuntimeError> {
        timed!(self.ensure_networks(networks))
    }

    /// Whether the engine answers.
    ///
    /// # Errors
    /// If it does not.
    pub async fn ping(&self) -> Result<(), RuntimeError> {
        timed!(self.ping())
    }

    /// The engine and its host.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn info(&self) -> Result<EngineInfo, RuntimeError> {
        timed!(self.info())
    }

    /// When the engine began to run; `None` for one that does not tell.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn began_at(&self) -> Result<Option<Timestamp>, RuntimeError> {
        timed!(self.began_at())
    }

    /// All containers of this instance, or those of one server.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn list(&self, server: Option<ServerId>) -> Result<Vec<Container>, RuntimeError> {
        timed!(self.list(server))
    }

    /// Makes a device of the disk that a container is to have, if it is to have
    /// one, which stays until [`DockerRuntime::let_go`].
    ///
    /// # Errors
    /// `Storage`, or what the engine says.
    pub async fn open_disk(&self, spec: &ContainerSpec) -> Result<Option<OpenDisk>, RuntimeError> {
        if spec.disk.is_none() {
            return Ok(None);
        }
        timed!(self.open_disk(spec))
    }

    /// Leaves a disk to the container that was started with it.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn let_go(&self, disk: OpenDisk) -> Result<(), RuntimeError> {
        timed!(self.let_go(disk))
    }

    /// Makes a container, not started. Returns its id.
    ///
    /// # Errors
    /// `ImageMissing`, or what the engine says.
    pub async fn create(
        &self,
        spec: &ContainerSpec,
        disk: Option<&OpenDisk>,
    ) -> Result<String, RuntimeError> {
        timed!(self.create(spec, disk))
    }

    /// Starts a container; one that runs already is left running.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn start(&self, id: &str) -> Result<(), RuntimeError> {
        timed!(self.start(id))
    }

    /// Asks a container to end and returns once it has; its grace period is part
    /// of the time.
    ///
    /// # Errors
    /// What the engine says; a container that is gone counts as stopped.
    pub async fn stop(&self, id: &str, grace: Duration) -> Result<(), RuntimeError> {
        timed!(self.stop(id, grace))
    }

    /// Freezes a container: its processes get no time and keep their memory.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn pause(&self, id: &str) -> Result<(), RuntimeError> {
        timed!(self.pause(id))
    }

    /// Lets a frozen container go on.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn unpause(&self, id: &str) -> Result<(), RuntimeError> {
        timed!(self.unpause(id))
    }

    /// Removes a container, running or not.
    ///
    /// # Errors
    /// What the engine says; a container that is gone counts as removed.
    pub async fn remove(&self, id: &str) -> Result<(), RuntimeError> {
        timed!(self.remove(id))
    }

    /// What a container is doing. To be believed over the list.
    ///
    /// # Errors
    /// `NoSuchContainer`, or what the engine says.
    pub async fn inspect(&self, id: &str) -> Result<Inspected, RuntimeError> {
        timed!(self.inspect(id))
    }

    /// Puts a container that runs back into its network, at its address.
    ///
    /// # Errors
    /// `NoSuchContainer`, or what the engine says.
    pub async fn attach(
        &self,
        id: &str,
        egress: Egress,
        address: Ipv4Addr,
    ) -> Result<(), RuntimeError> {
        timed!(self.attach(id, egress, address))
    }

    /// Runs a container to its end and returns what it wrote to standard output.
    ///
    /// # Errors
    /// `ImageMissing`, `Refused` if it takes too long, or what the engine says.
    pub async fn run_once(&self, shot: &OneShot<'_>) -> Result<String, RuntimeError> {
        timed!(self.run_once(shot))
    }

    /// Removes what [`DockerRuntime::run_once`] left behind when EMCP was killed.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn remove_helpers(&self) -> Result<(), RuntimeError> {
        timed!(self.remove_helpers())
    }

    /// What a container uses at the moment.
    ///
    /// # Errors
    /// `NoSuchContainer` also for one that does not run, or what the engine says.
    pub async fn usage(&self, id: &str) -> Result<Usage, RuntimeError> {
        timed!(self.usage(id))
    }

    /// The values of the secret variables that a container was made with.
    ///
    /// # Errors
    /// `NoSuchContainer`, or what the engine says.
    pub async fn given_secrets(&self, id: &str) -> Result<Vec<SecretString>, RuntimeError> {
        timed!(self.given_secrets(id))
    }

    /// The last lines a container wrote.
    ///
    /// # Errors
    /// `NoSuchContainer`, or what the engine says.
    pub async fn tail(&self, id: &str, lines: usize) -> Result<Vec<OutputLine>, RuntimeError> {
        timed!(self.tail(id, lines))
    }

    /// A container's output from its beginning, then live until it ends.
    /// Times go back up to a second before `since_secs` (Docker takes whole
    /// seconds): the caller drops what it has.
    pub fn follow(
        &self,
        id: &str,
        since_secs: i64,
    ) -> impl Stream<Item = Result<OutputLine, RuntimeError>> + Send + use<> {
        self.engine.follow(id, since_secs)
    }

    /// The containers that were taken out of the servers' networks, as hints; those
    /// that ended are among them. Ends as [`DockerRuntime::changes`] does.
    pub fn cut_off(&self) -> impl Stream<Item = String> + Send + use<> {
        self.engine.cut_off()
    }

    /// The servers whose containers changed, as hints to look again. Ends when
    /// the connection does: the caller reconnects and looks at everything.
    pub fn changes(&self) -> impl Stream<Item = ServerId> + Send + use<> {
        self.engine.changes()
    }
}
