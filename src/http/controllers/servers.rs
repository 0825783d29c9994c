//! `/api/servers`.

use std::time::Duration;

use http::StatusCode;
use url::Url;
use warp::path::FullPath;

use super::oauth;
use crate::access::Caller;
use crate::api::{
    Action, ActionBody, CreateServerBody, CreateServerForm, EventList, PatchServer, ServerList,
    ServerView,
};
use crate::gate::{self, GateRequest};
use crate::http::audit;
use crate::http::body::{self, BodyStream, Limit};
use crate::http::context::Ctx;
use crate::http::create_form;
use crate::http::error::{Refusals, error_response};
use crate::http::reply::{Answer, json, json_with, no_content, tagged};
use crate::model::{Error, RESERVED_NAMES, Result, ServerId, ServerName, Status};
use crate::services::ServerFilter;

/// The longest `?wait=`, in seconds.
const WAIT_MAX_SECS: u64 = 120;
const EVENTS_SHOWN: u64 = 100;
/// The largest `?limit=`.
const EVENTS_MAX: u64 = 1_000;

#[utoipa::path(
    get,
    path = "/api/servers",
    tag = "servers",
    params(("q" = Option<String>, Query, description = "part of a name or description"), ("status" = Option<Status>, Query, description = "only this status")),
    responses((status = 200, description = "the servers that fit", body = ServerList), Refusals)
)]
pub(in crate::http) async fn list(ctx: Ctx) -> Answer {
    let permit = ctx.caller()?.may_read()?;
    let status = ctx.query("status").map(parse_status).transpose()?;
    let filter = ServerFilter {
        text: ctx.query("q").map(str::to_owned),
        status,
    };
    let servers = ctx.app.servers.list(&permit, &filter);
    Ok(json(&ServerList {
        total: servers.len(),
        servers,
    }))
}

#[utoipa::path(
    post,
    path = "/api/servers",
    tag = "servers",
    params(("wait" = Option<u64>, Query, maximum = 120, description = "seconds to wait until it has settled, at most 120")),
    request_body(content((CreateServerBody = "application/json"), (CreateServerForm = "multipart/form-data"))),
    responses((status = 201, description = "it exists, and starts unless told otherwise", body = ServerView), Refusals)
)]
pub(in crate::http) async fn create(ctx: Ctx, stream: BodyStream) -> Answer {
    let permit = ctx.caller()?.may_create()?;
    let max_code = ctx.app.settings().max_code_bytes;
    let bytes = body::read(&ctx, stream, Limit::server(max_code)).await?;
    let new = create_form::read(&ctx.headers, bytes, max_code).await?;
    let view = ctx.app.servers.create(&permit, new).await?;
    ctx.facts.about(view.id);
    ctx.facts.target(&view.name, view.id);
    audit::done(&ctx).await;
    let view = wait_if_asked(&ctx, permit.caller(), view).await?;
    Ok(json_with(StatusCode::CREATED, &view))
}

#[utoipa::path(
    get,
    path = "/api/servers/{id}",
    tag = "servers",
    params(("id" = String, Path, description = "id or name")),
    responses((status = 200, description = "the server", body = ServerView, headers(("ETag" = String, description = "of its settings"))), Refusals)
)]
pub(in crate::http) async fn get(ctx: Ctx, id: String) -> Answer {
    let permit = ctx.may_read(&id)?;
    let view = ctx.app.servers.get(&permit, &id)?;
    tagged(json(&view), &view.etags.settings)
}

#[utoipa::path(
    patch,
    path = "/api/servers/{id}",
    tag = "servers",
    params(("id" = String, Path, description = "id or name"), ("If-Match" = Option<String>, Header, description = "the ETag of the settings as they were read")),
    request_body(content = PatchServer),
    responses((status = 200, description = "the changed server", body = ServerView, headers(("ETag" = String, description = "of its settings now"))), Refusals)
)]
pub(in crate::http) async fn patch(ctx: Ctx, id: String, stream: BodyStream) -> Answer {
    let permit = ctx.may_write(&id)?;
    let patch: PatchServer = body::read_json(&ctx, stream, Limit::SETTINGS).await?;
    let view = ctx.app.servers.patch(&permit, ctx.seen(), patch).await?;
    tagged(json(&view), &view.etags.settings)
}

#[utoipa::path(
    delete,
    path = "/api/servers/{id}",
    tag = "servers",
    params(("id" = String, Path, description = "id or name"), ("If-Match" = Option<String>, Header, description = "the ETag of the settings as they were read")),
    responses((status = 204, description = "it is gone, and the tokens that were for it alone"), Refusals)
)]
pub(in crate::http) async fn delete(ctx: Ctx, id: String) -> Answer {
    let permit = ctx.may_write(&id)?;
    let tokens = ctx.app.servers.delete(&permit, ctx.seen()).await?;
    audit::done(&ctx).await;
    for token in tokens {
        audit::also_done(&ctx, "token.revoke", &token.principal.name, token.id).await;
    }
    Ok(no_content())
}

#[utoipa::path(
    post,
    path = "/api/servers/{id}/action",
    tag = "servers",
    params(("id" = String, Path, description = "id or name"), ("wait" = Option<u64>, Query, maximum = 120, description = "seconds to wait until it has settled, at most 120")),
    request_body(content = ActionBody),
    responses((status = 202, description = "asked for", body = ServerView), (status = 200, description = "the settled server, or as it is when the wait is over", body = ServerView), Refusals)
)]
pub(in crate::http) async fn act(ctx: Ctx, id: String, stream: BodyStream) -> Answer {
    let permit = ctx.may_write(&id)?;
    let body: ActionBody = body::read_json(&ctx, stream, Limit::WORD).await?;
    let (action, word) = match body.action.as_str() {
        "start" => (Action::Start, "server.start"),
        "stop" => (Action::Stop, "server.stop"),
        "restart" => (Action::Restart, "server.restart"),
        _ => {
            return Err(Error::invalid(
                "unknown_action",
                "action",
                "the action must be \"start\", \"stop\" or \"restart\"",
            ));
        }
    };
    ctx.facts.action(word);
    let view = ctx.app.servers.act(&permit, action).await?;
    audit::done(&ctx).await;
    if ctx.query("wait").is_none() {
        return Ok(json_with(StatusCode::ACCEPTED, &view));
    }
    Ok(json(&wait_if_asked(&ctx, permit.caller(), view).await?))
}

#[utoipa::path(
    get,
    path = "/api/servers/{id}/events",
    tag = "servers",
    params(("id" = String, Path, description = "id or name"), ("limit" = Option<u64>, Query, maximum = 1000, description = "at most so many; 100 by default")),
    responses((status = 200, description = "its history, newest first", body = EventList), Refusals)
)]
pub(in crate::http) async fn events(ctx: Ctx, id: String) -> Answer {
    let permit = ctx.may_read(&id)?;
    let limit = ctx
        .query_number("limit", EVENTS_MAX)?
        .unwrap_or(EVENTS_SHOWN);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let events = ctx.app.servers.events(&permit, &id, limit).await?;
    Ok(json(&EventList { events }))
}

/// The server under whose name a path is, if it may be one's.
pub(in crate::http) fn called_in(path: &str) -> Option<&str> {
    let name = path.strip_prefix("/api/")?.split('/').next()?;
    may_be_a_server(name, path).then_some(name)
}

/// A path under the name of a server that Traefik has no route for.
pub(in crate::http) async fn unknown(ctx: Ctx, path: FullPath, name: String) -> Answer {
    let moved_to = ctx.app.settings().servers_url.clone();
    no_route(ctx, path, name, moved_to).await
}

/// Whatever comes by the servers' own host and is no server's.
pub(in crate::http) async fn on_their_host(path: FullPath, ctx: Ctx) -> Answer {
    if oauth::is_well_known(path.as_str()) {
        return Ok(oauth::no_document(&ctx));
    }
    match called_in(path.as_str()) {
        Some(name) if name.parse::<ServerName>().is_ok() => {
            let name = name.to_owned();
            no_route(ctx, path, name, None).await
        }
        _ if gate::is_oauth_place(path.as_str()) => Ok(oauth::refusal(&ctx)),
        _ => Err(Error::NotFound {
            code: "not_found",
            message: "there is nothing at this address".to_owned(),
        }),
    }
}

fn may_be_a_server(name: &str, path: &str) -> bool {
    let is_well_known = oauth::is_well_known(path);
    !name.is_empty() && !is_well_known && !RESERVED_NAMES.contains(&name)
}

/// As at the gate, only who holds a token learns which servers there are, and a
/// page learns nothing. `moved_to` is the servers' own host, where it is another.
async fn no_route(ctx: Ctx, path: FullPath, name: String, moved_to: Option<Url>) -> Answer {
    let answer = no_route_to(&ctx, path.as_str(), &name, moved_to);
    match answer {
        Err(error) if gate::is_oauth_place(path.as_str()) => {
            let plain = error_response(&error, &ctx.request_id);
            let message = error.to_string();
            Ok(oauth::in_place_of(plain, &ctx, error.code(), &message))
        }
        other => other,
    }
}

fn no_route_to(ctx: &Ctx, path: &str, name: &str, moved_to: Option<Url>) -> Answer {
    let settings = ctx.app.settings();
    let request = GateRequest {
        origin: ctx.header_or_garbled("origin"),
        fetch_dest: ctx.header_or_garbled("sec-fetch-dest"),
        ..GateRequest::default()
    };
    gate::check_browser(&request, &settings.allowed_origins)?;
    let caller = recognise(ctx, path)?;
    let named = ctx.app.grants.named(&caller, name)?;
    // A route goes by the name alone.
    if name != named.name().as_str() {
        return Err(Error::no_server(name));
    }
    match moved_to {
        Some(base) => Err(Error::NotFound {
            code: "server_moved",
            message: format!(
                "the server \"{name}\" is at {} now; use that address",
                named.address_under(&base)
            ),
        }),
        // Traefik has been given the route, and takes some hundred milliseconds
        // to put it into effect where there are many.
        None => Err(Error::Unavailable {
            code: "route_pending",
            message: format!(
                "the route to the server \"{name}\" is just being made; try again in a moment"
            ),
        }),
    }
}

/// Who asks for a server that has no route, in words that are the gate's: whoever
/// has no token must not see by them whether there is such a server.
fn recognise(ctx: &Ctx, path: &str) -> Result<Caller> {
    let key = ctx.query("key").map(|key| {
        let pair = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("key", key)
            .finish();
        format!("{path}?{pair}")
    });
    let request = GateRequest {
        authorization: ctx.header("authorization"),
        api_key: ctx.header("x-api-key"),
        uri: key.as_deref().unwrap_or(path),
        ..GateRequest::default()
    };
    let presented = gate::credentials(&request);
    if presented.is_empty() {
        return ctx.caller().map_err(|error| match error {
            Error::Unauthenticated { .. } => gate::no_credential(),
            other => other,
        });
    }
    let secrets: Vec<&str> = presented.iter().map(|(_, secret)| &**secret).collect();
    let authentication = &ctx.app.authentication;
    let (_, caller) = authentication.identify_first(&secrets, ctx.client())?;
    ctx.facts.actor(&caller);
    Ok(caller)
}

async fn wait_if_asked(ctx: &Ctx, viewer: &Caller, view: ServerView) -> Result<ServerView> {
    let Some(secs) = ctx.query_number("wait", WAIT_MAX_SECS)? else {
        return Ok(view);
    };
    let id: ServerId = view.id;
    let patience = Duration::from_secs(secs);
    let permit = viewer.may_read()?;
    ctx.app.servers.settled(&permit, id, patience).await
}

fn parse_status(text: &str) -> Result<Status> {
    Status::ALL
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| {
            Error::invalid(
                "invalid_query",
                "status",
                "the status must be stopped, building, starting, running, unresponsive, sleeping or error",
            )
        })
}
