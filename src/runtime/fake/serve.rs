//! What the containers of the fake engine answer: the bootstrap's health page,
//! and MCP as far as EMCP speaks it.

use reqwest::{Request, Response};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::FakeEngine;
use super::container::Kept;
use crate::clock;
use crate::mcp::GATEWAY_KEY_HEADER;
use crate::runtime::{Endpoint, NoTestimony, Phase, SendError};

impl FakeEngine {
    /// What a container answers to a request of EMCP's.
    pub(in crate::runtime) async fn answer(&self, request: Request) -> Result<Response, SendError> {
        let ip = request.url().host_str().and_then(|host| host.parse().ok());
        let endpoint = ip.map(Endpoint::at).ok_or(SendError::Fake("no address"))?;
        let mut happened = self.0.happened.subscribe();
        loop {
            happened.borrow_and_update();
            {
                let mut state = self.state();
                let at = state
                    .containers
                    .values_mut()
                    .find(|one| is_at(one, &endpoint));
                let Some(one) = at else {
                    return Err(SendError::Fake("no route to host"));
                };
                if !one.is_ready {
                    return Err(SendError::Fake("connection refused"));
                }
                if one.phase == Phase::Running && !one.hangs {
                    return Ok(respond(one, &request).into());
                }
            }
            // Accepted, and not answered while it is so.
            if happened.changed().await.is_err() {
                return Err(SendError::Fake("connection reset"));
            }
        }
    }

    /// What the witness of the container at `endpoint` says.
    pub(in crate::runtime) fn testimony(
        &self,
        endpoint: &Endpoint,
    ) -> Result<Vec<u8>, NoTestimony> {
        let state = self.state();
        let at = state.containers.values().find(|one| is_at(one, endpoint));
        let one = at.ok_or(NoTestimony::Silent)?;
        if one.phase != Phase::Running {
            return Err(NoTestimony::Silent);
        }
        Ok(json!({"calls": u64::from(one.is_in_call)})
            .to_string()
            .into_bytes())
    }

    /// Whether a container is at `endpoint`.
    pub(in crate::runtime) fn is_reached(&self, endpoint: &Endpoint) -> bool {
        let state = self.state();
        state.containers.values().any(|one| is_at(one, endpoint))
    }
}

fn is_at(one: &Kept, endpoint: &Endpoint) -> bool {
    one.is_up() && one.is_attached && one.endpoint == *endpoint
}

fn respond(one: &Kept, request: &Request) -> http::Response<String> {
    let given = request.headers().get(GATEWAY_KEY_HEADER);
    let key = one.env.iter().find(|(key, _)| key == "EMCP_GATEWAY_KEY");
    let is_let_in =
        key.is_some_and(|(_, key)| given.is_some_and(|given| given == key.expose_secret()));
    if !is_let_in {
        return told(403, &json!({"error": "no gateway key"}));
    }
    if request.url().path() == "/.emcp/health" {
        let idle = clock::instant().duration_since(one.used_at);
        let paths = if one.program.has_mcp {
            json!({"mcp": ["/mcp"], "sse": ["/sse"]})
        } else {
            json!({"mcp": [], "sse": []})
        };
        let health = json!({
            "mcp": one.program.has_mcp,
            "paths": paths,
            "open_requests": one.open_requests,
            "idle_ms": u64::try_from(idle.as_millis()).unwrap_or(u64::MAX),
            "calls": u64::from(one.is_in_call),
        });
        return told(200, &health);
    }
    if let Some(status) = one.program.refuses_with {
        return told(status, &json!({"error": "sign in first"}));
    }
    if !one.program.has_mcp {
        return told(404, &json!({"error": "not found"}));
    }
    match *request.method() {
        http::Method::POST => speak(request.body().and_then(reqwest::Body::as_bytes)),
        http::Method::DELETE => told(200, &json!({})),
        _ => told(405, &json!({"error": "no stream"})),
    }
}

/// One message of the protocol, and what is answered to it.
fn speak(body: Option<&[u8]>) -> http::Response<String> {
    let message: Value = serde_json::from_slice(body.unwrap_or_default()).unwrap_or_default();
    let Some(id) = message.get("id") else {
        return told(202, &Value::Null);
    };
    let result = match message["method"].as_str().unwrap_or_default() {
        "initialize" => json!({
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {"tools": {}, "resources": {}, "prompts": {}},
            "serverInfo": {"name": "fake", "version": "1"},
        }),
        "tools/list" => json!({"tools": [{
            "name": "echo",
            "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
        }]}),
        "tools/call" => json!({
            "content": [{"type": "text", "text": message["params"]["arguments"]["text"]}],
        }),
        "resources/list" => json!({"resources": [{"uri": "fake://note", "name": "note"}]}),
        "resources/templates/list" => json!({"resourceTemplates": []}),
        "resources/read" => json!({
            "contents": [{"uri": message["params"]["uri"], "text": "a note"}],
        }),
        "prompts/list" => json!({"prompts": [{"name": "greet"}]}),
        "prompts/get" => json!({
            "messages": [{"role": "user", "content": {"type": "text", "text": "Hello!"}}],
        }),
        _ => {
            let error = json!({"code": -32601, "message": "method not found"});
            return told(200, &json!({"jsonrpc": "2.0", "id": id, "error": error}));
        }
    };
    told(200, &json!({"jsonrpc": "2.0", "id": id, "result": result}))
}

fn told(status: u16, body: &Value) -> http::Response<String> {
    let mut response = http::Response::new(body.to_string());
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    let json = http::HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, json);
    response
}
