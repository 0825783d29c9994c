//! Brings what is observed to what is wanted.
//!
//! Level-triggered: a wake-up, a Docker event or the 30-second pass only says
//! "look again". One task a server observes, asks the pure [`plan`], does one
//! step, and looks again, until there is nothing to do.

mod alive;
mod contents;
mod converge;
mod failure;
mod idle;
mod plan;
mod probe;
mod reconciler;
mod sweep;
mod told;
mod waker;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::bounds::Bounds;
use crate::bundles::Bundles;
use crate::clock::Clock;
use crate::directory::Directory;
use crate::disk_locks::DiskLocks;
use crate::identity::Layout;
use crate::logs::Logs;
use crate::metrics::Metrics;
use crate::model::{ServerNetworks, SleepAfter};
use crate::runtime::{Runtime, ServerClient};
use crate::store::Store;
use crate::traefik::Routes;
use crate::vault::Vault;

pub use reconciler::run;
pub use waker::Waker;

/// Everything a pass needs.
pub struct Parts {
    /// The truth about what is wanted.
    pub store: Store,
    /// The same in memory, and what is observed.
    pub directory: Arc<Directory>,
    /// Where containers live.
    pub runtime: Arc<dyn Runtime>,
    /// Opens secrets for the request that creates a container.
    pub vault: Arc<Vault>,
    /// Knows which servers Traefik has routes for.
    pub routes: Arc<Routes>,
    /// Takes in output.
    pub logs: Arc<Logs>,
    /// Wakes the loop.
    pub waker: Arc<Waker>,
    /// The code of servers' releases, on disk.
    pub bundles: Arc<Bundles>,
    /// Taken by whoever moves a container that has a disk.
    pub disks: Arc<DiskLocks>,
    /// What a container is given at most.
    pub bounds: Arc<Bounds>,
    /// Counts steps and starts.
    pub metrics: Arc<Metrics>,
    /// Speaks with servers.
    pub client: ServerClient,
    /// Tells the time.
    pub clock: Clock,
    /// Where disks lie.
    pub layout: Layout,
    /// What containers are made from besides the server itself.
    pub config: Config,
}

/// Settings of the reconciler.
pub struct Config {
    /// Image the servers run from.
    pub base_image: String,
    /// Where servers are found.
    pub networks: ServerNetworks,
    /// Prefix of container names.
    pub instance: String,
    /// From start to the first MCP answer.
    pub start_timeout: Duration,
    /// From SIGTERM to SIGKILL.
    pub stop_grace: Duration,
    /// When servers sleep that don't say it themselves.
    pub sleep: Option<SleepAfter>,
    /// How often a running server is asked whether it answers.
    pub liveness_interval: Duration,
    /// After how long without an answer it is replaced; never if not set.
    pub unresponsive_restart: Option<Duration>,
    /// How many containers are created and started at the same time.
    pub parallel_starts: usize,
    /// Passed to every container: proxy variables of EMCP's own environment.
    pub passed_env: Vec<(String, SecretString)>,
}
