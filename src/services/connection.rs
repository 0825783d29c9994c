//! Ready-made client configuration. The token is a placeholder: EMCP keeps no
//! token it could fill in.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::parts::Parts;
use super::urls_of;
use crate::access::CanRead;
use crate::api::{ClientsView, Commands, ConnectionView, TwoTransports, Urls, WithLink};
use crate::directory::Directory;
use crate::model::Result;

/// Stands where the user's token goes.
const TOKEN_PLACEHOLDER: &str = "YOUR_TOKEN";

/// Tells how to connect.
pub struct Connections {
    directory: Arc<Directory>,
    /// Where the dashboard is.
    public_url: Url,
    base_of_servers: Url,
    has_own_ca: bool,
}

impl Connections {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            directory: Arc::clone(&parts.directory),
            public_url: parts.settings.public_url.clone(),
            base_of_servers: parts.settings.base_of_servers().clone(),
            has_own_ca: parts.ca_cert_pem.is_some(),
        }
    }

    /// How clients connect to a server.
    ///
    /// # Errors
    /// `server_not_found`.
    pub fn to_server(&self, _: &CanRead, id_or_name: &str) -> Result<ConnectionView> {
        let entry = self.directory.require(id_or_name)?;
        let public = &self.public_url;
        let urls = urls_of(&self.base_of_servers, &entry);
        let name = entry.server.name.as_str();
        let clients = (urls.base.is_none()).then(|| clients(name, &urls));
        let with_key = |url: &String| format!("{url}?key={TOKEN_PLACEHOLDER}");
        Ok(ConnectionView {
            urls_with_key: Urls {
                sse: urls.sse.as_ref().map(with_key),
                mcp: urls.mcp.as_ref().map(with_key),
                more: Vec::new(),
                base: None,
            },
            curl: urls.base.as_ref().map(|base| {
                format!("curl --header \"Authorization: Bearer {TOKEN_PLACEHOLDER}\" {base}")
            }),
            urls,
            ca_url: self
                .has_own_ca
                .then(|| format!("{}ca.crt", public.as_str())),
            token_placeholder: TOKEN_PLACEHOLDER.into(),
            clients,
        })
    }
}

fn clients(name: &str, urls: &Urls) -> ClientsView {
    let bearer = format!("Bearer {TOKEN_PLACEHOLDER}");
    let headers = json!({ "Authorization": bearer });
    let claude = |transport: &str, url: &String| {
        format!(
            "claude mcp add --transport {transport} {name} {url} --header \"Authorization: {bearer}\""
        )
    };
    let cherry = |kind: &str, url: &String| cherry_studio(name, kind, url, &headers);
    let (sse, mcp) = (urls.sse.as_ref(), urls.mcp.as_ref());
    // What these take for one that has the older transport alone is theirs to find out.
    let url = urls.main();
    let cursor_entry = json!({ "url": url, "headers": headers });
    ClientsView {
        cherry_studio: TwoTransports {
            sse: sse.map(|url| cherry("sse", url)),
            streamable_http: mcp.map(|url| cherry("streamableHttp", url)),
        },
        claude_code: Commands {
            sse: sse.map(|url| claude("sse", url)),
            http: mcp.map(|url| claude("http", url)),
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
                "type": if mcp.is_some() { "http" } else { "sse" },
                "url": url,
                "headers": { "Authorization": "Bearer ${input:emcp-token}" },
            } },
            "inputs": [{
                "id": "emcp-token",
                "type": "promptString",
                "description": "EMCP token",
                "password": true,
            }],
        }),
        windsurf: json!({ "mcpServers": { name: { "serverUrl": url, "headers": headers } } }),
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
            sse: Some("https://h/api/demo/sse".into()),
            mcp: Some("https://h/api/demo/mcp".into()),
            more: Vec::new(),
            base: None,
        };
        let sse = clients("demo", &urls).cherry_studio.sse.unwrap();
        let link = url::Url::parse(&sse.link).unwrap();
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
