//! `/api/servers/{id}/connection`.

use crate::api::ConnectionView;
use crate::http::context::Ctx;
use crate::http::error::Refusals;
use crate::http::reply::{Answer, json};

#[utoipa::path(
    get,
    path = "/api/servers/{id}/connection",
    tag = "servers",
    params(("id" = String, Path, description = "id or name")),
    responses((status = 200, description = "how clients connect", body = ConnectionView), Refusals)
)]
pub(in crate::http) async fn get(ctx: Ctx, id: String) -> Answer {
    let permit = ctx.may_read(&id)?;
    Ok(json(&ctx.app.connections.to_server(&permit, &id)?))
}
