//! `/api/servers/{id}/tools`, `…/resources`, `…/prompts` and `…/test`: trying
//! a server out from the dashboard.

use crate::access::CanConnect;
use crate::api::{
    ConnectionTest, ErrorBody, Invocation, PromptView, ReadView, ResourceRef, ToolResultView,
    ToolsView,
};
use crate::http::body::{self, BodyStream, Limit};
use crate::http::context::Ctx;
use crate::http::error::Refusals;
use crate::http::reply::{Answer, json};
use crate::model::Result;

#[utoipa::path(
    get,
    path = "/api/servers/{id}/tools",
    tag = "tools",
    params(("id" = String, Path, description = "id or name")),
    responses(
        (status = 200, description = "what the server offers", body = ToolsView),
        (status = 502, description = "the server gave no good answer", body = ErrorBody),
        Refusals
    )
)]
pub(in crate::http) async fn list(ctx: Ctx, id: String) -> Answer {
    let permit = may_use(&ctx, &id)?;
    Ok(json(&ctx.app.tools.list(&permit).await?))
}

#[utoipa::path(
    post,
    path = "/api/servers/{id}/tools/call",
    tag = "tools",
    params(("id" = String, Path, description = "id or name")),
    request_body(content = Invocation),
    responses(
        (status = 200, description = "the tool's result, also where the tool failed", body = ToolResultView),
        (status = 502, description = "the server gave no good answer", body = ErrorBody),
        Refusals
    )
)]
pub(in crate::http) async fn call(ctx: Ctx, id: String, stream: BodyStream) -> Answer {
    let permit = may_use(&ctx, &id)?;
    let call: Invocation = body::read_json(&ctx, stream, Limit::CALL).await?;
    Ok(json(&ctx.app.tools.call(&permit, call).await?))
}

#[utoipa::path(
    post,
    path = "/api/servers/{id}/resources/read",
    tag = "tools",
    params(("id" = String, Path, description = "id or name")),
    request_body(content = ResourceRef),
    responses(
        (status = 200, description = "the resource's contents", body = ReadView),
        (status = 502, description = "the server gave no good answer", body = ErrorBody),
        Refusals
    )
)]
pub(in crate::http) async fn read(ctx: Ctx, id: String, stream: BodyStream) -> Answer {
    let permit = may_use(&ctx, &id)?;
    let resource: ResourceRef = body::read_json(&ctx, stream, Limit::CALL).await?;
    Ok(json(&ctx.app.tools.read_resource(&permit, resource).await?))
}

#[utoipa::path(
    post,
    path = "/api/servers/{id}/prompts/get",
    tag = "tools",
    params(("id" = String, Path, description = "id or name")),
    request_body(content = Invocation),
    responses(
        (status = 200, description = "the filled-in prompt", body = PromptView),
        (status = 502, description = "the server gave no good answer", body = ErrorBody),
        Refusals
    )
)]
pub(in crate::http) async fn prompt(ctx: Ctx, id: String, stream: BodyStream) -> Answer {
    let permit = may_use(&ctx, &id)?;
    let call: Invocation = body::read_json(&ctx, stream, Limit::CALL).await?;
    Ok(json(&ctx.app.tools.get_prompt(&permit, call).await?))
}

#[utoipa::path(
    post,
    path = "/api/servers/{id}/test",
    tag = "tools",
    params(("id" = String, Path, description = "id or name")),
    responses((status = 200, description = "how far a client gets, step by step", body = ConnectionTest), Refusals)
)]
pub(in crate::http) async fn test(ctx: Ctx, id: String) -> Answer {
    let permit = may_use(&ctx, &id)?;
    Ok(json(&ctx.app.connection_tests.run(&permit).await?))
}

/// Trying a tool is calling the server, as through the gate.
fn may_use(ctx: &Ctx, id: &str) -> Result<CanConnect> {
    let caller = ctx.caller()?;
    ctx.named(&caller, id)?.may_connect()
}
