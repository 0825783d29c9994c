//! Everything the service is made of, built once at start-up.

use std::sync::{Arc, Mutex};

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{AuditLog, DiskWatch, FirewallWatch, NoticeBoard};
use crate::access::{Limiter, Proxies, ScrapeToken, TokenTable, WriteMeter};
use crate::bounds::Bounds;
use crate::bundles::Bundles;
use crate::directory::{Directory, Entry};
use crate::disk_locks::DiskLocks;
use crate::identity::Layout;
use crate::logs::Logs;
use crate::metrics::Metrics;
use crate::model::{Error, Result};
use crate::reconcile::Waker;
use crate::runtime::{Runtime, ServerClient};
use crate::settings::Settings;
use crate::store::Store;
use crate::traefik::{Provider, Routes};
use crate::vault::Vault;

use super::usage::UsageMeter;
use super::waiting::Waiting;

/// The service's parts. Nobody outside `services` reaches them: what a caller
/// may have of them, a method gives for a capability.
pub struct App {
    /// Checked settings.
    pub(super) settings: Settings,
    /// Files in the data directory.
    pub(super) layout: Layout,
    /// The database.
    pub(super) store: Store,
    /// Servers in memory.
    pub(super) directory: Arc<Directory>,
    /// Tokens in memory.
    pub(super) tokens: TokenTable,
    /// Counts wrong tokens by address.
    pub(super) limiter: Mutex<Limiter>,
    /// Whose word on a client's address is believed.
    pub(super) proxies: Arc<Proxies>,
    /// What any one server and person may have.
    pub(super) bounds: Arc<Bounds>,
    /// How often each person changes something.
    pub(super) writes: WriteMeter,
    /// Held while tokens change here and in the database.
    pub(super) tokens_changing: tokio::sync::Mutex<()>,
    /// Who did what.
    pub(super) audit: AuditLog,
    /// Seals and opens secrets.
    pub(super) vault: Arc<Vault>,
    /// Where containers live.
    pub(super) runtime: Arc<dyn Runtime>,
    /// Servers' output.
    pub(super) logs: Arc<Logs>,
    /// Wakes the reconciler.
    pub(super) waker: Arc<Waker>,
    /// The code of servers' releases, on disk.
    pub(super) bundles: Arc<Bundles>,
    /// Taken by whoever copies a server's disk.
    pub(super) disks: Arc<DiskLocks>,
    /// What Traefik fetches.
    pub(super) provider: Arc<Provider>,
    /// Which servers have a route in it.
    pub(super) routes: Arc<Routes>,
    /// What Traefik shows to fetch it.
    pub(super) provider_token: SecretString,
    /// What monitoring shows; none where metrics are for the inside alone.
    pub(super) scrape_token: Option<ScrapeToken>,
    /// The local CA's certificate, if there is a local CA.
    pub(super) ca_cert_pem: Option<String>,
    /// Whether servers are cut off from the host and cloud metadata.
    pub(super) firewall: FirewallWatch,
    /// What else the operator should know.
    pub(super) notice_board: NoticeBoard,
    /// The room on the data directory's disk.
    pub(super) disk: DiskWatch,
    /// Counts for Prometheus.
    pub(super) metrics: Arc<Metrics>,
    /// What containers use.
    pub(super) usage: UsageMeter,
    /// Speaks to containers directly.
    pub(super) server_client: ServerClient,
    /// Who waits for servers or tries them out.
    pub(super) waiting: Waiting,
    /// Long-lived tasks.
    pub(super) tasks: TaskTracker,
    /// EMCP is to end: whatever waits for long ends now, or is answered as it
    /// stands; what is under way goes on.
    pub(super) closing: CancellationToken,
    /// Ends the tasks.
    pub(super) cancel: CancellationToken,
}

impl App {
    /// All servers.
    #[cfg(test)]
    pub(crate) fn directory_entries(&self) -> Vec<Entry> {
        self.directory.list()
    }

    /// Tells when anything has changed.
    #[cfg(test)]
    pub(crate) fn directory_changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.directory.subscribe()
    }

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
