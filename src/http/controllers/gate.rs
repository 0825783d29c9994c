//! `/gate`: Traefik's forward-auth. The server is named in the query, which
//! EMCP itself wrote into the route: no path is parsed to find it.

use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, StatusCode};
use secrecy::ExposeSecret;
use warp::Reply;

use super::oauth;
use crate::directory::Entry;
use crate::gate::{self, GateRequest, Passed, Presented, Recognised, Refusal, Verdict};
use crate::http::body::{self, BodyStream};
use crate::http::context::Ctx;
use crate::http::error::{challenge, error_body};
use crate::http::reply::Answer;
use crate::metrics::GateOutcome;
use crate::model::{Error, Reason, Result, ServerId, TokenId};
use crate::services::{Gate, Look, Waited};

/// Traefik gives up on forward-auth after 30 s and answers 500.
/// Counted from when the request came, so that what it waited for a new EMCP
/// is part of it.
const HOLD_MAX: Duration = Duration::from_secs(25);

/// What is decided of a request once it need not wait.
enum Decided {
    Allow {
        user: String,
        ticket_for: Option<Option<TokenId>>,
        entry: Entry,
    },
    Redirect {
        token: Option<TokenId>,
        server: ServerId,
    },
    Refuse(Refusal),
}

pub(in crate::http) async fn decide(ctx: Ctx, at_gate: Arc<Gate>, stream: BodyStream) -> Answer {
    // Traefik sends the request's body along (ADR 7). It is not looked at, only
    // read to its end so that the connection can be used again.
    body::discard(stream).await?;
    let mut is_held = false;
    let answer = verdict_on(&ctx, &at_gate, &mut is_held).await;
    let outcome = match answer.as_ref().map(warp::reply::Response::status) {
        Ok(StatusCode::OK) => GateOutcome::Allowed,
        Ok(StatusCode::TEMPORARY_REDIRECT) => GateOutcome::Redirected,
        Ok(_) | Err(_) => GateOutcome::Refused,
    };
    at_gate.took(outcome, is_held, ctx.arrived.elapsed());
    answer
}

/// Decides, and tells whether the request was held for it.
async fn verdict_on(ctx: &Ctx, at_gate: &Gate, is_held: &mut bool) -> Answer {
    let request = request_of(ctx);
    let server = ctx.query("server").and_then(|id| id.parse().ok());
    let deadline = ctx.arrived + HOLD_MAX;
    let look = |entry: Option<&Entry>| {
        let look = look_at(ctx, at_gate, &request, entry);
        *is_held |= matches!(look, Look::Wait(_));
        look
    };
    let decided = match at_gate.hold(server, deadline, look).await {
        Waited::Done(decided) => decided?,
        Waited::Crowded(reason) => {
            return Ok(refuse(ctx, at_gate, &gate::too_many_waiting(&reason)));
        }
        Waited::Over(reason) => return Ok(refuse(ctx, at_gate, &gate::waited_too_long(&reason))),
    };
    match decided {
        Decided::Allow {
            user,
            ticket_for,
            entry,
        } => {
            at_gate.decided("allow");
            let ticket = ticket_for
                .map(|token| at_gate.tickets().session(entry.server.id, token))
                .transpose()?;
            let headers = &entry.server.settings.pass_headers;
            let passed = gate::passed_on(&request, headers, |text| {
                at_gate.is_token(text, ctx.client())
            });
            allow(&user, &entry, ticket.as_deref(), &passed)
        }
        Decided::Redirect { token, server } => {
            at_gate.decided("redirect");
            let ticket = at_gate.tickets().opening(server, token)?;
            redirect(ctx, &gate::with_ticket(request.uri, &ticket))
        }
        Decided::Refuse(refusal) => Ok(refuse(ctx, at_gate, &refusal)),
    }
}

/// What becomes of a request while its server is as it is now; anew after every
/// wait.
fn look_at(
    ctx: &Ctx,
    at_gate: &Gate,
    request: &GateRequest<'_>,
    entry: Option<&Entry>,
) -> Look<Result<Decided>, Reason> {
    if let Some(entry) = entry {
        ctx.facts.about(entry.server.id);
    }
    let verdict = gate::decide(
        request,
        || caller(ctx, at_gate, request, entry),
        entry,
        &ctx.app.settings().allowed_origins,
    );
    match (verdict, entry) {
        (Verdict::Refuse(refusal), _) => Look::Done(Ok(Decided::Refuse(refusal))),
        (_, None) => Look::Done(Err(Error::Internal("let in without a server".to_owned()))),
        (Verdict::Redirect { token }, Some(entry)) => Look::Done(Ok(Decided::Redirect {
            token,
            server: entry.server.id,
        })),
        (Verdict::Allow { .. } | Verdict::Hold { .. }, Some(entry)) if !leads_to(ctx, entry) => {
            Look::Done(Ok(Decided::Refuse(gate::route_moved())))
        }
        (Verdict::Allow { user, ticket_for }, Some(entry)) => Look::Pass(Ok(Decided::Allow {
            user,
            ticket_for,
            entry: entry.clone(),
        })),
        (Verdict::Hold { reason }, Some(entry)) => {
            at_gate.want_awake(entry);
            Look::Wait(reason)
        }
    }
}

/// Who asks, before Traefik reads a large body: everything but whether the
/// server is ready, which the gate is asked when the body is there. The server is
/// found by the path, since one page serves all routes; should that ever be
/// another than the route's, it is only asked too early or for nothing.
pub(in crate::http) async fn knock(ctx: Ctx, at_gate: Arc<Gate>) -> Answer {
    let request = request_of(&ctx);
    let entry = gate::server_in_url(request.uri).and_then(|name| at_gate.server_called(name));
    let verdict = gate::decide(
        &request,
        || caller(&ctx, &at_gate, &request, entry.as_ref()),
        entry.as_ref(),
        &ctx.app.settings().allowed_origins,
    );
    Ok(match verdict {
        Verdict::Allow { .. } | Verdict::Hold { .. } | Verdict::Redirect { .. } => {
            StatusCode::OK.into_response()
        }
        Verdict::Refuse(refusal) => refuse(&ctx, &at_gate, &refusal),
    })
}

/// Whether a body that no server gets is at least read before it is refused
/// ([`too_large`]): for who has a token. Traefik asks without having read it.
pub(in crate::http) async fn may_be_told(ctx: Ctx, at_gate: Arc<Gate>) -> Answer {
    let request = request_of(&ctx);
    caller(&ctx, &at_gate, &request, None)?;
    Ok(StatusCode::OK.into_response())
}

/// The refusal of a body that no server gets. It is read first: an answer that
/// comes while a client still sends is lost with the connection.
pub(in crate::http) async fn too_large(_: Ctx, at_gate: Arc<Gate>, stream: BodyStream) -> Answer {
    body::swallow(stream).await;
    at_gate.decided("too_large");
    Err(Error::TooLarge {
        field: None,
        message: "a request's body may have at most 8,000,000 bytes (8 MB)".to_owned(),
    })
}

/// Whether the route that brought this request leads to the instance that serves
/// the server, or is to. Traefik chose the route before it asked, so a request
/// that came by an older one would be sent to where another instance is, or was,
/// however long it is held.
fn leads_to(ctx: &Ctx, entry: &Entry) -> bool {
    let present = entry.place().route;
    ctx.query("at").is_some_and(|at| at.parse() == Ok(present))
}

/// Who asks. Checked anew after every wait: a token may be revoked meanwhile.
fn caller(
    ctx: &Ctx,
    at_gate: &Gate,
    request: &GateRequest<'_>,
    entry: Option<&Entry>,
) -> Result<Recognised> {
    let recognised = recognise(ctx, at_gate, request, entry)?;
    ctx.facts.actor(&recognised.caller);
    Ok(recognised)
}

fn recognise(
    ctx: &Ctx,
    at_gate: &Gate,
    request: &GateRequest<'_>,
    entry: Option<&Entry>,
) -> Result<Recognised> {
    // First, since it is no guess: what a session's client sends besides is then
    // for the server.
    let by_ticket = || {
        let (kind, ticket) = gate::ticket_in_url(request.uri)?;
        let tickets = at_gate.tickets();
        tickets.caller(entry?.server.id, kind, &ticket, ctx.client())
    };
    if let Some(caller) = by_ticket() {
        let by = Presented::Ticket;
        return Ok(Recognised { caller, by });
    }
    let presented = gate::credentials(request);
    if presented.is_empty() {
        return Err(gate::no_credential());
    }
    let secrets: Vec<&str> = presented.iter().map(|(_, secret)| &**secret).collect();
    let authentication = &ctx.app.authentication;
    let (at, caller) = authentication.identify_first(&secrets, ctx.client())?;
    let by = presented
        .get(at)
        .map_or(Presented::Authorization, |(by, _)| *by);
    Ok(Recognised { caller, by })
}

/// What Traefik routes here came over plain HTTP with a token in it
/// (`traefik::document`). Nobody looks at the token: right or wrong, whoever
/// heard it has it.
pub(in crate::http) async fn clear_text(
    ctx: Ctx,
    at_gate: Arc<Gate>,
    stream: BodyStream,
) -> Answer {
    body::discard(stream).await?;
    at_gate.decided("token_in_clear_text");
    Err(Error::bad_request(
        "token_in_clear_text",
        format!(
            "a token came over plain HTTP, where others can read it: revoke it, make another, and use {}",
            ctx.app.settings().public_url
        ),
    ))
}

fn request_of(ctx: &Ctx) -> GateRequest<'_> {
    GateRequest {
        authorization: ctx.header("authorization"),
        api_key: ctx.header("x-api-key"),
        repeats_authorization: ctx.has_several("authorization"),
        repeats_api_key: ctx.has_several("x-api-key"),
        origin: ctx.header_or_garbled("origin"),
        fetch_dest: ctx.header_or_garbled("sec-fetch-dest"),
        uri: ctx.header("x-forwarded-uri").unwrap_or(""),
        method: ctx.header("x-forwarded-method"),
    }
}

/// Traefik copies these onto the request it forwards, in place of all that it
/// takes away (`traefik::headers`).
fn allow(user: &str, entry: &Entry, ticket: Option<&str>, passed: &Passed<'_>) -> Answer {
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("x-emcp-user"), header_value(user)?);
    let mut key = header_value(entry.gateway_key.expose_secret())?;
    key.set_sensitive(true);
    headers.insert(HeaderName::from_static("x-emcp-gateway-key"), key);
    if let Some(ticket) = ticket {
        let mut ticket = header_value(ticket)?;
        ticket.set_sensitive(true);
        headers.insert(HeaderName::from_static("x-emcp-sse-ticket"), ticket);
    }
    for (name, value) in [
        (AUTHORIZATION, passed.authorization),
        (HeaderName::from_static("x-api-key"), passed.api_key),
    ] {
        if let Some(value) = value {
            let mut value = header_value(value)?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
    Ok(response)
}

/// Sends a client on; those that follow no redirect are told what else to do.
fn redirect(ctx: &Ctx, location: &str) -> Answer {
    let mut response = error_body(
        StatusCode::TEMPORARY_REDIRECT,
        "follow_redirect",
        "follow this redirect, which takes the key out of the URL, or send the token as \"Authorization: Bearer TOKEN\"",
        None,
        &ctx.request_id,
    );
    let mut location = header_value(location)?;
    location.set_sensitive(true);
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

fn header_value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text)
        .map_err(|error| Error::internal("a value cannot be a header", error))
}

fn refuse(ctx: &Ctx, at_gate: &Gate, refusal: &Refusal) -> warp::reply::Response {
    at_gate.decided(refusal.code);
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = error_body(
        status,
        refusal.code,
        &refusal.message,
        None,
        &ctx.request_id,
    );
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        let challenge = challenge(refusal.is_wrong_token, &refusal.message);
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    if let Some(secs) = refusal.retry_after_secs {
        headers.insert(RETRY_AFTER, HeaderValue::from(secs));
    }
    if gate::is_oauth_place(request_of(ctx).uri) {
        return oauth::in_place_of(response, ctx, refusal.code, &refusal.message);
    }
    response
}
