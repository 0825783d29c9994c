//! `/api/servers/{id}/code` and `/versions`.

use crate::api::{CodeBody, CodeForm, FileBytes, ServerView, VersionList, VersionView};
use crate::http::body::{self, BodyStream, Limit};
use crate::http::context::Ctx;
use crate::http::create_form;
use crate::http::error::Refusals;
use crate::http::reply::{Answer, content, json, tagged};
use crate::model::{Error, Result, decode_source};

#[utoipa::path(
    get,
    path = "/api/servers/{id}/code",
    tag = "code",
    params(("id" = String, Path, description = "id or name"), ("raw" = Option<bool>, Query, description = "the file as it lies there, whatever its encoding")),
    responses((status = 200, description = "the code in use, as text", content((String = "text/x-python; charset=utf-8"), (FileBytes = "application/octet-stream")), headers(("ETag" = String, description = "of the version in use"))), Refusals)
)]
pub(in crate::http) async fn get(ctx: Ctx, id: String) -> Answer {
    let permit = ctx.may_inspect(&id)?;
    let (code, tag) = ctx.app.code.in_use(&permit).await?;
    tagged(shown(&ctx, code)?, &tag)
}

/// The text of a file, or the file itself where that is asked for.
fn shown(ctx: &Ctx, code: Vec<u8>) -> Answer {
    if ctx.query_flag("raw")?.unwrap_or(false) {
        return Ok(content("application/octet-stream", code));
    }
    let text = match decode_source(&code) {
        Ok(text) => text.into_owned().into_bytes(),
        // Taken by an EMCP that read UTF-8 alone, whatever it declares.
        Err(_) => code,
    };
    Ok(content("text/x-python; charset=utf-8", text))
}

#[utoipa::path(
    put,
    path = "/api/servers/{id}/code",
    tag = "code",
    params(("id" = String, Path, description = "id or name"), ("restart" = Option<bool>, Query, description = "whether a running server restarts with it; true by default"), ("If-Match" = Option<String>, Header, description = "the ETag of the code as it was read")),
    request_body(content((String = "text/x-python"), (CodeBody = "application/json"), (CodeForm = "multipart/form-data"))),
    responses((status = 200, description = "the server with its next version", body = ServerView, headers(("ETag" = String, description = "of the version in use now"))), Refusals)
)]
pub(in crate::http) async fn put(ctx: Ctx, id: String, stream: BodyStream) -> Answer {
    let permit = ctx.may_write(&id)?;
    let restart = ctx.query_flag("restart")?.unwrap_or(true);
    let max_code = ctx.app.settings().max_code_bytes;
    let bytes = body::read(&ctx, stream, Limit::code(max_code)).await?;
    let code = create_form::read_code(&ctx.headers, bytes, max_code).await?;
    let view = ctx.app.code.put(&permit, ctx.seen(), code, restart).await?;
    tagged(json(&view), &view.etags.code)
}

#[utoipa::path(
    get,
    path = "/api/servers/{id}/versions",
    tag = "code",
    params(("id" = String, Path, description = "id or name")),
    responses((status = 200, description = "all versions, oldest first", body = VersionList), Refusals)
)]
pub(in crate::http) async fn versions(ctx: Ctx, id: String) -> Answer {
    let permit = ctx.may_read(&id)?;
    let versions = ctx.app.code.versions(&permit, &id).await?;
    let versions = versions.into_iter().map(VersionView::from).collect();
    Ok(json(&VersionList { versions }))
}

#[utoipa::path(
    post,
    path = "/api/servers/{id}/versions/{number}/activate",
    tag = "code",
    params(("id" = String, Path, description = "id or name"), ("number" = u32, Path, description = "a version's number"), ("If-Match" = Option<String>, Header, description = "the ETag of the code as it was read")),
    responses((status = 200, description = "the server with that version", body = ServerView, headers(("ETag" = String, description = "of the version in use now"))), Refusals)
)]
pub(in crate::http) async fn activate(ctx: Ctx, id: String, number: String) -> Answer {
    let permit = ctx.may_write(&id)?;
    let number = version_number(&number)?;
    let view = ctx.app.code.activate(&permit, ctx.seen(), number).await?;
    tagged(json(&view), &view.etags.code)
}

#[utoipa::path(
    get,
    path = "/api/servers/{id}/versions/{number}/code",
    tag = "code",
    params(
        ("id" = String, Path, description = "id or name"),
        ("number" = u32, Path, description = "a version's number"),
        ("raw" = Option<bool>, Query, description = "the file as it lies there, whatever its encoding")
    ),
    responses(
        (status = 200, description = "the code of that version, as text", content((String = "text/x-python; charset=utf-8"), (FileBytes = "application/octet-stream"))),
        Refusals
    )
)]
pub(in crate::http) async fn get_version(ctx: Ctx, id: String, number: String) -> Answer {
    let permit = ctx.may_inspect(&id)?;
    let number = version_number(&number)?;
    let code = ctx.app.code.of_version(&permit, number).await?;
    shown(&ctx, code)
}

fn version_number(text: &str) -> Result<u32> {
    text.parse().map_err(|_| Error::NotFound {
        code: "version_not_found",
        message: "a version is a whole number".to_owned(),
    })
}
