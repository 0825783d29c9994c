//! What clients get where they try to sign in by OAuth. There is no OAuth here;
//! but a client that has no token, or a wrong one, tries it, and shows people
//! nothing but what these places answer. So they answer as OAuth says (RFC 6749
//! §5.2, RFC 7591 §3.2.2), with a sentence that helps.

use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue, RETRY_AFTER};
use serde::Serialize;
use url::Url;
use warp::Reply;
use warp::reply::Response;

use crate::http::context::Ctx;
use crate::http::error::as_description;
use crate::http::reply::Answer;

#[derive(Serialize)]
struct OAuthError<'a> {
    error: &'a str,
    error_description: &'a str,
}

/// Known to clients, and one of those upon which none begins anew.
const ERROR: &str = "access_denied";

/// Any method, by anybody: what it asks for is not looked at.
pub(in crate::http) async fn endpoint(ctx: Ctx) -> Answer {
    Ok(refusal(&ctx))
}

/// A document that is not there, nor will be: a true 404, whose body is good for
/// who reads an OAuth error in it, as for who reads none.
pub(in crate::http) fn no_document(ctx: &Ctx) -> Response {
    let sentence = sentence(&ctx.app.settings().public_url);
    answer(StatusCode::NOT_FOUND, "not_found", &sentence)
}

pub(in crate::http) fn is_well_known(path: &str) -> bool {
    path.split('/').any(|part| part == ".well-known")
}

/// The answer at an authorization server's place, for who needs a token.
pub(in crate::http) fn refusal(ctx: &Ctx) -> Response {
    let sentence = sentence(&ctx.app.settings().public_url);
    answer(StatusCode::BAD_REQUEST, ERROR, &sentence)
}

/// The answer at such a place in place of a refusal; what is none stays as it is.
pub(in crate::http) fn in_place_of(
    plain: Response,
    ctx: &Ctx,
    code: &str,
    message: &str,
) -> Response {
    let status = plain.status();
    let is_refusal = matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
    );
    let mut response = match code {
        _ if !is_refusal => return plain,
        // `not_a_page`: it was a person's browser that a client opened there.
        "unauthenticated" | "not_a_page" => refusal(ctx),
        _ => answer(status, ERROR, &as_description(message)),
    };
    if let Some(later) = plain.headers().get(RETRY_AFTER) {
        response.headers_mut().insert(RETRY_AFTER, later.clone());
    }
    response
}

/// What is missing, and where it is to be had. No quotes: clients show the whole
/// body as it is.
fn sentence(public_url: &Url) -> String {
    as_description(&format!(
        "this MCP server takes no OAuth sign-in but an EMCP token, which is missing or not valid (any more): send it in the header Authorization: Bearer TOKEN, or X-API-Key: TOKEN; its owner makes one in the dashboard at {public_url} on the Connection page of the server"
    ))
}

fn answer(status: StatusCode, error: &str, error_description: &str) -> Response {
    let json = warp::reply::json(&OAuthError {
        error,
        error_description,
    });
    let mut response = warp::reply::with_status(json, status).into_response();
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_is_fit_for_oauth_and_stands_in_json_as_it_is() {
        let sentence = sentence(&"https://mcp.example.com:8443".parse().unwrap());
        assert!(sentence.contains("https://mcp.example.com:8443/"));
        let json = serde_json::to_string(&OAuthError {
            error: ERROR,
            error_description: &sentence,
        })
        .unwrap();
        assert!(json.contains(&sentence), "{json}");
        assert_eq!(as_description("a \"b\" \\ ü\n"), "a 'b' / ??");
    }
}
