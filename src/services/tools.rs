//! A server's tools, resources and prompts, listed and tried out from the
//! dashboard: EMCP speaks MCP to the container itself.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::parts::Parts;
use super::trials::Trials;
use super::waiting::{Look, Patience, Waited, Waiting};
use crate::access::CanConnect;
use crate::api::{
    Invocation, PromptView, ReadView, ResourceRef, ToolResultView, ToolsView, TruncatedList,
};
use crate::directory::Entry;
use crate::mcp::{Bounds, Cut, GATEWAY_KEY_HEADER, Listed, McpError, Session};
use crate::model::{Error, Result, ServerId, ServerNetworks, Status};
use crate::reconcile::Waker;
use crate::runtime::ServerClient;

/// For the handshake and each list.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// For all lists together.
const LISTS_MAX: Duration = Duration::from_secs(20);
/// For a sleeping server to wake.
const WAKE_MAX: Duration = Duration::from_secs(30);
/// For a tool's work. Longer ones are for real clients, which can wait and
/// cancel.
const CALL_MAX: Duration = Duration::from_secs(60);

/// Tries servers out.
pub struct Tools {
    trials: Trials,
    waiting: Arc<Waiting>,
    waker: Arc<Waker>,
    networks: ServerNetworks,
    /// Speaks to containers directly.
    client: ServerClient,
    closing: CancellationToken,
}

impl Tools {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            trials: Trials::of(parts),
            waiting: Arc::clone(&parts.waiting),
            waker: Arc::clone(&parts.waker),
            networks: parts.settings.networks,
            client: parts.server_client.clone(),
            closing: parts.endings.closing.clone(),
        }
    }

    /// What a server offers.
    ///
    /// # Errors
    /// `server_not_running`, or `mcp_error` with what went wrong.
    pub async fn list(&self, permit: &CanConnect) -> Result<ToolsView> {
        self.in_session(permit, list_all).await
    }

    /// Calls a tool.
    ///
    /// # Errors
    /// As [`Tools::list`].
    pub async fn call(&self, permit: &CanConnect, call: Invocation) -> Result<ToolResultView> {
        self.in_session(permit, async |session| {
            let call = session.call_tool(call.name, call.arguments, CALL_MAX);
            let (mut result, duration_ms) = timed(call).await?;
            Ok(ToolResultView {
                is_error: result["isError"] == true,
                content: result["content"].take(),
                structured_content: result.get("structuredContent").cloned(),
                duration_ms,
            })
        })
        .await
    }

    /// Reads a resource.
    ///
    /// # Errors
    /// As [`Tools::list`].
    pub async fn read_resource(
        &self,
        permit: &CanConnect,
        resource: ResourceRef,
    ) -> Result<ReadView> {
        self.in_session(permit, async |session| {
            let reading = session.read_resource(resource.uri, CALL_MAX);
            let (mut result, duration_ms) = timed(reading).await?;
            Ok(ReadView {
                contents: result["contents"].take(),
                duration_ms,
            })
        })
        .await
    }

    /// Fills in a prompt.
    ///
    /// # Errors
    /// As [`Tools::list`].
    pub async fn get_prompt(&self, permit: &CanConnect, call: Invocation) -> Result<PromptView> {
        self.in_session(permit, async |session| {
            let prompt = session.get_prompt(call.name, call.arguments, CALL_MAX);
            let (mut result, duration_ms) = timed(prompt).await?;
            Ok(PromptView {
                description: result.get("description").cloned(),
                messages: result["messages"].take(),
                duration_ms,
            })
        })
        .await
    }

    /// Opens a session with a running server, does the work, and ends it.
    async fn in_session<T>(
        &self,
        permit: &CanConnect,
        work: impl AsyncFnOnce(&Session) -> std::result::Result<T, McpError>,
    ) -> Result<T> {
        let _place = self.trials.begin(permit)?;
        let entry = self.enter(permit.server()).await?;
        let name = &entry.server.name;
        let client = &self.client;
        let endpoint = entry.endpoint(&self.networks);
        let url = client.url(&endpoint, mcp_path(&entry)?);
        let key = (
            HeaderName::from_static(GATEWAY_KEY_HEADER),
            entry.gateway_key.expose_secret(),
        );
        let failed = |error: McpError| Error::Upstream {
            code: match error {
                McpError::TooMuch(_) => "answer_too_large",
                _ => "mcp_error",
            },
            message: format!("the server \"{name}\" gave no good answer: {error}"),
        };
        let session = Session::open(client, &url, &[key], ANSWER_MAX, Bounds::TRIAL)
            .await
            .map_err(failed)?;
        let done = work(&session).await;
        session.close().await;
        done.map_err(failed)
    }

    /// A server that runs, woken if it sleeps, for a request that does not come
    /// by the gate.
    async fn enter(&self, id: ServerId) -> Result<Entry> {
        let patience = Patience {
            deadline: Instant::now() + WAKE_MAX,
            ending: &self.closing,
            // It has a place for the whole trial.
            place_as: None,
        };
        let mut was_asleep = false;
        let look = |entry: Option<&Entry>| {
            let Some(entry) = entry else {
                return Look::Done(Err(Error::no_server(&id.to_string())));
            };
            match entry.state.status {
                Status::Running => return Look::Pass(Ok(entry.clone())),
                Status::Sleeping => was_asleep = true,
                Status::Building | Status::Starting if was_asleep => {}
                _ => return Look::Done(Err(not_running(entry))),
            }
            self.waker.want_awake(entry);
            Look::Wait(not_running(entry))
        };
        match self.waiting.until(Some(id), patience, look).await {
            Waited::Done(entered) => entered,
            Waited::Crowded(error) | Waited::Over(error) => Err(error),
        }
    }
}

/// Where EMCP itself speaks MCP with a server.
fn mcp_path(entry: &Entry) -> Result<&str> {
    let Some(serves) = &entry.state.serves else {
        return Ok("/mcp");
    };
    serves
        .mcp
        .first()
        .map(String::as_str)
        .ok_or_else(|| Error::Conflict {
            code: "no_mcp_endpoint",
            field: None,
            message: format!(
                "the server \"{}\" serves HTTP and has no MCP endpoint that EMCP could ask; it has no tools",
                entry.server.name
            ),
        })
}

fn not_running(entry: &Entry) -> Error {
    let name = &entry.server.name;
    let message = match entry.state.status {
        Status::Unresponsive => format!(
            "the server \"{name}\" is unresponsive: {}; wait until it is running again, or restart it",
            entry.state.reason
        ),
        _ => format!("the server \"{name}\" is not running; start it to see and try its tools"),
    };
    Error::Conflict {
        code: "server_not_running",
        field: None,
        message,
    }
}

async fn list_all(session: &Session) -> std::result::Result<ToolsView, McpError> {
    let about = session.server();
    let has = |capability: &str| !about["capabilities"][capability].is_null();
    let deadline = Instant::now() + LISTS_MAX;
    let patience = || ANSWER_MAX.min(deadline.saturating_duration_since(Instant::now()));
    let mut truncated = Vec::new();
    let mut keep = |list: &'static str, listed: Listed| {
        let cut = listed.cut.map(Cut::code);
        truncated.extend(cut.map(|code| TruncatedList {
            list: list.into(),
            code: code.into(),
        }));
        listed.items
    };
    let mut view = ToolsView {
        server: about["serverInfo"].clone(),
        protocol_version: about["protocolVersion"].clone(),
        instructions: about.get("instructions").cloned(),
        tools: Vec::new(),
        resources: Vec::new(),
        resource_templates: Vec::new(),
        prompts: Vec::new(),
        truncated: Vec::new(),
    };
    if has("tools") {
        view.tools = keep("tools", session.tools(patience()).await?);
    }
    if has("resources") {
        let listed = or_cut(session.resources(patience()).await)?;
        view.resources = keep("resources", listed);
        // A part of the capability that some servers leave out.
        let listed = or_cut(session.resource_templates(patience()).await);
        view.resource_templates = keep("resource_templates", listed.unwrap_or_default());
    }
    if has("prompts") {
        view.prompts = keep("prompts", or_cut(session.prompts(patience()).await)?);
    }
    view.truncated = truncated;
    Ok(view)
}

/// A list that came too late, after others that used up the whole allowance,
/// does not spoil those.
fn or_cut(listed: std::result::Result<Listed, McpError>) -> std::result::Result<Listed, McpError> {
    let cut = match listed {
        Err(McpError::TooMuch(_)) => Cut::Bytes,
        Err(McpError::Timeout(_)) => Cut::Time,
        other => return other,
    };
    Ok(Listed {
        items: Vec::new(),
        cut: Some(cut),
    })
}

/// The answer, and how long it took in milliseconds.
async fn timed(
    work: impl Future<Output = std::result::Result<Value, McpError>>,
) -> std::result::Result<(Value, f64), McpError> {
    let begin = Instant::now();
    // rmcp's futures are large.
    let result = Box::pin(work).await?;
    Ok((result, begin.elapsed().as_secs_f64() * 1_000.0))
}
