//! Servers' output: one follower a run of an instance however many look on, kept in
//! a bounded ring in memory and a bounded file on disk.
//!
//! Viewers pull: each holds the number of the last line it got and asks for
//! what came after. A slow one therefore slows nothing and costs no memory;
//! what the ring has dropped meanwhile it gets from disk, and what is gone from
//! there too it is told as skipped. Searches and downloads read the disk.

mod file;
mod hide;
mod kept;
mod read;
mod ring;
mod select;
mod terminal;

use std::collections::HashMap;
use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::blocking::run_blocking;
use crate::model::{ContainerId, InstanceId, LogRecord, LogSource, ServerId};
use crate::runtime::{Container, OutputLine, OutputStream, Run, Runtime};
use crate::trouble;
use crate::vault::Mask;

use file::LogFile;
use hide::Hider;
pub use hide::hide_in;
use kept::Kept;
pub use read::{Lines, Piece};
pub use ring::Batch;
use ring::Ring;
pub use select::{Needle, Selection};
pub use terminal::{for_terminal, spelled_out};

/// How many lines are taken from a follower at once.
const CHUNK_LINES: usize = 256;
/// Stands where lines are missing.
const GAP: &str = "--- output is missing here: Docker dropped it before it was read ---";
/// How long the end of a container's output is waited for.
const DRAIN: Duration = Duration::from_secs(3);
/// Runs of a server of which it is known that they were followed.
const FOLLOWED_MAX: usize = 8;

/// All servers' logs.
pub struct Logs {
    runtime: Arc<dyn Runtime>,
    root: PathBuf,
    servers: Mutex<HashMap<ServerId, Arc<ServerLog>>>,
    tasks: TaskTracker,
    cancel: CancellationToken,
}

/// One server's log.
pub struct ServerLog {
    ring: Mutex<Ring>,
    disk: Mutex<Disk>,
    newest: watch::Sender<u64>,
    /// The runs that are followed, or were last.
    followed: Mutex<Vec<Follower>>,
}

struct Disk {
    file: LogFile,
    /// Among these are the lines that could not be written.
    unwritten: Option<RangeInclusive<u64>>,
}

struct Follower {
    container: ContainerId,
    run_key: String,
    ended: watch::Receiver<bool>,
}

impl Logs {
    /// Logs kept below `root`, one folder a server. Followers end with
    /// `cancel` and are counted by `tasks`.
    pub fn new(
        runtime: Arc<dyn Runtime>,
        root: PathBuf,
        tasks: TaskTracker,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            runtime,
            root,
            servers: Mutex::default(),
            tasks,
            cancel,
        }
    }

    /// A server's log; what an earlier EMCP kept of it is there.
    pub async fn of(&self, id: ServerId) -> Arc<ServerLog> {
        if let Some(log) = self.servers().get(&id) {
            return Arc::clone(log);
        }
        let folder = self.root.join(id.to_string()).join("logs");
        let opened = run_blocking(move || ServerLog::open(folder)).await;
        let log = match opened {
            Ok(log) => Arc::new(log),
            Err(error) => {
                tracing::error!(server = %id, %error, "a log could not be opened");
                Arc::new(ServerLog::open(PathBuf::new()))
            }
        };
        // Whoever came first wins; the log read meanwhile is the same.
        Arc::clone(self.servers().entry(id).or_insert(log))
    }

    /// Makes sure a run's output is being taken in. Repeating it is free.
    /// `by` is the instance whose run it is; `mask` hides the server's secret values
    /// before anything is kept.
    pub async fn follow(
        self: &Arc<Self>,
        id: ServerId,
        container: &Container,
        by: Option<InstanceId>,
        run: &Run,
        mask: Mask,
    ) {
        let log = self.of(id).await;
        let (ended_sender, ended) = watch::channel(false);
        {
            let mut followed = log.followed();
            // A follower that ended while its run goes on lost its connection
            // to Docker: another one takes over where it stopped.
            let is_followed = |f: &Follower| f.run_key == run.key && !f.has_ended();
            if followed.iter().any(is_followed) {
                return;
            }
            followed.retain(|f| f.run_key != run.key);
            if followed.len() >= FOLLOWED_MAX
                && let Some(oldest) = followed.iter().position(Follower::has_ended)
            {
                followed.remove(oldest);
            }
            followed.push(Follower {
                container: container.id.clone(),
                run_key: run.key.clone(),
                ended,
            });
        }
        let runtime = Arc::clone(&self.runtime);
        let container = container.clone();
        let run = run.clone();
        let cancel = self.cancel.clone();
        self.tasks.spawn(async move {
            cancel
                .run_until_cancelled(take_in(&*runtime, &log, &container.id, by, &run, &mask))
                .await;
            ended_sender.send_replace(true);
        });
    }

    /// Whether a server's output is being taken in.
    pub fn is_following(&self, id: ServerId) -> bool {
        self.follower_is(id, |follower| !follower.has_ended())
    }

    /// Whether the output of this very run is being taken in.
    pub fn is_following_run(&self, id: ServerId, run: &Run) -> bool {
        self.follower_is(id, |follower| {
            follower.run_key == run.key && !follower.has_ended()
        })
    }

    /// Whether this run's output was taken in, or is being.
    pub fn has_followed_run(&self, id: ServerId, run: &Run) -> bool {
        self.follower_is(id, |follower| follower.run_key == run.key)
    }

    fn follower_is(&self, id: ServerId, wanted: impl Fn(&Follower) -> bool) -> bool {
        let log = self.servers().get(&id).cloned();
        log.is_some_and(|log| {
            let followed = log.followed();
            followed.iter().any(&wanted)
        })
    }

    /// Waits (bounded) until everything is taken in that the ended runs of a
    /// container wrote.
    pub async fn drained(&self, id: ServerId, container: &ContainerId) {
        let log = self.of(id).await;
        let of_it: Vec<_> = {
            let followed = log.followed();
            let own = followed.iter().filter(|f| f.container == *container);
            own.map(|f| f.ended.clone()).collect()
        };
        for mut ended in of_it {
            // A follower that hangs loses its last lines, not the server.
            let _ = tokio::time::timeout(DRAIN, ended.wait_for(|ended| *ended)).await;
        }
    }

    /// Forgets a deleted server's log. Its folder is the caller's to remove.
    pub fn forget(&self, id: ServerId) {
        self.servers().remove(&id);
    }

    fn servers(&self) -> MutexGuard<'_, HashMap<ServerId, Arc<ServerLog>>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follower {
    fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }
}

impl ServerLog {
    fn open(folder: PathBuf) -> Self {
        let log = Self {
            ring: Mutex::default(),
            disk: Mutex::new(Disk {
                file: LogFile::new(folder),
                unwritten: None,
            }),
            newest: watch::Sender::new(0),
            followed: Mutex::default(),
        };
        match log.kept() {
            Ok(kept) => {
                let mut ring = log.ring();
                kept.records()
                    .map_while(std::result::Result::ok)
                    .for_each(|record| ring.restore(record));
            }
            Err(error) => tracing::error!(%error, "an earlier log could not be read"),
        }
        let newest = log.ring().newest();
        log.newest.send_replace(newest);
        log
    }

    /// The lines after number `after`, at most `limit`.
    pub fn after(&self, after: u64, limit: usize) -> Batch {
        self.ring().after(after, limit)
    }

    /// Rises with every line taken in.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    async fn append(
        self: &Arc<Self>,
        lines: Vec<(Timestamp, LogSource, String)>,
        by: Option<InstanceId>,
    ) {
        if lines.is_empty() {
            return;
        }
        let log = Arc::clone(self);
        let written = run_blocking(move || log.append_now(lines, by)).await;
        match written {
            Ok(Err(error)) => trouble::OUTPUT.met(&error),
            _ => trouble::OUTPUT.worked(),
        }
    }

    fn append_now(
        &self,
        lines: Vec<(Timestamp, LogSource, String)>,
        by: Option<InstanceId>,
    ) -> io::Result<()> {
        // Held from before the lines are in the ring until they are on disk:
        // whoever reads the disk meanwhile would miss some.
        let mut disk = self.disk();
        let (records, newest) = {
            let mut ring = self.ring();
            let records: Vec<LogRecord> = lines
                .into_iter()
                .map(|(ts, stream, line)| ring.push(ts, stream, line, by))
                .collect();
            (records, ring.newest())
        };
        self.newest.send_replace(newest);
        let written = disk.file.append(&records);
        if let (Err(_), Some(first)) = (&written, records.first()) {
            let first = disk.unwritten.as_ref().map_or(first.seq, |r| *r.start());
            disk.unwritten = Some(first..=newest);
        }
        written
    }

    /// All that is kept, as it is now. Blocks.
    fn kept(&self) -> io::Result<Kept> {
        let disk = self.disk();
        let unwritten = match &disk.unwritten {
            Some(range) => self.ring().numbered(range),
            None => Vec::new(),
        };
        Ok(Kept::new(disk.file.parts()?, unwritten))
    }

    /// When the newest line was taken in that an instance itself wrote.
    fn last_output_of(&self, instance: Option<InstanceId>) -> Option<Timestamp> {
        self.ring().last_output_of(instance)
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn followed(&self) -> MutexGuard<'_, Vec<Follower>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes in one run's output until it ends.
async fn take_in(
    runtime: &dyn Runtime,
    log: &Arc<ServerLog>,
    container: &ContainerId,
    by: Option<InstanceId>,
    run: &Run,
    mask: &Mask,
) {
    // What was taken in before, by this EMCP or an earlier one, is not taken
    // twice: Docker's times are precise to the nanosecond and never go back.
    let known_until = log.last_output_of(by);
    let run_start = run.started_at.unwrap_or(Timestamp::UNIX_EPOCH);
    let is_resumed = known_until.is_some_and(|known| known >= run_start);
    if !is_resumed {
        let marker = format!("--- run started, container {} ---", container.short());
        log.append(vec![(run_start, LogSource::Emcp, marker)], by)
            .await;
    }
    let since = known_until.map_or(run_start, |known| known.max(run_start));
    let mut lines = Box::pin(
        runtime
            .follow(container, since.as_second())
            .ready_chunks(CHUNK_LINES),
    );
    let mut hider = Hider::new(mask);
    while let Some(chunk) = lines.next().await {
        let fresh = chunk
            .into_iter()
            .filter_map(Result::ok)
            .filter(|line| line.at >= run_start && known_until.is_none_or(|known| line.at > known))
            .filter_map(|line| hider.pass(line))
            .map(as_kept)
            .collect();
        log.append(fresh, by).await;
    }
    log.append(hider.rest().map(as_kept).collect(), by).await;
}

fn as_kept(line: OutputLine) -> (Timestamp, LogSource, String) {
    match line.stream {
        OutputStream::Stdout => (line.at, LogSource::Stdout, line.text),
        OutputStream::Stderr => (line.at, LogSource::Stderr, line.text),
        OutputStream::Gap => (line.at, LogSource::Emcp, GAP.to_owned()),
    }
}
