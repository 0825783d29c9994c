//! What is counted and measured, for who writes it down and for monitoring.

use std::sync::Arc;

use super::parts::Parts;
use crate::access::CanScrape;
use crate::directory::{Directory, Entry};
use crate::metrics::{Metrics, UnderWay};
use crate::model::Result;
use crate::traefik::Provider;

/// Counts and measures, and tells of it.
pub struct Monitoring {
    metrics: Arc<Metrics>,
    directory: Arc<Directory>,
    provider: Arc<Provider>,
}

impl Monitoring {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            metrics: Arc::clone(&parts.metrics),
            directory: Arc::clone(&parts.directory),
            provider: Arc::clone(&parts.provider),
        }
    }

    /// What is counted, to be written to.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Counts a change until the value is dropped.
    pub fn change_begins(&self) -> UnderWay {
        self.metrics.change_begins()
    }

    /// Counts for Prometheus, in its text format: for whoever reaches the internal
    /// listener, so what servers are called is not among them.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn text(&self) -> Result<String> {
        let entries = self.look();
        self.metrics
            .render(entries.iter().map(|entry| entry.state.status))
    }

    /// The same, and what each server is called and does.
    ///
    /// # Errors
    /// As [`Monitoring::text`].
    pub fn text_with_names(&self, _: &CanScrape) -> Result<String> {
        let entries = self.look();
        self.metrics.render_with_names(
            entries
                .iter()
                .map(|entry| (entry.server.name.as_str(), entry.state.status)),
        )
    }

    /// What is only known by looking.
    fn look(&self) -> Vec<Entry> {
        let is_in_service = self.provider.is_in_service();
        self.metrics.traefik_is_in_service(is_in_service);
        self.directory.list()
    }
}
