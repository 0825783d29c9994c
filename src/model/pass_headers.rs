//! The headers in which a server expects credentials of its own.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Error;

/// Names kept of one server.
const NAMES_MAX: usize = 8;
const NAME_MAX_BYTES: usize = 64;

/// Names of request headers that reach the server from its clients, also where
/// EMCP takes them away otherwise. Different in more than case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Vec<String>, max_items = 8)]
pub struct PassHeaders(Vec<String>);

/// Spoken between two machines that are neighbours (RFC 9110 §7.6.1), or about
/// the message itself.
const OF_THE_CONNECTION: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
    "via",
    "http2-settings",
];

impl PassHeaders {
    /// Takes the names as they are written.
    ///
    /// # Errors
    /// `invalid_pass_headers` for what is no header's name, for a header that
    /// never passes, or for too many. Which ones tell who is signed in is known
    /// to `traefik::passes_never`.
    pub fn parse(names: impl IntoIterator<Item = String>) -> Result<Self, Error> {
        let mut kept: Vec<String> = Vec::new();
        for name in names {
            let name = name.trim();
            if let Some(why) = problem(name) {
                return Err(invalid(&why));
            }
            if !kept.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                kept.push(name.to_owned());
            }
            if kept.len() > NAMES_MAX {
                return Err(invalid(&format!("there may be at most {NAMES_MAX}")));
            }
        }
        Ok(Self(kept))
    }

    /// Whether a header of this name is one of them; in small letters.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    /// Whether there are none: the server checks no credential of its own.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names as they were written.
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for PassHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

/// The refusal of a list of headers.
pub fn invalid(why: &str) -> Error {
    Error::invalid(
        "invalid_pass_headers",
        "pass_headers",
        format!(
            "pass_headers is a list of request headers' names such as [\"Authorization\"]: {why}"
        ),
    )
}

fn problem(name: &str) -> Option<String> {
    if name.is_empty() || name.len() > NAME_MAX_BYTES {
        return Some(format!("a name has 1 to {NAME_MAX_BYTES} characters"));
    }
    // What Traefik lets through of a `token` (RFC 9110 §5.6.2): the others are
    // taken for an attempt to alias a header.
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !name.bytes().all(fits) {
        return Some("a name has only letters, digits and hyphens".to_owned());
    }
    let lower = name.to_ascii_lowercase();
    let is_refused = OF_THE_CONNECTION.contains(&lower.as_str())
        || [
            "x-emcp-",
            "proxy-",
            "x-forwarded-",
            "sec-",
            "access-control-",
        ]
        .iter()
        .any(|prefix| lower.starts_with(prefix))
        || ["cookie", "cookie2", "forwarded", "x-real-ip", "origin"].contains(&lower.as_str());
    is_refused.then(|| format!("\"{name}\" is a header that never passes as the client sent it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(names: &[&str]) -> Result<PassHeaders, Error> {
        PassHeaders::parse(names.iter().map(|name| (*name).to_owned()))
    }

    #[test]
    fn names_are_kept_once_and_found_in_any_case() {
        let headers = parse(&["Authorization", " authorization ", "X-Upstream-Token"]).unwrap();
        assert_eq!(headers.names(), ["Authorization", "X-Upstream-Token"]);
        assert!(headers.contains("authorization") && headers.contains("x-upstream-token"));
        assert!(!headers.contains("x-api-key"));
        assert_eq!(headers.to_string(), "Authorization, X-Upstream-Token");
    }

    #[test]
    fn what_never_passes_and_what_is_no_name_is_refused() {
        for bad in [
            "",
            "a b",
            "X_Token",
            "X:Y",
            "X-Tök",
            "a\r\nb",
            "Cookie",
            "HOST",
            "Connection",
            "Transfer-Encoding",
            "Proxy-Authorization",
            "X-Emcp-User",
            "x-emcp-gateway-key",
            "X-Forwarded-For",
            "Forwarded",
            "Origin",
            "Sec-Fetch-Dest",
        ] {
            let error = parse(&[bad]).unwrap_err();
            assert_eq!(error.code(), "invalid_pass_headers", "{bad}");
            assert!(error.to_string().contains("pass_headers"), "{error}");
        }
        assert!(parse(&["x".repeat(65).as_str()]).is_err());
        let many: Vec<String> = (0..9).map(|n| format!("X-{n}")).collect();
        assert!(PassHeaders::parse(many).is_err());
    }
}
