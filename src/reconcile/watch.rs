//! Asks running servers whether they still answer: each now and then, a few at
//! a time, and only those that have not answered something else of EMCP's
//! lately. What passes the gate is no answer: EMCP carries no MCP byte, and
//! learns nothing of what a server says to its clients.

use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Parts;
use super::alive::{self, Alive};
use super::probe;
use crate::clock;
use crate::directory::Entry;
use crate::liveness::{Look, Verdict};
use crate::runtime::{Endpoint, NoTestimony, RuntimeError};

/// Looks at the same time.
const LOOKS_MAX: usize = 16;
/// For the health page; a server that works much is slow.
const HEALTH_MAX: Duration = Duration::from_secs(2);
/// For its witness, which answers by itself.
const WITNESS_MAX: Duration = Duration::from_secs(1);
/// For a connection within one machine.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// For Docker's counters.
const COUNTERS_MAX: Duration = Duration::from_secs(2);
/// A look that took longer says that this machine stood still, and nothing of
/// the server.
const LOOK_MAX: Duration = Duration::from_secs(12);

/// What the bootstrap's witness says, from a thread of its own.
#[derive(Deserialize)]
struct Testimony {
    calls: u64,
}

/// Looks at servers, a few at a time.
pub(super) struct Watch {
    parts: Arc<Parts>,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    cancel: CancellationToken,
}

impl Parts {
    /// What is to be done about whether a server answers.
    pub(super) fn wanted_alive(&self, entry: &Entry) -> Option<Alive> {
        let run = entry.state.ready_run.as_deref()?;
        let now = clock::instant();
        let verdict = entry
            .liveness
            .verdict(run, now, self.config.liveness_interval);
        let others_answer = match verdict {
            Verdict::Unresponsive { since, .. } => self.others_answer(entry, since),
            Verdict::Unknown | Verdict::Answers => true,
        };
        alive::wanted(
            &entry.server,
            &entry.state,
            verdict,
            self.config.unresponsive_restart,
            others_answer,
            now,
        )
    }

    /// Whether another server has answered since then, or there is none that
    /// could.
    fn others_answer(&self, entry: &Entry, since: Instant) -> bool {
        let others = self.directory.list().into_iter().filter(|other| {
            other.server.id != entry.server.id && alive::is_watched(&other.server, &other.state)
        });
        let mut others = others.peekable();
        others.peek().is_none() || others.any(|other| other.liveness.has_answered_since(since))
    }
}

impl Watch {
    pub(super) fn new(parts: Arc<Parts>, tasks: TaskTracker, cancel: CancellationToken) -> Self {
        Self {
            parts,
            places: Arc::new(Semaphore::new(LOOKS_MAX)),
            tasks,
            cancel,
        }
    }

    /// Begins to look at a server if that is due and there is a place for it;
    /// wakes its task if what it finds asks for something.
    pub(super) fn look_at(&self, entry: &Entry) {
        let interval = self.parts.config.liveness_interval;
        let Some(run) = entry.state.ready_run.clone() else {
            return;
        };
        if !alive::is_watched(&entry.server, &entry.state) {
            return;
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return;
        };
        if !entry
            .liveness
            .is_due(&run, clock::instant(), interval, spread())
        {
            return;
        }
        let (parts, entry) = (Arc::clone(&self.parts), entry.clone());
        let cancel = self.cancel.clone();
        self.tasks.spawn(async move {
            let _place = place;
            let began = clock::instant();
            let Some(look) = cancel.run_until_cancelled(look(&parts, &entry)).await else {
                return;
            };
            // What slept or was replaced meanwhile did not fall silent by itself.
            let is_told = clock::instant().duration_since(began) <= LOOK_MAX
                && parts.directory.is_current(&entry);
            let requests = entry.activity.requests();
            entry.liveness.saw(
                &run,
                is_told.then_some(look),
                clock::instant(),
                interval,
                spread(),
                requests,
            );
            if parts.wanted_alive(&entry).is_some() {
                parts.waker.wake(entry.server.id);
            }
        });
    }
}

/// What one look at a server finds.
async fn look(parts: &Parts, entry: &Entry) -> Look {
    let networks = &parts.config.networks;
    match probe::answers(&parts.client, entry, networks, HEALTH_MAX).await {
        Ok(in_call) => return Look::Answers { in_call },
        Err(why) => tracing::debug!(server = %entry.server.id, why, "it gives no sign of life"),
    }
    let endpoint = entry.endpoint(networks);
    let testimony = testimony(parts, &endpoint, entry.gateway_key.expose_secret()).await;
    match testimony {
        Ok(Testimony { calls: 0 }) => return Look::Hangs,
        Ok(_) => return Look::InCall,
        Err(_) if !parts.client.can_connect(&endpoint, CONNECT_MAX).await => {
            return Look::Unreachable;
        }
        Err(NoTestimony::NoWitness) => return Look::Untold,
        Err(NoTestimony::Silent) => {}
    }
    Look::Silent {
        cpu_nanos: cpu_nanos(parts, entry).await,
    }
}

/// Asks its witness.
async fn testimony(
    parts: &Parts,
    endpoint: &Endpoint,
    key: &str,
) -> Result<Testimony, NoTestimony> {
    let said = parts.client.testimony(endpoint, key, WITNESS_MAX).await?;
    serde_json::from_slice(&said).map_err(|_| NoTestimony::Silent)
}

/// The CPU time of its container so far: what works is not stopped.
async fn cpu_nanos(parts: &Parts, entry: &Entry) -> Option<u64> {
    let container = entry.state.container_id.as_ref()?;
    match timeout(COUNTERS_MAX, parts.runtime.usage(container)).await {
        Ok(Ok(usage)) => Some(usage.cpu_time_nanos),
        // Told elsewhere, or ended.
        Ok(Err(RuntimeError::Unreachable(_) | RuntimeError::NoSuchContainer)) | Err(_) => None,
        Ok(Err(error)) => {
            tracing::debug!(server = %entry.server.id, %error, "no counters of it");
            None
        }
    }
}

/// From 0 to 1, so that looks spread.
fn spread() -> f64 {
    let random = getrandom::u32().unwrap_or_default();
    f64::from(random) / f64::from(u32::MAX)
}
