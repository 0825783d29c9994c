//! What one step of a connection test found: a code with its arguments for
//! programs, and a sentence for people.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// What was found in a step, good or bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "code", content = "args", rename_all = "snake_case")]
pub enum Finding {
    /// Traefik fetches its routes from here.
    TraefikFound {
        /// Address and port.
        address: String,
    },
    /// Nobody has fetched the routes lately.
    TraefikSilent,
    /// The configured address of Traefik's entry point has no port.
    NoPort {
        /// The setting.
        https_address: String,
    },
    /// TLS works, and the certificate is the name's.
    CertificateValid {
        /// The public name.
        host: String,
    },
    /// EMCP's own CA certificate cannot be used.
    CaUnreadable {
        /// Why.
        detail: String,
    },
    /// No connection, or none with TLS, came to be.
    NoConnection {
        /// Why.
        detail: String,
    },
    /// Who has no token is turned away.
    GateShut,
    /// Who has no token is not turned away.
    GateOpen {
        /// The HTTP status of the answer.
        status: u16,
    },
    /// The server took part in the MCP handshake.
    Initialized {
        /// What it calls itself.
        server_name: String,
        /// The protocol version it chose.
        protocol_version: String,
    },
    /// EMCP's gate did not let the request through to the server.
    Refused {
        /// The code of the refusal, such as `server_stopped`.
        refusal: String,
        /// The same in words.
        message: String,
    },
    /// The server did not answer as MCP wants it.
    McpFailed {
        /// Why.
        detail: String,
    },
    /// The server is an app of another kind.
    NoMcpEndpoint,
    /// The server told its tools.
    ToolsListed {
        /// How many.
        tools: usize,
    },
    /// The server told more tools than EMCP reads.
    ToolsListedInPart {
        /// How many were read.
        tools: usize,
    },
    /// An earlier step failed.
    NotReached,
}

impl Finding {
    /// The same as code and arguments.
    pub fn code_and_args(&self) -> (String, Option<Map<String, Value>>) {
        super::reason::code_and_args(self)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TraefikFound { address } => write!(f, "Traefik is at {address}"),
            Self::TraefikSilent => f.write_str(
                "Traefik has not fetched its routes lately; see whether it runs and what its log says",
            ),
            Self::NoPort { https_address } => write!(f, "\"{https_address}\" names no port"),
            Self::CertificateValid { host } => write!(f, "the certificate for {host} is valid"),
            Self::CaUnreadable { detail } => write!(f, "the local CA cannot be read: {detail}"),
            Self::NoConnection { detail } | Self::McpFailed { detail } => f.write_str(detail),
            Self::Refused { message, .. } => f.write_str(message),
            Self::GateShut => f.write_str("the gate turns away who has no token, as it should"),
            Self::GateOpen { status } => write!(
                f,
                "a request without a token was answered with {status}; the gate should have said 401"
            ),
            Self::Initialized {
                server_name,
                protocol_version,
            } => write!(f, "\"{server_name}\" answered with MCP {protocol_version}"),
            Self::NoMcpEndpoint => f.write_str(
                "the server serves HTTP and has no MCP endpoint: no MCP client can use it",
            ),
            Self::ToolsListed { tools: 1 } => f.write_str("one tool"),
            Self::ToolsListed { tools } => write!(f, "{tools} tools"),
            Self::ToolsListedInPart { tools } => {
                write!(f, "{tools} tools, and more than EMCP reads")
            }
            Self::NotReached => f.write_str("not reached"),
        }
    }
}
