//! From a request to its answer: finds its route, has the handler answer, and
//! sees to what every answer needs. One warp filter for a whole listener: the
//! path is looked up in a table ([`Table`]) rather than tried against every route.

use std::panic::resume_unwind;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{ALLOW, HeaderValue};
use http::{Method, StatusCode};
use tracing::{Instrument, Span};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::path::FullPath;
use warp::reply::Response;
use warp::ws::Ws;

use super::audit;
use super::body::body;
use super::context::{Ctx, context};
use super::error::{error_body, error_response};
use super::reply::{Answer, Work};
use super::route::{Description, Found, Parts, Route, Table};
use crate::model::Error;
use crate::services::App;

/// What a listener serves.
pub(super) type Site = BoxedFilter<(Response,)>;

/// What is tried for a request that has no route. It names what it finds for the
/// log and for what is measured.
pub(super) type Beyond = fn(Ctx, FullPath) -> BoxFuture<'static, Option<Response>>;

/// Serves the routes of a table, and what is beyond it.
pub(super) fn site(app: &Arc<App>, table: Table, description: Description, beyond: Beyond) -> Site {
    let table = Arc::new(table);
    warp::path::full()
        .and(context(app))
        .and(body())
        .and(upgrade())
        .then(move |path: FullPath, ctx, body, upgrade| {
            let table = Arc::clone(&table);
            async move {
                let parts = Parts {
                    params: Vec::new().into_iter(),
                    body: Some(body),
                    upgrade,
                    description,
                };
                answer(&table, ctx, path, parts, beyond).await
            }
        })
        .boxed()
}

/// Brings the WebSocket of a request that asks for one.
fn upgrade() -> impl Filter<Extract = (Option<Ws>,), Error = std::convert::Infallible> + Copy {
    warp::ws().map(Some).or(warp::any().map(|| None)).unify()
}

async fn answer(table: &Table, ctx: Ctx, path: FullPath, parts: Parts, beyond: Beyond) -> Response {
    let found = table.find(&ctx.method, path.as_str());
    let allow = match found {
        Found::Route(route, params) => {
            ctx.facts.route(route.template);
            let params = params.into_iter();
            return run(route, ctx, Parts { params, ..parts }).await;
        }
        Found::OtherMethods { template, allow } => {
            ctx.facts.route(template);
            Some(allow)
        }
        Found::Nothing => None,
    };
    let request_id = ctx.request_id.clone();
    match beyond(ctx, path).await {
        Some(response) => response,
        None => nothing(allow.as_deref(), &request_id),
    }
}

/// Has a route's handler answer, and writes the line of the audit log that the
/// route says.
async fn run(route: &Route, ctx: Ctx, parts: Parts) -> Response {
    let Some(action) = route.action else {
        return call(ctx, |ctx| route.handle(ctx, parts)).await;
    };
    ctx.facts.begin(action);
    call(ctx, |ctx| {
        told(ctx.clone(), route.handle(ctx, parts)).boxed()
    })
    .await
}

async fn told(ctx: Ctx, work: Work) -> Answer {
    let answer = work.await;
    audit::write(&ctx, answer.as_ref().map(|_| ())).await;
    answer
}

/// Runs a handler and turns its error into an answer.
///
/// hyper drops a request's future when the caller hangs up. What only reads may
/// end there; what writes runs to its end as a task of its own, or the database
/// would know of a change that nobody else was told of.
pub(super) async fn call(ctx: Ctx, handler: impl FnOnce(Ctx) -> Work) -> Response {
    let request_id = ctx.request_id.clone();
    let only_reads = ctx.method == Method::GET || ctx.method == Method::HEAD;
    let app = Arc::clone(&ctx.app);
    let span = ctx.facts.span().clone();
    let work = handler(ctx);
    let answer = if only_reads {
        work.await
    } else {
        to_its_end(&app, work, span).await
    };
    answer.unwrap_or_else(|error| error_response(&error, &request_id))
}

async fn to_its_end(app: &App, work: Work, span: Span) -> Answer {
    let under_way = app.monitoring.change_begins();
    let work = async move {
        let _under_way = under_way;
        work.await
    };
    match app.tasks().spawn(work.instrument(span)).await {
        Ok(answer) => answer,
        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
        Err(error) => Err(Error::internal("a request's task ended early", error)),
    }
}

/// The answer where there is nothing, or nothing for this method.
fn nothing(allow: Option<&str>, request_id: &str) -> Response {
    let Some(allow) = allow else {
        let message = "there is nothing at this address";
        return error_body(
            StatusCode::NOT_FOUND,
            "not_found",
            message,
            None,
            request_id,
        );
    };
    let mut response = error_body(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this address does not take this method",
        None,
        request_id,
    );
    if let Ok(allow) = HeaderValue::from_str(allow) {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}
