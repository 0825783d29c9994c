//! Domain errors as answers: one exhaustive match decides the status.
//! `docs/api.md` has the same table.

use std::collections::BTreeMap;

use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use utoipa::IntoResponses;
use warp::Reply;
use warp::reply::Response as WarpResponse;

use crate::api::{ErrorBody, ErrorDetail};
use crate::model::Error;

/// The challenge of RFC 6750 §3. Only who showed a token learns what is wrong with
/// it: whoever showed none is told no error (§3.1).
pub(super) fn challenge(is_wrong_token: bool, message: &str) -> HeaderValue {
    const REALM: &str = "Bearer realm=\"emcp\"";
    let none = HeaderValue::from_static(REALM);
    if !is_wrong_token {
        return none;
    }
    let description = as_description(message);
    let told = format!("{REALM}, error=\"invalid_token\", error_description=\"{description}\"");
    HeaderValue::from_str(&told).unwrap_or(none)
}

/// What every call may be answered with instead.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes")]
pub(super) enum Refusals {
    /// The request is at fault; `error.code` says how.
    #[response(status = "4XX")]
    Refused(ErrorBody),
    /// Something EMCP depends on does not answer now.
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

/// A sentence as OAuth takes it (RFC 6749 §5.2): no quotes, no backslashes, ASCII alone.
pub(super) fn as_description(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '"' => '\'',
            '\\' => '/',
            ' '..='~' => c,
            _ => '?',
        })
        .collect()
}

/// The answer to a failed call. What is internal goes to the log only.
pub(super) fn error_response(error: &Error, request_id: &str) -> WarpResponse {
    let code = error.code();
    let (error, args) = error.parts();
    let (status, field) = match error {
        Error::Invalid { field, .. } => (StatusCode::BAD_REQUEST, *field),
        Error::TooLarge { field, .. } => (StatusCode::PAYLOAD_TOO_LARGE, *field),
        Error::Unauthenticated { .. } => (StatusCode::UNAUTHORIZED, None),
        Error::Forbidden { .. } => (StatusCode::FORBIDDEN, None),
        Error::TooManyAttempts { .. } | Error::TooMany { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, None)
        }
        Error::NotFound { .. } => (StatusCode::NOT_FOUND, None),
        Error::Conflict { field, .. } => (StatusCode::CONFLICT, *field),
        Error::Changed { .. } => (StatusCode::PRECONDITION_FAILED, None),
        Error::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, None),
        Error::Upstream { .. } => (StatusCode::BAD_GATEWAY, None),
        // What is explained is no explanation itself.
        Error::Internal(_) | Error::Explained { .. } => {
            tracing::error!(%error, "a request failed");
            return error_body(
                StatusCode::INTERNAL_SERVER_ERROR,
                code,
                "EMCP has met a fault; the request id leads to its log line",
                None,
                request_id,
            );
        }
    };
    let detail = ErrorDetail {
        code: code.to_owned(),
        message: error.to_string(),
        field: field.map(str::to_owned),
        args: args
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
        request_id: request_id.to_owned(),
    };
    let mut response = with_detail(status, detail);
    if let Error::Unauthenticated { is_wrong, message } = error {
        response
            .headers_mut()
            .insert(WWW_AUTHENTICATE, challenge(*is_wrong, message));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    if let Error::TooManyAttempts { retry_after_secs }
    | Error::TooMany {
        retry_after_secs, ..
    } = error
    {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(*retry_after_secs));
    }
    response
}

/// An error as an answer.
pub(super) fn error_body(
    status: StatusCode,
    code: &str,
    message: &str,
    field: Option<&str>,
    request_id: &str,
) -> WarpResponse {
    let detail = ErrorDetail {
        code: code.to_owned(),
        message: message.to_owned(),
        field: field.map(str::to_owned),
        args: BTreeMap::new(),
        request_id: request_id.to_owned(),
    };
    with_detail(status, detail)
}

fn with_detail(status: StatusCode, error: ErrorDetail) -> WarpResponse {
    let json = warp::reply::json(&ErrorBody { error });
    warp::reply::with_status(json, status).into_response()
}
