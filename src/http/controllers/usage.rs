//! `/api/usage`.

use crate::api::PeopleView;
use crate::http::context::Ctx;
use crate::http::error::Refusals;
use crate::http::reply::{Answer, json};

#[utoipa::path(
    get,
    path = "/api/usage",
    tag = "platform",
    responses((status = 200, description = "what everybody has and may have, for an administrator; for a developer, what is their own", body = PeopleView), Refusals)
)]
pub(in crate::http) async fn get(ctx: Ctx) -> Answer {
    let permit = ctx.caller()?.may_see_usage()?;
    Ok(json(&ctx.app.quotas.people(&permit).await?))
}
