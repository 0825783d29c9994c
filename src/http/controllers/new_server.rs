//! What the page for a new server asks while somebody types:
//! `/api/names/{name}`, `/api/check` and `/api/templates`.

use crate::api::{CheckBody, CheckView, NameView, TemplateList};
use crate::http::body::{self, BodyStream, Limit};
use crate::http::context::Ctx;
use crate::http::create_form;
use crate::http::error::Refusals;
use crate::http::reply::{Answer, json};
use crate::model::Error;
use crate::services::templates;

#[utoipa::path(
    get,
    path = "/api/names/{name}",
    tag = "servers",
    params(("name" = String, Path, description = "a name for a new server")),
    responses((status = 200, description = "whether a new server may have it", body = NameView), Refusals)
)]
pub(in crate::http) async fn name(ctx: Ctx, name: String) -> Answer {
    let permit = ctx.caller()?.may_read()?;
    let problem = ctx.app.servers.problem_with_name(&permit, &name);
    Ok(json(&NameView {
        available: problem.is_none(),
        code: problem.as_ref().and_then(|problem| match problem {
            Error::Invalid { code, .. } | Error::Conflict { code, .. } => Some((*code).into()),
            _ => None,
        }),
        message: problem.map(|problem| problem.to_string()),
        name,
    }))
}

#[utoipa::path(
    post,
    path = "/api/check",
    tag = "servers",
    request_body(content = CheckBody),
    responses((status = 200, description = "what is wrong with the file, if anything", body = CheckView), Refusals)
)]
pub(in crate::http) async fn check(ctx: Ctx, stream: BodyStream) -> Answer {
    let permit = ctx.caller()?.may_read()?;
    let max_code = ctx.app.settings().max_code_bytes;
    let bytes = body::read(&ctx, stream, Limit::code(max_code)).await?;
    let check = create_form::read_check(&bytes, max_code)?;
    Ok(json(&ctx.app.checks.check_code(&permit, check).await?))
}

#[utoipa::path(
    get,
    path = "/api/templates",
    tag = "servers",
    responses((status = 200, description = "servers to start from", body = TemplateList), Refusals)
)]
pub(in crate::http) async fn list_templates(ctx: Ctx) -> Answer {
    ctx.caller()?.may_read()?;
    Ok(json(&TemplateList {
        templates: templates(),
    }))
}
