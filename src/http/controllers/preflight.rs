//! A browser's question whether a page may call (WHATWG Fetch, "CORS-preflight
//! request"), which it asks without a token. Traefik brings all of them here,
//! since a gate cannot answer with success, and itself sets `Access-Control-*` on
//! the answers to the calls that follow (`traefik::document`).

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, HeaderValue, VARY,
};
use http::{HeaderName, StatusCode};
use warp::Reply;

use crate::gate::{self, GateRequest};
use crate::http::context::Ctx;
use crate::http::error::error_response;
use crate::http::reply::Answer;

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// What MCP clients send, for who does not say what they want to send.
const HEADERS: &str = "Authorization, X-API-Key, Content-Type, Accept, Last-Event-ID, Mcp-Session-Id, Mcp-Protocol-Version";
/// Of what is asked for and so repeated.
const HEADERS_MAX_BYTES: usize = 4 * 1024;
/// So long a browser need not ask again; a changed setting holds as soon.
const MAX_AGE_SECS: &str = "600";
/// What the answer depends on, also where it is no.
const DEPENDS_ON: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

pub(in crate::http) async fn answer(ctx: Ctx) -> Answer {
    let request = GateRequest {
        origin: ctx.header_or_garbled("origin"),
        ..GateRequest::default()
    };
    let mut response = match gate::check_browser(&request, &ctx.app.settings().allowed_origins) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => error_response(&error, &ctx.request_id),
    };
    let is_allowed = response.status() == StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static(DEPENDS_ON));
    let origin = ctx.headers.get("origin").filter(|_| is_allowed);
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static(METHODS),
        );
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted(&ctx));
        headers.insert(
            ACCESS_CONTROL_MAX_AGE,
            HeaderValue::from_static(MAX_AGE_SECS),
        );
    }
    Ok(response)
}

/// The headers that the page wants to send. Which of them reach a server is
/// decided where they come; here a browser is only told not to stop them.
fn wanted(ctx: &Ctx) -> HeaderValue {
    const ASKED: HeaderName = http::header::ACCESS_CONTROL_REQUEST_HEADERS;
    let fits = |text: &str| {
        let is_good = |c: char| c.is_ascii_alphanumeric() || "-_, ".contains(c);
        text.len() <= HEADERS_MAX_BYTES && text.chars().all(is_good)
    };
    let asked = ctx.headers.get(ASKED);
    asked
        .filter(|value| {
            value
                .to_str()
                .is_ok_and(|text| !text.is_empty() && fits(text))
        })
        .cloned()
        .unwrap_or_else(|| HeaderValue::from_static(HEADERS))
}
