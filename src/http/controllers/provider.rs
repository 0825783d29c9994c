//! `/traefik/config`: Traefik's HTTP provider.

use std::time::Instant;

use http::StatusCode;
use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;

use crate::gate::bearer;
use crate::http::context::Ctx;
use crate::http::error::error_body;
use crate::http::reply::{Answer, content};
use crate::model::Error;
use crate::traefik::Poll;

pub(in crate::http) async fn poll(ctx: Ctx) -> Answer {
    let presented = ctx.header("authorization").and_then(bearer).unwrap_or("");
    let known = ctx.app.provider_token.expose_secret();
    if !bool::from(presented.as_bytes().ct_eq(known.as_bytes())) {
        return Err(Error::Unauthenticated {
            message: "the provider token is needed here".to_owned(),
        });
    }
    ctx.app.proxies.see(ctx.peer, Instant::now());
    match ctx
        .app
        .provider
        .poll(ctx.connection, &ctx.app.closing)
        .await
    {
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
