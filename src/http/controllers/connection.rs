//! `/api/servers/{id}/connection`.

use crate::http::context::Ctx;
use crate::http::reply::{Answer, json};

pub(in crate::http) async fn get(ctx: Ctx, id: String) -> Answer {
    let leave = ctx.caller()?.may_read()?;
    Ok(json(&ctx.app.connection(&leave, &id)?))
}
