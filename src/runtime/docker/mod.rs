//! Docker Engine through bollard.

mod convert;
mod disk;
mod follow;
mod network;
mod one_shot;
mod output;
mod seccomp;
mod usage;

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as BollardError;
use bollard::models::{ContainerInspectResponse, EventMessage};
use bollard::query_parameters::{
    CreateContainerOptions, EventsOptions, InspectContainerOptions, ListContainersOptions,
    RemoveContainerOptions, StopContainerOptions,
};
use futures_util::{Stream, StreamExt};
use jiff::Timestamp;
use secrecy::SecretString;

pub use disk::OpenDisk;
pub use one_shot::OneShot;

use super::{
    Container, ContainerSpec, EngineInfo, Inspected, OutputLine, Phase, RuntimeError, Usage,
};
use crate::model::{Egress, ServerId, ServerNetworks};

/// Labels on everything EMCP makes. What has another instance's is not touched.
pub(super) const LABEL_INSTANCE: &str = "emcp.instance";
pub(super) const LABEL_SERVER: &str = "emcp.server";
/// The server's name, which the container's own name must not tell.
pub(super) const LABEL_NAME: &str = "emcp.name";
pub(super) const LABEL_GENERATION: &str = "emcp.generation";
pub(super) const LABEL_REVISION: &str = "emcp.revision";
/// On containers that serve no server.
pub(super) const LABEL_HELPER: &str = "emcp.helper";
/// The names, not the values, of the variables that must not be shown.
pub(super) const LABEL_SECRETS: &str = "emcp.secrets";

/// bollard applies this to response headers only; streams stay open.
const REQUEST_TIMEOUT_SECS: u64 = 60;
/// For an answer that is no stream, to its last byte: an engine may hang in the
/// middle of one too.
const ANSWER_MAX: Duration = Duration::from_secs(90);
/// For what a person or a monitor waits for, who is better told that the engine
/// hangs.
const PROMPT_ANSWER_MAX: Duration = Duration::from_secs(5);

/// One Docker Engine, two networks, one instance label.
#[derive(Clone)]
pub struct DockerRuntime {
    docker: Docker,
    network: String,
    instance: String,
}

impl DockerRuntime {
    /// An engine at this address, which is not asked anything yet.
    ///
    /// # Errors
    /// If the address is malformed.
    pub fn new(host: &str, network: &str, instance: &str) -> Result<Self, RuntimeError> {
        let docker = if host.starts_with("unix://") {
            Docker::connect_with_unix(host, REQUEST_TIMEOUT_SECS, bollard::API_DEFAULT_VERSION)
        } else {
            Docker::connect_with_http(host, REQUEST_TIMEOUT_SECS, bollard::API_DEFAULT_VERSION)
        };
        Ok(Self {
            docker: docker.map_err(explain)?,
            network: network.to_owned(),
            instance: instance.to_owned(),
        })
    }

    /// Agrees with the engine on an API version, for all clones.
    ///
    /// # Errors
    /// If nothing answers.
    pub async fn negotiate(&self) -> Result<(), RuntimeError> {
        let agreed = self.docker.clone().negotiate_version().await;
        agreed.map(drop).map_err(explain)
    }

    /// Makes the networks unless they are there as they must be.
    ///
    /// # Errors
    /// If a network of that name has another subnet, or the engine refuses.
    pub async fn ensure_networks(&self, networks: ServerNetworks) -> Result<(), RuntimeError> {
        for (egress, pool) in [
            (Egress::Open, networks.open()),
            (Egress::None, networks.internal()),
        ] {
            let name = self.network_for(egress);
            network::ensure(&self.docker, &name, &self.instance, egress, pool).await?;
        }
        Ok(())
    }

    fn network_for(&self, egress: Egress) -> String {
        match egress {
            Egress::Open => self.network.clone(),
            Egress::None => format!("{}-internal", self.network),
        }
    }

    /// Whether the engine answers.
    ///
    /// # Errors
    /// If it does not.
    pub async fn ping(&self) -> Result<(), RuntimeError> {
        let answer = within(PROMPT_ANSWER_MAX, self.docker.ping());
        answer.await.map(drop)
    }

    /// The engine and its host.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn info(&self) -> Result<EngineInfo, RuntimeError> {
        let info = within(PROMPT_ANSWER_MAX, self.docker.info()).await?;
        let count = |number: Option<i64>| u64::try_from(number.unwrap_or(0)).unwrap_or(0);
        Ok(EngineInfo {
            version: info.server_version.unwrap_or_default(),
            os: info.operating_system.unwrap_or_default(),
            cpus: count(info.ncpu),
            memory_bytes: count(info.mem_total),
        })
    }

    /// When the engine began to run: it makes its default network anew each time
    /// (but where containers run through its restart, which none of EMCP's do),
    /// before it answers anybody and after it has settled what the last one left.
    /// `None` for an engine that has no such network (`--bridge none`).
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn began_at(&self) -> Result<Option<Timestamp>, RuntimeError> {
        network::default_made_at(&self.docker).await
    }

    /// All containers of this instance, or those of one server.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn list(&self, server: Option<ServerId>) -> Result<Vec<Container>, RuntimeError> {
        let mut labels = vec![self.instance_filter()];
        labels.extend(server.map(|id| format!("{LABEL_SERVER}={id}")));
        let options = ListContainersOptions {
            all: true,
            filters: Some(HashMap::from([("label".to_owned(), labels)])),
            ..ListContainersOptions::default()
        };
        let listed = within(ANSWER_MAX, self.docker.list_containers(Some(options))).await?;
        Ok(listed.into_iter().filter_map(convert::container).collect())
    }

    /// Makes a device of the disk that a container is to have, if it is to have
    /// one, which stays until [`DockerRuntime::let_go`].
    ///
    /// # Errors
    /// `Storage`, or what the engine says.
    pub async fn open_disk(&self, spec: &ContainerSpec) -> Result<Option<OpenDisk>, RuntimeError> {
        match &spec.disk {
            Some(disk) => disk::open(&self.docker, &self.instance, &spec.image, disk)
                .await
                .map(Some),
            None => Ok(None),
        }
    }

    /// Leaves a disk to the container that was started with it.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn let_go(&self, disk: OpenDisk) -> Result<(), RuntimeError> {
        disk::let_go(&self.docker, disk).await
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
        let options = CreateContainerOptions {
            name: Some(spec.name.clone()),
            ..CreateContainerOptions::default()
        };
        let body = convert::create_body(spec, disk, &self.network_for(spec.egress), &self.instance);
        match self.docker.create_container(Some(options), body).await {
            Ok(created) => Ok(created.id),
            // Creating answers 404 for one reason only: the image.
            Err(BollardError::DockerResponseServerError {
                status_code: 404, ..
            }) => Err(RuntimeError::ImageMissing(spec.image.clone())),
            Err(other) => Err(explain(other)),
        }
    }

    /// Starts a container; one that runs already is left running.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn start(&self, id: &str) -> Result<(), RuntimeError> {
        unless_already(self.docker.start_container(id, None).await)
    }

    /// Asks a container to end and returns once it has: SIGTERM, then SIGKILL
    /// after the grace period. Docker lets a frozen container go on to meet the
    /// signal.
    ///
    /// # Errors
    /// What the engine says; a container that is gone counts as stopped.
    pub async fn stop(&self, id: &str, grace: Duration) -> Result<(), RuntimeError> {
        let options = StopContainerOptions {
            t: Some(i32::try_from(grace.as_secs()).unwrap_or(i32::MAX)),
            ..StopContainerOptions::default()
        };
        gone_is_fine(unless_already(
            self.docker.stop_container(id, Some(options)).await,
        ))
    }

    /// Freezes a container: its processes get no time and keep their memory.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn pause(&self, id: &str) -> Result<(), RuntimeError> {
        self.docker.pause_container(id).await.map_err(explain)
    }

    /// Lets a frozen container go on.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn unpause(&self, id: &str) -> Result<(), RuntimeError> {
        self.docker.unpause_container(id).await.map_err(explain)
    }

    /// Removes a container, running or not.
    ///
    /// # Errors
    /// What the engine says; a container that is gone counts as removed.
    pub async fn remove(&self, id: &str) -> Result<(), RuntimeError> {
        let options = RemoveContainerOptions {
            force: true,
            v: true,
            ..RemoveContainerOptions::default()
        };
        gone_is_fine(unless_already(
            self.docker.remove_container(id, Some(options)).await,
        ))
    }

    /// What a container is doing. To be believed over the list: at the moment of its `die` event
    /// Docker Engine still lists a container as running.
    ///
    /// # Errors
    /// `NoSuchContainer`, or what the engine says.
    pub async fn inspect(&self, id: &str) -> Result<Inspected, RuntimeError> {
        let found = self.look_into(id).await?;
        let state = found.state.unwrap_or_default();
        let phase = convert::phase(&state);
        let networks = found
            .network_settings
            .and_then(|settings| settings.networks);
        Ok(Inspected {
            phase,
            run: (phase != Phase::Created).then(|| convert::run(id, state)),
            addresses: convert::addresses(networks),
        })
    }

    /// Puts a container that runs back into its network, at its address, whatever
    /// is left of its place there.
    ///
    /// # Errors
    /// `NoSuchContainer`, or what the engine says.
    pub async fn attach(
        &self,
        id: &str,
        egress: Egress,
        address: Ipv4Addr,
    ) -> Result<(), RuntimeError> {
        let name = self.network_for(egress);
        network::attach(&self.docker, &name, id, address).await
    }

    /// Runs a container to its end and returns what it wrote to
    /// standard output.
    ///
    /// # Errors
    /// `ImageMissing`, `Refused` if it takes too long, or what the engine says.
    pub async fn run_once(&self, shot: &OneShot<'_>) -> Result<String, RuntimeError> {
        one_shot::run(&self.docker, &self.network, &self.instance, shot).await
    }

    /// Removes what [`DockerRuntime::run_once`] left behind when EMCP was
    /// killed.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn remove_helpers(&self) -> Result<(), RuntimeError> {
        one_shot::remove_all(&self.docker, &self.instance).await
    }

    /// What a container uses at the moment.
    ///
    /// # Errors
    /// `NoSuchContainer` also for one that does not run, or what the engine
    /// says.
    pub async fn usage(&self, id: &str) -> Result<Usage, RuntimeError> {
        let read = usage::read(&self.docker, id);
        tokio::time::timeout(ANSWER_MAX, read)
            .await
            .unwrap_or_else(|_| Err(too_slow(ANSWER_MAX)))
    }

    /// The values of the secret variables that a container was made with.
    ///
    /// # Errors
    /// `NoSuchContainer`, or what the engine says.
    pub async fn given_secrets(&self, id: &str) -> Result<Vec<SecretString>, RuntimeError> {
        let inspected = self.look_into(id).await?;
        Ok(inspected
            .config
            .map(convert::given_secrets)
            .unwrap_or_default())
    }

    /// The last lines a container wrote.
    ///
    /// # Errors
    /// `NoSuchContainer`, or what the engine says.
    pub async fn tail(&self, id: &str, lines: usize) -> Result<Vec<OutputLine>, RuntimeError> {
        let tail = output::tail(&self.docker, id, lines);
        tokio::time::timeout(ANSWER_MAX, tail)
            .await
            .unwrap_or_else(|_| Err(too_slow(ANSWER_MAX)))
    }

    /// A container's output from its beginning, then live until it ends.
    /// Times go back up to a second before `since_secs` (Docker takes whole
    /// seconds): the caller drops what it has.
    pub fn follow(
        &self,
        id: &str,
        since_secs: i64,
    ) -> impl Stream<Item = Result<OutputLine, RuntimeError>> + Send + use<> {
        follow::follow(&self.docker, id, since_secs)
    }

    /// The containers that were taken out of the servers' networks, as hints; those
    /// that ended are among them. Ends as [`DockerRuntime::changes`] does.
    pub fn cut_off(&self) -> impl Stream<Item = String> + Send + use<> {
        let networks = [Egress::Open, Egress::None].map(|egress| self.network_for(egress));
        let filters = HashMap::from([
            ("type".to_owned(), vec!["network".to_owned()]),
            ("network".to_owned(), networks.to_vec()),
            ("event".to_owned(), vec!["disconnect".to_owned()]),
        ]);
        self.events(filters).filter_map(|event| async move {
            let mut attributes = event.ok()?.actor?.attributes?;
            attributes.remove("container")
        })
    }

    /// Docker's events that these filters let through, until the connection ends.
    fn events(
        &self,
        filters: HashMap<String, Vec<String>>,
    ) -> impl Stream<Item = Result<EventMessage, BollardError>> + Send + use<> {
        let options = EventsOptions {
            filters: Some(filters),
            ..EventsOptions::default()
        };
        self.docker
            .events(Some(options))
            .take_while(|event| std::future::ready(event.is_ok()))
    }

    /// The servers whose containers changed, as hints to look again. Ends when
    /// the connection does: the caller reconnects and looks at everything.
    pub fn changes(&self) -> impl Stream<Item = ServerId> + Send + use<> {
        let filters = HashMap::from([
            ("type".to_owned(), vec!["container".to_owned()]),
            ("label".to_owned(), vec![self.instance_filter()]),
            (
                "event".to_owned(),
                ["die", "start", "destroy", "oom", "pause", "unpause"]
                    .map(str::to_owned)
                    .to_vec(),
            ),
        ]);
        self.events(filters).filter_map(|event| async move {
            let attributes = event.ok()?.actor?.attributes?;
            attributes.get(LABEL_SERVER)?.parse().ok()
        })
    }

    async fn look_into(&self, id: &str) -> Result<ContainerInspectResponse, RuntimeError> {
        let options = None::<InspectContainerOptions>;
        within(ANSWER_MAX, self.docker.inspect_container(id, options)).await
    }

    fn instance_filter(&self) -> String {
        format!("{LABEL_INSTANCE}={}", self.instance)
    }
}

/// What the engine answers, if it does in time.
async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, BollardError>>,
) -> Result<T, RuntimeError> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer.map_err(explain),
        Err(_) => Err(too_slow(limit)),
    }
}

fn too_slow(limit: Duration) -> RuntimeError {
    RuntimeError::Unreachable(format!("no whole answer within {} s", limit.as_secs()))
}

/// Docker answers 304 when a container is already as wanted, and 409 when its
/// removal is already under way.
fn unless_already(result: Result<(), BollardError>) -> Result<(), RuntimeError> {
    match result {
        Err(BollardError::DockerResponseServerError {
            status_code: 304, ..
        }) => Ok(()),
        Err(BollardError::DockerResponseServerError {
            status_code: 409,
            message,
        }) if message.contains("is already in progress") => Ok(()),
        other => other.map_err(explain),
    }
}

fn gone_is_fine(result: Result<(), RuntimeError>) -> Result<(), RuntimeError> {
    match result {
        Err(RuntimeError::NoSuchContainer) => Ok(()),
        other => other,
    }
}

fn explain(error: BollardError) -> RuntimeError {
    match error {
        BollardError::DockerResponseServerError {
            status_code: 404, ..
        } => RuntimeError::NoSuchContainer,
        BollardError::DockerResponseServerError { message, .. } => RuntimeError::Refused(message),
        other => RuntimeError::Unreachable(other.to_string()),
    }
}
