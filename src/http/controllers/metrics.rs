//! Metrics: for whoever reaches the internal listener, and, where that is wanted,
//! for who has the metrics token, through Traefik.

use http::StatusCode;
use warp::Reply;

use crate::gate::bearer;
use crate::http::context::Ctx;
use crate::http::error::Refusals;
use crate::http::reply::{Answer, content};
use crate::model::{Error, Result};

const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// On the internal listener, without a token and without names.
pub(in crate::http) async fn internal(ctx: Ctx) -> Answer {
    Ok(content(FORMAT, ctx.app.monitoring.text()?))
}

/// Where it is not wanted, the public listener has nothing there.
fn where_wanted(ctx: &Ctx) -> Result<()> {
    if ctx.app.settings().metrics_public {
        return Ok(());
    }
    Err(Error::NotFound {
        code: "not_found",
        message: "there is nothing at this address".to_owned(),
    })
}

#[utoipa::path(
    get,
    path = "/metrics",
    tag = "platform",
    responses((status = 200, description = "metrics in OpenMetrics' text format, for who has the metrics token; only where EMCP_METRICS_PUBLIC is on", body = String, content_type = "application/openmetrics-text"), Refusals),
    security(("bearer" = []))
)]
pub(in crate::http) async fn read(ctx: Ctx) -> Answer {
    where_wanted(&ctx)?;
    let permit = ctx.may_scrape()?;
    Ok(content(
        FORMAT,
        ctx.app.monitoring.text_with_names(&permit)?,
    ))
}

// Traefik has a route of its own for it, which goes before, unless it was made
// without.
#[utoipa::path(
    get,
    path = "/metrics/traefik",
    tag = "platform",
    responses((status = 200, description = "Traefik's own metrics, likewise", body = String, content_type = "text/plain"), Refusals),
    security(("bearer" = []))
)]
pub(in crate::http) async fn of_traefik(ctx: Ctx) -> Answer {
    where_wanted(&ctx)?;
    ctx.may_scrape()?;
    Err(Error::NotFound {
        code: "no_traefik_metrics",
        message: "Traefik has no metrics: its static configuration is from before EMCP_METRICS_PUBLIC was on, so make up (or restart Traefik); or its template has no line \"metrics: ${EMCP_TRAEFIK_METRICS}\"".to_owned(),
    })
}

/// Traefik asks, before it shows its own.
pub(in crate::http) async fn may_scrape(ctx: Ctx) -> Answer {
    ctx.may_scrape()?;
    Ok(StatusCode::OK.into_response())
}

impl Ctx {
    /// The capability to read the metrics, for who shows the metrics token.
    fn may_scrape(&self) -> Result<crate::access::CanScrape> {
        let presented = self.header("authorization").and_then(bearer);
        let authentication = &self.app.authentication;
        authentication.identify_monitor(presented, self.client())
    }
}
