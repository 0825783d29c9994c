//! The gate: one pure decision for each request that Traefik asks about
//! (`ARCHITECTURE.md`, "A request passes the gate"). It sees values only;
//! `http::gate` brings them and answers.

mod browser;
mod credentials;
mod oauth;

pub use browser::{Provenance, check_browser, check_cookie_use, origin_fits};
pub use credentials::{
    Passed, Presented, Recognised, bearer, credentials, no_credential, passed_on,
};
pub use oauth::is_oauth_place;

use crate::access::Caller;
use crate::directory::Entry;
use crate::model::{Desired, Error, Reason, Status, TokenId};

/// The query parameter of a ticket; the bootstrap writes it.
const TICKET_PARAMETER: &str = "emcp_ticket";
/// The query parameter of a token, for clients that take nothing but a URL.
const KEY_PARAMETER: &str = "key";

/// What Traefik told of the client's request.
#[derive(Debug, Default, Clone, Copy)]
pub struct GateRequest<'a> {
    /// The `Authorization` header.
    pub authorization: Option<&'a str>,
    /// The `X-API-Key` header.
    pub api_key: Option<&'a str>,
    /// Whether there is more than one `Authorization` header.
    pub repeats_authorization: bool,
    /// Whether there is more than one `X-API-Key` header.
    pub repeats_api_key: bool,
    /// The `Origin` header.
    pub origin: Option<&'a str>,
    /// The `Sec-Fetch-Dest` header.
    pub fetch_dest: Option<&'a str>,
    /// Path and query as the client sent them (`X-Forwarded-Uri`).
    pub uri: &'a str,
    /// The method (`X-Forwarded-Method`).
    pub method: Option<&'a str>,
}

/// What is to become of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Let it through in this caller's name.
    Allow {
        /// The token's name, for `X-Emcp-User`.
        user: String,
        /// The token's id where its key came in the URL and opens an SSE
        /// session: the session needs a ticket for its messages.
        ticket_for: Option<Option<TokenId>>,
    },
    /// Send the client on to the same address with a ticket in place of the key
    /// ([`with_ticket`]), so that the key does not get to the server's code.
    Redirect {
        /// The token the ticket is for.
        token: Option<TokenId>,
    },
    /// The server is on its way up: ask again when its state changes.
    Hold {
        /// Why it is not ready yet.
        reason: Reason,
    },
    /// Turn it away.
    Refuse(Refusal),
}

/// Why a request is turned away.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Stable code.
    pub code: &'static str,
    /// In words a client can show.
    pub message: String,
    /// Seconds for `Retry-After`, where trying again can help.
    pub retry_after_secs: Option<u32>,
    /// Whether a token was shown that is not good here.
    pub is_wrong_token: bool,
}

/// Decides on one request to one server. `caller` is who stands behind one of its
/// [`credentials`] or, where none is EMCP's, its ticket ([`ticket_in_url`]). It is
/// asked for only where the request may be a client's: what a page elsewhere
/// makes a visitor's browser send must not count as wrong tokens of the visitor.
///
/// Whether the server exists is told only to who holds a valid token.
pub fn decide(
    request: &GateRequest<'_>,
    caller: impl FnOnce() -> Result<Recognised, Error>,
    server: Option<&Entry>,
    allowed_origins: &[String],
) -> Verdict {
    if let Err(error) = check_browser(request, allowed_origins) {
        return Verdict::Refuse(refusal_of(&error));
    }
    let Recognised { caller, by } = match caller() {
        Ok(recognised) => recognised,
        Err(error) => return Verdict::Refuse(refusal_of(&error)),
    };
    let Some(entry) = server else {
        return Verdict::Refuse(Refusal {
            status: 404,
            code: "server_not_found",
            message: "there is no such server (any more)".to_owned(),
            retry_after_secs: None,
            is_wrong_token: false,
        });
    };
    let is_by_url = by == Presented::Url;
    let permit = if is_by_url {
        caller.may_connect_by_url(&entry.server)
    } else {
        caller.may_connect(&entry.server)
    };
    match permit {
        Ok(_) if is_by_url && can_follow(request, entry) => Verdict::Redirect {
            token: caller.credential(),
        },
        Ok(_) => {
            let has_but_a_url = matches!(by, Presented::Url | Presented::Ticket);
            let opens_session = has_but_a_url && is_sse(path_of(request));
            admit(caller, opens_session, entry)
        }
        Err(error) => Verdict::Refuse(refusal_of(&error)),
    }
}

fn refusal_of(error: &Error) -> Refusal {
    let (status, retry_after_secs) = match error {
        Error::Unauthenticated { .. } => (401, None),
        Error::TooManyAttempts { retry_after_secs } => (
            429,
            Some(u32::try_from(*retry_after_secs).unwrap_or(u32::MAX)),
        ),
        _ => (403, None),
    };
    Refusal {
        status,
        code: error.code(),
        message: error.to_string(),
        retry_after_secs,
        is_wrong_token: matches!(error, Error::Unauthenticated { is_wrong: true, .. }),
    }
}

/// What a request meets when it may pass but the server may not be ready.
fn admit(caller: Caller, needs_ticket: bool, entry: &Entry) -> Verdict {
    let name = &entry.server.name;
    let unavailable = |code, message, retry_after_secs| {
        Verdict::Refuse(Refusal {
            status: 503,
            code,
            message,
            retry_after_secs: Some(retry_after_secs),
            is_wrong_token: false,
        })
    };
    if entry.server.desired == Desired::Stopped {
        let message = format!("the server \"{name}\" is stopped; start it to use it");
        return unavailable("server_stopped", message, 30);
    }
    // A wish that the reconciler has not taken up yet: the state shown is the
    // old one's.
    if entry.state.generation != entry.server.generation {
        return Verdict::Hold {
            reason: Reason::StartPending,
        };
    }
    match entry.state.status {
        Status::Running => Verdict::Allow {
            user: caller.principal().name.clone(),
            ticket_for: needs_ticket.then_some(caller.credential()),
        },
        Status::Error if entry.state.gave_up => {
            let message = format!(
                "the server \"{name}\" has failed: {}; its owner must mend it",
                entry.state.reason
            );
            unavailable("server_failed", message, 60)
        }
        Status::Stopped
        | Status::Building
        | Status::Starting
        | Status::Unresponsive
        | Status::Sleeping
        | Status::Error => Verdict::Hold {
            reason: entry.state.reason.clone(),
        },
    }
}

/// The refusal for a request that waited as long as it may.
pub fn waited_too_long(reason: &Reason) -> Refusal {
    Refusal {
        status: 503,
        code: "server_not_ready",
        message: format!("the server is not ready yet: {reason}; try again in a moment"),
        retry_after_secs: Some(5),
        is_wrong_token: false,
    }
}

/// The refusal for a request that would have to wait where enough do already.
pub fn too_many_waiting(reason: &Reason) -> Refusal {
    Refusal {
        status: 503,
        code: "too_many_waiting",
        message: format!(
            "the server is not ready yet: {reason}; too many requests wait for it already, so try again in a moment"
        ),
        retry_after_secs: Some(5),
        is_wrong_token: false,
    }
}

/// The refusal for a request that came by a route which is being replaced. A
/// new request finds the new one: Traefik takes some hundred milliseconds.
pub fn route_moved() -> Refusal {
    Refusal {
        status: 503,
        code: "server_not_ready",
        message: "the server is moving to another network; try again in a moment".to_owned(),
        retry_after_secs: Some(1),
        is_wrong_token: false,
    }
}

/// The name of the server that a path asks for.
pub fn server_in_url(uri: &str) -> Option<&str> {
    uri.strip_prefix("/api/")?.split(['/', '?']).next()
}

fn path_of<'a>(request: &GateRequest<'a>) -> &'a str {
    request.uri.split('?').next().unwrap_or("")
}

/// Whoever opens a stream by GET follows a redirect, as `EventSource` must
/// (WHATWG HTML §9.2), and pays one round trip for the session. Calls over
/// `/mcp` are not redirected: each would pay, and many clients follow no
/// redirect of a POST (ADR 3).
fn can_follow(request: &GateRequest<'_>, entry: &Entry) -> bool {
    let path = path_of(request);
    let is_ours = path
        .strip_prefix(entry.server.path_prefix().as_str())
        .is_some_and(|rest| rest.starts_with('/'));
    request.method == Some("GET") && is_ours && is_sse(path)
}

fn is_sse(path: &str) -> bool {
    path.trim_end_matches('/').ends_with("/sse")
}

/// The same address with a ticket in place of the key, relative to the host.
pub fn with_ticket(uri: &str, ticket: &str) -> String {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let stays = |pair: &&str| {
        let name = url::form_urlencoded::parse(pair.as_bytes()).next();
        name.is_some_and(|(name, _)| name != KEY_PARAMETER && name != TICKET_PARAMETER)
    };
    let ticket = format!("{TICKET_PARAMETER}={ticket}");
    let pairs: Vec<&str> = query
        .split('&')
        .filter(stays)
        .chain([ticket.as_str()])
        .collect();
    format!("{path}?{}", pairs.join("&"))
}

/// What a ticket is good for (`services::sse_ticket`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketKind {
    /// To open an SSE session.
    Opening,
    /// For the messages of one.
    Session,
}

/// The ticket a request brings, and the kind that is good there.
pub fn ticket_in_url(uri: &str) -> Option<(TicketKind, String)> {
    let (path, query) = uri.split_once('?')?;
    let kind = if path.trim_end_matches('/').ends_with("/messages") {
        TicketKind::Session
    } else if is_sse(path) {
        TicketKind::Opening
    } else {
        return None;
    };
    Some((kind, parameter(query, TICKET_PARAMETER)?))
}

/// The `key` parameter, for clients that take nothing but a URL; only where a
/// client connects.
fn key_in_url(uri: &str) -> Option<String> {
    let (path, query) = uri.split_once('?')?;
    let path = path.trim_end_matches('/');
    if !is_sse(path) && !path.ends_with("/mcp") {
        return None;
    }
    parameter(query, KEY_PARAMETER)
}

fn parameter(query: &str, wanted: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == wanted)
        .map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests;
