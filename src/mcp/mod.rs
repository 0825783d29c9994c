//! EMCP as a client of its own servers: a real MCP client, straight to the
//! container with its gateway key. The only room that names rmcp.

mod allowance;
mod client;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{HeaderName, HeaderValue};
use rmcp::ServiceExt;
use rmcp::model::{
    CallToolRequestParams, ClientConfig, GetPromptRequestParams, PaginatedRequestParams,
    ReadResourceRequestParams,
};
use rmcp::service::{RoleClient, RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout};

use self::allowance::Allowance;
pub use self::allowance::Bounds;
use self::client::{CountingClient, GOODBYE_MAX};
use crate::runtime::ServerClient;

/// The header that lets a request into a container: the bootstrap answers none
/// without the container's own random key in it.
pub const GATEWAY_KEY_HEADER: &str = "x-emcp-gateway-key";

/// Pages of one list.
const PAGES_MAX: usize = 50;
/// Entries of one list.
const ITEMS_MAX: usize = 1_000;
/// Of what a server says in an error, a sentence is enough.
const ERROR_MAX_CHARS: usize = 500;

/// Why a conversation with a server failed.
#[derive(Debug, thiserror::Error)]
pub enum McpError {
    /// The connection or the handshake failed.
    #[error("no MCP connection: {0}")]
    Connection(String),
    /// The server's own code answered 401 or 403: it wants a credential that EMCP
    /// has none of.
    #[error(
        "the server's own code refuses with HTTP {0}: it wants a credential of its own, which EMCP has none of, so only a client that sends it can use the server"
    )]
    Refused(u16),
    /// The server answered with a JSON-RPC error.
    #[error("the server answered with an error: {0}")]
    Server(String),
    /// No answer within the time given.
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// More than [`Bounds`] allow.
    #[error("it sends more than EMCP reads ({} KiB, or less if it is deeply structured)", .0.bytes / 1024)]
    TooMuch(Bounds),
}

/// Why a list is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// It has more pages than are asked for.
    Pages,
    /// It has more entries than are kept.
    Items,
    /// It has more bytes than are read.
    Bytes,
    /// The rest did not come in time.
    Time,
}

impl Cut {
    /// A stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Pages => "too_many_pages",
            Self::Items => "too_many_items",
            Self::Bytes => "too_large",
            Self::Time => "too_slow",
        }
    }
}

/// A list, as far as it was read.
#[derive(Debug, Default)]
pub struct Listed {
    /// Entries in the protocol's shape.
    pub items: Vec<Value>,
    /// Why these are not all.
    pub cut: Option<Cut>,
}

/// An open session with a server.
pub struct Session {
    service: RunningService<RoleClient, ClientConfig>,
    allowance: Arc<Allowance>,
    bounds: Bounds,
}

/// Entries, and where to go on.
type Page<T> = Result<(Vec<T>, Option<String>), ServiceError>;

/// Asks for one list, page by page.
macro_rules! list {
    ($session:expr, $patience:expr, $ask:ident, $items:ident) => {
        $session
            .pages($patience, |params| {
                Box::pin(async move {
                    let page = $session.service.$ask(params).await?;
                    Ok((page.$items, page.next_cursor))
                })
            })
            .await
    };
}

impl Session {
    /// Does the handshake with the server at `url`, sending `headers` with
    /// every request. Within the whole session the server is listened to as
    /// far as `bounds` say.
    ///
    /// # Errors
    /// [`McpError::Connection`], [`McpError::Refused`], [`McpError::TooMuch`], or
    /// [`McpError::Timeout`] after `patience`.
    pub async fn open(
        client: &ServerClient,
        url: &str,
        headers: &[(HeaderName, &str)],
        patience: Duration,
        bounds: Bounds,
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
        let allowance = Arc::new(Allowance::new(bounds));
        let refused = Arc::new(OnceLock::new());
        let counting = CountingClient {
            http: client.clone(),
            allowance: Arc::clone(&allowance),
            refused: Arc::clone(&refused),
        };
        let transport = StreamableHttpClientTransport::with_client(counting, config);
        let handshake = Box::pin(ClientConfig::default().serve(transport));
        let opened = tokio::select! {
            biased;
            () = allowance.until_spent() => return Err(McpError::TooMuch(bounds)),
            opened = timeout(patience, handshake) => opened,
        };
        match opened {
            Ok(Ok(service)) => Ok(Self {
                service,
                allowance,
                bounds,
            }),
            Ok(Err(_)) if allowance.is_spent() => Err(McpError::TooMuch(bounds)),
            Ok(Err(error)) => Err(match refused.get() {
                Some(status) => McpError::Refused(*status),
                None => McpError::Connection(shorten(&error.to_string())),
            }),
            Err(_) => Err(McpError::Timeout(patience)),
        }
    }

    /// What the server said of itself in the handshake, in the protocol's
    /// shape (`InitializeResult`).
    pub fn server(&self) -> Value {
        self.service
            .peer_info()
            .and_then(|info| to_value(&*info).ok())
            .unwrap_or(Value::Null)
    }

    /// Its tools, within `patience` for all pages.
    ///
    /// # Errors
    /// As [`McpError`] says, if not even the first page came.
    pub async fn tools(&self, patience: Duration) -> Result<Listed, McpError> {
        list!(self, patience, list_tools, tools)
    }

    /// Its resources.
    ///
    /// # Errors
    /// As [`Session::tools`].
    pub async fn resources(&self, patience: Duration) -> Result<Listed, McpError> {
        list!(self, patience, list_resources, resources)
    }

    /// Its resource templates.
    ///
    /// # Errors
    /// As [`Session::tools`].
    pub async fn resource_templates(&self, patience: Duration) -> Result<Listed, McpError> {
        list!(self, patience, list_resource_templates, resource_templates)
    }

    /// Its prompts.
    ///
    /// # Errors
    /// As [`Session::tools`].
    pub async fn prompts(&self, patience: Duration) -> Result<Listed, McpError> {
        list!(self, patience, list_prompts, prompts)
    }

    async fn pages<'a, T: Serialize + Send + 'a>(
        &'a self,
        patience: Duration,
        ask: impl Fn(Option<PaginatedRequestParams>) -> BoxFuture<'a, Page<T>>,
    ) -> Result<Listed, McpError> {
        let deadline = Instant::now() + patience;
        let mut listed = Listed::default();
        let mut cursor = None;
        for page in 0..PAGES_MAX {
            let params = Some(PaginatedRequestParams::default().with_cursor(cursor));
            let left = deadline.saturating_duration_since(Instant::now());
            let (items, next) = match self.within(left, ask(params)).await {
                Ok(answer) => answer,
                Err(McpError::TooMuch(_)) if page > 0 => return Ok(listed.cut(Cut::Bytes)),
                Err(McpError::Timeout(_)) if page > 0 => return Ok(listed.cut(Cut::Time)),
                Err(McpError::Timeout(_)) => return Err(McpError::Timeout(patience)),
                Err(error) => return Err(error),
            };
            for item in items {
                if listed.items.len() == ITEMS_MAX {
                    return Ok(listed.cut(Cut::Items));
                }
                listed.items.push(to_value(&item)?);
            }
            if next.is_none() {
                return Ok(listed);
            }
            cursor = next;
        }
        Ok(listed.cut(Cut::Pages))
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
        to_value(
            &self
                .within(patience, self.service.call_tool(params))
                .await?,
        )
    }

    /// Reads a resource; a `ReadResourceResult` of the protocol.
    ///
    /// # Errors
    /// As [`McpError`] says.
    pub async fn read_resource(&self, uri: String, patience: Duration) -> Result<Value, McpError> {
        let params = ReadResourceRequestParams::new(uri);
        to_value(
            &self
                .within(patience, self.service.read_resource(params))
                .await?,
        )
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
        to_value(
            &self
                .within(patience, self.service.get_prompt(params))
                .await?,
        )
    }

    /// Ends the session, on the server too; a failure to do so is its own, and
    /// its time is bounded.
    pub async fn close(self) {
        let _ = timeout(2 * GOODBYE_MAX, self.service.cancel()).await;
    }

    /// Boxed, since rmcp's futures are large.
    fn within<'a, T>(
        &'a self,
        patience: Duration,
        work: impl Future<Output = Result<T, ServiceError>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, McpError>> {
        Box::pin(async move {
            let too_much = McpError::TooMuch(self.bounds);
            let done = tokio::select! {
                biased;
                done = timeout(patience, work) => done,
                // rmcp would go on to wait for an answer that was cut.
                () = self.allowance.until_spent() => return Err(too_much),
            };
            match done {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(ServiceError::McpError(error))) => {
                    Err(McpError::Server(shorten(&error.message)))
                }
                Ok(Err(_)) if self.allowance.is_spent() => Err(too_much),
                Ok(Err(other)) => Err(McpError::Connection(shorten(&other.to_string()))),
                Err(_) => Err(McpError::Timeout(patience)),
            }
        })
    }
}

impl Listed {
    fn cut(mut self, why: Cut) -> Self {
        self.cut = Some(why);
        self
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(ERROR_MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn to_value(value: &impl Serialize) -> Result<Value, McpError> {
    serde_json::to_value(value).map_err(|error| McpError::Connection(error.to_string()))
}
