//! Answers.

use std::future::Future;

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use warp::Reply;

use super::context::Ctx;
use super::error::error_response;
use crate::model::Result;

/// What every handler gives.
pub(super) type Answer = Result<warp::reply::Response>;

/// Runs a handler and turns its error into an answer.
pub(super) async fn call<F>(ctx: Ctx, handler: impl FnOnce(Ctx) -> F) -> warp::reply::Response
where
    F: Future<Output = Answer>,
{
    let request_id = ctx.request_id.clone();
    handler(ctx)
        .await
        .unwrap_or_else(|error| error_response(&error, &request_id))
}

/// 200 with JSON.
pub(super) fn json(value: &impl Serialize) -> warp::reply::Response {
    warp::reply::json(value).into_response()
}

/// Any status with JSON.
pub(super) fn json_with(status: StatusCode, value: &impl Serialize) -> warp::reply::Response {
    warp::reply::with_status(warp::reply::json(value), status).into_response()
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
