//! What the platform is set to, for its administrators to see. Read-only:
//! settings come from the environment of the process.

use std::sync::Arc;

use url::Url;

use super::parts::Parts;
use super::{DiskWatch, FirewallWatch};
use crate::access::CanAdminister;
use crate::api::{EngineView, SettingsView};
use crate::bounds::Bounds;
use crate::model::Limits;
use crate::runtime::{EngineInfo, Runtime};
use crate::settings::{Settings, TlsSource};
use crate::traefik::Provider;

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

/// Shows what the platform is set to.
pub struct ShownSettings {
    settings: Arc<Settings>,
    bounds: Arc<Bounds>,
    disk: Arc<DiskWatch>,
    firewall: Arc<FirewallWatch>,
    provider: Arc<Provider>,
    runtime: Arc<dyn Runtime>,
}

impl ShownSettings {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            settings: Arc::clone(&parts.settings),
            bounds: Arc::clone(&parts.bounds),
            disk: Arc::clone(&parts.disk),
            firewall: Arc::clone(&parts.firewall),
            provider: Arc::clone(&parts.provider),
            runtime: Arc::clone(&parts.runtime),
        }
    }

    /// What the platform is set to.
    pub async fn view(&self, _: &CanAdminister) -> SettingsView {
        let settings = &self.settings;
        SettingsView {
            version: env!("CARGO_PKG_VERSION").into(),
            public_url: settings.public_url.to_string(),
            servers_url: settings.servers_url.as_ref().map(Url::to_string),
            certificate: match settings.tls {
                TlsSource::LocalCa => "local_ca".into(),
                TlsSource::Files { .. } => "files".into(),
                TlsSource::Resolver(_) => "resolver".into(),
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
