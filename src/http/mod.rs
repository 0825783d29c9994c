//! The web side: the only room that names warp.
//!
//! Two listeners (DESIGN §4): the public one (dashboard and API), which
//! Traefik routes below every server's route, and the internal one (gate,
//! provider, metrics, readiness), which Traefik calls and never routes.

mod audit;
mod body;
mod context;
mod controllers;
mod create_form;
mod error;
mod listener;
mod openapi;
mod reply;
mod router;
mod ui;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;

use crate::services::App;

/// Longer than Traefik keeps an idle connection here (`traefik::document`), so
/// that it never sends a request into one that is being closed.
const PUBLIC_HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// The same for forward-auth, where Traefik's 90 s cannot be changed.
const INTERNAL_HEADER_TIMEOUT: Duration = Duration::from_secs(120);

/// Opens both listeners and serves until the app is cancelled.
///
/// # Errors
/// If an address cannot be listened on.
pub async fn serve(app: Arc<App>) -> anyhow::Result<()> {
    let public = listen(app.settings.listen).await?;
    let internal = listen(app.settings.internal_listen).await?;
    tracing::info!(
        public = %public.local_addr()?,
        internal = %internal.local_addr()?,
        url = %app.settings.public_url,
        "EMCP serves"
    );
    let public = listener::accept(
        public,
        router::public(&app),
        PUBLIC_HEADER_TIMEOUT,
        app.tasks.clone(),
        app.cancel.clone(),
    );
    let internal = listener::accept(
        internal,
        router::internal(&app),
        INTERNAL_HEADER_TIMEOUT,
        app.tasks.clone(),
        app.cancel.clone(),
    );
    tokio::join!(public, internal);
    Ok(())
}

async fn listen(address: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; is another EMCP running?"))
}
