//! EMCP's side of the socket: an engine like any other.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::protocol::{
    self, ANSWER_MAX_BYTES, GREETING, RunWish, Shot, ShotKind, WISH_MAX_BYTES, Wish,
};
use super::setup::Setup;
use crate::identity::BundleSource;
use crate::model::{BundleDigest, ContainerId, Egress, ServerId, ServerNetworks};
use crate::runtime::{
    CHECK, Change, Container, ContainerSpec, Endpoint, EngineInfo, Inspected, OneShot, OutputLine,
    REACH, ResourceUsage, Runtime, RuntimeError,
};
use crate::settings::Settings;

/// What the broker answers to without asking anybody for long; it has limits of
/// its own, and these are for one that hangs.
const PROMPT_ANSWER_MAX: Duration = Duration::from_secs(6);
const ANSWER_MAX: Duration = Duration::from_secs(120);
/// For the broker's greeting.
const GREETING_MAX: Duration = Duration::from_secs(5);

/// An engine behind a broker.
#[derive(Clone)]
pub struct BrokerRuntime {
    path: PathBuf,
    setup: Setup,
}

impl BrokerRuntime {
    /// The broker at this socket, which is not asked anything yet.
    pub fn new(path: &Path, settings: &Settings) -> Self {
        Self {
            path: path.to_owned(),
            setup: Setup::of(settings),
        }
    }

    async fn ask<T: DeserializeOwned>(&self, wish: &Wish) -> Result<T, RuntimeError> {
        let mut stream = self.wish(wish).await?;
        next(&mut stream).await
    }

    async fn ask_within<T: DeserializeOwned>(
        &self,
        limit: Duration,
        wish: &Wish,
    ) -> Result<T, RuntimeError> {
        timeout(limit, self.ask(wish)).await.unwrap_or_else(|_| {
            let secs = limit.as_secs();
            Err(RuntimeError::Unreachable(format!(
                "the broker gave no whole answer within {secs} s"
            )))
        })
    }

    fn away(&self, error: &io::Error) -> RuntimeError {
        let path = self.path.display();
        RuntimeError::Unreachable(format!("the broker at {path} does not answer: {error}"))
    }

    /// A connection on which it may be wished.
    async fn greeted(&self) -> Result<UnixStream, RuntimeError> {
        let away = |error: io::Error| self.away(&error);
        let mut stream = UnixStream::connect(&self.path).await.map_err(away)?;
        stream.write_all(GREETING).await.map_err(away)?;
        let mut greeting = [0; GREETING.len()];
        timeout(GREETING_MAX, stream.read_exact(&mut greeting))
            .await
            .map_err(io::Error::from)
            .flatten()
            .map_err(away)?;
        if &greeting != GREETING {
            return Err(RuntimeError::Unreachable(
                "the broker is of another version than this EMCP; start both from the same image (make up)".to_owned(),
            ));
        }
        Ok(stream)
    }

    /// A connection on which this was wished.
    async fn wish(&self, wish: &Wish) -> Result<UnixStream, RuntimeError> {
        let mut stream = self.greeted().await?;
        match protocol::send(&mut stream, wish, WISH_MAX_BYTES).await {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(RuntimeError::Refused(
                "the server has too many variables".to_owned(),
            )),
            sent => sent.map(|()| stream).map_err(|error| self.away(&error)),
        }
    }

    /// The broker finds it by itself.
    fn code_of(bundle: &BundleSource) -> Result<BundleDigest, RuntimeError> {
        let name = bundle.dir().file_name().and_then(OsStr::to_str);
        let digest = name.and_then(|digits| BundleDigest::from_hex(digits).ok());
        digest.ok_or_else(|| RuntimeError::Refused("the code is not in a bundle".to_owned()))
    }

    fn shot(&self, shot: &OneShot<'_>) -> Result<Shot, RuntimeError> {
        let value = |key: &str| {
            let mut values = shot.env.iter().filter_map(|pair| pair.split_once('='));
            values
                .find(|(name, _)| *name == key)
                .map(|(_, value)| value)
        };
        let what = match (shot.command, shot.bundle, &shot.endpoint) {
            (CHECK, Some(bundle), None) => {
                let object = value("EMCP_ENTRY_OBJECT").and_then(|text| text.parse().ok());
                let runtime = value("EMCP_RUNTIME").and_then(|text| text.parse().ok());
                let code = Self::code_of(bundle)?;
                object
                    .zip(runtime)
                    .map(|(entry_object, runtime)| ShotKind::Check {
                        code,
                        entry_object,
                        runtime,
                    })
            }
            (REACH, None, Some(endpoint)) => Some(ShotKind::Reach {
                endpoint: endpoint.clone(),
            }),
            _ => None,
        };
        let what =
            what.ok_or_else(|| RuntimeError::Refused("the broker does not run that".to_owned()))?;
        Ok(Shot {
            what,
            patience_secs: shot.patience.as_secs(),
        })
    }
}

#[async_trait]
impl Runtime for BrokerRuntime {
    async fn connect(&self, _: ServerNetworks) -> Result<(), RuntimeError> {
        self.ask_within(ANSWER_MAX, &Wish::Connect(self.setup.agreed()))
            .await
    }

    async fn ping(&self) -> Result<(), RuntimeError> {
        self.ask_within(PROMPT_ANSWER_MAX, &Wish::Ping).await
    }

    async fn greet_broker(&self) -> Option<Result<(), RuntimeError>> {
        Some(self.greeted().await.map(drop))
    }

    async fn info(&self) -> Result<EngineInfo, RuntimeError> {
        self.ask_within(PROMPT_ANSWER_MAX, &Wish::Info).await
    }

    async fn began_at(&self) -> Result<Option<Timestamp>, RuntimeError> {
        self.ask_within(ANSWER_MAX, &Wish::BeganAt).await
    }

    async fn list(&self, server: Option<ServerId>) -> Result<Vec<Container>, RuntimeError> {
        self.ask_within(ANSWER_MAX, &Wish::List { server }).await
    }

    async fn mounted(&self) -> Result<Vec<PathBuf>, RuntimeError> {
        self.ask_within(ANSWER_MAX, &Wish::Mounted).await
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Inspected, RuntimeError> {
        let id = id.clone();
        self.ask_within(ANSWER_MAX, &Wish::Inspect { id }).await
    }

    async fn run(&self, spec: &ContainerSpec) -> Result<ContainerId, RuntimeError> {
        let open =
            |(key, value): &(String, SecretString)| (key.clone(), value.expose_secret().to_owned());
        let wish = RunWish {
            server: spec.server,
            instance: spec.instance,
            name: spec.name.clone(),
            server_name: spec.server_name.clone(),
            generation: spec.generation,
            revision: spec.revision,
            egress: spec.egress,
            endpoint: spec.endpoint.clone(),
            code: Self::code_of(&spec.bundle)?,
            disk_bytes: spec.disk.as_ref().map(|disk| disk.size_bytes),
            env: spec.env.iter().map(open).collect(),
            secret_keys: spec.secret_keys.clone(),
            limits: spec.limits,
            stop_grace_secs: spec.stop_grace.as_secs(),
        };
        self.ask(&Wish::Run(Box::new(wish))).await
    }

    async fn start(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.ask(&Wish::Start { id: id.clone() }).await
    }

    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError> {
        let wish = Wish::Stop {
            id: id.clone(),
            grace_secs: grace.as_secs(),
        };
        self.ask(&wish).await
    }

    async fn pause(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.ask(&Wish::Pause { id: id.clone() }).await
    }

    async fn unpause(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.ask(&Wish::Unpause { id: id.clone() }).await
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.ask(&Wish::Remove { id: id.clone() }).await
    }

    async fn attach(
        &self,
        id: &ContainerId,
        egress: Egress,
        endpoint: &Endpoint,
    ) -> Result<(), RuntimeError> {
        let wish = Wish::Attach {
            id: id.clone(),
            egress,
            endpoint: endpoint.clone(),
        };
        self.ask(&wish).await
    }

    async fn run_once(&self, shot: &OneShot<'_>) -> Result<String, RuntimeError> {
        self.ask(&Wish::RunOnce(self.shot(shot)?)).await
    }

    async fn usage(&self, id: &ContainerId) -> Result<ResourceUsage, RuntimeError> {
        let id = id.clone();
        self.ask_within(ANSWER_MAX, &Wish::Usage { id }).await
    }

    async fn given_secrets(&self, id: &ContainerId) -> Result<Vec<SecretString>, RuntimeError> {
        let wish = Wish::GivenSecrets { id: id.clone() };
        let given: Vec<String> = self.ask_within(ANSWER_MAX, &wish).await?;
        Ok(given.into_iter().map(SecretString::from).collect())
    }

    async fn tail(&self, id: &ContainerId, lines: usize) -> Result<Vec<OutputLine>, RuntimeError> {
        let id = id.clone();
        self.ask_within(ANSWER_MAX, &Wish::Tail { id, lines }).await
    }

    fn follow(
        &self,
        id: &ContainerId,
        since_secs: i64,
    ) -> BoxStream<'static, Result<OutputLine, RuntimeError>> {
        let id = id.clone();
        self.parts(Wish::Follow { id, since_secs })
    }

    fn changes(&self) -> BoxStream<'static, Change> {
        let changes = self.parts(Wish::Changes);
        changes
            .take_while(|change| std::future::ready(change.is_ok()))
            .filter_map(|change| std::future::ready(change.ok()))
            .boxed()
    }
}

impl BrokerRuntime {
    /// What comes in parts, until an empty one.
    fn parts<T: DeserializeOwned + Send + 'static>(
        &self,
        wish: Wish,
    ) -> BoxStream<'static, Result<T, RuntimeError>> {
        let broker = self.clone();
        let asked = stream::once(async move { broker.wish(&wish).await });
        let parts = asked.map_ok(|stream| {
            stream::try_unfold(stream, |mut stream| async move {
                let items: Vec<T> = next(&mut stream).await?;
                let items = (!items.is_empty()).then_some(items);
                let items =
                    items.map(|items| stream::iter(items.into_iter().map(Ok::<T, RuntimeError>)));
                Ok::<_, RuntimeError>(items.map(|items| (items, stream)))
            })
        });
        parts.try_flatten().try_flatten().boxed()
    }
}

async fn next<T: DeserializeOwned>(stream: &mut UnixStream) -> Result<T, RuntimeError> {
    let broken = |error: io::Error| {
        RuntimeError::Unreachable(format!("the connection to the broker broke: {error}"))
    };
    let length = protocol::length_of_next(stream, ANSWER_MAX_BYTES).await;
    let length = length.map_err(broken)?;
    let length = length.ok_or_else(|| broken(io::ErrorKind::UnexpectedEof.into()))?;
    let answer: Result<T, RuntimeError> =
        protocol::receive(stream, length).await.map_err(broken)?;
    answer
}
