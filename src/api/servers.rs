//! `/api/servers`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::model::{Event, Happening, Reason, SentenceArgs};

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
