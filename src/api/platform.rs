//! `/api/overview`, `/api/settings`, `/healthz`, `/readyz`: the platform as a
//! whole.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{EventView, ReasonView};
use crate::model::{
    KnownNotice, Limits, Maxima, Quota, SentenceArgs, ServerId, SleepAfter, Status,
};

/// The platform at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OverviewView {
    /// All servers.
    pub total: usize,
    /// How many by status; every status is there.
    #[schema(value_type = std::collections::HashMap<String, usize>)]
    pub by_status: BTreeMap<Cow<'static, str>, usize>,
    /// What the operator should know of the platform; empty when all is well.
    pub notices: Vec<Notice>,
    /// The room on the data directory's disk, as last looked at.
    #[schema(required = true)]
    pub disk: Option<Space>,
    /// What all containers use, as last measured. Nothing is measured while
    /// nobody looks: the first look finds nothing yet.
    #[schema(required = true)]
    pub usage: Option<TotalUsage>,
    /// The same for the last minutes, oldest first.
    pub history: Vec<TotalUsage>,
    /// What somebody should look after, most urgent first.
    pub attention: Vec<Attention>,
    /// What happened last, newest first.
    pub recent_events: Vec<RecentEvent>,
}

/// A server by its names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServerRef {
    /// Identity for life.
    pub id: ServerId,
    /// Unique name.
    pub name: String,
}

/// A server that somebody should look after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Attention {
    /// Which.
    pub server: ServerRef,
    /// What it is doing.
    pub status: Status,
    /// Why it is here: `failed`, `failing`, `unresponsive`, `restart_needed`,
    /// `held` or `limits_capped`.
    pub code: Cow<'static, str>,
    /// The same for people, and more of it for programs.
    #[serde(flatten)]
    pub reason: ReasonView,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

/// A line of some server's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecentEvent {
    /// Whose.
    pub server: ServerRef,
    /// What.
    #[serde(flatten)]
    pub event: EventView,
}

/// What one container uses.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServerUsage {
    /// Cores in use, averaged since the last look.
    pub cpu_cores: f64,
    /// Memory in use.
    pub memory_bytes: u64,
}

/// What all containers use together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TotalUsage {
    /// When it was measured.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Cores in use, averaged since the look before.
    pub cpu_cores: f64,
    /// Memory in use.
    pub memory_bytes: u64,
    /// Memory that they may use at most.
    pub memory_limit_bytes: u64,
}

/// One look at all containers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UsageView {
    /// All together; absent before the first look.
    #[serde(flatten)]
    pub total: Option<TotalUsage>,
    /// One by one, by the server's id.
    #[schema(value_type = std::collections::HashMap<String, ServerUsage>)]
    pub servers: HashMap<ServerId, ServerUsage>,
}

/// Something the operator should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Notice {
    /// Stable code.
    pub code: String,
    /// What it is, and what to do.
    pub message: String,
    /// What the message says in numbers and names, where it says any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<SentenceArgs>)]
    pub args: Option<Map<String, Value>>,
}

impl From<&KnownNotice> for Notice {
    fn from(known: &KnownNotice) -> Self {
        let (code, args) = known.code_and_args();
        Self {
            code,
            message: known.to_string(),
            args,
        }
    }
}

/// Room on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Space {
    /// What EMCP may still write.
    pub free_bytes: u64,
    /// All there is.
    pub total_bytes: u64,
}

/// What was found, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Firewall {
    /// The operator wants none, so nothing is tried.
    Off,
    /// Not tried yet, or trying failed.
    Unknown,
    /// Servers reach neither the host's ports nor cloud metadata.
    Closed,
    /// Servers reach something that they must not.
    Open,
}

/// What was found, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FirewallView {
    /// In one word.
    pub state: Firewall,
    /// In a sentence.
    pub message: String,
}

/// What the platform is set to. No secret is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SettingsView {
    /// EMCP's version.
    pub version: Cow<'static, str>,
    /// The URL people reach Traefik under.
    pub public_url: String,
    /// The URL of the servers' own host, if they have one.
    #[schema(required = true)]
    pub servers_url: Option<String>,
    /// Where the certificate comes from: `local_ca`, `files` or `resolver`.
    pub certificate: Cow<'static, str>,
    /// Label of everything EMCP makes.
    pub instance: String,
    /// Where EMCP keeps everything.
    pub data_dir: String,
    /// What is free there; absent before the first look.
    #[schema(required = true)]
    pub data_dir_free_bytes: Option<u64>,
    /// Below this the operator is told.
    pub min_free_bytes: u64,
    /// Docker network of the servers.
    pub network: String,
    /// Its subnet.
    pub subnet: String,
    /// The subnet of the servers without egress.
    pub internal_subnet: String,
    /// Whether servers are cut off from the host and cloud metadata.
    pub firewall: FirewallView,
    /// Image the servers run from.
    pub base_image: String,
    /// Limits of a server that is given none.
    pub default_limits: Limits,
    /// The highest limits that any one server may be given.
    pub maxima: Maxima,
    /// What each person may have who has no quota of their own.
    pub quota: Quota,
    /// The newest versions of a server's code that are kept.
    pub versions_kept: usize,
    /// For how many days others are kept after their last use.
    pub versions_kept_days: u32,
    /// Lines the audit log keeps.
    pub audit_max_entries: u64,
    /// Where it is sent besides.
    #[schema(required = true)]
    pub audit_syslog: Option<String>,
    /// Whether metrics may be read at `/metrics` of the public URL, with the
    /// metrics token.
    pub metrics_public: bool,
    /// Largest code file taken.
    pub max_code_bytes: u64,
    /// From start to the first MCP answer.
    pub start_timeout_secs: u64,
    /// From SIGTERM to SIGKILL.
    pub stop_grace_secs: u64,
    /// Between two looks whether a running server still answers.
    pub liveness_interval_secs: u64,
    /// Without an answer, after which it is started anew; 0 for never.
    pub unresponsive_restart_secs: u64,
    /// When idle servers sleep that don't say it themselves; never if absent.
    #[schema(required = true)]
    pub sleep: Option<SleepAfter>,
    /// Requests of one address that may be under way at once.
    pub requests_per_address: usize,
    /// Origins browsers may call from.
    pub allowed_origins: Vec<String>,
    /// Whether Traefik fetches its routes.
    pub traefik_in_service: bool,
    /// The container engine; absent while it does not answer.
    #[schema(required = true)]
    pub engine: Option<EngineView>,
}

/// The container engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EngineView {
    /// Its version.
    pub version: String,
    /// Its host's operating system.
    pub os: String,
    /// Its host's CPUs.
    pub cpus: u64,
    /// Its host's memory.
    pub memory_bytes: u64,
}

/// A sign of life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Liveness {
    /// "ok".
    pub status: Cow<'static, str>,
    /// EMCP's version.
    pub version: Cow<'static, str>,
}

/// Whether EMCP does its work: `/readyz` of the internal listener.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadinessView {
    /// Whether all of `checks` are "ok".
    pub ready: bool,
    /// What it depends on.
    pub checks: ReadinessChecks,
    /// A warning: servers are served all the same.
    pub firewall: FirewallView,
    /// Warnings too.
    pub notices: Vec<Notice>,
    /// The room on the data directory's disk, as last looked at.
    pub disk: Option<Space>,
}

/// Each "ok", or what is wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadinessChecks {
    /// The database.
    pub store: Cow<'static, str>,
    /// The process that alone uses Docker Engine; absent where EMCP uses it
    /// itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker: Option<Cow<'static, str>>,
    /// Docker Engine.
    pub docker: Cow<'static, str>,
    /// Whether Traefik fetches its routes.
    pub traefik: Cow<'static, str>,
}
