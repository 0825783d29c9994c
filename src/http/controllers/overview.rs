//! `/api/overview`.

use crate::http::context::Ctx;
use crate::http::reply::{Answer, json};

pub(in crate::http) async fn get(ctx: Ctx) -> Answer {
    let leave = ctx.caller()?.may_read()?;
    Ok(json(&ctx.app.overview(&leave)))
}
