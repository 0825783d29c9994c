//! What any one server and any one person may have: the operator's settings,
//! and shares of the host where they leave something open. What the host has is
//! read from this machine first, and told by the engine once it answers, which
//! may run on another.

use std::fs;
use std::sync::{PoisonError, RwLock};

use crate::model::{Maxima, Quota};
use crate::settings::BoundSettings;

/// The bounds that hold now.
pub struct Bounds {
    set: BoundSettings,
    now: RwLock<(Maxima, Quota)>,
}

impl Bounds {
    /// Bounds by these settings and this machine.
    pub fn new(set: BoundSettings) -> Self {
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let cpus = std::thread::available_parallelism().map_or(0, usize::from) as u64;
        let now = RwLock::new(set.on_host(memory_of(&meminfo), cpus));
        Self { set, now }
    }

    /// Takes over what the servers' host has.
    pub fn learn(&self, memory_bytes: u64, cpus: u64) {
        let bounds = self.set.on_host(memory_bytes, cpus);
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = bounds;
        let (maxima, quota) = bounds;
        tracing::info!(
            memory_bytes = maxima.memory_bytes,
            cpus = maxima.cpus,
            pids = maxima.pids,
            memory_bytes_per_person = quota.memory_bytes,
            "the most a server may be given"
        );
    }

    /// The highest limits of any one server.
    pub fn maxima(&self) -> Maxima {
        self.read().0
    }

    /// What each person may have who has no quota of their own.
    pub fn quota(&self) -> Quota {
        self.read().1
    }

    fn read(&self) -> (Maxima, Quota) {
        *self.now.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The memory that a `/proc/meminfo` tells of (proc_meminfo(5)); 0 if it does
/// not.
fn memory_of(meminfo: &str) -> u64 {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_where_it_stands_and_never_guessed() {
        let text = "MemTotal:       16000 kB\nMemFree:         10 kB\n";
        assert_eq!(memory_of(text), 16_000 * 1024);
        assert_eq!(memory_of("MemFree: 10 kB\n"), 0);
        assert_eq!(memory_of(""), 0);
    }
}
