//! What services are made from.

use std::sync::Arc;

use secrecy::SecretString;

use super::authentication::Authentication;
use super::token_changes::TokenChanges;
use super::versions::Pruner;
use super::waiting::Waiting;
use super::{AuditLog, DiskWatch, Endings, FirewallWatch, NoticeBoard, UsageMeter};
use crate::access::{Proxies, TokenTable};
use crate::bounds::Bounds;
use crate::bundles::Bundles;
use crate::directory::Directory;
use crate::disk_locks::DiskLocks;
use crate::identity::Layout;
use crate::logs::Logs;
use crate::metrics::Metrics;
use crate::reconcile::Waker;
use crate::runtime::{Runtime, ServerClient};
use crate::settings::Settings;
use crate::store::Store;
use crate::traefik::{Provider, Routes};
use crate::vault::Vault;

/// What services are made from. It is lent to each of them while they are made
/// (`startup`), and gone afterwards: a service keeps the parts that it names in
/// its own fields and has no way to the others.
pub(super) struct Parts {
    /// Checked settings.
    pub(super) settings: Arc<Settings>,
    /// Files in the data directory.
    pub(super) layout: Layout,
    /// The database.
    pub(super) store: Store,
    /// Servers in memory.
    pub(super) directory: Arc<Directory>,
    /// Tokens in memory, to look at.
    pub(super) tokens: Arc<TokenTable>,
    /// Changes them, in memory and in the database.
    pub(super) token_changes: Arc<TokenChanges>,
    /// Whose word on a client's address is believed.
    pub(super) proxies: Arc<Proxies>,
    /// Finds out who is calling.
    pub(super) authentication: Arc<Authentication>,
    /// What any one server and person may have.
    pub(super) bounds: Arc<Bounds>,
    /// Who did what.
    pub(super) audit: Arc<AuditLog>,
    /// Seals and opens secrets.
    pub(super) vault: Arc<Vault>,
    /// Where containers live.
    pub(super) runtime: Arc<dyn Runtime>,
    /// Servers' output.
    pub(super) logs: Arc<Logs>,
    /// Wakes the reconciler.
    pub(super) waker: Arc<Waker>,
    /// Removes outdated releases.
    pub(super) pruner: Arc<Pruner>,
    /// The code of servers' releases, on disk.
    pub(super) bundles: Arc<Bundles>,
    /// Taken by whoever copies a server's disk.
    pub(super) disk_locks: Arc<DiskLocks>,
    /// What Traefik fetches.
    pub(super) provider: Arc<Provider>,
    /// Which servers have a route in it.
    pub(super) routes: Arc<Routes>,
    /// What Traefik shows to fetch it.
    pub(super) provider_token: SecretString,
    /// The local CA's certificate, if there is a local CA.
    pub(super) ca_cert_pem: Option<String>,
    /// Whether servers are cut off from the host and cloud metadata.
    pub(super) firewall: Arc<FirewallWatch>,
    /// What else the operator should know.
    pub(super) notice_board: Arc<NoticeBoard>,
    /// The room on the data directory's disk.
    pub(super) disk: Arc<DiskWatch>,
    /// Counts for Prometheus.
    pub(super) metrics: Arc<Metrics>,
    /// What containers use.
    pub(super) usage: Arc<UsageMeter>,
    /// Speaks to containers directly.
    pub(super) server_client: ServerClient,
    /// Who waits for servers or tries them out.
    pub(super) waiting: Arc<Waiting>,
    /// What ends EMCP, and holds its tasks.
    pub(super) endings: Endings,
}
