//! `/api/tokens`.

use http::StatusCode;
use serde_json::json;

use crate::http::body::{self, BodyStream};
use crate::http::context::Ctx;
use crate::http::reply::{Answer, json, json_with, no_content};
use crate::services::CreateToken;

pub(in crate::http) async fn list(ctx: Ctx) -> Answer {
    let leave = ctx.caller()?.may_administer()?;
    Ok(json(&json!({ "tokens": ctx.app.list_tokens(&leave) })))
}

pub(in crate::http) async fn create(ctx: Ctx, stream: BodyStream) -> Answer {
    let leave = ctx.caller()?.may_administer()?;
    let new: CreateToken = body::read_json(stream).await?;
    let created = ctx.app.create_token(&leave, new).await?;
    Ok(json_with(StatusCode::CREATED, &created))
}

pub(in crate::http) async fn revoke(ctx: Ctx, id: String) -> Answer {
    let leave = ctx.caller()?.may_administer()?;
    ctx.app.revoke_token(&leave, &id).await?;
    Ok(no_content())
}
