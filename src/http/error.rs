//! Domain errors as answers: one exhaustive match decides the status.
//! `docs/api.md` has the same table.

use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::json;
use warp::Reply;
use warp::reply::Response as WarpResponse;

use crate::model::Error;

/// The challenge of RFC 6750 §3.
pub(super) const CHALLENGE: &str = "Bearer realm=\"emcp\"";

/// The answer to a failed call. What is internal goes to the log only.
pub(super) fn error_response(error: &Error, request_id: &str) -> WarpResponse {
    let (status, code, field) = match error {
        Error::Invalid { code, field, .. } => (StatusCode::BAD_REQUEST, *code, *field),
        Error::TooLarge { field, .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", *field),
        Error::Unauthenticated { .. } => (StatusCode::UNAUTHORIZED, "unauthenticated", None),
        Error::Forbidden { code, .. } => (StatusCode::FORBIDDEN, *code, None),
        Error::NotFound { code, .. } => (StatusCode::NOT_FOUND, *code, None),
        Error::Conflict { code, field, .. } => (StatusCode::CONFLICT, *code, *field),
        Error::Unavailable { code, .. } => (StatusCode::SERVICE_UNAVAILABLE, *code, None),
        Error::Internal(detail) => {
            tracing::error!(request_id, error = detail, "a request failed");
            return error_body(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "EMCP has met a fault; the request id leads to its log line",
                None,
                request_id,
            );
        }
    };
    let mut response = error_body(status, code, &error.to_string(), field, request_id);
    if status == StatusCode::UNAUTHORIZED {
        response
            .headers_mut()
            .insert(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

/// The body every error has.
pub(super) fn error_body(
    status: StatusCode,
    code: &str,
    message: &str,
    field: Option<&str>,
    request_id: &str,
) -> WarpResponse {
    let mut error = json!({ "code": code, "message": message, "request_id": request_id });
    if let Some(field) = field {
        error["field"] = json!(field);
    }
    let json = warp::reply::json(&json!({ "error": error }));
    warp::reply::with_status(json, status).into_response()
}
