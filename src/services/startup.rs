//! From settings to a running service.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::authentication::Authentication;
use super::parts::Parts;
use super::passed_env::passed_env;
use super::token_changes::TokenChanges;
use super::versions::Pruner;
use super::waiting::Waiting;
use super::{
    App, AuditLog, FirewallWatch, Gate, Subject, certificate_watch, collection, disk_watch,
    firewall_watch, housekeeping, orphans, traefik_watch, usage,
};
use crate::access::{Limiter, Proxies, ScrapeToken, TokenTable};
use crate::bounds::Bounds;
use crate::bundles::Bundles;
use crate::clock::Clock;
use crate::directory::{Directory, Entry};
use crate::disk_locks::DiskLocks;
use crate::identity::{Identity, Layout, ServedCertificate};
use crate::logs::Logs;
use crate::maintenance::finish_rotation;
use crate::metrics::Metrics;
use crate::model::ServerNetworks;
use crate::reconcile::{self, Waker};
use crate::runtime::{BrokerRuntime, DockerRuntime, Measured, Runtime, RuntimeError, ServerClient};
use crate::settings::{Settings, TlsSource};
use crate::store::{Store, StoredServer};
use crate::traefik::{Provider, RouteFacts, Routes, own_address};
use crate::vault::{Place, Vault};

/// Between two tries to reach Docker Engine.
const DOCKER_RETRY: Duration = Duration::from_secs(2);

/// What ends the service's parts.
#[derive(Clone)]
pub struct Endings {
    /// The long-lived tasks, all of them.
    pub tasks: TaskTracker,
    /// EMCP is to end: whatever waits for long ends now, or is answered as it
    /// stands; what is under way goes on.
    pub closing: CancellationToken,
    /// Ends the tasks.
    pub cancel: CancellationToken,
}

impl Endings {
    /// Begins a long-lived task, which is cut off when the tasks are ended.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let cancel = self.cancel.clone();
        self.tasks.spawn(cancel.run_until_cancelled_owned(task));
    }
}

/// A service that is there.
pub struct Started<R> {
    /// What it does for callers.
    pub app: Arc<App>,
    /// What it does for the gate's routes, which alone are given it.
    pub gate: Arc<Gate>,
    /// The reconciler, which waits for Docker Engine.
    pub reconciling: R,
}

/// Opens everything and takes over what is there. The gate can decide as soon
/// as this is done, whether Docker Engine answers or not (its socket must be
/// there); the reconciler waits for it.
///
/// # Errors
/// If a part cannot be opened; the message says what to do.
pub async fn start(
    settings: Settings,
    endings: Endings,
) -> anyhow::Result<Started<impl Future<Output = anyhow::Result<()>>>> {
    let opened = Opened::open(&settings)?;
    let outside = Outside {
        runtime: match &settings.broker {
            Some(path) => Arc::new(BrokerRuntime::new(path, &settings)),
            None => Arc::new(find_docker(&settings).await?),
        },
        client: ServerClient::new().context("cannot make an HTTP client")?,
        clock: Clock::Wall,
    };
    start_in(settings, opened, outside, endings).await
}

/// What the data directory holds.
pub(crate) struct Opened {
    identity: Identity,
    store: Store,
    vault: Vault,
}

impl Opened {
    /// Opens it, and makes at the first start what is not there.
    ///
    /// # Errors
    /// If a part cannot be opened; the message says what to do.
    pub(crate) fn open(settings: &Settings) -> anyhow::Result<Self> {
        let identity = Identity::load_or_create(settings)?;
        let (store, vault) = finish_rotation(settings, Vault::new(&identity.master_key))?;
        Ok(Self {
            identity,
            store,
            vault,
        })
    }
}

/// What is not EMCP's own, and what a test has another one of.
pub(crate) struct Outside {
    /// Where containers live.
    pub(crate) runtime: Arc<dyn Runtime>,
    /// The way to them.
    pub(crate) client: ServerClient,
    /// The time.
    pub(crate) clock: Clock,
}

/// [`start`] with what is outside EMCP given.
pub(crate) async fn start_in(
    settings: Settings,
    opened: Opened,
    outside: Outside,
    endings: Endings,
) -> anyhow::Result<Started<impl Future<Output = anyhow::Result<()>>>> {
    let Endings {
        tasks,
        closing,
        cancel,
    } = endings;
    let Opened {
        identity,
        store,
        vault,
    } = opened;
    let Outside {
        runtime,
        client: server_client,
        clock,
    } = outside;
    let layout = Layout::new(&settings.data_dir);
    let metrics = Arc::new(Metrics::default());
    let store = store.measured(metrics.commits());
    metrics.backed_up(store.last_backup().await?);
    let runtime: Arc<dyn Runtime> = Arc::new(Measured::new(runtime, metrics.engine_calls()));
    let vault = Arc::new(vault);

    store.end_all_jobs(clock.now()).await?;
    let entries = load_entries(&store, &vault).await?;
    let bundles = Arc::new(Bundles::new(layout.root()));
    orphans::take_over(&layout, &store, &bundles).await?;
    let directory = Arc::new(Directory::new(entries));
    let provider = Arc::new(Provider::default());
    let served = identity.certificate.clone();
    metrics.certificate_ends(served.as_ref().and_then(ServedCertificate::ends_at));
    let (routes, publisher) = Routes::new(
        Arc::clone(&directory),
        Arc::clone(&provider),
        RouteFacts {
            internal_url: settings.internal_url.clone(),
            upstream_url: settings.upstream_url.clone(),
            networks: settings.networks,
            requests_per_address: settings.requests_per_address,
            allowed_origins: settings.allowed_origins.clone(),
            traefik_address: own_address(&settings.http_address),
            certificate: identity.certificate,
            cert_resolver: match &settings.tls {
                TlsSource::Resolver(name) => Some(name.clone()),
                TlsSource::LocalCa | TlsSource::Files { .. } => None,
            },
            public_host: host_of(&settings.public_url),
            servers_host: settings.servers_url.as_ref().map(host_of),
            serves_metrics: settings.metrics_public,
        },
    )?;
    let routes = Arc::new(routes);
    tasks.spawn(cancel.clone().run_until_cancelled_owned(publisher.run()));
    let logs = Arc::new(Logs::new(
        Arc::clone(&runtime),
        layout.root().to_owned(),
        tasks.clone(),
        cancel.clone(),
    ));
    let waker = Arc::new(Waker::default());
    let disks = Arc::new(DiskLocks::default());
    let bounds = Arc::new(Bounds::new(settings.bounds));
    let tokens = TokenTable::new(&identity.admin_token, store.load_tokens().await?);
    let parts = Arc::new(reconcile::Parts {
        store: store.clone(),
        directory: Arc::clone(&directory),
        runtime: Arc::clone(&runtime),
        vault: Arc::clone(&vault),
        routes: Arc::clone(&routes),
        logs: Arc::clone(&logs),
        waker: Arc::clone(&waker),
        bundles: Arc::clone(&bundles),
        disks: Arc::clone(&disks),
        bounds: Arc::clone(&bounds),
        metrics: Arc::clone(&metrics),
        client: server_client.clone(),
        clock,
        layout: layout.clone(),
        config: reconcile_config(&settings),
    });
    let reconciling = {
        let (runtime, networks) = (Arc::clone(&runtime), settings.networks);
        let host = match &settings.broker {
            Some(path) => format!("the broker {}", path.display()),
            None => settings.docker_host.clone(),
        };
        let (tasks, cancel) = (tasks.clone(), cancel.clone());
        let bounds = Arc::clone(&bounds);
        async move {
            let connecting = connect_to_engine(&*runtime, networks);
            let connected = cancel.run_until_cancelled(connecting).await;
            connected
                .unwrap_or(Ok(()))
                .with_context(|| format!("at {host}"))?;
            if let Some(Ok(engine)) = cancel.run_until_cancelled(runtime.info()).await {
                bounds.learn(engine.memory_bytes, engine.cpus);
            }
            reconcile::run(parts, tasks, cancel).await;
            Ok(())
        }
    };
    let settings = Arc::new(settings);
    let tokens = Arc::new(tokens);
    let proxies = Arc::new(Proxies::new(settings.networks.gateways()));
    let endings = Endings {
        tasks,
        closing,
        cancel,
    };
    let audit = Arc::new(AuditLog::new(
        store.clone(),
        &settings,
        metrics.syslog_dropped(),
        &endings,
    ));
    let scrape_token = identity.metrics_token.as_ref().map(ScrapeToken::new);
    let parts = Parts {
        token_changes: Arc::new(TokenChanges::new(store.clone(), Arc::clone(&tokens))),
        authentication: Arc::new(Authentication::new(
            Arc::clone(&tokens),
            Limiter::new(settings.wrong_tokens_per_minute),
            Arc::clone(&proxies),
            scrape_token,
            Arc::clone(&audit),
        )),
        pruner: Arc::new(Pruner::new(
            Arc::clone(&directory),
            store.clone(),
            Arc::clone(&bundles),
            settings.retention,
        )),
        waiting: Arc::new(Waiting::new(Arc::clone(&directory))),
        firewall: Arc::new(FirewallWatch::new(settings.firewall)),
        notice_board: Arc::default(),
        disk: Arc::default(),
        usage: Arc::default(),
        settings,
        layout,
        store,
        directory,
        tokens,
        proxies,
        bounds,
        audit,
        vault,
        runtime,
        logs,
        waker,
        bundles,
        disk_locks: disks,
        provider,
        routes,
        provider_token: identity.provider_token,
        ca_cert_pem: identity.ca_cert_pem,
        metrics,
        server_client,
        endings,
    };
    parts
        .notice_board
        .put(Subject::Certificate, identity.certificate_problem);
    certificate_watch::watch(&parts, served);
    disk_watch::watch(&parts);
    usage::start_meter(&parts);
    housekeeping::begin(&parts);
    collection::begin(&parts);
    firewall_watch::watch(&parts);
    traefik_watch::watch(&parts);
    Ok(Started {
        app: Arc::new(App::of(&parts)),
        gate: Arc::new(Gate::of(&parts)),
        reconciling,
    })
}

fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

/// A daemon that has ended properly took its socket along, and without one
/// there is no client to be made: it is waited for like an answer.
async fn find_docker(settings: &Settings) -> anyhow::Result<DockerRuntime> {
    let host = &settings.docker_host;
    let mut is_told = false;
    loop {
        match DockerRuntime::new(host, &settings.network, &settings.instance) {
            Err(error @ RuntimeError::Unreachable(_)) if host.starts_with("unix://") => {
                // Once: it may be away for long.
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(host, %error, "waiting for Docker Engine");
                }
                tokio::time::sleep(DOCKER_RETRY).await;
            }
            made => return made.with_context(|| format!("at {host}")),
        }
    }
}

/// Waits for a Docker Engine that does not answer yet: after a power cut EMCP
/// may well be up first. Anything else that is wrong ends the start.
async fn connect_to_engine(
    runtime: &dyn Runtime,
    networks: ServerNetworks,
) -> Result<(), RuntimeError> {
    let mut is_told = false;
    loop {
        match runtime.connect(networks).await {
            Err(error @ RuntimeError::Unreachable(_)) => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(%error, "waiting for Docker Engine");
                }
                tokio::time::sleep(DOCKER_RETRY).await;
            }
            settled => return settled,
        }
    }
}

async fn load_entries(store: &Store, vault: &Vault) -> anyhow::Result<Vec<Entry>> {
    store
        .load_servers()
        .await?
        .into_iter()
        .map(|stored| {
            let StoredServer {
                server,
                instances,
                gateway_key,
            } = stored;
            let gateway_key = vault.open(Place::GatewayKey(server.id), &gateway_key)?;
            Ok(Entry::new(server, instances, gateway_key))
        })
        .collect()
}

fn reconcile_config(settings: &Settings) -> reconcile::Config {
    reconcile::Config {
        base_image: settings.base_image.clone(),
        networks: settings.networks,
        instance: settings.instance.clone(),
        start_timeout: settings.start_timeout,
        stop_grace: settings.stop_grace,
        sleep: settings.sleep,
        liveness_interval: settings.liveness_interval,
        unresponsive_restart: settings.unresponsive_restart,
        parallel_starts: std::thread::available_parallelism().map_or(2, usize::from),
        passed_env: passed_env(&settings.servers_proxy, |key| std::env::var(key).ok()),
    }
}
