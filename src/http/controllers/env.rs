//! `/api/servers/{id}/env`.

use serde_json::json;

use crate::http::body::{self, BodyStream, SMALL_BODY_MAX_BYTES};
use crate::http::context::Ctx;
use crate::http::reply::{Answer, json};
use crate::model::parse_env_json;

pub(in crate::http) async fn get(ctx: Ctx, id: String) -> Answer {
    let leave = ctx.caller()?.may_read()?;
    let vars = ctx.app.env(&leave, &id).await?;
    Ok(json(&json!({ "env": vars })))
}

pub(in crate::http) async fn put(ctx: Ctx, id: String, stream: BodyStream) -> Answer {
    let leave = ctx.caller()?.may_write()?;
    let restart = ctx.query_flag("restart")?.unwrap_or(false);
    let bytes = body::read(stream, SMALL_BODY_MAX_BYTES).await?;
    let vars = parse_env_json(&bytes)?;
    let vars = ctx.app.replace_env(&leave, &id, vars, restart).await?;
    Ok(json(&json!({ "env": vars })))
}
