//! `/api/servers/{id}/connection` and `…/test`: how clients connect, and whether
//! they can.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::Urls;
use crate::model::SentenceArgs;

/// How clients connect to one server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConnectionView {
    /// The public addresses.
    pub urls: Urls,
    /// For clients that take nothing but a URL. The token must be a `connect`
    /// token that names this server alone; others get 403 `token_not_for_url`.
    /// None for a server without MCP.
    pub urls_with_key: Urls,
    /// Where the CA's certificate is to be had, if EMCP's own CA is in use.
    #[schema(required = true)]
    pub ca_url: Option<String>,
    /// What stands for the token below.
    pub token_placeholder: Cow<'static, str>,
    /// By client; absent for a server without MCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub clients: Option<ClientsView>,
    /// How to call a server without MCP, as a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub curl: Option<String>,
}

/// Configuration by client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClientsView {
    /// Cherry Studio.
    pub cherry_studio: TwoTransports,
    /// Claude Code, as commands.
    pub claude_code: Commands,
    /// Cursor.
    pub cursor: WithLink,
    /// VS Code; asks for the token itself.
    #[schema(value_type = VsCode)]
    pub vscode: Value,
    /// Windsurf.
    #[schema(value_type = Object)]
    pub windsurf: Value,
}

/// A client that takes either transport.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TwoTransports {
    /// HTTP with server-sent events, where the server has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sse: Option<WithLink>,
    /// Streamable HTTP, where the server has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub streamable_http: Option<WithLink>,
}

/// A configuration and a link that installs it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WithLink {
    /// To paste.
    #[schema(value_type = Object)]
    pub config: Value,
    /// To click.
    pub link: String,
}

/// A configuration of VS Code.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes")]
struct VsCode {
    /// By name.
    #[schema(value_type = std::collections::HashMap<String, Object>)]
    servers: Value,
    /// What VS Code asks for.
    #[schema(value_type = Vec<Object>)]
    inputs: Value,
}

/// Commands for a shell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Commands {
    /// HTTP with server-sent events, where the server has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sse: Option<String>,
    /// Streamable HTTP, where the server has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub http: Option<String>,
}

/// What came of the test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConnectionTest {
    /// Whether every step succeeded.
    pub ok: bool,
    /// Whether EMCP went by the public address itself, as it does where that is
    /// an IP address. A name it does not look up, but takes for Traefik.
    pub public_address_tried: bool,
    /// In their order.
    pub steps: Vec<Step>,
}

/// One step of connecting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// `resolve`, `tls`, `gate`, `initialize` or `list_tools`.
    pub code: Cow<'static, str>,
    /// Whether it succeeded; absent if it was not reached.
    #[schema(required = true)]
    pub ok: Option<bool>,
    /// How long it took.
    #[schema(required = true)]
    pub duration_ms: Option<f64>,
    /// What was found.
    pub detail: String,
    /// The same for programs.
    pub detail_code: String,
    /// What the sentence says in numbers and names.
    #[schema(required = true, value_type = Option<SentenceArgs>)]
    pub detail_args: Option<Map<String, Value>>,
}
