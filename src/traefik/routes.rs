//! Keeps the provider's document in step with the directory.

use std::sync::{Arc, PoisonError, RwLock};

use super::{Provider, RouteFacts, render};
use crate::directory::Directory;
use crate::identity::ServedCertificate;

/// Renders the routes anew whenever the set of servers has changed.
pub struct Routes {
    directory: Arc<Directory>,
    provider: Arc<Provider>,
    facts: RwLock<RouteFacts>,
}

impl Routes {
    /// Routes of the directory's servers.
    pub fn new(directory: Arc<Directory>, provider: Arc<Provider>, facts: RouteFacts) -> Self {
        Self {
            directory,
            provider,
            facts: RwLock::new(facts),
        }
    }

    /// Serves another certificate from now on.
    pub fn use_certificate(&self, certificate: ServedCertificate) {
        self.facts
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .certificate = Some(certificate);
        self.refresh();
    }

    /// Renders and publishes. An address is kept for life, so this is due only
    /// when a server is created, deleted, or moved into the other network.
    pub fn refresh(&self) {
        let entries = self.directory.list();
        let servers = entries.iter().map(|entry| &*entry.server);
        let facts = self.facts.read().unwrap_or_else(PoisonError::into_inner);
        match render(servers, &facts) {
            Ok(body) => self.provider.publish(body),
            Err(error) => tracing::error!(%error, "the routes could not be rendered"),
        }
    }
}
