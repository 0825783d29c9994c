//! `/api/audit`.

use http::header::{CONTENT_TYPE, HeaderValue};
use warp::Reply;

use crate::api::{AuditLine, AuditPage};
use crate::http::context::Ctx;
use crate::http::error::Refusals;
use crate::http::reply::{Answer, json};
use crate::model::{AuditFilter, Error};

const LIMIT_DEFAULT: u64 = 100;
const LIMIT_MAX: u64 = 1_000;
/// What JSON Schema's `int64`, by which ids are described, can hold.
const ID_MAX: u64 = i64::MAX.unsigned_abs();

#[utoipa::path(
    get,
    path = "/api/audit",
    tag = "platform",
    params(
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "entries on a page, at most 1000; 100 by default"),
        ("before" = Option<u64>, Query, description = "only entries older than this id"),
        ("after" = Option<u64>, Query, description = "with \"jsonl\": only entries newer than this id"),
        ("format" = Option<String>, Query, pattern = "^jsonl?$", description = "\"json\" (default): a page; \"jsonl\": all that fit, oldest first, one a line"),
        ("actor" = Option<String>, Query, description = "only this person's"),
        ("action" = Option<String>, Query, description = "only this action, or this family of actions, such as \"server\"")
    ),
    responses(
        (status = 200, description = "who did what: newest first, or with \"jsonl\" oldest first", content(
            (AuditPage = "application/json"),
            (String = "application/jsonl")
        )),
        Refusals
    )
)]
pub(in crate::http) async fn list(ctx: Ctx) -> Answer {
    let permit = ctx.caller()?.may_administer()?;
    let is_export = match ctx.query("format") {
        None | Some("json") => false,
        Some("jsonl") => true,
        Some(_) => {
            return Err(Error::invalid(
                "invalid_query",
                "format",
                "the query parameter \"format\" must be \"json\" or \"jsonl\"",
            ));
        }
    };
    let after = ctx.query_number("after", ID_MAX)?.unwrap_or(0);
    let limit = ctx
        .query_number("limit", LIMIT_MAX)?
        .unwrap_or(LIMIT_DEFAULT);
    if limit == 0 {
        return Err(Error::invalid(
            "invalid_query",
            "limit",
            format!("the query parameter \"limit\" must be from 1 to {LIMIT_MAX}"),
        ));
    }
    let filter = AuditFilter {
        before: ctx.query_number("before", ID_MAX)?,
        actor: ctx.query("actor").map(str::to_owned),
        action: ctx.query("action").map(str::to_owned),
    };
    if is_export {
        let lines = ctx.app.audit.lines(&permit, filter, after).await;
        let mut response = warp::reply::stream(Box::pin(lines)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/jsonl"));
        return Ok(response);
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let (entries, has_more) = ctx.app.audit.page(&permit, filter, limit).await?;
    let next = entries.last().filter(|_| has_more).map(|entry| entry.id);
    let entries = entries.into_iter().map(AuditLine::from).collect();
    Ok(json(&AuditPage { entries, next }))
}
