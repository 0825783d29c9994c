//! `/api/session`: signing in to the dashboard.

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
    let caller = ctx.app.identify(body.token.trim(), ctx.client())?;
    ctx.note.caller(&caller);
    let session = ctx.app.sign_in(&caller.may_read()?, &caller)?;
    let mut response = json(&SessionView::of(&caller, Some(session.ends_at)));
    let value = cookie_header(&session.cookie, SESSION_LIFETIME.as_secs())?;
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
        .insert(SET_COOKIE, cookie_header("", 0)?);
    Ok(response)
}

impl SessionView {
    fn of(caller: &Caller, ends_at: Option<Timestamp>) -> Self {
        Self {
            signed_in: true,
            name: Some(caller.name.clone()),
            role: Some(caller.role),
            permissions: Some(caller.permissions()),
            token_roles: Some(caller.token_roles()),
            ends_at,
        }
    }
}

fn cookie_header(value: &str, max_age_secs: u64) -> Result<HeaderValue> {
    let text = format!(
        "{SESSION_COOKIE}={value}; Path=/; Max-Age={max_age_secs}; Secure; HttpOnly; SameSite=Strict"
    );
    let mut header = HeaderValue::from_str(&text)
        .map_err(|error| Error::internal("a cookie could not be written", error))?;
    header.set_sensitive(true);
    Ok(header)
}
