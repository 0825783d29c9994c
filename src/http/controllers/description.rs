//! `/api/openapi.json`.

use crate::http::context::Ctx;
use crate::http::reply::{Answer, content};
use crate::http::route::Description;

#[utoipa::path(
    get,
    path = "/api/openapi.json",
    tag = "platform",
    responses((status = 200, description = "this document", body = serde_json::Value)),
    security(())
)]
pub(in crate::http) async fn document(_: Ctx, description: Description) -> Answer {
    Ok(content("application/json", description.0()?))
}
