//! Does a container answer? First the bootstrap's health page, then a real MCP
//! handshake with a real MCP client.

use std::time::Duration;

use http::HeaderName;
use secrecy::ExposeSecret;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use crate::directory::Entry;
use crate::mcp::{GATEWAY_KEY_HEADER, Session};
use crate::model::ServerNetworks;

/// Between two tries; a warm start takes some 700 ms.
const POLL: Duration = Duration::from_millis(50);
/// For one try: a server that loads its file does not answer at all.
const TRY: Duration = Duration::from_millis(1_000);
/// For the handshake, which loads what a server loads late.
const HANDSHAKE_MAX: Duration = Duration::from_secs(60);

/// What a look at a container found.
pub(super) enum Probe {
    /// It answers MCP (or is a plain ASGI app that is up).
    Answers,
    /// Not within this look; why, for the log.
    NotYet(String),
}

/// The bootstrap's health page.
#[derive(Deserialize)]
struct Health {
    mcp: bool,
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
            Ok(Ok(())) => return Probe::Answers,
            Ok(Err(why)) => why,
            Err(_) => "no answer in time".to_owned(),
        };
        if Instant::now() + POLL >= deadline {
            return Probe::NotYet(why);
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn once(
    client: &reqwest::Client,
    entry: &Entry,
    networks: &ServerNetworks,
) -> Result<(), String> {
    let base = format!("http://{}", entry.server.endpoint(networks));
    let key = entry.gateway_key.expose_secret();
    let health: Health = client
        .get(format!("{base}/.emcp/health"))
        .header(GATEWAY_KEY_HEADER, key)
        .timeout(TRY)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status)
        .map_err(|error| error.to_string())?
        .json()
        .await
        .map_err(|error| error.to_string())?;
    if !health.mcp {
        return Ok(());
    }
    handshake(client, &base, key).await
}

async fn handshake(client: &reqwest::Client, base: &str, key: &str) -> Result<(), String> {
    let header = (HeaderName::from_static(GATEWAY_KEY_HEADER), key);
    // The caller of the probe bounds the whole look; this only ends a try.
    let session = Session::open(client, &format!("{base}/mcp"), &[header], HANDSHAKE_MAX)
        .await
        .map_err(|error| error.to_string())?;
    session.close().await;
    Ok(())
}
