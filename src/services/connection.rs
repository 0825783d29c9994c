//! Ready-made client configuration. The token is a placeholder: EMCP keeps no
//! token it could fill in.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::{Value, json};
use url::form_urlencoded;
use utoipa::ToSchema;

use super::{App, Urls};
use crate::access::CanRead;
use crate::model::Result;

/// Stands where the user's token goes.
const TOKEN_PLACEHOLDER: &str = "YOUR_TOKEN";

/// How clients connect to one server.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectionView {
    /// The public addresses.
    pub urls: Urls,
    /// For clients that take nothing but a URL. The token must be a `connect`
    /// token that names this server alone; others get 403 `token_not_for_url`.
    pub urls_with_key: Urls,
    /// Where the CA's certificate is to be had, if EMCP's own CA is in use.
    pub ca_url: Option<String>,
    /// What stands for the token below.
    pub token_placeholder: &'static str,
    /// By client.
    pub clients: ClientsView,
}

/// Configuration by client.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClientsView {
    /// Cherry Studio.
    pub cherry_studio: TwoTransports,
    /// Claude Code, as commands.
    pub claude_code: Commands,
    /// Cursor.
    pub cursor: WithLink,
    /// VS Code; asks for the token itself.
    pub vscode: Value,
    /// Windsurf.
    pub windsurf: Value,
}

/// A client that takes either transport.
#[derive(Debug, Serialize, ToSchema)]
pub struct TwoTransports {
    /// HTTP with server-sent events.
    pub sse: WithLink,
    /// Streamable HTTP.
    pub streamable_http: WithLink,
}

/// A configuration and a link that installs it.
#[derive(Debug, Serialize, ToSchema)]
pub struct WithLink {
    /// To paste.
    pub config: Value,
    /// To click.
    pub link: String,
}

/// Commands for a shell.
#[derive(Debug, Serialize, ToSchema)]
pub struct Commands {
    /// HTTP with server-sent events.
    pub sse: String,
    /// Streamable HTTP.
    pub http: String,
}

impl App {
    /// How clients connect to a server.
    ///
    /// # Errors
    /// `server_not_found`.
    pub fn connection(&self, _: &CanRead, id_or_name: &str) -> Result<ConnectionView> {
        let entry = self.find_server(id_or_name)?;
        let public = &self.settings.public_url;
        let urls = Urls::of(self.settings.base_of_servers(), &entry.server.path_prefix());
        let clients = clients(entry.server.name.as_str(), &urls);
        let with_key = |url: &str| format!("{url}?key={TOKEN_PLACEHOLDER}");
        Ok(ConnectionView {
            urls_with_key: Urls {
                sse: with_key(&urls.sse),
                mcp: with_key(&urls.mcp),
            },
            urls,
            ca_url: self
                .ca_cert_pem
                .is_some()
                .then(|| format!("{}ca.crt", public.as_str())),
            token_placeholder: TOKEN_PLACEHOLDER,
            clients,
        })
    }
}

fn clients(name: &str, urls: &Urls) -> ClientsView {
    let bearer = format!("Bearer {TOKEN_PLACEHOLDER}");
    let headers = json!({ "Authorization": bearer });
    let claude = |transport: &str, url: &str| {
        format!(
            "claude mcp add --transport {transport} {name} {url} --header \"Authorization: {bearer}\""
        )
    };
    let cursor_entry = json!({ "url": urls.mcp, "headers": headers });
    ClientsView {
        cherry_studio: TwoTransports {
            sse: cherry_studio(name, "sse", &urls.sse, &headers),
            streamable_http: cherry_studio(name, "streamableHttp", &urls.mcp, &headers),
        },
        claude_code: Commands {
            sse: claude("sse", &urls.sse),
            http: claude("http", &urls.mcp),
        },
        cursor: WithLink {
            link: link(
                "cursor://anysphere.cursor-deeplink/mcp/install",
                &[("name", name), ("config", &base64_of(&cursor_entry))],
            ),
            config: json!({ "mcpServers": { name: cursor_entry } }),
        },
        vscode: json!({
            "servers": { name: {
                "type": "http",
                "url": urls.mcp,
                "headers": { "Authorization": "Bearer ${input:emcp-token}" },
            } },
            "inputs": [{
                "id": "emcp-token",
                "type": "promptString",
                "description": "EMCP token",
                "password": true,
            }],
        }),
        windsurf: json!({ "mcpServers": { name: { "serverUrl": urls.mcp, "headers": headers } } }),
    }
}

fn cherry_studio(name: &str, kind: &str, url: &str, headers: &Value) -> WithLink {
    let config = json!({ "mcpServers": { name: {
        "name": name,
        "type": kind,
        "baseUrl": url,
        "headers": headers,
    } } });
    WithLink {
        link: link(
            "cherrystudio://mcp/install",
            &[("servers", &base64_of(&config))],
        ),
        config,
    }
}

fn base64_of(value: &Value) -> String {
    BASE64_STANDARD.encode(value.to_string())
}

fn link(base: &str, parameters: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish();
    format!("{base}?{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_for_cherry_studio_carries_its_configuration() {
        let urls = Urls {
            sse: "https://h/api/demo/sse".into(),
            mcp: "https://h/api/demo/mcp".into(),
        };
        let clients = clients("demo", &urls);
        let link = url::Url::parse(&clients.cherry_studio.sse.link).unwrap();
        let (key, encoded) = link.query_pairs().next().unwrap();
        assert_eq!(key, "servers");
        let decoded = BASE64_STANDARD.decode(encoded.as_bytes()).unwrap();
        let config: Value = serde_json::from_slice(&decoded).unwrap();
        assert_eq!(
            config["mcpServers"]["demo"]["baseUrl"],
            "https://h/api/demo/sse"
        );
        assert_eq!(config["mcpServers"]["demo"]["type"], "sse");
    }
}
