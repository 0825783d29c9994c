//! Answers.

use std::future::Future;
use std::panic::resume_unwind;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{CONTENT_TYPE, ETAG, HeaderValue};
use http::{Method, StatusCode};
use serde::Serialize;
use tracing::{Instrument, Span};
use warp::Reply;

use super::context::Ctx;
use super::error::error_response;
use crate::model::{Error, Result, Tag};
use crate::services::App;

/// What every handler gives.
pub(super) type Answer = Result<warp::reply::Response>;

/// A handler at work. Of one type for all of them: what is done with it is then
/// compiled once, where a task of its own for each of 50 handlers was a tenth of
/// what there was to compile.
pub(super) type Work = BoxFuture<'static, Answer>;

/// Runs a handler and turns its error into an answer.
///
/// hyper drops a request's future when the caller hangs up. What only reads may
/// end there; what writes runs to its end as a task of its own, or the database
/// would know of a change that nobody else was told of.
pub(super) fn call<F>(
    ctx: Ctx,
    handler: impl FnOnce(Ctx) -> F,
) -> impl Future<Output = warp::reply::Response> + Send
where
    F: Future<Output = Answer> + Send + 'static,
{
    let request = Request {
        id: ctx.request_id.clone(),
        only_reads: ctx.method == Method::GET || ctx.method == Method::HEAD,
        app: Arc::clone(&ctx.app),
        span: ctx.note.span().clone(),
    };
    request.answer(handler(ctx).boxed())
}

/// What is to be known of a request when its handler has the rest.
struct Request {
    id: String,
    only_reads: bool,
    app: Arc<App>,
    span: Span,
}

impl Request {
    async fn answer(self, work: Work) -> warp::reply::Response {
        let answer = if self.only_reads {
            work.await
        } else {
            self.to_its_end(work).await
        };
        answer.unwrap_or_else(|error| error_response(&error, &self.id))
    }

    async fn to_its_end(&self, work: Work) -> Answer {
        let under_way = self.app.change_begins();
        let work = async move {
            let _under_way = under_way;
            work.await
        };
        let task = self.app.tasks().spawn(work.instrument(self.span.clone()));
        match task.await {
            Ok(answer) => answer,
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(error) => Err(Error::internal("a request's task ended early", error)),
        }
    }
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
