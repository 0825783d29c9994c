//! `/api/tokens`.

use http::StatusCode;

use crate::api::{ChangeToken, CreateToken, CreatedToken, TokenList, TokenView};
use crate::http::body::{self, BodyStream, Limit};
use crate::http::context::Ctx;
use crate::http::error::Refusals;
use crate::http::reply::{Answer, json, json_with, no_content};

#[utoipa::path(
    get,
    path = "/api/tokens",
    tag = "tokens",
    params(("server" = Option<String>, Query, description = "id or name: only those with which this server can be called")),
    responses((status = 200, description = "all tokens, or those a developer has made; oldest first, without their secrets", body = TokenList), Refusals)
)]
pub(in crate::http) async fn list(ctx: Ctx) -> Answer {
    let permit = ctx.caller()?.may_issue()?;
    let tokens = ctx.app.tokens.list(&permit, ctx.query("server"))?;
    Ok(json(&TokenList { tokens }))
}

#[utoipa::path(
    post,
    path = "/api/tokens",
    tag = "tokens",
    request_body(content = CreateToken),
    responses((status = 201, description = "the token; its secret is never shown again", body = CreatedToken), Refusals)
)]
pub(in crate::http) async fn create(ctx: Ctx, stream: BodyStream) -> Answer {
    let permit = ctx.caller()?.may_issue()?;
    let new: CreateToken = body::read_json(&ctx, stream, Limit::SETTINGS).await?;
    let created = ctx.app.tokens.create(&permit, new).await?;
    ctx.facts.target(&created.view.name, created.view.id);
    Ok(json_with(StatusCode::CREATED, &created))
}

#[utoipa::path(
    patch,
    path = "/api/tokens/{id}",
    tag = "tokens",
    params(("id" = String, Path, description = "the token's id")),
    request_body(content = ChangeToken),
    responses((status = 200, description = "the changed token", body = TokenView), Refusals)
)]
pub(in crate::http) async fn change(ctx: Ctx, id: String, stream: BodyStream) -> Answer {
    let caller = ctx.caller()?;
    let permit = caller.may_administer()?;
    let token = ctx.app.tokens.get(&caller.may_issue()?, &id)?;
    ctx.facts.target(&token.name, token.id);
    let change: ChangeToken = body::read_json(&ctx, stream, Limit::SETTINGS).await?;
    let changed = ctx.app.quotas.change_token(&permit, &token, change);
    Ok(json(&changed.await?))
}

#[utoipa::path(
    delete,
    path = "/api/tokens/{id}",
    tag = "tokens",
    params(("id" = String, Path, description = "the token's id")),
    responses((status = 204, description = "it is refused from now on"), Refusals)
)]
pub(in crate::http) async fn revoke(ctx: Ctx, id: String) -> Answer {
    let permit = ctx.caller()?.may_issue()?;
    let token = ctx.app.tokens.get(&permit, &id)?;
    ctx.facts.target(&token.name, token.id);
    ctx.app.tokens.revoke(&permit, token.id).await?;
    Ok(no_content())
}
