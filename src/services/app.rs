//! Everything the service is made of, built once at start-up.

use std::sync::{Arc, Mutex};

use secrecy::SecretString;
use tokio::sync::RwLock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{AuditLog, FirewallWatch};
use crate::access::{Limiter, Proxies, TokenTable, WriteMeter};
use crate::bounds::Bounds;
use crate::directory::{Directory, Entry};
use crate::identity::Layout;
use crate::logs::Logs;
use crate::metrics::Metrics;
use crate::model::{Error, Result};
use crate::reconcile::Waker;
use crate::runtime::DockerRuntime;
use crate::settings::Settings;
use crate::store::Store;
use crate::traefik::{Provider, Routes};
use crate::vault::Vault;

use super::usage::UsageMeter;

/// The service's parts. Fields are for `services` and `http`.
pub struct App {
    /// Checked settings.
    pub settings: Settings,
    /// Files in the data directory.
    pub layout: Layout,
    /// The database.
    pub store: Store,
    /// Servers in memory.
    pub directory: Arc<Directory>,
    /// Tokens in memory.
    pub tokens: TokenTable,
    /// Counts wrong tokens by address.
    pub limiter: Mutex<Limiter>,
    /// Whose word on a client's address is believed.
    pub proxies: Proxies,
    /// What any one server and person may have.
    pub bounds: Arc<Bounds>,
    /// How often each person changes something.
    pub writes: WriteMeter,
    /// Held while a token's quota changes here and in the database.
    pub quota_changing: tokio::sync::Mutex<()>,
    /// Who did what.
    pub audit: AuditLog,
    /// Seals and opens secrets.
    pub vault: Arc<Vault>,
    /// Where containers live.
    pub runtime: DockerRuntime,
    /// Servers' output.
    pub logs: Arc<Logs>,
    /// Wakes the reconciler.
    pub waker: Arc<Waker>,
    /// Held for writing where code of a deleted server is removed, for reading
    /// while a backup copies code.
    pub code_removal: Arc<RwLock<()>>,
    /// What Traefik fetches.
    pub provider: Arc<Provider>,
    /// Renders it.
    pub routes: Routes,
    /// What Traefik shows to fetch it.
    pub provider_token: SecretString,
    /// The local CA's certificate, if there is a local CA.
    pub ca_cert_pem: Option<String>,
    /// Whether servers are cut off from the host and cloud metadata.
    pub firewall: FirewallWatch,
    /// Counts for Prometheus.
    pub metrics: Metrics,
    /// What containers use.
    pub usage: UsageMeter,
    /// Speaks to containers directly.
    pub server_client: reqwest::Client,
    /// Long-lived tasks.
    pub tasks: TaskTracker,
    /// EMCP is to end: whatever waits for long ends now, or is answered as it
    /// stands; what is under way goes on.
    pub closing: CancellationToken,
    /// Ends the tasks.
    pub cancel: CancellationToken,
}

impl App {
    /// The server of this id or name.
    ///
    /// # Errors
    /// `server_not_found`.
    pub fn find_server(&self, id_or_name: &str) -> Result<Entry> {
        self.directory
            .find(id_or_name)
            .ok_or_else(|| Error::no_server(id_or_name))
    }
}
