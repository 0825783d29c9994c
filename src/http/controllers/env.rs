//! `/api/servers/{id}/env`.

use crate::api::{EnvList, EnvUpdate};
use crate::http::body::{self, BodyStream, Limit};
use crate::http::context::Ctx;
use crate::http::error::Refusals;
use crate::http::reply::{Answer, json, tagged};
use crate::model::parse_env_json;

#[utoipa::path(
    get,
    path = "/api/servers/{id}/env",
    tag = "environment",
    params(("id" = String, Path, description = "id or name")),
    responses((status = 200, description = "its variables, secrets masked", body = EnvList, headers(("ETag" = String, description = "of the whole set"))), Refusals)
)]
pub(in crate::http) async fn get(ctx: Ctx, id: String) -> Answer {
    let permit = ctx.may_inspect(&id)?;
    let (vars, tag) = ctx.app.env.get(&permit).await?;
    tagged(json(&EnvList { env: vars }), &tag)
}

#[utoipa::path(
    put,
    path = "/api/servers/{id}/env",
    tag = "environment",
    params(("id" = String, Path, description = "id or name"), ("restart" = Option<bool>, Query, description = "whether a running server restarts with it; false by default"), ("If-Match" = Option<String>, Header, description = "the ETag of the set as it was read")),
    request_body(content = EnvUpdate),
    responses((status = 200, description = "the new set, secrets masked", body = EnvList, headers(("ETag" = String, description = "of the new set"))), Refusals)
)]
pub(in crate::http) async fn put(ctx: Ctx, id: String, stream: BodyStream) -> Answer {
    let permit = ctx.may_write(&id)?;
    let restart = ctx.query_flag("restart")?.unwrap_or(false);
    let bytes = body::read(&ctx, stream, Limit::ENV).await?;
    body::check_structure(&bytes)?;
    let vars = parse_env_json(&bytes)?;
    let changed = ctx.app.env.replace(&permit, ctx.seen(), vars, restart);
    let (vars, tag) = changed.await?;
    tagged(json(&EnvList { env: vars }), &tag)
}
