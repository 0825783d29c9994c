//! CPU and memory of the servers' containers, measured only while somebody
//! looks: a look costs Docker some milliseconds for each container.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::parts::Parts;
use crate::api::{ServerUsage, TotalUsage, UsageView};
use crate::bounds::Bounds;
use crate::directory::Directory;
use crate::model::{ContainerId, Maxima, ServerId};
use crate::runtime::{ResourceUsage, Runtime};

/// Between two looks.
const STEP: Duration = Duration::from_secs(5);
/// Looks kept for the charts: ten minutes.
const HISTORY_MAX: usize = 120;
/// Containers asked at the same time.
const PARALLEL: usize = 8;
/// After the last question for it, measuring goes on so long.
const INTEREST: Duration = Duration::from_secs(30);

/// Measures while somebody looks.
pub(super) struct UsageMeter {
    latest: watch::Sender<Arc<UsageView>>,
    history: Mutex<VecDeque<TotalUsage>>,
    wanted: watch::Sender<Option<Instant>>,
}

impl Default for UsageMeter {
    fn default() -> Self {
        Self {
            latest: watch::Sender::new(Arc::default()),
            history: Mutex::default(),
            wanted: watch::Sender::new(None),
        }
    }
}

impl UsageMeter {
    /// The last look, and those to come. Asking keeps the meter running for a
    /// while: whoever goes on looking asks again now and then.
    pub(super) fn subscribe(&self) -> watch::Receiver<Arc<UsageView>> {
        self.wanted.send_replace(Some(Instant::now()));
        self.latest.subscribe()
    }

    /// The last look.
    pub(super) fn latest(&self) -> Arc<UsageView> {
        self.subscribe().borrow().clone()
    }

    /// All looks kept, oldest first.
    pub(super) fn history(&self) -> Vec<TotalUsage> {
        self.kept().iter().copied().collect()
    }

    /// Measures until it is dropped.
    pub(super) async fn run(&self, runtime: &dyn Runtime, directory: &Directory, bounds: &Bounds) {
        let mut wanted = self.wanted.subscribe();
        let mut counters = HashMap::new();
        let mut clock = interval(STEP);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_fresh = |at: &Option<Instant>| at.is_some_and(|at| at.elapsed() < INTEREST);
            if wanted.wait_for(is_fresh).await.is_err() {
                return;
            }
            clock.tick().await;
            let view = look(runtime, directory, bounds.maxima(), &mut counters).await;
            if let Some(total) = view.total {
                let mut kept = self.kept();
                if kept.len() == HISTORY_MAX {
                    kept.pop_front();
                }
                kept.push_back(total);
            }
            self.latest.send_replace(Arc::new(view));
        }
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<TotalUsage>> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A container's counters at the last look.
struct Counters {
    container: ContainerId,
    usage: ResourceUsage,
    at: Instant,
}

async fn look(
    runtime: &dyn Runtime,
    directory: &Directory,
    maxima: Maxima,
    counters: &mut HashMap<ServerId, Counters>,
) -> UsageView {
    let running: Vec<_> = directory
        .list()
        .into_iter()
        .filter_map(|entry| Some((entry.server.clone(), entry.state.container_id.clone()?)))
        .collect();
    let memory_limit_bytes = running
        .iter()
        .map(|(server, _)| maxima.cap(server.settings.limits).memory_bytes)
        .sum();
    let looks: Vec<_> = stream::iter(running)
        .map(|(server, container)| async move {
            // A container that went in between is no longer of interest.
            let usage = runtime.usage(&container).await.ok()?;
            let at = Instant::now();
            Some((
                server.id,
                Counters {
                    container,
                    usage,
                    at,
                },
            ))
        })
        .buffer_unordered(PARALLEL)
        .filter_map(std::future::ready)
        .collect()
        .await;
    let mut servers = HashMap::with_capacity(looks.len());
    let mut present = HashMap::with_capacity(looks.len());
    for (id, now) in looks {
        let used = ServerUsage {
            cpu_cores: counters
                .get(&id)
                .map_or(0.0, |last| cores_between(last, &now)),
            memory_bytes: now.usage.memory_bytes,
        };
        servers.insert(id, used);
        present.insert(id, now);
    }
    *counters = present;
    UsageView {
        total: Some(TotalUsage {
            at: Timestamp::now(),
            // Summed from zero: the empty sum of floats is -0.
            cpu_cores: servers.values().fold(0.0, |sum, used| sum + used.cpu_cores),
            memory_bytes: servers.values().map(|used| used.memory_bytes).sum(),
            memory_limit_bytes,
        }),
        servers,
    }
}

fn cores_between(last: &Counters, now: &Counters) -> f64 {
    if last.container != now.container {
        return 0.0;
    }
    let cpu = now
        .usage
        .cpu_time_nanos
        .saturating_sub(last.usage.cpu_time_nanos);
    let wall = now.at.duration_since(last.at).as_nanos();
    if wall == 0 {
        return 0.0;
    }
    cpu as f64 / wall as f64
}

/// Starts the meter, which ends with EMCP.
pub(super) fn start_meter(parts: &Parts) {
    let usage = Arc::clone(&parts.usage);
    let (runtime, directory) = (Arc::clone(&parts.runtime), Arc::clone(&parts.directory));
    let bounds = Arc::clone(&parts.bounds);
    let work = async move { usage.run(&*runtime, &directory, &bounds).await };
    parts.endings.spawn(work);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(container: &str, cpu_time_nanos: u64, at: Instant) -> Counters {
        Counters {
            container: container.into(),
            usage: ResourceUsage {
                cpu_time_nanos,
                memory_bytes: 0,
            },
            at,
        }
    }

    #[test]
    fn cores_are_cpu_time_over_time_of_the_same_container() {
        let begin = Instant::now();
        let later = begin + Duration::from_secs(2);
        let last = counters("a", 1_000_000_000, begin);
        assert_eq!(
            cores_between(&last, &counters("a", 2_000_000_000, later)),
            0.5
        );
        assert_eq!(
            cores_between(&last, &counters("b", 9_000_000_000, later)),
            0.0
        );
        assert_eq!(cores_between(&last, &counters("a", 500, later)), 0.0);
    }
}
