//! What a handler knows of a request besides its body.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use cookie::Cookie;
use http::{HeaderMap, HeaderValue, Method};
use jiff::Timestamp;
use tokio::time::Instant;
use warp::Filter;
use warp::filters::BoxedFilter;

use super::admission;
use super::request_facts::{RequestFacts, RouteName};
use crate::access::{Caller, CanInspect, CanRead, CanWrite, ClientKey, Place};
use crate::gate::{Provenance, bearer, check_cookie_use};
use crate::model::{Error, Result, Seen};
use crate::services::{App, Named};
use crate::traefik::ConnectionId;

/// The name of the session cookie. The prefix makes browsers insist on
/// `Secure`, `Path=/` and no `Domain` (RFC 6265bis §4.1.3.2).
pub(super) const SESSION_COOKIE: &str = "__Host-emcp-session";

/// Stands for a header's value that is no text, and is like none that is good.
const GARBLED: &str = "?";

/// Leads from an answer to its log line.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) String);

/// The other end of the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// When a request came, as far as can be told: one that waited for a new EMCP
/// came before this one accepted it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrived(pub(super) Instant);

/// The client's place among the requests it may have at once. Whatever holds
/// the request's context holds it, such as a stream.
pub(super) type Admitted = Arc<Place<ClientKey>>;

/// One request, without its body.
#[derive(Clone)]
pub(super) struct Ctx {
    pub(super) app: Arc<App>,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) request_id: String,
    pub(super) connection: ConnectionId,
    /// The other end of the connection: Traefik, or who comes around it.
    pub(super) peer: IpAddr,
    /// What the audit log is to tell of this request.
    pub(super) facts: Arc<RequestFacts>,
    pub(super) arrived: Instant,
    _admitted: Option<Admitted>,
    query: HashMap<String, String>,
}

impl Ctx {
    /// A query parameter.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// A query parameter as a number from 0 to `max`.
    pub(super) fn query_number(&self, name: &'static str, max: u64) -> Result<Option<u64>> {
        let number = |text: &str| {
            let parsed = text.parse().ok().filter(|number| *number <= max);
            parsed.ok_or_else(|| {
                Error::invalid(
                    "invalid_query",
                    name,
                    format!("the query parameter \"{name}\" must be a whole number up to {max}"),
                )
            })
        };
        self.query(name).map(number).transpose()
    }

    /// A query parameter as `true` or `false`.
    pub(super) fn query_flag(&self, name: &'static str) -> Result<Option<bool>> {
        match self.query(name) {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(_) => Err(Error::invalid(
                "invalid_query",
                name,
                format!("the query parameter \"{name}\" must be \"true\" or \"false\""),
            )),
        }
    }

    /// A header as text, without the spaces around it, which are not part of the
    /// value (RFC 9110 §5.5): HTTP/2 carries them, and not every listener on the
    /// way takes them off.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let text = self.headers.get(name)?.to_str().ok()?;
        Some(text.trim_matches([' ', '\t']))
    }

    /// Whether there is more than one header of this name.
    pub(super) fn has_several(&self, name: &str) -> bool {
        self.headers.get_all(name).iter().nth(1).is_some()
    }

    /// What a change by this request is conditional on (RFC 9110 §13.1.1).
    pub(super) fn seen(&self) -> Seen {
        let lines = self.headers.get_all(http::header::IF_MATCH);
        Seen::from_if_match(lines.iter().map(text_of))
    }

    /// A header of which only certain values are good: one that is no text is
    /// there all the same.
    pub(super) fn header_or_garbled(&self, name: &str) -> Option<&str> {
        Some(text_of(self.headers.get(name)?))
    }

    /// Whether it carries a header for a token, good or bad.
    pub(super) fn has_token_header(&self) -> bool {
        self.header("authorization").is_some() || self.header("x-api-key").is_some()
    }

    /// The client's address, as far as it can be believed (`access::Proxies`).
    pub(super) fn client(&self) -> IpAddr {
        let forwarded = admission::forwarded_for(&self.headers);
        self.app.authentication.client(self.peer, forwarded)
    }

    /// The capability to change this server.
    pub(super) fn may_write(&self, id_or_name: &str) -> Result<CanWrite> {
        let caller = self.caller()?;
        // Whoever may change nothing learns nothing of what there is.
        caller.may_create()?;
        self.named(&caller, id_or_name)?.may_write()
    }

    /// The capability to see this server's code and variables.
    pub(super) fn may_inspect(&self, id_or_name: &str) -> Result<CanInspect> {
        let caller = self.caller()?;
        caller.may_read()?;
        self.named(&caller, id_or_name)?.may_inspect()
    }

    /// The capability to see what everybody may of this server.
    pub(super) fn may_read(&self, id_or_name: &str) -> Result<CanRead> {
        let caller = self.caller()?;
        caller.may_read()?;
        self.named(&caller, id_or_name)?.may_read()
    }

    /// The server that this request is about.
    pub(super) fn named<'a>(&self, caller: &'a Caller, id_or_name: &str) -> Result<Named<'a>> {
        let named = self.app.grants.named(caller, id_or_name)?;
        self.facts.server(named.name(), named.id());
        Ok(named)
    }

    /// Who is calling: by token, or by the dashboard's session.
    pub(super) fn caller(&self) -> Result<Caller> {
        let caller = self.authenticate()?;
        if self.facts.caller(&caller) && self.is_write() {
            self.app.quotas.count_write(&caller)?;
        }
        Ok(caller)
    }

    /// Whether the route is one that adds or changes something. Deleting is not:
    /// it must always be possible.
    fn is_write(&self) -> bool {
        matches!(self.method, Method::POST | Method::PUT | Method::PATCH) && self.facts.is_write()
    }

    fn authenticate(&self) -> Result<Caller> {
        let bearer = self.header("authorization").and_then(bearer);
        let api_key = self.header("x-api-key").filter(|key| !key.is_empty());
        // As at the gate: the one that is a token counts.
        let presented: Vec<&str> = bearer.into_iter().chain(api_key).collect();
        if !presented.is_empty() {
            let authentication = &self.app.authentication;
            let (_, caller) = authentication.identify_first(&presented, self.client())?;
            return Ok(caller);
        }
        let Some((caller, _)) = self.session() else {
            return Err(Error::Unauthenticated {
                is_wrong: false,
                message: "sign in, or send a token as \"Authorization: Bearer TOKEN\"".to_owned(),
            });
        };
        self.check_cookie_use(self.method == Method::GET || self.method == Method::HEAD)?;
        Ok(caller)
    }

    /// As [`Ctx::caller`], for a WebSocket: the one kind of GET that the
    /// same-origin policy does not cover.
    pub(super) fn websocket_caller(&self) -> Result<Caller> {
        let caller = self.caller()?;
        if !self.has_token_header() {
            self.check_cookie_use(false)?;
        }
        Ok(caller)
    }

    /// When the dashboard's session of this request ends, if it has one.
    pub(super) fn session_ends_at(&self) -> Option<Timestamp> {
        self.session().map(|(_, ends_at)| ends_at)
    }

    fn session(&self) -> Option<(Caller, Timestamp)> {
        let cookie = self.cookie(SESSION_COOKIE)?;
        self.app.sessions.caller(cookie, self.client())
    }

    /// Whether the page that makes this request may use the session's cookie.
    pub(super) fn check_cookie_use(&self, only_reads: bool) -> Result<()> {
        let all = |name| -> Vec<&str> { self.headers.get_all(name).iter().map(text_of).collect() };
        let from = Provenance {
            origins: &all("origin"),
            sites: &all("sec-fetch-site"),
            only_reads,
        };
        let own = self.app.settings().public_url.origin();
        check_cookie_use(from, &own.ascii_serialization())
    }

    fn cookie(&self, name: &str) -> Option<&str> {
        self.headers
            .get_all(http::header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(Cookie::split_parse)
            .flatten()
            .find(|cookie| cookie.name() == name)?
            .value_raw()
    }
}

fn text_of(value: &HeaderValue) -> &str {
    let text = value.to_str().unwrap_or(GARBLED);
    text.trim_matches([' ', '\t'])
}

/// Brings a [`Ctx`]. Boxed, since it is part of every route and would be compiled
/// with each of them.
pub(super) fn context(app: &Arc<App>) -> BoxedFilter<(Ctx,)> {
    let app = Arc::clone(app);
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::method()
        .and(warp::header::headers_cloned())
        .and(query)
        .and(warp::ext::optional::<RequestId>())
        .and(warp::ext::optional::<ConnectionId>())
        .and(warp::ext::optional::<Peer>())
        .and(warp::ext::optional::<Arrived>())
        .and(warp::ext::optional::<Admitted>())
        .and(warp::ext::optional::<RouteName>())
        .map(
            move |method,
                  headers,
                  query: String,
                  id: Option<RequestId>,
                  connection: Option<ConnectionId>,
                  peer: Option<Peer>,
                  arrived: Option<Arrived>,
                  admitted: Option<Admitted>,
                  route: Option<RouteName>| Ctx {
                app: Arc::clone(&app),
                method,
                headers,
                request_id: id.map(|id| id.0).unwrap_or_default(),
                connection: connection.unwrap_or(ConnectionId(0)),
                peer: peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0),
                facts: Arc::new(RequestFacts::of_this_request(route.unwrap_or_default())),
                arrived: arrived.map_or_else(Instant::now, |arrived| arrived.0),
                _admitted: admitted,
                query: url::form_urlencoded::parse(query.as_bytes())
                    .into_owned()
                    .collect(),
            },
        )
        .boxed()
}
