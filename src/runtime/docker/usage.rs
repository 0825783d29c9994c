//! What containers use at the moment.

use bollard::Docker;
use bollard::models::{ContainerMemoryStats, ContainerStatsResponse};
use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::StreamExt;

use super::explain;
use crate::runtime::{ResourceUsage, RuntimeError};

/// One look at a container's counters; Docker is not asked to wait for a
/// second look, since the caller remembers the last one.
pub(super) async fn read(docker: &Docker, id: &str) -> Result<ResourceUsage, RuntimeError> {
    let options = StatsOptionsBuilder::new()
        .stream(false)
        .one_shot(true)
        .build();
    let mut answers = Box::pin(docker.stats(id, Some(options)));
    let stats = answers
        .next()
        .await
        .ok_or(RuntimeError::NoSuchContainer)?
        .map_err(explain)?;
    usage_of(stats).ok_or(RuntimeError::NoSuchContainer)
}

/// `None` for a container that does not run: Docker then answers with empty
/// counters.
fn usage_of(stats: ContainerStatsResponse) -> Option<ResourceUsage> {
    let cpu = stats.cpu_stats?.cpu_usage?.total_usage?;
    let memory = stats.memory_stats?;
    Some(ResourceUsage {
        cpu_time_nanos: cpu,
        memory_bytes: memory_in_use(&memory)?,
    })
}

/// As `docker stats` counts it: without the page cache that the kernel would
/// give up first (`inactive_file`, with cgroups v1 `total_inactive_file`).
fn memory_in_use(memory: &ContainerMemoryStats) -> Option<u64> {
    let used = memory.usage?;
    let cache = memory.stats.as_ref().and_then(|stats| {
        stats
            .get("total_inactive_file")
            .or_else(|| stats.get("inactive_file"))
    });
    Some(used.saturating_sub(cache.copied().unwrap_or(0)))
}
