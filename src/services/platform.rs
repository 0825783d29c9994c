//! EMCP itself: what it is set to, what ends it, whether its parts work. What is
//! behind this belongs to nobody, so it asks for no capability; what the settings
//! are is shown to administrators alone (`settings_view`).

use std::sync::Arc;

use super::notices::Notices;
use super::parts::Parts;
use super::{DiskWatch, Endings, FirewallWatch};
use crate::api::{FirewallView, Notice, Space};
use crate::runtime::Runtime;
use crate::settings::Settings;
use crate::store::Store;
use crate::traefik::Provider;
use crate::trouble;

/// Whether each part does its work.
pub struct Readiness {
    /// The database can be written to.
    pub store: bool,
    /// What stands between EMCP and Docker Engine answers; `None` where nothing
    /// does.
    pub broker: Option<bool>,
    /// Docker Engine answers.
    pub docker: bool,
    /// Traefik has the routes and goes on asking for them.
    pub traefik: bool,
    /// A warning: servers are served all the same.
    pub firewall: FirewallView,
    /// All warnings.
    pub notices: Vec<Notice>,
    /// The room on the data directory's disk, as last looked at.
    pub disk: Option<Space>,
}

/// Knows of EMCP itself.
pub struct Platform {
    settings: Arc<Settings>,
    endings: Endings,
    store: Store,
    runtime: Arc<dyn Runtime>,
    provider: Arc<Provider>,
    firewall: Arc<FirewallWatch>,
    disk: Arc<DiskWatch>,
    notices: Notices,
    ca_cert_pem: Option<String>,
}

impl Platform {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            settings: Arc::clone(&parts.settings),
            endings: parts.endings.clone(),
            store: parts.store.clone(),
            runtime: Arc::clone(&parts.runtime),
            provider: Arc::clone(&parts.provider),
            firewall: Arc::clone(&parts.firewall),
            disk: Arc::clone(&parts.disk),
            notices: Notices::of(parts),
            ca_cert_pem: parts.ca_cert_pem.clone(),
        }
    }

    /// Checked settings. There is no secret among them.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What ends EMCP.
    pub fn endings(&self) -> &Endings {
        &self.endings
    }

    /// Whether each part does its work. What does not is in the log.
    pub async fn readiness(&self) -> Readiness {
        let (store, broker, docker) = tokio::join!(
            self.store.check(),
            self.runtime.greet_broker(),
            self.runtime.ping()
        );
        match &store {
            Ok(()) => trouble::STORE_CHECK.worked(),
            Err(error) => trouble::STORE_CHECK.met(error),
        }
        match &docker {
            Ok(()) => trouble::DOCKER.worked(),
            Err(error) => trouble::DOCKER.met(error),
        }
        Readiness {
            store: store.is_ok(),
            broker: broker.map(|answered| answered.is_ok()),
            docker: docker.is_ok(),
            traefik: self.provider.is_in_service(),
            firewall: self.firewall.view(),
            notices: self.notices.all(),
            disk: self.disk.view(),
        }
    }

    /// The local CA's certificate, if there is a local CA.
    pub fn ca_cert_pem(&self) -> Option<&str> {
        self.ca_cert_pem.as_deref()
    }
}
