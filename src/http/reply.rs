//! Answers.

use std::future::Future;
use std::panic::resume_unwind;
use std::sync::Arc;

use http::header::{CONTENT_TYPE, ETAG, HeaderValue};
use http::{Method, StatusCode};
use serde::Serialize;
use tracing::Instrument;
use warp::Reply;

use super::context::Ctx;
use super::error::error_response;
use crate::model::{Error, Result, Tag};

/// What every handler gives.
pub(super) type Answer = Result<warp::reply::Response>;

/// Runs a handler and turns its error into an answer.
///
/// hyper drops a request's future when the caller hangs up. What only reads may
/// end there; what writes runs to its end as a task of its own, or the database
/// would know of a change that nobody else was told of.
pub(super) async fn call<F>(ctx: Ctx, handler: impl FnOnce(Ctx) -> F) -> warp::reply::Response
where
    F: Future<Output = Answer> + Send + 'static,
{
    let request_id = ctx.request_id.clone();
    let only_reads = ctx.method == Method::GET || ctx.method == Method::HEAD;
    let app = Arc::clone(&ctx.app);
    let span = ctx.note.span().clone();
    let work = handler(ctx);
    let answer = if only_reads {
        work.await
    } else {
        let under_way = app.change_begins();
        let to_its_end = async move {
            let _under_way = under_way;
            work.await
        };
        match app.tasks().spawn(to_its_end.instrument(span)).await {
            Ok(answer) => answer,
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(error) => Err(Error::internal("a request's task ended early", error)),
        }
    };
    answer.unwrap_or_else(|error| error_response(&error, &request_id))
}

/// 200 with JSON.
pub(super) fn json(value: &impl Serialize) -> warp::reply::Response {
    warp::reply::json(value).into_response()
}

/// Any status with JSON.
pub(super) fn json_with(status: StatusCode, value: &impl Serialize) -> warp::reply::Response {
    warp::reply::with_status(warp::reply::json(value), status).into_response()
}

/// The same answer with the tag of what it shows, or of what is so now.
pub(super) fn tagged(mut response: warp::reply::Response, tag: &Tag) -> Answer {
    let value = HeaderValue::from_str(tag.as_str())
        .map_err(|error| Error::internal("a tag does not fit a header", error))?;
    response.headers_mut().insert(ETAG, value);
    Ok(response)
}

/// 204.
pub(super) fn no_content() -> warp::reply::Response {
    StatusCode::NO_CONTENT.into_response()
}

/// 200 with some other content.
pub(super) fn content(kind: &'static str, body: impl Into<Vec<u8>>) -> warp::reply::Response {
    let mut response = body.into().into_response();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
