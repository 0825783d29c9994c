//! EMCP as a client of its own servers: a real MCP client, straight to the
//! container with its gateway key. The only room that names rmcp.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{HeaderName, HeaderValue};
use rmcp::ServiceExt;
use rmcp::model::{
    CallToolRequestParams, ClientConfig, GetPromptRequestParams, ReadResourceRequestParams,
};
use rmcp::service::{RoleClient, RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::timeout;

/// The header that lets a request into a container: the bootstrap answers none
/// without the container's own random key in it.
pub const GATEWAY_KEY_HEADER: &str = "x-emcp-gateway-key";

/// Why a conversation with a server failed.
#[derive(Debug, thiserror::Error)]
pub enum McpError {
    /// The connection or the handshake failed.
    #[error("no MCP connection: {0}")]
    Connection(String),
    /// The server answered with a JSON-RPC error.
    #[error("the server answered with an error: {0}")]
    Server(String),
    /// No answer within the time given.
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
}

/// An open session with a server.
pub struct Session(RunningService<RoleClient, ClientConfig>);

/// A question a server may have no answer to: not every server has resources
/// or prompts, and some say so with an error.
type Listed = Result<Vec<Value>, McpError>;

impl Session {
    /// Does the handshake with the server at `url`, sending `headers` with
    /// every request.
    ///
    /// # Errors
    /// [`McpError::Connection`], or [`McpError::Timeout`] after `patience`.
    pub async fn open(
        client: &reqwest::Client,
        url: &str,
        headers: &[(HeaderName, &str)],
        patience: Duration,
    ) -> Result<Self, McpError> {
        let mut values = HashMap::new();
        for (name, text) in headers {
            let mut value = HeaderValue::from_str(text)
                .map_err(|error| McpError::Connection(error.to_string()))?;
            value.set_sensitive(true);
            values.insert(name.clone(), value);
        }
        let config =
            StreamableHttpClientTransportConfig::with_uri(url.to_owned()).custom_headers(values);
        let transport = StreamableHttpClientTransport::with_client(client.clone(), config);
        let handshake = Box::pin(ClientConfig::default().serve(transport));
        match timeout(patience, handshake).await {
            Ok(Ok(session)) => Ok(Self(session)),
            Ok(Err(error)) => Err(McpError::Connection(error.to_string())),
            Err(_) => Err(McpError::Timeout(patience)),
        }
    }

    /// What the server said of itself in the handshake, in the protocol's
    /// shape (`InitializeResult`).
    pub fn server(&self) -> Value {
        self.0
            .peer_info()
            .and_then(|info| to_value(&*info).ok())
            .unwrap_or(Value::Null)
    }

    /// Its tools.
    ///
    /// # Errors
    /// As [`McpError`] says.
    pub async fn tools(&self, patience: Duration) -> Listed {
        within(patience, self.0.list_all_tools())
            .await?
            .iter()
            .map(to_value)
            .collect()
    }

    /// Its resources.
    ///
    /// # Errors
    /// As [`McpError`] says.
    pub async fn resources(&self, patience: Duration) -> Listed {
        within(patience, self.0.list_all_resources())
            .await?
            .iter()
            .map(to_value)
            .collect()
    }

    /// Its resource templates.
    ///
    /// # Errors
    /// As [`McpError`] says.
    pub async fn resource_templates(&self, patience: Duration) -> Listed {
        within(patience, self.0.list_all_resource_templates())
            .await?
            .iter()
            .map(to_value)
            .collect()
    }

    /// Its prompts.
    ///
    /// # Errors
    /// As [`McpError`] says.
    pub async fn prompts(&self, patience: Duration) -> Listed {
        within(patience, self.0.list_all_prompts())
            .await?
            .iter()
            .map(to_value)
            .collect()
    }

    /// Calls a tool; a `CallToolResult` of the protocol.
    ///
    /// # Errors
    /// As [`McpError`] says. A tool that failed is a result, not an error.
    pub async fn call_tool(
        &self,
        name: String,
        arguments: Map<String, Value>,
        patience: Duration,
    ) -> Result<Value, McpError> {
        let params = CallToolRequestParams::new(name).with_arguments(arguments);
        to_value(&within(patience, self.0.call_tool(params)).await?)
    }

    /// Reads a resource; a `ReadResourceResult` of the protocol.
    ///
    /// # Errors
    /// As [`McpError`] says.
    pub async fn read_resource(&self, uri: String, patience: Duration) -> Result<Value, McpError> {
        let params = ReadResourceRequestParams::new(uri);
        to_value(&within(patience, self.0.read_resource(params)).await?)
    }

    /// Fills in a prompt; a `GetPromptResult` of the protocol.
    ///
    /// # Errors
    /// As [`McpError`] says.
    pub async fn get_prompt(
        &self,
        name: String,
        arguments: Map<String, Value>,
        patience: Duration,
    ) -> Result<Value, McpError> {
        let params = GetPromptRequestParams::new(name).with_arguments(arguments);
        to_value(&within(patience, self.0.get_prompt(params)).await?)
    }

    /// Ends the session, on the server too; a failure to do so is its own.
    pub async fn close(self) {
        let _ = self.0.cancel().await;
    }
}

/// Boxed, since rmcp's futures are large.
fn within<'a, T>(
    patience: Duration,
    work: impl Future<Output = Result<T, ServiceError>> + Send + 'a,
) -> BoxFuture<'a, Result<T, McpError>> {
    Box::pin(async move {
        match timeout(patience, work).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(ServiceError::McpError(error))) => {
                Err(McpError::Server(error.message.into_owned()))
            }
            Ok(Err(other)) => Err(McpError::Connection(other.to_string())),
            Err(_) => Err(McpError::Timeout(patience)),
        }
    })
}

fn to_value(value: &impl Serialize) -> Result<Value, McpError> {
    serde_json::to_value(value).map_err(|error| McpError::Connection(error.to_string()))
}
