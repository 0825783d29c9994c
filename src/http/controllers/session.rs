//! `/api/session`: signing in to the dashboard.

use http::header::{HeaderValue, SET_COOKIE};
use serde::Deserialize;
use serde_json::json;

use crate::access::Caller;
use crate::http::body::{self, BodyStream};
use crate::http::context::{Ctx, SESSION_COOKIE};
use crate::http::reply::{Answer, json, no_content};
use crate::model::{Error, Result};
use crate::services::SESSION_LIFETIME;

pub(in crate::http) async fn show(ctx: Ctx) -> Answer {
    Ok(json(&caller_view(&ctx.caller()?)))
}

pub(in crate::http) async fn sign_in(ctx: Ctx, stream: BodyStream) -> Answer {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        token: String,
    }
    let body: Body = body::read_json(stream).await?;
    let (caller, cookie) = ctx.app.sign_in(body.token.trim())?;
    let mut response = json(&caller_view(&caller));
    let value = cookie_header(&cookie.0, SESSION_LIFETIME.as_secs())?;
    response.headers_mut().insert(SET_COOKIE, value);
    Ok(response)
}

pub(in crate::http) async fn sign_out(_: Ctx) -> Answer {
    let mut response = no_content();
    response
        .headers_mut()
        .insert(SET_COOKIE, cookie_header("", 0)?);
    Ok(response)
}

fn caller_view(caller: &Caller) -> serde_json::Value {
    json!({ "name": caller.name, "role": caller.role })
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
