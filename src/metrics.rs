//! Counts for Prometheus.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::api::Space;
use crate::model::{Error, Result, Status};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabel {
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: &'static str,
}

/// The platform's metrics.
pub struct Metrics {
    registry: Registry,
    gate: Family<VerdictLabel, Counter>,
    servers: Family<StatusLabel, Gauge>,
    changes: Gauge,
    disk_free: Gauge,
    disk_total: Gauge,
    syslog_dropped: Count,
}

/// A count that somebody else keeps; cheap to clone.
#[derive(Debug, Clone)]
pub struct Count(Counter);

impl Count {
    /// Counts one more.
    pub fn add_one(&self) {
        self.0.inc();
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// A change under way; it is over when this is dropped.
pub struct UnderWay(Gauge);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let gate = Family::<VerdictLabel, Counter>::default();
        registry.register(
            "emcp_gate_decisions",
            "Requests the gate decided on, by verdict code",
            gate.clone(),
        );
        let servers = Family::<StatusLabel, Gauge>::default();
        registry.register("emcp_servers", "Servers by status", servers.clone());
        let changes = Gauge::default();
        registry.register(
            "emcp_changes_under_way",
            "Calls that change something and are not done yet, also those whose caller has hung up",
            changes.clone(),
        );
        let (disk_free, disk_total) = (Gauge::default(), Gauge::default());
        registry.register(
            "emcp_data_dir_free_bytes",
            "Room left on the data directory's disk",
            disk_free.clone(),
        );
        registry.register(
            "emcp_data_dir_total_bytes",
            "Size of the data directory's disk",
            disk_total.clone(),
        );
        let syslog_dropped = Count(Counter::default());
        registry.register(
            "emcp_audit_syslog_dropped",
            "Lines of the audit log that the syslog target did not take in time",
            syslog_dropped.0.clone(),
        );
        Self {
            registry,
            gate,
            servers,
            changes,
            disk_free,
            disk_total,
            syslog_dropped,
        }
    }
}

impl Metrics {
    /// Counts one decision of the gate: `allow` or the refusal's code.
    pub fn gate_decided(&self, verdict: &'static str) {
        self.gate.get_or_create(&VerdictLabel { verdict }).inc();
    }

    /// Counts lines of the audit log that were not sent to syslog.
    pub fn syslog_dropped(&self) -> Count {
        self.syslog_dropped.clone()
    }

    /// Counts a change until the value is dropped.
    pub fn change_begins(&self) -> UnderWay {
        self.changes.inc();
        UnderWay(self.changes.clone())
    }

    /// The room on the data directory's disk was looked at.
    pub fn disk_has(&self, space: Space) {
        let set = |gauge: &Gauge, bytes: u64| {
            gauge.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        };
        set(&self.disk_free, space.free_bytes);
        set(&self.disk_total, space.total_bytes);
    }

    /// The text format of Prometheus; servers are counted now.
    ///
    /// # Errors
    /// If a metric cannot be written.
    pub fn render(&self, statuses: impl Iterator<Item = Status>) -> Result<String> {
        let mut counts = [0_i64; Status::ALL.len()];
        for status in statuses {
            if let Some(index) = Status::ALL.iter().position(|known| *known == status) {
                counts[index] += 1;
            }
        }
        for (status, count) in Status::ALL.iter().zip(counts) {
            let label = StatusLabel {
                status: status.as_str(),
            };
            self.servers.get_or_create(&label).set(count);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)
            .map_err(|error| Error::internal("metrics could not be written", error))?;
        Ok(text)
    }
}
