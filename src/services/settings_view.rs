//! What the platform is set to, for its administrators to see. Read-only:
//! settings come from the environment of the process.

use serde::Serialize;
use url::Url;
use utoipa::ToSchema;

use super::{App, FirewallView};
use crate::access::CanAdminister;
use crate::model::{Limits, SleepAfter};
use crate::runtime::EngineInfo;
use crate::settings::TlsSource;

/// What the platform is set to. No secret is in it.
#[derive(Debug, Serialize, ToSchema)]
pub struct SettingsView {
    /// EMCP's version.
    pub version: &'static str,
    /// The URL people reach Traefik under.
    pub public_url: String,
    /// The URL of the servers' own host, if they have one.
    pub servers_url: Option<String>,
    /// Where the certificate comes from: `local_ca`, `files` or `resolver`.
    pub certificate: &'static str,
    /// Label of everything EMCP makes.
    pub instance: String,
    /// Where EMCP keeps everything.
    pub data_dir: String,
    /// Docker network of the servers.
    pub network: String,
    /// Its subnet.
    pub subnet: String,
    /// The subnet of the servers without egress.
    pub internal_subnet: String,
    /// Whether servers are cut off from the host and cloud metadata.
    pub firewall: FirewallView,
    /// Image the servers run from.
    pub base_image: String,
    /// Limits of a server that is given none.
    pub default_limits: Limits,
    /// Largest code file taken.
    pub max_code_bytes: u64,
    /// From start to the first MCP answer.
    pub start_timeout_secs: u64,
    /// From SIGTERM to SIGKILL.
    pub stop_grace_secs: u64,
    /// When idle servers sleep that don't say it themselves; never if absent.
    pub sleep: Option<SleepAfter>,
    /// Origins browsers may call from.
    pub allowed_origins: Vec<String>,
    /// Whether Traefik fetches its routes.
    pub traefik_in_service: bool,
    /// The container engine; absent while it does not answer.
    pub engine: Option<EngineView>,
}

/// The container engine.
#[derive(Debug, Serialize, ToSchema)]
pub struct EngineView {
    /// Its version.
    pub version: String,
    /// Its host's operating system.
    pub os: String,
    /// Its host's CPUs.
    pub cpus: u64,
    /// Its host's memory.
    pub memory_bytes: u64,
}

impl From<EngineInfo> for EngineView {
    fn from(info: EngineInfo) -> Self {
        Self {
            version: info.version,
            os: info.os,
            cpus: info.cpus,
            memory_bytes: info.memory_bytes,
        }
    }
}

impl App {
    /// What the platform is set to.
    pub async fn settings_view(&self, _: &CanAdminister) -> SettingsView {
        let settings = &self.settings;
        SettingsView {
            version: env!("CARGO_PKG_VERSION"),
            public_url: settings.public_url.to_string(),
            servers_url: settings.servers_url.as_ref().map(Url::to_string),
            certificate: match settings.tls {
                TlsSource::LocalCa => "local_ca",
                TlsSource::Files { .. } => "files",
                TlsSource::Resolver(_) => "resolver",
            },
            instance: settings.instance.clone(),
            data_dir: settings.data_dir.display().to_string(),
            network: settings.network.clone(),
            subnet: settings.networks.open().subnet(),
            internal_subnet: settings.networks.internal().subnet(),
            firewall: self.firewall.view(),
            base_image: settings.base_image.clone(),
            default_limits: Limits::default(),
            max_code_bytes: settings.max_code_bytes,
            start_timeout_secs: settings.start_timeout.as_secs(),
            stop_grace_secs: settings.stop_grace.as_secs(),
            sleep: settings.sleep,
            allowed_origins: settings.allowed_origins.clone(),
            traefik_in_service: self.provider.is_in_service(),
            engine: self.runtime.info().await.ok().map(EngineView::from),
        }
    }
}
