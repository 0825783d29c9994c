//! `/api/servers`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::model::{
    Desired, Etags, Event, Failure, Happening, Limits, Reason, SentenceArgs, ServerId,
    ServerPermission, ServerSettings, SleepAfter, SleepDepth, Status,
};

/// A server's public addresses: those where it answers MCP, or, where it is
/// known to have no such endpoint, the one that all of its own are below.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Urls {
    /// HTTP with server-sent events.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sse: Option<String>,
    /// Streamable HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub mcp: Option<String>,
    /// Further endpoints of a file with several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more: Vec<String>,
    /// The top of an app without MCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub base: Option<String>,
}

impl Urls {
    /// The one to name where only one is.
    pub fn main(&self) -> &str {
        let named = self.mcp.as_ref().or(self.sse.as_ref());
        named.or(self.base.as_ref()).map_or("", String::as_str)
    }
}

/// A server, wanted and observed, as callers see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServerView {
    /// Identity for life.
    pub id: ServerId,
    /// Unique name.
    pub name: String,
    /// What is set of it.
    #[serde(flatten)]
    pub settings: ServerSettings,
    /// What it is given from its next start on, where its limits are above what
    /// any server may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits_given: Option<Limits>,
    /// Who created it.
    pub creator: String,
    /// Whom it belongs to as well.
    pub members: Vec<String>,
    /// What the user wants.
    pub desired: Desired,
    /// The idle times that hold for it; `null` if it never sleeps.
    pub sleeps_after: Option<SleepAfter>,
    /// How deep it sleeps: `awake`, `paused` or `stopped`.
    pub rest: SleepDepth,
    /// Whether what was asked for last is done, or has failed.
    pub settled: bool,
    /// What it is doing.
    pub status: Status,
    /// Why.
    #[serde(flatten)]
    pub reason: ReasonView,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// `IP:8000` inside the network.
    pub address: String,
    /// The present container.
    pub container_id: Option<String>,
    /// Exit code of the last run that ended.
    pub exit_code: Option<i64>,
    /// The last failure.
    pub last_error: Option<Failure>,
    /// Restarts after failures.
    pub restarts: u32,
    /// When the present run started.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When the next try is due.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub retry_at: Option<Timestamp>,
    /// The code version in use.
    pub version: u32,
    /// Whether the running container is out of date.
    pub restart_needed: bool,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// Public addresses.
    pub urls: Urls,
    /// What may be sent as `If-Match` with a change of its settings, code or
    /// environment.
    pub etags: Etags,
    /// What the caller may do with it.
    pub permissions: Vec<ServerPermission>,
}

/// Servers that fit a filter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServerList {
    /// By age.
    pub servers: Vec<ServerView>,
    /// How many they are.
    pub total: usize,
}

/// `snapshot` and `change` of `/api/events/stream`: what is new since the one
/// before; everything, the first time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerNews {
    /// Servers that are new or not as they were.
    pub servers: Vec<ServerView>,
    /// Servers that are gone; absent the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<Vec<ServerId>>,
}

/// Why something is so, for people and for programs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReasonView {
    /// In words.
    pub reason: String,
    /// The same as a stable code: that of a `Reason`.
    pub reason_code: String,
    /// The arguments of a `Reason` of this code, where it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<SentenceArgs>)]
    pub reason_args: Option<Map<String, Value>>,
}

impl From<&Reason> for ReasonView {
    fn from(reason: &Reason) -> Self {
        let (reason_code, reason_args) = reason.code_and_args();
        Self {
            reason: reason.to_string(),
            reason_code,
            reason_args,
        }
    }
}

/// One line of a server's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Event)]
pub struct EventView {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What kind: a status word, or `created`, `changed`, `code`, `env`,
    /// `action`.
    pub kind: String,
    /// In words.
    pub message: String,
    /// The same for programs.
    #[serde(flatten)]
    pub what: Happening,
    /// Who, where a person did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub actor: Option<String>,
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        Self {
            at: event.at,
            kind: event.kind,
            message: event.what.to_string(),
            what: event.what,
            actor: event.actor.map(|who| who.name),
        }
    }
}

/// A server's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventList {
    /// Newest first.
    pub events: Vec<EventView>,
}

/// What can be asked of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Run it.
    Start,
    /// End it.
    Stop,
    /// Replace its container by a new one.
    Restart,
}

impl Action {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }
}

/// What is asked of a server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionBody {
    /// One of these words.
    #[schema(value_type = Action)]
    pub action: String,
}

impl From<Action> for ActionBody {
    fn from(action: Action) -> Self {
        Self {
            action: action.as_str().to_owned(),
        }
    }
}
