//! All routes on one screen. A route's filter matches method and path and
//! brings the request; everything else is in `controllers`.

use std::convert::Infallible;
use std::sync::Arc;

use http::StatusCode;
use http::header::{ALLOW, HeaderValue};
use warp::filters::BoxedFilter;
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Rejection, delete, get, patch, path, post, put};

use super::audit::audited;
use super::body::body;
use super::context::{Ctx, context};
use super::controllers::{
    audit, backup, code, connection, env, gate, health, helpers, live, logs, metrics, oauth,
    overview, preflight, provider, servers, session, settings, tokens, tools, usage,
};
use super::error::error_body;
use super::openapi;
use super::reply::call;
use super::ui;
use crate::services::App;
use crate::traefik::SERVERS_HOST_HEADER;

type Routes = BoxedFilter<(Response,)>;

/// The dashboard and the API.
#[rustfmt::skip]
pub(super) fn public(app: &Arc<App>) -> Routes {
    let ctx = context(app);
    let ctx = || ctx.clone();

    let on_servers_host = warp::header::exact(SERVERS_HOST_HEADER, "1").and(warp::path::full()).and(ctx()).then(|path, c| call(c, |c| servers::on_their_host(path, c))).boxed();
    let servers = any_of([
        path!("api" / "servers").and(get()).and(ctx()).then(|c| call(c, servers::list)).boxed(),
        path!("api" / "servers").and(post()).and(ctx()).and(body()).then(|c, b| audited(c, "server.create", |c| servers::create(c, b))).boxed(),
        path!("api" / "servers" / String).and(get()).and(ctx()).then(|id, c| call(c, |c| servers::get(c, id))).boxed(),
        path!("api" / "servers" / String).and(patch()).and(ctx()).and(body()).then(|id, c, b| audited(c, "server.change", |c| servers::patch(c, id, b))).boxed(),
        path!("api" / "servers" / String).and(delete()).and(ctx()).then(|id, c| audited(c, "server.delete", |c| servers::delete(c, id))).boxed(),
        path!("api" / "servers" / String / "action").and(post()).and(ctx()).and(body()).then(|id, c, b| audited(c, "server.action", |c| servers::act(c, id, b))).boxed(),
        path!("api" / "servers" / String / "events").and(get()).and(ctx()).then(|id, c| call(c, |c| servers::events(c, id))).boxed(),
    ]);
    let parts = any_of([
        path!("api" / "servers" / String / "code").and(get()).and(ctx()).then(|id, c| audited(c, "code.read", |c| code::get(c, id))).boxed(),
        path!("api" / "servers" / String / "code").and(put()).and(ctx()).and(body()).then(|id, c, b| audited(c, "code.put", |c| code::put(c, id, b))).boxed(),
        path!("api" / "servers" / String / "versions").and(get()).and(ctx()).then(|id, c| call(c, |c| code::versions(c, id))).boxed(),
        path!("api" / "servers" / String / "versions" / String / "code").and(get()).and(ctx()).then(|id, n, c| audited(c, "code.read", |c| code::get_version(c, id, n))).boxed(),
        path!("api" / "servers" / String / "versions" / String / "activate").and(post()).and(ctx()).then(|id, n, c| audited(c, "code.activate", |c| code::activate(c, id, n))).boxed(),
        path!("api" / "servers" / String / "env").and(get()).and(ctx()).then(|id, c| audited(c, "env.read", |c| env::get(c, id))).boxed(),
        path!("api" / "servers" / String / "env").and(put()).and(ctx()).and(body()).then(|id, c, b| audited(c, "env.put", |c| env::put(c, id, b))).boxed(),
        path!("api" / "servers" / String / "logs").and(get()).and(warp::ws()).and(ctx()).then(|id, ws, c| audited(c, "log.read", |c| logs::stream(c, id, ws))).boxed(),
        path!("api" / "servers" / String / "logs").and(get()).and(ctx()).then(|id, c| audited(c, "log.read", |c| logs::read(c, id))).boxed(),
        path!("api" / "servers" / String / "connection").and(get()).and(ctx()).then(|id, c| call(c, |c| connection::get(c, id))).boxed(),
        path!("api" / "servers" / String / "tools").and(get()).and(ctx()).then(|id, c| audited(c, "server.list_tools", |c| tools::list(c, id))).boxed(),
        path!("api" / "servers" / String / "tools" / "call").and(post()).and(ctx()).and(body()).then(|id, c, b| audited(c, "server.call", |c| tools::call(c, id, b))).boxed(),
        path!("api" / "servers" / String / "resources" / "read").and(post()).and(ctx()).and(body()).then(|id, c, b| audited(c, "server.call", |c| tools::read(c, id, b))).boxed(),
        path!("api" / "servers" / String / "prompts" / "get").and(post()).and(ctx()).and(body()).then(|id, c, b| audited(c, "server.call", |c| tools::prompt(c, id, b))).boxed(),
        path!("api" / "servers" / String / "test").and(post()).and(ctx()).then(|id, c| audited(c, "server.test", |c| tools::test(c, id))).boxed(),
    ]);
    let rest = any_of([
        path!("api" / "names" / String).and(get()).and(ctx()).then(|name, c| call(c, |c| helpers::name(c, name))).boxed(),
        path!("api" / "check").and(post()).and(ctx()).and(body()).then(|c, b| call(c, |c| helpers::check(c, b))).boxed(),
        path!("api" / "templates").and(get()).and(ctx()).then(|c| call(c, helpers::list_templates)).boxed(),
        path!("api" / "events" / "stream").and(get()).and(ctx()).then(|c| call(c, live::stream)).boxed(),
        path!("api" / "overview").and(get()).and(ctx()).then(|c| call(c, overview::get)).boxed(),
        path!("api" / "settings").and(get()).and(ctx()).then(|c| call(c, settings::get)).boxed(),
        path!("api" / "usage").and(get()).and(ctx()).then(|c| call(c, usage::get)).boxed(),
        path!("api" / "audit").and(get()).and(ctx()).then(|c| call(c, audit::list)).boxed(),
        path!("api" / "backup").and(get()).and(ctx()).then(|c| audited(c, "backup.make", backup::get)).boxed(),
        path!("api" / "tokens").and(get()).and(ctx()).then(|c| call(c, tokens::list)).boxed(),
        path!("api" / "tokens").and(post()).and(ctx()).and(body()).then(|c, b| audited(c, "token.create", |c| tokens::create(c, b))).boxed(),
        path!("api" / "tokens" / String).and(patch()).and(ctx()).and(body()).then(|id, c, b| audited(c, "token.change", |c| tokens::change(c, id, b))).boxed(),
        path!("api" / "tokens" / String).and(delete()).and(ctx()).then(|id, c| audited(c, "token.revoke", |c| tokens::revoke(c, id))).boxed(),
        path!("api" / "session").and(get()).and(ctx()).then(|c| call(c, session::show)).boxed(),
        path!("api" / "session").and(post()).and(ctx()).and(body()).then(|c, b| audited(c, "session.sign_in", |c| session::sign_in(c, b))).boxed(),
        path!("api" / "session").and(delete()).and(ctx()).then(|c| audited(c, "session.sign_out", session::sign_out)).boxed(),
        path!("api" / "openapi.json").and(get()).and(ctx()).then(|c| call(c, openapi::document)).boxed(),
        oauth_endpoints().and(ctx()).then(|c| call(c, oauth::endpoint)).boxed(),
        warp::path::full().and(ctx()).and_then(oauth::well_known).boxed(),
        path!("healthz").and(get()).and(ctx()).then(|c| call(c, health::live)).boxed(),
        path!("ca.crt").and(get()).and(ctx()).then(|c| call(c, health::ca_cert)).boxed(),
        path!("metrics").and(get()).and(ctx()).and_then(metrics::public).boxed(),
        path!("metrics" / "traefik").and(get()).and(ctx()).and_then(metrics::public_of_traefik).boxed(),
        path!("api" / String / ..).and(warp::path::full()).and(ctx()).and_then(servers::unknown).boxed(),
        warp::path::full().and(warp::method()).and(warp::header::headers_cloned()).and_then(ui::asset).boxed(),
    ]);
    or_error(any_of([on_servers_host, servers, parts, rest]), app)
}

/// What Traefik and monitoring call; never routed to clients.
#[rustfmt::skip]
pub(super) fn internal(app: &Arc<App>) -> Routes {
    let ctx = context(app);
    let ctx = || ctx.clone();
    let routes = any_of([
        path!("gate").and(get()).and(ctx()).and(body()).then(|c, b| call(c, |c| gate::decide(c, b))).boxed(),
        path!("gate" / "knock").and(get()).and(ctx()).then(|c| call(c, gate::knock)).boxed(),
        path!("gate" / "too-large").and(get()).and(ctx()).then(|c| call(c, gate::may_be_told)).boxed(),
        path!("too-large").and(ctx()).and(body()).then(|c, b| call(c, |c| gate::too_large(c, b))).boxed(),
        path!("preflight").and(ctx()).then(|c| call(c, preflight::answer)).boxed(),
        path!("clear-text").and(ctx()).and(body()).then(|c, b| call(c, |c| gate::clear_text(c, b))).boxed(),
        path!("traefik" / "config").and(get()).and(ctx()).then(|c| call(c, provider::poll)).boxed(),
        path!("traefik" / "in-effect" / String).and(get()).and(ctx()).then(|f, c| call(c, |c| provider::in_effect(c, f))).boxed(),
        path!("readyz").and(get()).and(ctx()).then(|c| call(c, health::ready)).boxed(),
        path!("healthz").and(get()).and(ctx()).then(|c| call(c, health::live)).boxed(),
        path!("metrics").and(get()).and(ctx()).then(|c| call(c, metrics::internal)).boxed(),
        path!("metrics" / "may-scrape").and(get()).and(ctx()).then(|c| call(c, metrics::may_scrape)).boxed(),
    ]);
    or_error(routes, app)
}

/// Where clients look for an authorization server's endpoints, by every method.
/// They are no part of the API.
fn oauth_endpoints() -> impl Filter<Extract = (), Error = warp::Rejection> + Clone + Send + Sync {
    let (register, authorize) = (path!("register"), path!("authorize"));
    register.or(authorize).unify().or(path!("token")).unify()
}

/// The first route that fits.
fn any_of<const N: usize>(routes: [Routes; N]) -> Routes {
    let mut routes = routes.into_iter();
    let Some(first) = routes.next() else {
        return warp::any()
            .and_then(|| async { Err(warp::reject::not_found()) })
            .boxed();
    };
    routes.fold(first, |all, next| all.or(next).unify().boxed())
}

/// Handlers never reject, so what is left is a path or method nobody has.
fn or_error(routes: Routes, app: &Arc<App>) -> Routes {
    let unmatched = context(app)
        .and(warp::path::full())
        .map(|c: Ctx, path: FullPath| Unmatched {
            request_id: c.request_id,
            allow: openapi::methods_of(path.as_str()).unwrap_or("GET"),
        });
    routes
        .or(unmatched.and_then(|unmatched| async move { Err(warp::reject::custom(unmatched)) }))
        .unify()
        .recover(explain)
        .unify()
        .boxed()
}

/// Carries to [`explain`] what the answer needs.
#[derive(Debug)]
struct Unmatched {
    request_id: String,
    allow: &'static str,
}

impl warp::reject::Reject for Unmatched {}

async fn explain(rejection: Rejection) -> Result<Response, Infallible> {
    let unmatched = rejection.find::<Unmatched>();
    let request_id = unmatched.map_or("", |unmatched| unmatched.request_id.as_str());
    let is_method = rejection.find::<warp::reject::MethodNotAllowed>().is_some();
    let (status, code, message) = if is_method {
        (
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "this address does not take this method",
        )
    } else {
        (
            StatusCode::NOT_FOUND,
            "not_found",
            "there is nothing at this address",
        )
    };
    let mut response = error_body(status, code, message, None, request_id);
    if let Some(unmatched) = unmatched.filter(|_| is_method) {
        let allow = HeaderValue::from_static(unmatched.allow);
        response.headers_mut().insert(ALLOW, allow);
    }
    Ok(response)
}
