//! What the platform is set to, for its administrators to see. Read-only:
//! settings come from the environment of the process.

use serde::Serialize;
use url::Url;
use utoipa::ToSchema;

use super::{App, FirewallView};
use crate::access::CanAdminister;
use crate::model::{Limits, Maxima, Quota, SleepAfter};
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
    /// What is free there; absent before the first look.
    pub data_dir_free_bytes: Option<u64>,
    /// Below this the operator is told.
    pub min_free_bytes: u64,
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
    /// The highest limits that any one server may be given.
    pub maxima: Maxima,
    /// What each person may have who has no quota of their own.
    pub quota: Quota,
    /// The newest versions of a server's code that are kept.
    pub versions_kept: usize,
    /// For how many days others are kept after their last use.
    pub versions_kept_days: u32,
    /// Lines the audit log keeps.
    pub audit_max_entries: u64,
    /// Where it is sent besides.
    pub audit_syslog: Option<String>,
    /// Whether metrics may be read at `/metrics` of the public URL, with the
    /// metrics token.
    pub metrics_public: bool,
    /// Largest code file taken.
    pub max_code_bytes: u64,
    /// From start to the first MCP answer.
    pub start_timeout_secs: u64,
    /// From SIGTERM to SIGKILL.
    pub stop_grace_secs: u64,
    /// Between two looks whether a running server still answers.
    pub liveness_interval_secs: u64,
    /// Without an answer, after which it is started anew; 0 for never.
    pub unresponsive_restart_secs: u64,
    /// When idle servers sleep that don't say it themselves; never if absent.
    pub sleep: Option<SleepAfter>,
    /// Requests of one address that may be under way at once.
    pub requests_per_address: usize,
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
            data_dir_free_bytes: self.disk.view().map(|space| space.free_bytes),
            min_free_bytes: settings.min_free_bytes,
            network: settings.network.clone(),
            subnet: settings.networks.open().subnet(),
            internal_subnet: settings.networks.internal().subnet(),
            firewall: self.firewall.view(),
            base_image: settings.base_image.clone(),
            default_limits: self.bounds.maxima().cap(Limits::default()),
            maxima: self.bounds.maxima(),
            quota: self.bounds.quota(),
            versions_kept: settings.retention.newest,
            versions_kept_days: settings.retention.days,
            audit_max_entries: settings.audit_max_entries,
            audit_syslog: settings.audit_syslog.as_ref().map(ToString::to_string),
            metrics_public: settings.metrics_public,
            max_code_bytes: settings.max_code_bytes,
            start_timeout_secs: settings.start_timeout.as_secs(),
            stop_grace_secs: settings.stop_grace.as_secs(),
            liveness_interval_secs: settings.liveness_interval.as_secs(),
            unresponsive_restart_secs: settings
                .unresponsive_restart
                .map_or(0, |after| after.as_secs()),
            sleep: settings.sleep,
            requests_per_address: settings.requests_per_address,
            allowed_origins: settings.allowed_origins.clone(),
            traefik_in_service: self.provider.is_in_service(),
            engine: self.runtime.info().await.ok().map(EngineView::from),
        }
    }
}
