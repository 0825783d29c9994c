//! Does a container answer? First the bootstrap's health page, then a real MCP
//! handshake with a real MCP client.

use std::time::Duration;

use http::HeaderName;
use secrecy::ExposeSecret;
use serde::Deserialize;
use tokio::time::{Instant, timeout, timeout_at};

use crate::directory::Entry;
use crate::mcp::{Bounds, GATEWAY_KEY_HEADER, McpError, Session};
use crate::model::{ServerNetworks, Serves};
use crate::runtime::{Endpoint, ServerClient};

/// Between two tries; a warm start takes some 700 ms.
const POLL: Duration = Duration::from_millis(50);
/// For one try: a server that loads its file does not answer at all.
const TRY: Duration = Duration::from_millis(1_000);
/// For the handshake, which loads what a server loads late.
const HANDSHAKE_MAX: Duration = Duration::from_secs(60);

/// For an app that may not even answer what it has no route for.
const LOOK_FOR_MCP: Duration = Duration::from_secs(5);

/// The health page has some hundred bytes. More is not the bootstrap's.
const HEALTH_MAX_BYTES: usize = 64 * 1024;

/// What a look at a container found.
pub(super) enum Probe {
    /// It answers, MCP where it says that it does; what it serves.
    Answers(Serves),
    /// It is up, and its own code asks for a credential.
    Refuses {
        /// HTTP 401 or 403.
        status: u16,
        /// What it serves all the same.
        serves: Serves,
    },
    /// Not within this look; why, for the log.
    NotYet(String),
}

/// The bootstrap's health page.
#[derive(Deserialize)]
struct Health {
    mcp: bool,
    /// Not told by base images of before.
    #[serde(default)]
    paths: Option<Paths>,
    /// Not told by base images from before servers could sleep.
    #[serde(flatten)]
    usage: Option<RequestActivity>,
    /// Calls running; not told by base images of before.
    #[serde(default)]
    calls: u64,
}

/// Where it says that it answers MCP.
#[derive(Deserialize)]
struct Paths {
    #[serde(default)]
    mcp: Vec<String>,
    #[serde(default)]
    sse: Vec<String>,
}

impl Health {
    fn serves(self) -> Serves {
        match self.paths {
            Some(Paths { mcp, sse }) => Serves::reported(mcp, sse),
            None if self.mcp => Serves::default(),
            None => Serves::reported(Vec::new(), Vec::new()),
        }
    }
}

/// What the bootstrap tells of the server's use.
#[derive(Deserialize)]
pub(super) struct RequestActivity {
    /// Requests being answered: streams until their end.
    pub(super) open_requests: u64,
    /// For how long there has been none.
    idle_ms: u64,
}

impl RequestActivity {
    /// For how long no request has been open.
    pub(super) fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms)
    }
}

/// Asks a server who uses it. Nothing, where its base image is too old to tell.
pub(super) async fn usage(
    client: &ServerClient,
    entry: &Entry,
    networks: &ServerNetworks,
) -> Result<Option<RequestActivity>, String> {
    Ok(health(client, entry, networks, TRY).await?.usage)
}

/// Whether a server answers at all, and if so, whether a call was running in it.
pub(super) async fn answers(
    client: &ServerClient,
    entry: &Entry,
    networks: &ServerNetworks,
    patience: Duration,
) -> Result<bool, String> {
    let health = health(client, entry, networks, patience).await?;
    Ok(health.calls > 0)
}

/// Looks until the server answers or `patience` runs out.
pub(super) async fn probe(
    client: &ServerClient,
    entry: &Entry,
    networks: &ServerNetworks,
    patience: Duration,
) -> Probe {
    let deadline = Instant::now() + patience;
    loop {
        let why = match timeout_at(deadline, once(client, entry, networks)).await {
            Ok(Ok(found)) => return found,
            Ok(Err(why)) => why,
            Err(_) => "no answer in time".to_owned(),
        };
        if Instant::now() + POLL >= deadline {
            return Probe::NotYet(why);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// One look at a server that answers its health page.
async fn once(
    client: &ServerClient,
    entry: &Entry,
    networks: &ServerNetworks,
) -> Result<Probe, String> {
    let health = health(client, entry, networks, TRY).await?;
    if !health.mcp {
        return Ok(Probe::Answers(health.serves()));
    }
    let refused = handshake(
        client,
        &entry.endpoint(networks),
        entry.gateway_key.expose_secret(),
    )
    .await?;
    let serves = health.serves();
    Ok(match refused {
        None => Probe::Answers(serves),
        Some(status) => Probe::Refuses { status, serves },
    })
}

/// Looks for MCP in an app that does not show whether it has any: a route of its
/// own may lead to an SDK's server all the same.
pub(super) async fn look_for_mcp(
    client: &ServerClient,
    entry: &Entry,
    networks: &ServerNetworks,
) -> bool {
    let endpoint = entry.endpoint(networks);
    let looking = handshake(client, &endpoint, entry.gateway_key.expose_secret());
    matches!(timeout(LOOK_FOR_MCP, looking).await, Ok(Ok(None)))
}

async fn health(
    client: &ServerClient,
    entry: &Entry,
    networks: &ServerNetworks,
    patience: Duration,
) -> Result<Health, String> {
    let looking = async {
        let request = client
            .requests()
            .get(client.url(&entry.endpoint(networks), "/.emcp/health"))
            .header(GATEWAY_KEY_HEADER, entry.gateway_key.expose_secret());
        let mut answer = client
            .send(request)
            .await
            .map_err(|error| error.to_string())?
            .error_for_status()
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
    timeout(patience, looking)
        .await
        .unwrap_or_else(|_| Err(format!("no health page within {} ms", patience.as_millis())))
}

/// With the status by which the server's own code turns EMCP away, if it does.
async fn handshake(
    client: &ServerClient,
    endpoint: &Endpoint,
    key: &str,
) -> Result<Option<u16>, String> {
    let header = (HeaderName::from_static(GATEWAY_KEY_HEADER), key);
    // The caller of the probe bounds the whole look; this only ends a try.
    let url = client.url(endpoint, "/mcp");
    match Session::open(client, &url, &[header], HANDSHAKE_MAX, Bounds::HANDSHAKE).await {
        Ok(session) => {
            session.close().await;
            Ok(None)
        }
        Err(McpError::Refused(status)) => Ok(Some(status)),
        Err(error) => Err(error.to_string()),
    }
}
