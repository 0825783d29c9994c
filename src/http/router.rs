//! All routes on one screen. A route's entry says its method, path and handler,
//! and what the audit log calls what it does; what else follows from that is in
//! `route`, and everything else in `controllers`.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use futures_util::FutureExt;
use warp::Filter;
use warp::path::FullPath;
use warp::reply::Response;

use super::context::{Ctx, context};
use super::controllers::{
    audit, backup, code, connection, description, env, gate, health, live, logs, metrics,
    new_server, oauth, overview, preflight, provider, servers, session, settings, tokens, tools,
    usage,
};
use super::dispatch::{Site, call, site};
use super::openapi;
use super::request_facts::{DASHBOARD, UNMATCHED};
use super::route::{
    ANY, DELETE, Description, GET, Given, Operation, PATCH, POST, PUT, Route, Table,
};
use super::ui;
use crate::model::{Error, Result};
use crate::services::{App, Gate};
use crate::traefik::SERVERS_HOST_HEADER;

/// A route of the API: described by its handler's `#[utoipa::path]`, which utoipa
/// finds by the handler's name alone. Hence a macro.
macro_rules! described {
    ($method:expr, $template:literal, $module:ident::$handler:ident) => {{
        #[derive(utoipa::OpenApi)]
        #[openapi(paths($module::$handler))]
        struct Described;
        Route::new($method, $template, $module::$handler).described(Operation {
            id: concat!(stringify!($module), "_", stringify!($handler)),
            describe: <Described as utoipa::OpenApi>::openapi,
        })
    }};
}

/// The API.
#[rustfmt::skip]
pub(super) fn api() -> Vec<Route> {
    vec![
        described!(GET, "/api/servers", servers::list),
        described!(POST, "/api/servers", servers::create).audited("server.create"),
        described!(GET, "/api/servers/{id}", servers::get),
        described!(PATCH, "/api/servers/{id}", servers::patch).audited("server.change"),
        described!(DELETE, "/api/servers/{id}", servers::delete).audited("server.delete"),
        described!(POST, "/api/servers/{id}/action", servers::act).audited("server.action"),
        described!(GET, "/api/servers/{id}/events", servers::events),
        described!(GET, "/api/servers/{id}/code", code::get).audited("code.read"),
        described!(PUT, "/api/servers/{id}/code", code::put).audited("code.put"),
        described!(GET, "/api/servers/{id}/versions", code::versions),
        described!(GET, "/api/servers/{id}/versions/{number}/code", code::get_version).audited("code.read"),
        described!(POST, "/api/servers/{id}/versions/{number}/activate", code::activate).audited("code.activate"),
        described!(GET, "/api/servers/{id}/env", env::get).audited("env.read"),
        described!(PUT, "/api/servers/{id}/env", env::put).audited("env.put"),
        described!(GET, "/api/servers/{id}/logs", logs::get).audited("log.read"),
        described!(GET, "/api/servers/{id}/connection", connection::get),
        described!(GET, "/api/servers/{id}/tools", tools::list).audited("server.list_tools"),
        described!(POST, "/api/servers/{id}/tools/call", tools::call).audited("server.call"),
        described!(POST, "/api/servers/{id}/resources/read", tools::read).audited("server.call"),
        described!(POST, "/api/servers/{id}/prompts/get", tools::prompt).audited("server.call"),
        described!(POST, "/api/servers/{id}/test", tools::test).audited("server.test"),
        described!(GET, "/api/names/{name}", new_server::name),
        described!(POST, "/api/check", new_server::check),
        described!(GET, "/api/templates", new_server::list_templates),
        described!(GET, "/api/events/stream", live::stream),
        described!(GET, "/api/overview", overview::get),
        described!(GET, "/api/settings", settings::get),
        described!(GET, "/api/usage", usage::get),
        described!(GET, "/api/audit", audit::list),
        described!(GET, "/api/backup", backup::get).audited("backup.make"),
        described!(GET, "/api/tokens", tokens::list),
        described!(POST, "/api/tokens", tokens::create).audited("token.create"),
        described!(PATCH, "/api/tokens/{id}", tokens::change).audited("token.change"),
        described!(DELETE, "/api/tokens/{id}", tokens::revoke).audited("token.revoke"),
        described!(GET, "/api/session", session::show),
        described!(POST, "/api/session", session::sign_in).audited("session.sign_in"),
        described!(DELETE, "/api/session", session::sign_out).audited("session.sign_out"),
        described!(GET, "/api/openapi.json", description::document),
        described!(GET, "/healthz", health::live),
        described!(GET, "/ca.crt", health::ca_cert),
        described!(GET, "/metrics", metrics::read),
        described!(GET, "/metrics/traefik", metrics::of_traefik),
    ]
}

/// Where clients look for an authorization server's endpoints. They are no part
/// of the API.
fn oauth_endpoints() -> Vec<Route> {
    ["/register", "/authorize", "/token"]
        .map(|template| Route::new(ANY, template, oauth::endpoint))
        .into()
}

/// What Traefik and monitoring call; never routed to clients. What the gate looks
/// at, its own handlers alone are given.
#[rustfmt::skip]
fn internal_routes(at_gate: &Arc<Gate>) -> Vec<Route> {
    let at_gate = || Arc::clone(at_gate);
    vec![
        Route::new(GET, "/gate", Given(at_gate(), gate::decide)),
        Route::new(GET, "/gate/knock", Given(at_gate(), gate::knock)),
        Route::new(GET, "/gate/too-large", Given(at_gate(), gate::may_be_told)),
        Route::new(ANY, "/too-large", Given(at_gate(), gate::too_large)),
        Route::new(ANY, "/preflight", preflight::answer),
        Route::new(ANY, "/clear-text", Given(at_gate(), gate::clear_text)),
        Route::new(GET, "/traefik/config", provider::poll),
        Route::new(GET, "/traefik/in-effect/{fingerprint}", provider::in_effect),
        Route::new(GET, "/readyz", health::ready),
        Route::new(GET, "/healthz", health::live),
        Route::new(GET, "/metrics", metrics::internal),
        Route::new(GET, "/metrics/may-scrape", metrics::may_scrape),
    ]
}

/// The description of the API, made when it is asked for the first time.
fn description() -> Result<Bytes> {
    static TEXT: LazyLock<std::result::Result<Bytes, String>> =
        LazyLock::new(|| openapi::describe(&api()).map_err(|error| format!("{error:#}")));
    TEXT.clone()
        .map_err(|error| Error::internal("the API's description is broken", error))
}

/// The dashboard and the API.
///
/// # Errors
/// As [`Table::new`].
pub(super) fn public(app: &Arc<App>) -> anyhow::Result<Site> {
    let mut routes = api();
    routes.extend(oauth_endpoints());
    let on_servers_host = warp::header::exact(SERVERS_HOST_HEADER, "1")
        .and(warp::path::full())
        .and(context(app))
        .then(|path, ctx: Ctx| {
            ctx.facts.route(UNMATCHED);
            call(ctx, |ctx| servers::on_their_host(path, ctx).boxed())
        });
    let site = site(
        app,
        Table::new(routes)?,
        Description(description),
        |ctx, path| beyond_the_api(ctx, path).boxed(),
    );
    Ok(on_servers_host.or(site).unify().boxed())
}

/// The internal listener.
///
/// # Errors
/// As [`Table::new`].
pub(super) fn internal(app: &Arc<App>, gate: &Arc<Gate>) -> anyhow::Result<Site> {
    let table = Table::new(internal_routes(gate))?;
    let nothing = Description(|| Ok(Bytes::new()));
    Ok(site(app, table, nothing, |ctx, _| {
        nothing_beyond(ctx).boxed()
    }))
}

/// What has no route of its own: OAuth's documents, servers of which Traefik has
/// no route, and the dashboard's files.
async fn beyond_the_api(ctx: Ctx, path: FullPath) -> Option<Response> {
    if oauth::is_well_known(path.as_str()) {
        ctx.facts.route(UNMATCHED);
        return Some(oauth::no_document(&ctx));
    }
    if let Some(name) = servers::called_in(path.as_str()) {
        ctx.facts.route(UNMATCHED);
        let name = name.to_owned();
        return Some(call(ctx, |ctx| servers::unknown(ctx, path, name).boxed()).await);
    }
    let file = ui::asset(path.as_str(), &ctx.method, &ctx.headers);
    let found = if file.is_some() { DASHBOARD } else { UNMATCHED };
    ctx.facts.route(found);
    file
}

/// Nothing.
async fn nothing_beyond(ctx: Ctx) -> Option<Response> {
    ctx.facts.route(UNMATCHED);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_routes_are_a_table() {
        let mut public = api();
        public.extend(oauth_endpoints());
        assert!(Table::new(public).is_ok());
    }
}
