//! Does a container answer? First the bootstrap's health page, then a real MCP
//! handshake with a real MCP client.

use std::time::Duration;

use http::HeaderName;
use secrecy::ExposeSecret;
use serde::Deserialize;
use tokio::time::{Instant, timeout, timeout_at};

use crate::directory::Entry;
use crate::mcp::{Bounds, GATEWAY_KEY_HEADER, McpError, Session};
use crate::model::ServerNetworks;

/// Between two tries; a warm start takes some 700 ms.
const POLL: Duration = Duration::from_millis(50);
/// For one try: a server that loads its file does not answer at all.
const TRY: Duration = Duration::from_millis(1_000);
/// For the handshake, which loads what a server loads late.
const HANDSHAKE_MAX: Duration = Duration::from_secs(60);

/// The health page has some hundred bytes. More is not the bootstrap's.
const HEALTH_MAX_BYTES: usize = 64 * 1024;

/// What a look at a container found.
pub(super) enum Probe {
    /// It answers MCP (or is a plain ASGI app that is up).
    Answers,
    /// It is up, and its own code asks for a credential: HTTP 401 or 403.
    Refuses(u16),
    /// Not within this look; why, for the log.
    NotYet(String),
}

/// The bootstrap's health page.
#[derive(Deserialize)]
struct Health {
    mcp: bool,
    /// Not told by base images from before servers could sleep.
    #[serde(flatten)]
    usage: Option<Usage>,
}

/// What the bootstrap tells of the server's use.
#[derive(Deserialize)]
pub(super) struct Usage {
    /// Requests being answered: streams until their end.
    pub(super) open_requests: u64,
    /// For how long there has been none.
    idle_ms: u64,
}

impl Usage {
    /// For how long no request has been open.
    pub(super) fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms)
    }
}

/// Asks a server who uses it. Nothing, where its base image is too old to tell.
pub(super) async fn usage(
    client: &reqwest::Client,
    entry: &Entry,
    networks: &ServerNetworks,
) -> Result<Option<Usage>, String> {
    Ok(health(client, entry, networks).await?.usage)
}

/// Looks until the server answers or `patience` runs out.
pub(super) async fn probe(
    client: &reqwest::Client,
    entry: &Entry,
    networks: &ServerNetworks,
    patience: Duration,
) -> Probe {
    let deadline = Instant::now() + patience;
    loop {
        let why = match timeout_at(deadline, once(client, entry, networks)).await {
            Ok(Ok(None)) => return Probe::Answers,
            Ok(Ok(Some(status))) => return Probe::Refuses(status),
            Ok(Err(why)) => why,
            Err(_) => "no answer in time".to_owned(),
        };
        if Instant::now() + POLL >= deadline {
            return Probe::NotYet(why);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// One look; with the status by which a server that is up turns EMCP away.
async fn once(
    client: &reqwest::Client,
    entry: &Entry,
    networks: &ServerNetworks,
) -> Result<Option<u16>, String> {
    if !health(client, entry, networks).await?.mcp {
        return Ok(None);
    }
    let base = format!("http://{}", entry.server.endpoint(networks));
    handshake(client, &base, entry.gateway_key.expose_secret()).await
}

async fn health(
    client: &reqwest::Client,
    entry: &Entry,
    networks: &ServerNetworks,
) -> Result<Health, String> {
    let looking = async {
        let mut answer = client
            .get(format!(
                "http://{}/.emcp/health",
                entry.server.endpoint(networks)
            ))
            .header(GATEWAY_KEY_HEADER, entry.gateway_key.expose_secret())
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .map_err(|error| error.to_string())?;
        let mut page = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| error.to_string())? {
            if page.len() + piece.len() > HEALTH_MAX_BYTES {
                return Err(format!(
                    "its health page is broken: it is larger than {HEALTH_MAX_BYTES} bytes"
                ));
            }
            page.extend_from_slice(&piece);
        }
        serde_json::from_slice(&page).map_err(|_| "its health page is broken: no JSON".to_owned())
    };
    // The whole answer, not the time between two pieces of it.
    timeout(TRY, looking)
        .await
        .unwrap_or_else(|_| Err(format!("no health page within {} ms", TRY.as_millis())))
}

async fn handshake(client: &reqwest::Client, base: &str, key: &str) -> Result<Option<u16>, String> {
    let header = (HeaderName::from_static(GATEWAY_KEY_HEADER), key);
    // The caller of the probe bounds the whole look; this only ends a try.
    let url = format!("{base}/mcp");
    match Session::open(client, &url, &[header], HANDSHAKE_MAX, Bounds::HANDSHAKE).await {
        Ok(session) => {
            session.close().await;
            Ok(None)
        }
        Err(McpError::Refused(status)) => Ok(Some(status)),
        Err(error) => Err(error.to_string()),
    }
}
