//! The loop: takes wake-ups, keeps one task a server, and looks at everything
//! every 30 seconds.
//!
//! It never waits for Docker Engine itself. What does is a task of its own and
//! reports back, so that an engine that hangs holds up neither a wake-up nor the
//! end of EMCP.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Parts;
use super::alive;
use super::converge::{Converge, StartClock};
use super::plan::at_rest;
use super::waker::Pending;
use super::watch::Watch;
use crate::model::{ContainerId, ServerId};
use crate::runtime::{Change, Container};
use crate::trouble;

const FULL_PASS: Duration = Duration::from_secs(30);
/// How often memory is searched for servers that are to sleep or wake. Nobody
/// is asked anything by that; a server is, once its idle time may be over.
const IDLE_PASS: Duration = Duration::from_secs(1);
/// How long to wait before listening to Docker's events again.
const EVENTS_RETRY: Duration = Duration::from_secs(2);

/// Runs until cancelled. Containers are left as they are: they go on serving
/// while EMCP is down.
pub async fn run(parts: Arc<Parts>, tasks: TaskTracker, cancel: CancellationToken) {
    let (reports_sender, mut reports) = mpsc::unbounded_channel();
    let listening = listen_to_docker(Arc::clone(&parts), reports_sender.clone());
    let events = tasks.spawn(cancel.clone().run_until_cancelled_owned(listening));
    let watch = Watch::new(Arc::clone(&parts), tasks.clone(), cancel.clone());
    let mut reconciler = Reconciler {
        watch,
        starts: Arc::new(Semaphore::new(parts.config.parallel_starts)),
        parts,
        busy: HashMap::new(),
        survey: Survey::None,
        reports: reports_sender,
        tasks,
        cancel: cancel.clone(),
    };
    let mut full_pass = tokio::time::interval(FULL_PASS);
    full_pass.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut idle_pass = tokio::time::interval(IDLE_PASS);
    idle_pass.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let waker = Arc::clone(&reconciler.parts.waker);
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            _ = full_pass.tick() => reconciler.look_at_all(),
            _ = idle_pass.tick() => reconciler.look_at_restless(),
            Some(report) = reports.recv() => reconciler.take_note(report),
            Pending { all, servers } = waker.take() => {
                if all {
                    reconciler.look_at_all();
                }
                for id in servers {
                    reconciler.look_at(id);
                }
            }
        }
    }
    // The listener ends by the same cancellation.
    let _ = events.await;
}

struct Reconciler {
    parts: Arc<Parts>,
    watch: Watch,
    busy: HashMap<ServerId, Busy>,
    survey: Survey,
    starts: Arc<Semaphore>,
    reports: mpsc::UnboundedSender<Report>,
    tasks: TaskTracker,
    cancel: CancellationToken,
}

/// The look at all containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Survey {
    None,
    /// Docker has been asked for them.
    UnderWay,
    /// The same, and it was asked for once more since: what Docker says may be
    /// older than what is to be looked at.
    UnderWayAndOld,
}

/// What a task tells the loop.
enum Report {
    /// A server's task has ended.
    Finished(ServerId),
    /// The look at all containers is over; nothing was seen if it failed.
    Surveyed(Option<Surveyed>),
    /// A container, of ours perhaps, was taken out of a network.
    CutOff(ContainerId),
}

/// What Docker and the database know of.
struct Surveyed {
    containers: Vec<Container>,
    /// Deleted servers of which something may remain.
    deleted: Vec<ServerId>,
}

/// A server whose task runs.
struct Busy {
    interrupt: Arc<Notify>,
    woken_meanwhile: bool,
}

impl Reconciler {
    /// Begins one look at all containers.
    fn look_at_all(&mut self) {
        if self.survey != Survey::None {
            self.survey = Survey::UnderWayAndOld;
            return;
        }
        self.survey = Survey::UnderWay;
        let parts = Arc::clone(&self.parts);
        let reporter = Reporter::new(&self.reports, Report::Surveyed(None));
        let cancel = self.cancel.clone();
        self.tasks.spawn(async move {
            let surveyed = cancel.run_until_cancelled(survey(&parts)).await;
            reporter.tell(Report::Surveyed(surveyed.flatten()));
        });
    }

    fn take_note(&mut self, report: Report) {
        match report {
            Report::Finished(id) => self.finished(id),
            Report::CutOff(container) => self.look_at_cut_off(&container),
            Report::Surveyed(surveyed) => {
                let before = std::mem::replace(&mut self.survey, Survey::None);
                if let Some(surveyed) = surveyed {
                    self.look_at_unsettled(surveyed);
                }
                if before == Survey::UnderWayAndOld {
                    self.look_at_all();
                }
            }
        }
    }

    /// Only servers that are not at rest get a task, so an idle pass costs one
    /// call to Docker.
    fn look_at_unsettled(&mut self, surveyed: Surveyed) {
        let Surveyed {
            containers,
            deleted,
        } = surveyed;
        let mut due: BTreeSet<ServerId> = deleted.into_iter().collect();
        let mut by_server: HashMap<ServerId, Vec<_>> = HashMap::new();
        for container in containers {
            by_server
                .entry(container.server)
                .or_default()
                .push(container);
        }
        for entry in self.parts.directory.list() {
            let id = entry.server.id;
            let own = by_server.remove(&id).unwrap_or_default();
            let endpoint = entry.endpoint(&self.parts.config.networks);
            let is_followed = self.parts.logs.is_following(id);
            if !at_rest(
                &entry.server,
                &entry.instances,
                &own,
                &endpoint,
                is_followed,
            ) {
                due.insert(id);
            }
        }
        // What is left has our label and no server: orphans.
        due.extend(by_server.into_keys());
        for id in due {
            self.look_at(id);
        }
    }

    /// Servers that are to sleep deeper than they do, or to wake, or of which it
    /// is to be told or done that they answer nobody.
    fn look_at_restless(&mut self) {
        let now = self.parts.clock.now();
        for entry in self.parts.directory.list() {
            let is_restless = self.parts.wanted_depth(&entry, now) != entry.state.sleep_depth();
            if is_restless || self.parts.wanted_alive(&entry).is_some() {
                self.look_at(entry.server.id);
            }
            self.watch.look_at(&entry);
        }
    }

    /// The server whose container lost its network, unless it ended, which is
    /// told otherwise.
    fn look_at_cut_off(&mut self, container: &ContainerId) {
        let found = self.parts.directory.list().into_iter().find(|entry| {
            entry.state.container_id.as_ref() == Some(container)
                && alive::is_watched(&entry.server, &entry.state)
        });
        if let Some(entry) = found {
            self.look_at(entry.server.id);
        }
    }

    fn look_at(&mut self, id: ServerId) {
        if let Some(busy) = self.busy.get_mut(&id) {
            busy.woken_meanwhile = true;
            busy.interrupt.notify_one();
            return;
        }
        let interrupt = Arc::new(Notify::new());
        let busy = Busy {
            interrupt: Arc::clone(&interrupt),
            woken_meanwhile: false,
        };
        self.busy.insert(id, busy);
        let converge = Converge {
            parts: Arc::clone(&self.parts),
            starts: Arc::clone(&self.starts),
            interrupt,
            id,
            start: StartClock::default(),
        };
        let reporter = Reporter::new(&self.reports, Report::Finished(id));
        let cancel = self.cancel.clone();
        self.tasks.spawn(async move {
            let _reporter = reporter;
            // As large as all its steps together: better not moved about.
            let running = Box::pin(converge.run());
            cancel.run_until_cancelled(running).await;
        });
    }

    fn finished(&mut self, id: ServerId) {
        if self
            .busy
            .remove(&id)
            .is_some_and(|busy| busy.woken_meanwhile)
        {
            self.look_at(id);
        }
    }
}

/// Reports also when the task panics: a server must not stay busy for ever.
struct Reporter {
    reports: mpsc::UnboundedSender<Report>,
    at_the_end: Option<Report>,
}

impl Reporter {
    /// Tells this when it is dropped, unless it told something else.
    fn new(reports: &mpsc::UnboundedSender<Report>, at_the_end: Report) -> Self {
        Self {
            reports: reports.clone(),
            at_the_end: Some(at_the_end),
        }
    }

    fn tell(mut self, report: Report) {
        self.at_the_end = Some(report);
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if let Some(report) = self.at_the_end.take() {
            // The receiver is gone only when the loop itself has ended.
            let _ = self.reports.send(report);
        }
    }
}

/// All containers, and what else may have to be swept up.
async fn survey(parts: &Parts) -> Option<Surveyed> {
    let containers = match parts.runtime.list(None).await {
        Ok(containers) => {
            trouble::DOCKER.worked();
            containers
        }
        Err(error) => {
            trouble::DOCKER.met(&error);
            return None;
        }
    };
    let deleted = match parts.store.deleted_servers().await {
        Ok(deleted) => deleted,
        Err(error) => {
            tracing::error!(%error, "cannot read which servers were deleted");
            Vec::new()
        }
    };
    Some(Surveyed {
        containers,
        deleted,
    })
}

/// Docker's events, as hints. The stream ends silently when Docker restarts.
async fn listen_to_docker(parts: Arc<Parts>, reports: mpsc::UnboundedSender<Report>) {
    loop {
        let mut changes = parts.runtime.changes();
        while let Some(change) = changes.next().await {
            match change {
                Change::Server(id) => parts.waker.wake(id),
                // The receiver is gone only when the loop itself has ended.
                Change::CutOff(container) => {
                    let _ = reports.send(Report::CutOff(container));
                }
            }
        }
        tokio::time::sleep(EVENTS_RETRY).await;
        // What happened in between was not heard.
        parts.waker.wake_all();
    }
}

#[cfg(test)]
mod tests;
