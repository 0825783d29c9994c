//! `/api/session`: signing in to the dashboard.

use std::time::Duration;

use cookie::{Cookie, SameSite};
use http::header::{HeaderValue, SET_COOKIE};
use jiff::Timestamp;

use crate::access::Caller;
use crate::api::{SessionView, SignIn};
use crate::http::body::{self, BodyStream, Limit};
use crate::http::context::{Ctx, SESSION_COOKIE};
use crate::http::error::Refusals;
use crate::http::reply::{Answer, json, no_content};
use crate::model::{Error, Result};
use crate::services::SESSION_LIFETIME;

#[utoipa::path(
    get,
    path = "/api/session",
    tag = "session",
    responses((status = 200, description = "who is signed in, if anybody", body = SessionView), Refusals),
    security(())
)]
pub(in crate::http) async fn show(ctx: Ctx) -> Answer {
    // Nobody signed in is an answer to this question, not a fault: pages ask it
    // with every load.
    let view = match ctx.caller() {
        Ok(caller) => SessionView::of(&caller, ctx.session_ends_at()),
        Err(Error::Unauthenticated { .. }) => SessionView::default(),
        Err(other) => return Err(other),
    };
    Ok(json(&view))
}

#[utoipa::path(
    post,
    path = "/api/session",
    tag = "session",
    request_body(content = SignIn),
    responses((status = 200, description = "signed in; the cookie is in Set-Cookie", body = SessionView), Refusals),
    security(())
)]
pub(in crate::http) async fn sign_in(ctx: Ctx, stream: BodyStream) -> Answer {
    // No other page may sign a visitor in, in somebody else's name.
    ctx.check_cookie_use(true)?;
    let body: SignIn = body::read_json(&ctx, stream, Limit::SIGN_IN).await?;
    let caller = ctx
        .app
        .authentication
        .identify(body.token.trim(), ctx.client())?;
    ctx.facts.caller(&caller);
    let session = ctx.app.sessions.begin(&caller.may_read()?)?;
    let mut response = json(&SessionView::of(&caller, Some(session.ends_at)));
    let value = cookie_header(&session.cookie, SESSION_LIFETIME)?;
    response.headers_mut().insert(SET_COOKIE, value);
    Ok(response)
}

#[utoipa::path(
    delete,
    path = "/api/session",
    tag = "session",
    responses((status = 204, description = "signed out"), Refusals),
    security(())
)]
pub(in crate::http) async fn sign_out(ctx: Ctx) -> Answer {
    ctx.check_cookie_use(true)?;
    // For the audit log alone: whoever is not signed in is signed out all the
    // same.
    let _ = ctx.caller();
    let mut response = no_content();
    response
        .headers_mut()
        .insert(SET_COOKIE, cookie_header("", Duration::ZERO)?);
    Ok(response)
}

impl SessionView {
    fn of(caller: &Caller, ends_at: Option<Timestamp>) -> Self {
        Self {
            signed_in: true,
            name: Some(caller.principal().name.clone()),
            role: Some(caller.grant().role),
            permissions: Some(caller.permissions()),
            token_roles: Some(caller.token_roles()),
            ends_at,
        }
    }
}

fn cookie_header(value: &str, lifetime: Duration) -> Result<HeaderValue> {
    let unfit = |error| Error::internal("a cookie could not be written", error);
    let cookie = Cookie::build((SESSION_COOKIE, value))
        .path("/")
        .max_age(lifetime.try_into().map_err(unfit)?)
        .secure(true)
        .http_only(true)
        .same_site(SameSite::Strict);
    let mut header = HeaderValue::from_str(&cookie.to_string())
        .map_err(|error| Error::internal("a cookie could not be written", error))?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_for_this_host_and_no_script_and_no_other_site() {
        let cookie = |value, lifetime| {
            let header = cookie_header(value, lifetime).unwrap();
            assert!(header.is_sensitive());
            let text = header.to_str().unwrap().to_owned();
            let mut parts: Vec<String> = text.split("; ").map(str::to_owned).collect();
            parts[1..].sort();
            parts
        };
        let attributes = |age| ["HttpOnly", age, "Path=/", "SameSite=Strict", "Secure"];
        let signed_in = cookie("sealed", SESSION_LIFETIME);
        assert_eq!(signed_in[0], "__Host-emcp-session=sealed");
        assert_eq!(signed_in[1..], attributes("Max-Age=43200"));
        let signed_out = cookie("", Duration::ZERO);
        assert_eq!(signed_out[0], "__Host-emcp-session=");
        assert_eq!(signed_out[1..], attributes("Max-Age=0"));
    }
}
