//! `/api/servers/{id}/code` and `/versions`.

use serde_json::json;

use crate::http::body::{self, BodyStream};
use crate::http::context::Ctx;
use crate::http::create_form::{self, FORM_OVERHEAD_BYTES};
use crate::http::reply::{Answer, content, json};
use crate::model::Error;

pub(in crate::http) async fn get(ctx: Ctx, id: String) -> Answer {
    let leave = ctx.caller()?.may_read()?;
    let code = ctx.app.code(&leave, &id).await?;
    Ok(content("text/x-python; charset=utf-8", code))
}

pub(in crate::http) async fn put(ctx: Ctx, id: String, stream: BodyStream) -> Answer {
    let leave = ctx.caller()?.may_write()?;
    let restart = ctx.query_flag("restart")?.unwrap_or(true);
    let max_code = ctx.app.settings.max_code_bytes;
    let bytes = body::read(stream, max_code + FORM_OVERHEAD_BYTES).await?;
    let code = create_form::read_code(&ctx.headers, bytes, max_code).await?;
    Ok(json(&ctx.app.put_code(&leave, &id, code, restart).await?))
}

pub(in crate::http) async fn versions(ctx: Ctx, id: String) -> Answer {
    let leave = ctx.caller()?.may_read()?;
    let versions = ctx.app.versions(&leave, &id).await?;
    Ok(json(&json!({ "versions": versions })))
}

pub(in crate::http) async fn activate(ctx: Ctx, id: String, number: String) -> Answer {
    let leave = ctx.caller()?.may_write()?;
    let number = number.parse().map_err(|_| Error::NotFound {
        code: "version_not_found",
        message: "a version is a whole number".to_owned(),
    })?;
    Ok(json(&ctx.app.activate_version(&leave, &id, number).await?))
}
