//! `/api/overview`.

use crate::api::OverviewView;
use crate::http::context::Ctx;
use crate::http::error::Refusals;
use crate::http::reply::{Answer, json};

#[utoipa::path(
    get,
    path = "/api/overview",
    tag = "platform",
    responses((status = 200, description = "how many servers are in which status", body = OverviewView), Refusals)
)]
pub(in crate::http) async fn get(ctx: Ctx) -> Answer {
    let permit = ctx.caller()?.may_read()?;
    Ok(json(&ctx.app.overview.view(&permit).await?))
}
