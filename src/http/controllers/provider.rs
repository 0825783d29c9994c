//! `/traefik/config`: Traefik's HTTP provider, and `/traefik/in-effect`, where it
//! tells what has become of it.

use http::StatusCode;

use crate::gate::bearer;
use crate::http::context::Ctx;
use crate::http::error::error_body;
use crate::http::reply::{Answer, content, no_content};
use crate::traefik::{Fingerprint, Poll};

pub(in crate::http) async fn poll(ctx: Ctx) -> Answer {
    let presented = ctx.header("authorization").and_then(bearer).unwrap_or("");
    let provider = &ctx.app.route_provider;
    let polled = provider.poll(presented, ctx.peer, ctx.connection);
    match polled.await? {
        Poll::Document(body) => Ok(content("application/json", body)),
        // Never an empty 200, which would wipe every route (`ARCHITECTURE.md`).
        Poll::NotLoaded => Ok(error_body(
            StatusCode::SERVICE_UNAVAILABLE,
            "not_loaded",
            "the routes are not loaded yet",
            None,
            &ctx.request_id,
        )),
    }
}

/// Traefik's health check of itself. Who knows the fingerprint has seen the
/// document.
pub(in crate::http) async fn in_effect(ctx: Ctx, fingerprint: String) -> Answer {
    let told = Fingerprint::told(fingerprint);
    ctx.app.route_provider.see_in_effect(&told).await;
    Ok(no_content())
}
