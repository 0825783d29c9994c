//! What EMCP shares with a container engine: the words, without any engine.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::Endpoint;
use crate::identity::{BundleSource, DiskSource};
use crate::model::{ContainerId, Egress, InstanceId, KnownFault, Limits, ServerId, ServerName};

/// Where a server with storage has it, inside its container.
pub const STORAGE_TARGET: &str = "/data";

/// Everything one container is made from. Holds secrets: no `Debug`.
pub struct ContainerSpec {
    /// The server it serves.
    pub server: ServerId,
    /// The instance that it is a run of.
    pub instance: InstanceId,
    /// Unique in the engine. All containers of the network can learn it, so it
    /// tells nothing.
    pub name: String,
    /// The server's name, for people who look at containers.
    pub server_name: ServerName,
    /// Image reference.
    pub image: String,
    /// The wish it answers.
    pub generation: u64,
    /// The configuration it was made from.
    pub revision: u64,
    /// Which network it is in.
    pub egress: Egress,
    /// What it keeps beyond its end.
    pub disk: Option<DiskSpec>,
    /// Where it is found there.
    pub endpoint: Endpoint,
    /// The code that it runs, mounted read-only.
    pub bundle: BundleSource,
    /// Its environment, secrets opened.
    pub env: Vec<(String, SecretString)>,
    /// Which of these must not be shown.
    pub secret_keys: Vec<String>,
    /// What it may use.
    pub limits: Limits,
    /// From SIGTERM to SIGKILL when the engine stops it by itself.
    pub stop_grace: Duration,
}

/// The disk of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskSpec {
    /// Where it is.
    pub source: DiskSource,
    /// What it has at most, inodes and all.
    pub size_bytes: u64,
}

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Made, never started.
    Created,
    /// Its process runs.
    Running,
    /// Frozen.
    Paused,
    /// Its process ended.
    Exited,
    /// On its way out, or in a state EMCP does not use; wait.
    InTransition,
}

/// A container as listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// The engine's id.
    pub id: ContainerId,
    /// The server it serves.
    pub server: ServerId,
    /// The instance that it is a run of, from its label; containers of before
    /// have none.
    #[serde(default)]
    pub instance: Option<InstanceId>,
    /// From its label.
    pub generation: u64,
    /// From its label.
    pub revision: u64,
    /// What it is doing.
    pub phase: Phase,
    /// Where it is in networks; nowhere while it does not run.
    pub endpoints: Vec<Endpoint>,
}

/// A container as looked at by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspected {
    /// What it is doing.
    pub phase: Phase,
    /// Its present or last run, if it was ever started.
    pub run: Option<Run>,
    /// Where it is in networks; nowhere while it does not run.
    pub endpoints: Vec<Endpoint>,
}

/// One run of a container: from a start to the end, if it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Tells one run of a container from the next.
    pub key: String,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Its exit code.
    pub exit_code: i64,
    /// Whether the kernel killed a process of it for want of memory.
    pub oom_killed: bool,
    /// The engine's own words, where the process could not even start.
    pub engine_error: Option<String>,
}

/// What is to be run to its end, and read out.
pub struct OneShot<'a> {
    /// Image reference.
    pub image: &'a str,
    /// Program and arguments.
    pub command: &'a [&'a str],
    /// `KEY=value` pairs; no secrets.
    pub env: Vec<String>,
    /// What is mounted read-only where a server's code would be.
    pub bundle: Option<&'a BundleSource>,
    /// The server's place it takes: in the open network, leased for it. Without
    /// one it has no network.
    pub endpoint: Option<Endpoint>,
    /// The longest it may take.
    pub patience: Duration,
}

/// What an engine tells by itself, as a hint to look again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Something happened to a container of this server.
    Server(ServerId),
    /// A container was taken out of a network of the servers; one that ended is
    /// told so too.
    CutOff(ContainerId),
}

/// The engine and its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineInfo {
    /// The engine's version.
    pub version: String,
    /// Its host's operating system.
    pub os: String,
    /// Its host's CPUs.
    pub cpus: u64,
    /// Its host's memory.
    pub memory_bytes: u64,
}

/// What a container uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceUsage {
    /// CPU time of all its processes since it was started, in nanoseconds.
    pub cpu_time_nanos: u64,
    /// Memory in use, without what the kernel would give up first.
    pub memory_bytes: u64,
}

/// Which of the output streams a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// None: here the engine threw output away before it was read.
    Gap,
}

/// One line of a container's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputLine {
    /// When the engine received it.
    pub at: Timestamp,
    /// Where it was written.
    pub stream: OutputStream,
    /// Without the line end; invalid UTF-8 replaced.
    pub text: String,
    /// Whether it was cut here for its length and goes on in the next line of
    /// its stream.
    pub goes_on: bool,
}

/// What went wrong with the engine.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
pub enum RuntimeError {
    /// The engine does not answer.
    #[error("Docker Engine does not answer: {0}")]
    Unreachable(String),
    /// There is no such image.
    #[error("{}", KnownFault::image_missing(.0))]
    ImageMissing(String),
    /// The server's disk cannot be had.
    #[error("the storage cannot be used: {0}")]
    Storage(String),
    /// There is no such container (any more).
    #[error("there is no such container")]
    NoSuchContainer,
    /// The engine refused.
    #[error("Docker Engine refused: {0}")]
    Refused(String),
}
