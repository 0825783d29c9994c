//! Docker Engine through bollard.

mod brokered;
mod convert;
mod disk;
mod follow;
mod network;
mod one_shot;
mod output;
mod seccomp;
mod usage;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::errors::Error as BollardError;
use bollard::models::{ContainerInspectResponse, EventMessage};
use bollard::query_parameters::{
    CreateContainerOptions, EventsOptions, InspectContainerOptions, ListContainersOptions,
    StopContainerOptions,
};
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use jiff::Timestamp;
use secrecy::SecretString;

use disk::OpenDisk;

use super::brokered::Brokered;
use super::{
    Change, Container, ContainerSpec, Endpoint, EngineInfo, Inspected, OneShot, OutputLine, Phase,
    ResourceUsage, Runtime, RuntimeError,
};
use crate::model::{ContainerId, Egress, ServerId, ServerNetworks};

/// Labels on everything EMCP makes. What has another installation's is not
/// touched.
pub(super) const LABEL_INSTANCE: &str = "emcp.instance";
pub(super) const LABEL_SERVER: &str = "emcp.server";
/// The instance that a container is a run of ([`LABEL_INSTANCE`] is another
/// word's: the installation that it belongs to).
pub(super) const LABEL_RUN_OF: &str = "emcp.run-of";
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

    fn network_for(&self, egress: Egress) -> String {
        match egress {
            Egress::Open => self.network.clone(),
            Egress::None => format!("{}-internal", self.network),
        }
    }

    /// Makes a container, not started. Returns its id.
    async fn create(
        &self,
        spec: &ContainerSpec,
        disk: Option<&OpenDisk>,
    ) -> Result<ContainerId, RuntimeError> {
        let options = CreateContainerOptions {
            name: Some(spec.name.clone()),
            ..CreateContainerOptions::default()
        };
        let body = convert::create_body(spec, disk, &self.network_for(spec.egress), &self.instance);
        match self.docker.create_container(Some(options), body).await {
            Ok(created) => Ok(ContainerId::of_engine(created.id)),
            // Creating answers 404 for one reason only: the image.
            Err(BollardError::DockerResponseServerError {
                status_code: 404, ..
            }) => Err(RuntimeError::ImageMissing(spec.image.clone())),
            Err(other) => Err(explain(other)),
        }
    }

    /// The servers whose containers changed.
    fn changed(&self) -> impl Stream<Item = Change> + Send + use<> {
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
            let server = attributes.get(LABEL_SERVER)?.parse().ok()?;
            Some(Change::Server(server))
        })
    }

    /// The containers that were taken out of the servers' networks; those that
    /// ended are among them.
    fn cut_off(&self) -> impl Stream<Item = Change> + Send + use<> {
        let networks = [Egress::Open, Egress::None].map(|egress| self.network_for(egress));
        let filters = HashMap::from([
            ("type".to_owned(), vec!["network".to_owned()]),
            ("network".to_owned(), networks.to_vec()),
            ("event".to_owned(), vec!["disconnect".to_owned()]),
        ]);
        self.events(filters).filter_map(|event| async move {
            let mut attributes = event.ok()?.actor?.attributes?;
            let container = attributes.remove("container")?;
            Some(Change::CutOff(ContainerId::of_engine(container)))
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

    async fn look_into(&self, id: &str) -> Result<ContainerInspectResponse, RuntimeError> {
        let options = None::<InspectContainerOptions>;
        within(ANSWER_MAX, self.docker.inspect_container(id, options)).await
    }

    fn instance_filter(&self) -> String {
        format!("{LABEL_INSTANCE}={}", self.instance)
    }
}

#[async_trait]
impl Runtime for DockerRuntime {
    async fn connect(&self, networks: ServerNetworks) -> Result<(), RuntimeError> {
        // For all clones.
        let agreed = self.docker.clone().negotiate_version().await;
        agreed.map(drop).map_err(explain)?;
        for (egress, pool) in [
            (Egress::Open, networks.open()),
            (Egress::None, networks.internal()),
        ] {
            let name = self.network_for(egress);
            network::ensure(&self.docker, &name, &self.instance, egress, pool).await?;
        }
        one_shot::remove_all(&self.docker, &self.instance).await
    }

    async fn ping(&self) -> Result<(), RuntimeError> {
        let answer = within(PROMPT_ANSWER_MAX, self.docker.ping());
        answer.await.map(drop)
    }

    async fn info(&self) -> Result<EngineInfo, RuntimeError> {
        let info = within(PROMPT_ANSWER_MAX, self.docker.info()).await?;
        let count = |number: Option<i64>| u64::try_from(number.unwrap_or(0)).unwrap_or(0);
        Ok(EngineInfo {
            version: info.server_version.unwrap_or_default(),
            os: info.operating_system.unwrap_or_default(),
            cpus: count(info.ncpu),
            memory_bytes: count(info.mem_total),
        })
    }

    /// The engine makes its default network anew each time it begins (but where
    /// containers run through its restart, which none of EMCP's do), before it
    /// answers anybody. `None` for an engine that has no such network
    /// (`--bridge none`).
    async fn began_at(&self) -> Result<Option<Timestamp>, RuntimeError> {
        network::default_made_at(&self.docker).await
    }

    async fn list(&self, server: Option<ServerId>) -> Result<Vec<Container>, RuntimeError> {
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

    async fn mounted(&self) -> Result<Vec<PathBuf>, RuntimeError> {
        let labels = vec![self.instance_filter()];
        let options = ListContainersOptions {
            all: true,
            filters: Some(HashMap::from([("label".to_owned(), labels)])),
            ..ListContainersOptions::default()
        };
        let listed = within(ANSWER_MAX, self.docker.list_containers(Some(options))).await?;
        let mounts = listed.into_iter().flat_map(|one| one.mounts);
        let sources = mounts.flatten().filter_map(|mount| mount.source);
        Ok(sources.map(PathBuf::from).collect())
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Inspected, RuntimeError> {
        let found = self.look_into(id.as_str()).await?;
        let state = found.state.unwrap_or_default();
        let phase = convert::phase(&state);
        let networks = found
            .network_settings
            .and_then(|settings| settings.networks);
        Ok(Inspected {
            phase,
            run: (phase != Phase::Created).then(|| convert::run(id.as_str(), state)),
            endpoints: convert::endpoints(networks),
        })
    }

    async fn run(&self, spec: &ContainerSpec) -> Result<ContainerId, RuntimeError> {
        let disk = self.open_disk(spec).await?;
        self.run_with(spec, disk).await
    }

    async fn start(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        unless_already(self.docker.start_container(id.as_str(), None).await)
    }

    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError> {
        let options = StopContainerOptions {
            t: Some(i32::try_from(grace.as_secs()).unwrap_or(i32::MAX)),
            ..StopContainerOptions::default()
        };
        gone_is_fine(unless_already(
            self.docker.stop_container(id.as_str(), Some(options)).await,
        ))
    }

    async fn pause(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.docker
            .pause_container(id.as_str())
            .await
            .map_err(explain)
    }

    async fn unpause(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.docker
            .unpause_container(id.as_str())
            .await
            .map_err(explain)
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        one_shot::remove(&self.docker, id.as_str()).await
    }

    async fn attach(
        &self,
        id: &ContainerId,
        egress: Egress,
        endpoint: &Endpoint,
    ) -> Result<(), RuntimeError> {
        let name = self.network_for(egress);
        network::attach(&self.docker, &name, id.as_str(), endpoint).await
    }

    async fn run_once(&self, shot: &OneShot<'_>) -> Result<String, RuntimeError> {
        one_shot::run(&self.docker, &self.network, &self.instance, shot).await
    }

    async fn usage(&self, id: &ContainerId) -> Result<ResourceUsage, RuntimeError> {
        let read = usage::read(&self.docker, id.as_str());
        tokio::time::timeout(ANSWER_MAX, read)
            .await
            .unwrap_or_else(|_| Err(too_slow(ANSWER_MAX)))
    }

    async fn given_secrets(&self, id: &ContainerId) -> Result<Vec<SecretString>, RuntimeError> {
        let inspected = self.look_into(id.as_str()).await?;
        Ok(inspected
            .config
            .map(convert::given_secrets)
            .unwrap_or_default())
    }

    async fn tail(&self, id: &ContainerId, lines: usize) -> Result<Vec<OutputLine>, RuntimeError> {
        let tail = output::tail(&self.docker, id.as_str(), lines);
        tokio::time::timeout(ANSWER_MAX, tail)
            .await
            .unwrap_or_else(|_| Err(too_slow(ANSWER_MAX)))
    }

    /// Docker takes whole seconds.
    fn follow(
        &self,
        id: &ContainerId,
        since_secs: i64,
    ) -> BoxStream<'static, Result<OutputLine, RuntimeError>> {
        follow::follow(&self.docker, id.as_str(), since_secs).boxed()
    }

    fn changes(&self) -> BoxStream<'static, Change> {
        // It ends as soon as one of the two does.
        let ends = |changes: BoxStream<'static, Change>| {
            changes.map(Some).chain(stream::once(async { None }))
        };
        stream::select(ends(self.changed().boxed()), ends(self.cut_off().boxed()))
            .take_while(|change| std::future::ready(change.is_some()))
            .filter_map(std::future::ready)
            .boxed()
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
