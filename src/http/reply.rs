//! Answers.

use futures_util::future::BoxFuture;
use http::StatusCode;
use http::header::{CONTENT_TYPE, ETAG, HeaderValue};
use serde::Serialize;
use warp::Reply;

use crate::model::{Error, Result, Tag};

/// What every handler gives.
pub(super) type Answer = Result<warp::reply::Response>;

/// A handler at work. Of one type for all of them: what is done with it is then
/// compiled once, where a task of its own for each of 50 handlers was a tenth of
/// what there was to compile.
pub(super) type Work = BoxFuture<'static, Answer>;

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
