//! The services, assembled.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::audit::Audit;
use super::authentication::Authentication;
use super::backup::Backups;
use super::check::Checks;
use super::code::Code;
use super::connection::Connections;
use super::connection_test::ConnectionTests;
use super::env::Env;
use super::grants::Grants;
use super::live::Live;
use super::log_reader::LogReader;
use super::monitoring::Monitoring;
use super::overview::Overview;
use super::parts::Parts;
use super::platform::Platform;
use super::quotas::Quotas;
use super::route_provider::RouteProvider;
use super::servers::Servers;
use super::session::Sessions;
use super::settings_view::ShownSettings;
use super::tokens::Tokens;
use super::tools::Tools;
use crate::settings::Settings;

/// What EMCP does for callers. It holds no data: each service keeps its own
/// parts to itself, and gives of them what it is shown a capability for.
pub struct App {
    /// Who is calling.
    pub authentication: Arc<Authentication>,
    /// The dashboard's sessions.
    pub sessions: Sessions,
    /// Capabilities for one server.
    pub grants: Grants,
    /// What people have and may have.
    pub quotas: Quotas,
    /// Who did what.
    pub audit: Audit,
    /// Servers: create, change, act, delete.
    pub servers: Servers,
    /// Their code and its versions.
    pub code: Code,
    /// Files before they are anybody's code.
    pub checks: Checks,
    /// Their variables.
    pub env: Env,
    /// Their output.
    pub logs: LogReader,
    /// How clients connect to them.
    pub connections: Connections,
    /// Whether they can.
    pub connection_tests: ConnectionTests,
    /// What they offer, to be tried out.
    pub tools: Tools,
    /// What changes.
    pub live: Live,
    /// All of it at a glance.
    pub overview: Overview,
    /// Tokens: make, see, revoke.
    pub tokens: Tokens,
    /// Backups of everything.
    pub backups: Backups,
    /// The settings, to be seen.
    pub shown_settings: ShownSettings,
    /// The routes, for Traefik.
    pub route_provider: RouteProvider,
    /// What is counted and measured.
    pub monitoring: Monitoring,
    /// EMCP itself.
    pub platform: Platform,
    /// What is behind all of this, for tests to look at.
    #[cfg(test)]
    pub(crate) behind: Behind,
}

/// What tests look at behind the services' backs.
#[cfg(test)]
pub(crate) struct Behind {
    pub(crate) directory: Arc<crate::directory::Directory>,
    pub(crate) store: crate::store::Store,
    pub(crate) vault: Arc<crate::vault::Vault>,
    pub(crate) layout: crate::identity::Layout,
    pub(crate) bundles: Arc<crate::bundles::Bundles>,
}

impl App {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            authentication: Arc::clone(&parts.authentication),
            sessions: Sessions::of(parts),
            grants: Grants::of(parts),
            quotas: Quotas::of(parts),
            audit: Audit::of(parts),
            servers: Servers::of(parts),
            code: Code::of(parts),
            checks: Checks::of(parts),
            env: Env::of(parts),
            logs: LogReader::of(parts),
            connections: Connections::of(parts),
            connection_tests: ConnectionTests::of(parts),
            tools: Tools::of(parts),
            live: Live::of(parts),
            overview: Overview::of(parts),
            tokens: Tokens::of(parts),
            backups: Backups::of(parts),
            shown_settings: ShownSettings::of(parts),
            route_provider: RouteProvider::of(parts),
            monitoring: Monitoring::of(parts),
            platform: Platform::of(parts),
            #[cfg(test)]
            behind: Behind {
                directory: Arc::clone(&parts.directory),
                store: parts.store.clone(),
                vault: Arc::clone(&parts.vault),
                layout: parts.layout.clone(),
                bundles: Arc::clone(&parts.bundles),
            },
        }
    }

    /// [`Platform::settings`].
    pub fn settings(&self) -> &Settings {
        self.platform.settings()
    }

    /// Long-lived tasks.
    pub fn tasks(&self) -> &TaskTracker {
        &self.platform.endings().tasks
    }

    /// EMCP is to end: whatever waits for long ends now, or is answered as it
    /// stands; what is under way goes on.
    pub fn closing(&self) -> &CancellationToken {
        &self.platform.endings().closing
    }

    /// Ends the tasks.
    pub fn cancel(&self) -> &CancellationToken {
        &self.platform.endings().cancel
    }
}
