//! The web side: the only room that names warp.
//!
//! Two listeners: the public one (dashboard and API), which
//! Traefik routes below every server's route, and the internal one (gate,
//! provider, metrics, readiness), which Traefik calls and never routes.

mod admission;
mod audit;
mod body;
mod context;
mod controllers;
mod create_form;
mod dispatch;
mod error;
mod listener;
mod openapi;
mod reply;
mod request_facts;
mod route;
mod router;
mod ui;
mod unread;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use self::admission::Admission;
use self::listener::Accepting;
#[cfg(test)]
pub(crate) use self::listener::InProcess;
use crate::services::{App, Gate};
use crate::settings::Settings;
use crate::sockets::Sockets;

/// Longer than Traefik keeps an idle connection here (`traefik::document`), so
/// that it never sends a request into one that is being closed.
const PUBLIC_HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// The same for forward-auth, where Traefik's 90 s cannot be changed.
const INTERNAL_HEADER_TIMEOUT: Duration = Duration::from_secs(120);

/// How long requests that are under way get when EMCP is to end: enough for a
/// server that is starting, which those at the gate wait for.
const DRAIN_MAX: Duration = Duration::from_secs(9);
/// And how long to tell those that still wait that they must ask again.
const REFUSE_MAX: Duration = Duration::from_secs(1);

/// Serves until the app is closing, then brings what was accepted to its end.
/// Nothing is accepted from then on: with a holder of the sockets, what comes
/// waits for the next EMCP.
///
/// # Errors
/// If an address cannot be listened on.
pub async fn serve(app: Arc<App>, gate: Arc<Gate>) -> anyhow::Result<()> {
    let connections = TaskTracker::new();
    while let Some(sockets) = app
        .closing()
        .run_until_cancelled(open(app.settings()))
        .await
    {
        accept(&app, &gate, sockets?, &connections).await?;
    }
    connections.close();
    if timeout(DRAIN_MAX, connections.wait()).await.is_err() {
        // Makes the gate answer.
        app.cancel().cancel();
        let _ = timeout(REFUSE_MAX, connections.wait()).await;
    }
    Ok(())
}

async fn open(settings: &Settings) -> anyhow::Result<Sockets> {
    match &settings.sockets {
        Some(holder) => Sockets::receive(holder).await,
        None => Sockets::bind(settings.listen, settings.internal_listen),
    }
}

/// Accepts on both until the app is closing or the sockets are lost.
async fn accept(
    app: &Arc<App>,
    gate: &Arc<Gate>,
    sockets: Sockets,
    connections: &TaskTracker,
) -> anyhow::Result<()> {
    tracing::info!(
        public = %sockets.public.local_addr()?,
        internal = %sockets.internal.local_addr()?,
        url = %app.settings().public_url,
        unserved_ms = sockets.unserved.as_millis() as u64,
        "EMCP serves"
    );
    let [public, internal] = both(app, gate, sockets.unserved, connections)?;
    tokio::select! {
        _ = async { tokio::join!(public.run(sockets.public), internal.run(sockets.internal)) } => {}
        () = sockets.lifeline.lost() => {
            tracing::warn!("the holder of the sockets is gone; asking the next one");
        }
    }
    Ok(())
}

/// The public listener's loop and the internal one's.
fn both(
    app: &Arc<App>,
    gate: &Arc<Gate>,
    unserved: Duration,
    connections: &TaskTracker,
) -> anyhow::Result<[Accepting; 2]> {
    let now = Instant::now();
    let accepting = |site, header_timeout, requests_max| Accepting {
        site,
        admission: Admission::new(Arc::clone(app.authentication.proxies()), requests_max),
        metrics: Arc::clone(app.monitoring.metrics()),
        header_timeout,
        since: now,
        queued_since: now.checked_sub(unserved).unwrap_or(now),
        connections: connections.clone(),
        closing: app.closing().clone(),
    };
    let requests_max = Some(app.settings().requests_per_address);
    Ok([
        accepting(router::public(app)?, PUBLIC_HEADER_TIMEOUT, requests_max),
        // The gate's are those that Traefik lets through to servers' routes.
        accepting(router::internal(app, gate)?, INTERNAL_HEADER_TIMEOUT, None),
    ])
}

/// The public listener and the internal one without sockets, called by Traefik.
#[cfg(test)]
pub(crate) fn in_process(app: &Arc<App>, gate: &Arc<Gate>) -> [InProcess; 2] {
    let traefik = std::net::Ipv4Addr::LOCALHOST.into();
    let both = both(app, gate, Duration::ZERO, &TaskTracker::new()).unwrap();
    both.map(|one| InProcess::of(one, traefik))
}
