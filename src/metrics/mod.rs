//! What EMCP counts and measures, for Prometheus: the only room that names its
//! crate. docs/metrics.md tells the same for people; `tests/monitoring.rs` holds
//! the two together.
//!
//! No label has a value that a stranger chose: routes are templates, methods,
//! codes and steps are words of EMCP's own, and names of servers are bounded in
//! number. Recording is a look-up and a short lock, no I/O.

mod book;
mod labels;
mod servers;
mod timings;

use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Metric;

use self::book::Book;
use self::labels::{
    BuildLabels, CauseLabel, GateLabels, HttpLabels, OutcomeLabel, StatusLabel, StepLabels,
    VerdictLabel,
};
use self::timings::Timings;
use crate::api::Space;
use crate::model::{Error, Result, Status};

pub use labels::{GateOutcome, StartOutcome};
pub use servers::NAMED_MAX;
pub use timings::{Commits, EngineCalls};

/// The platform's metrics.
pub struct Metrics {
    book: Book,
    http: Timings<HttpLabels>,
    gate: Family<VerdictLabel, Counter>,
    gate_times: Timings<GateLabels>,
    steps: Timings<StepLabels>,
    starts: Timings<OutcomeLabel>,
    failures: Family<CauseLabel, Counter>,
    engine_calls: EngineCalls,
    commits: Commits,
    servers: Family<StatusLabel, Gauge>,
    changes: Gauge,
    disk_free: Gauge,
    disk_total: Gauge,
    certificate_end: Gauge,
    last_backup: Gauge,
    traefik: Gauge,
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
        use timings::{COMMIT, ENGINE, GATE, HTTP, START};

        let mut book = Book::default();
        let build = BuildLabels {
            version: env!("CARGO_PKG_VERSION"),
        };
        let versions: Family<BuildLabels, Gauge> =
            book.enter("emcp_build_info", "EMCP's version", Family::default());
        versions.get_or_create(&build).set(1);
        let started: Gauge = book.enter(
            "emcp_start_timestamp_seconds",
            "When this EMCP began, in Unix time",
            Gauge::default(),
        );
        started.set(Timestamp::now().as_second());
        Self {
            http: timed(
                &mut book,
                HTTP,
                "emcp_http_request_duration_seconds",
                "From a request's arrival at EMCP's own listeners to the headers of its answer; what it was held for is part of it",
            ),
            gate: kept(
                &mut book,
                "emcp_gate_decisions",
                "Requests the gate decided on, by verdict code",
            ),
            gate_times: timed(
                &mut book,
                GATE,
                "emcp_gate_duration_seconds",
                "From a call's arrival at the gate to its decision; held ones waited for their server",
            ),
            steps: timed(
                &mut book,
                ENGINE,
                "emcp_reconcile_step_duration_seconds",
                "Steps by which the reconciler brings what is to what is wanted",
            ),
            starts: timed(
                &mut book,
                START,
                "emcp_server_start_duration_seconds",
                "Starts of servers, from the making of the container to ready, or to what came instead",
            ),
            failures: kept(
                &mut book,
                "emcp_server_failures",
                "Runs of servers that failed, before they were ready or after, by cause",
            ),
            engine_calls: EngineCalls(timed(
                &mut book,
                ENGINE,
                "emcp_engine_call_duration_seconds",
                "Calls to Docker Engine, streams not among them",
            )),
            commits: Commits(timed(
                &mut book,
                COMMIT,
                "emcp_store_commit_duration_seconds",
                "Commits of the database, each to its sync on disk",
            )),
            servers: kept(&mut book, "emcp_servers", "Servers by status"),
            changes: kept(
                &mut book,
                "emcp_changes_under_way",
                "Calls that change something and are not done yet, also those whose caller has hung up",
            ),
            disk_free: kept(
                &mut book,
                "emcp_data_dir_free_bytes",
                "Room left on the data directory's disk",
            ),
            disk_total: kept(
                &mut book,
                "emcp_data_dir_total_bytes",
                "Size of the data directory's disk",
            ),
            certificate_end: kept(
                &mut book,
                "emcp_certificate_end_timestamp_seconds",
                "When the certificate that EMCP gives to Traefik ends, in Unix time; 0 where a resolver of Traefik's has it",
            ),
            last_backup: kept(
                &mut book,
                "emcp_last_backup_timestamp_seconds",
                "When the newest backup of the running platform was made, in Unix time; 0 for never",
            ),
            traefik: kept(
                &mut book,
                "emcp_traefik_in_service",
                "1 while Traefik fetches its routes, 0 otherwise",
            ),
            syslog_dropped: Count(kept(
                &mut book,
                "emcp_audit_syslog_dropped",
                "Lines of the audit log that the syslog target did not take in time",
            )),
            book,
        }
    }
}

/// A metric that begins with nothing.
fn kept<M: Metric + Clone + Default>(book: &mut Book, name: &'static str, help: &'static str) -> M {
    book.enter(name, help, M::default())
}

fn timed<L: labels::Labels>(
    book: &mut Book,
    buckets: timings::Buckets,
    name: &'static str,
    help: &'static str,
) -> Timings<L> {
    let timings = Timings::new(buckets);
    book.enter(name, help, timings.family());
    timings
}

impl Metrics {
    /// A request was answered, or its answer has begun. `route` is the template
    /// of its path, never the path itself.
    pub fn request_done(&self, route: &'static str, method: &str, status: u16, took: Duration) {
        self.http.took(HttpLabels::new(route, method, status), took);
    }

    /// Counts one decision of the gate: `allow` or the refusal's code.
    pub fn gate_decided(&self, verdict: &'static str) {
        self.gate.get_or_create(&VerdictLabel { verdict }).inc();
    }

    /// How long a call was at the gate until it was let through or not.
    pub fn gate_took(&self, outcome: GateOutcome, held: bool, took: Duration) {
        self.gate_times.took(GateLabels::new(outcome, held), took);
    }

    /// A step of the reconciler was done, or failed and is tried again.
    pub fn step_done(&self, step: &'static str, is_ok: bool, took: Duration) {
        self.steps.took(StepLabels::new(step, is_ok), took);
    }

    /// A start of a server came to something.
    pub fn start_ended(&self, outcome: StartOutcome, took: Duration) {
        self.starts.took(OutcomeLabel::from(outcome), took);
    }

    /// A run of a server failed. Codes that a server's own process can choose
    /// count as one.
    pub fn run_failed(&self, code: &str) {
        self.failures.get_or_create(&CauseLabel::of(code)).inc();
    }

    /// Takes the times of calls to the engine.
    pub fn engine_calls(&self) -> EngineCalls {
        self.engine_calls.clone()
    }

    /// Takes the times of the database's commits.
    pub fn commits(&self) -> Commits {
        self.commits.clone()
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

    /// When the certificate that Traefik is given ends; `None` if it is given
    /// none.
    pub fn certificate_ends(&self, at: Option<Timestamp>) {
        self.certificate_end.set(at.map_or(0, Timestamp::as_second));
    }

    /// When the newest backup was made; `None` if there is none.
    pub fn backed_up(&self, at: Option<Timestamp>) {
        self.last_backup.set(at.map_or(0, Timestamp::as_second));
    }

    /// Whether Traefik fetches its routes.
    pub fn traefik_is_in_service(&self, is: bool) {
        self.traefik.set(i64::from(is));
    }

    /// The names of all series that there can be, whether something was counted of
    /// them yet or not.
    pub fn series(&self) -> Vec<String> {
        let named = servers::book_of(std::iter::empty());
        self.book.series().chain(named.series()).collect()
    }

    /// The OpenMetrics text format; servers are counted now.
    ///
    /// # Errors
    /// If a metric cannot be written.
    pub fn render(&self, statuses: impl Iterator<Item = Status>) -> Result<String> {
        self.write(statuses, None)
    }

    /// The same with each server's name and status, of the first
    /// [`NAMED_MAX`]: for who may know what servers are called.
    ///
    /// # Errors
    /// If a metric cannot be written.
    pub fn render_with_names<'a>(
        &self,
        servers: impl Iterator<Item = (&'a str, Status)> + Clone,
    ) -> Result<String> {
        let named = servers::book_of(servers.clone());
        self.write(servers.map(|(_, status)| status), Some(&named))
    }

    fn write(
        &self,
        statuses: impl Iterator<Item = Status>,
        named: Option<&Book>,
    ) -> Result<String> {
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
        encode_registry(&mut text, self.book.registry())
            .and_then(|()| {
                named.map_or(Ok(()), |named| encode_registry(&mut text, named.registry()))
            })
            .and_then(|()| encode_eof(&mut text))
            .map_err(|error| Error::internal("metrics could not be written", error))?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests;
