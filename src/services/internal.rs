//! What Traefik and monitoring ask, who are no callers with a role, and what the
//! web side needs of every request. Nothing here gives out what belongs to
//! somebody, but for the gate, which decides on it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::App;
use super::waiting::{Look, Patience, Purpose, Waited};
use crate::access::{CanScrape, Proxies};
use crate::api::{FirewallView, Notice, Space};
use crate::directory::Entry;
use crate::metrics::{Metrics, UnderWay};
use crate::model::{AuditEntry, Error, Result, ServerId};
use crate::settings::Settings;
use crate::traefik::{ConnectionId, Fingerprint, Poll};
use crate::trouble;

/// What the gate looks at.
pub struct AtGate<'a>(&'a App);

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

impl App {
    /// Checked settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Long-lived tasks.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// EMCP is to end: whatever waits for long ends now, or is answered as it
    /// stands; what is under way goes on.
    pub fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// Ends the tasks.
    pub fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Counts a change until the value is dropped.
    pub fn change_begins(&self) -> UnderWay {
        self.metrics.change_begins()
    }

    /// The client's address: what the other end of the connection says in the
    /// last line of `X-Forwarded-For`, if it is to be believed.
    pub fn client(&self, peer: IpAddr, forwarded: Option<&str>) -> IpAddr {
        self.proxies.client(peer, forwarded, Instant::now())
    }

    /// Whose word on a client's address is believed.
    pub fn proxies(&self) -> &Arc<Proxies> {
        &self.proxies
    }

    /// Keeps a line of the audit log. One that tells of a change is kept when
    /// this returns.
    pub async fn write_audit(&self, entry: AuditEntry) {
        if entry.is_a_change() {
            self.audit.record(entry).await;
        } else {
            self.audit.note(entry);
        }
    }

    /// What the gate looks at.
    pub fn at_gate(&self) -> AtGate<'_> {
        AtGate(self)
    }

    /// The routes, for a Traefik that shows the provider token. Its address is
    /// that of a proxy from now on.
    ///
    /// # Errors
    /// `unauthenticated`.
    pub async fn poll_routes(
        &self,
        presented: &str,
        peer: IpAddr,
        connection: ConnectionId,
    ) -> Result<Poll> {
        let known = self.provider_token.expose_secret();
        if !bool::from(presented.as_bytes().ct_eq(known.as_bytes())) {
            return Err(Error::Unauthenticated {
                is_wrong: false,
                message: "the provider token is needed here".to_owned(),
            });
        }
        self.proxies.see(peer, Instant::now());
        Ok(self.provider.poll(connection, &self.closing).await)
    }

    /// Traefik routes by the document with this fingerprint. Returns when it is
    /// to tell again.
    pub async fn see_routes_in_effect(&self, fingerprint: &Fingerprint) {
        self.provider
            .see_in_effect(fingerprint, &self.closing)
            .await;
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
            notices: self.notices(),
            disk: self.disk.view(),
        }
    }

    /// Counts for Prometheus, in its text format: for whoever reaches the internal
    /// listener, so what servers are called is not among them.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn metrics_text(&self) -> Result<String> {
        let entries = self.look_for_metrics();
        self.metrics
            .render(entries.iter().map(|entry| entry.state.status))
    }

    /// The same, and what each server is called and does.
    ///
    /// # Errors
    /// As [`App::metrics_text`].
    pub fn metrics_with_names(&self, _: &CanScrape) -> Result<String> {
        let entries = self.look_for_metrics();
        self.metrics.render_with_names(
            entries
                .iter()
                .map(|entry| (entry.server.name.as_str(), entry.state.status)),
        )
    }

    /// What is only known by looking.
    fn look_for_metrics(&self) -> Vec<Entry> {
        let is_in_service = self.provider.is_in_service();
        self.metrics.traefik_is_in_service(is_in_service);
        self.directory.list()
    }

    /// Counts for Prometheus.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The local CA's certificate, if there is a local CA.
    pub fn ca_cert_pem(&self) -> Option<&str> {
        self.ca_cert_pem.as_deref()
    }
}

impl AtGate<'_> {
    /// The server of this name, or of this id.
    pub fn server_called(&self, name: &str) -> Option<Entry> {
        self.0.directory.find(name)
    }

    /// Looks at a server until the request for it can be decided on, at most
    /// until the deadline.
    pub async fn hold<T, W>(
        &self,
        server: Option<ServerId>,
        deadline: tokio::time::Instant,
        look: impl FnMut(Option<&Entry>) -> Look<T, W>,
    ) -> Waited<T, W> {
        let patience = Patience {
            deadline,
            ending: &self.0.cancel,
            place_as: Some(Purpose::HeldRequest),
        };
        self.0.waiting.until(server, patience, look).await
    }

    /// Counts one decision: `allow` or the refusal's code.
    pub fn decided(&self, verdict: &'static str) {
        self.0.metrics.gate_decided(verdict);
    }
}
