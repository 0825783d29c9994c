//! The dynamic configuration as a pure function of the servers. The output is
//! byte-stable (ordered maps) and never has an empty map: Traefik recognises
//! an unchanged document by its hash and rejects a whole document for
//! `"routers":{}`.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;

use crate::identity::ServedCertificate;
use crate::model::{Error, Result, Server, ServerNetworks};

/// What routes depend on besides the servers.
pub struct RouteFacts {
    /// How Traefik reaches the gate's listener.
    pub internal_url: String,
    /// How Traefik reaches the dashboard's and API's listener.
    pub upstream_url: String,
    /// The certificate to serve, unless a resolver does that.
    pub certificate: Option<ServedCertificate>,
    /// Traefik's certificate resolver, if one is used.
    pub cert_resolver: Option<String>,
    /// Where servers are found.
    pub networks: ServerNetworks,
    /// Requests of one address under way at once, on each router.
    pub requests_per_address: usize,
}

const ENTRY_POINT: &str = "websecure";
const FALLBACK: &str = "emcp";
const TRANSPORT: &str = "emcp";
/// Above every other rule: paths OAuth clients look up, which must be a true
/// 404 under every prefix so that they don't try to sign in.
const WELL_KNOWN_PRIORITY: u32 = 100_000;
const SERVER_PRIORITY: u32 = 1_000;
const TOO_LARGE_PRIORITY: u32 = 50_000;
const FALLBACK_PRIORITY: u32 = 1;
/// Shorter than servers (120 s) and EMCP's public listener (15 s) keep an idle
/// connection: Traefik then never sends a request into a connection that is
/// just being closed.
const BACKEND_IDLE_TIMEOUT: &str = "10s";

/// On the servers' bridge a connection is made in microseconds, or the container
/// is not there: then the next try should come soon.
const DIAL_TIMEOUT: &str = "1s";
/// Bridges the moment in which a container has ended and the gate does not know
/// yet, until it serves again: a try every 300 ms to 600 ms, for 20 s. Traefik
/// tries again only where nothing was sent, so no call is made twice.
const RETRY: &str = "retry";
const RETRY_ATTEMPTS: u32 = 60;
const RETRY_INTERVAL: &str = "300ms";
const RETRY_TIMEOUT: &str = "20s";
const STRIP: &str = "strip";

/// What the gate sees of a client's request. `X-Forwarded-*` always come.
const AUTH_REQUEST_HEADERS: &[&str] = &["Authorization", "X-Api-Key", "Origin"];
/// Removed from the client's request, and set again only where the gate
/// answered with them: nothing a client writes is taken for the gate's word.
const AUTH_RESPONSE_HEADERS: &str = "(?i)^(authorization|cookie|x-api-key|x-emcp-.*)$";
/// Requests whose body is not waited for: there is none in a sensible one.
const BARE: &str = "Method(`GET`) || Method(`HEAD`) || Method(`DELETE`) || Method(`OPTIONS`)";
/// Requests that tell a length below 60,000 bytes, as nearly all do. Go lets no
/// more be read than was told, so Traefik may read these without a limit of its
/// own, and before it is known who asks.
const SMALL: &str = "HeaderRegexp(`Content-Length`, `^([0-9]{1,4}|[1-5][0-9]{4})$`)";
/// Those that tell one below 8,000,000.
const LARGE: &str = "HeaderRegexp(`Content-Length`, `^([0-9]{1,6}|[1-7][0-9]{6})$`)";
/// And those that tell more, which no server gets.
const TOO_LARGE: &str = "HeaderRegexp(`Content-Length`, `^([89][0-9]{6}|[0-9]{8,})$`)";
/// What Traefik reads of a told length, and of the gate's answers, which are
/// EMCP's own and short: all of it, in a buffer that grows. With a limit it makes
/// a buffer of the limit's size every time, and keeps a request's until that is
/// answered (ADR 7).
const NO_LIMIT: i32 = -1;
/// What it reads of all others, whose length is untold. Each takes a buffer of
/// this size.
const UNTOLD_MAX_BYTES: i32 = 1024 * 1024;
/// Asks who is calling before a large body is read.
const KNOCK: &str = "knock";
/// Bounds what one address has under way on a router.
const FLIGHT: &str = "flight";
/// The same for large bodies, which are kept until they are answered.
const FLIGHT_LARGE: &str = "flight-large";
const LARGE_PER_ADDRESS: usize = 32;
/// One client chooses its addresses from a /64.
const IPV6_CLIENT_BITS: u8 = 64;

#[derive(Serialize)]
struct Document {
    http: Http,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<Tls>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Http {
    routers: BTreeMap<String, Router>,
    services: BTreeMap<String, Service>,
    middlewares: BTreeMap<String, Middleware>,
    servers_transports: BTreeMap<String, ServersTransport>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Router {
    entry_points: [&'static str; 1],
    rule: String,
    priority: u32,
    service: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    middlewares: Vec<String>,
    tls: RouterTls,
}

#[derive(Serialize, Clone)]
#[serde(rename_all = "camelCase")]
struct RouterTls {
    #[serde(skip_serializing_if = "Option::is_none")]
    cert_resolver: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Service {
    load_balancer: LoadBalancer,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LoadBalancer {
    servers: [Backend; 1],
    pass_host_header: bool,
    servers_transport: &'static str,
}

#[derive(Serialize)]
struct Backend {
    url: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Middleware {
    #[serde(rename_all = "camelCase")]
    ForwardAuth {
        address: String,
        trust_forward_header: bool,
        auth_request_headers: &'static [&'static str],
        #[serde(skip_serializing_if = "Option::is_none")]
        auth_response_headers_regex: Option<&'static str>,
        max_response_body_size: i32,
        /// Makes Traefik read a request's body to its end before it forwards
        /// it. Otherwise an answer that begins at once can overtake the last
        /// read of the body, and Go's net/http then cuts the connection: up to
        /// 0.6 % of tool calls were lost (ADR 7). The gate ignores the body.
        forward_body: bool,
        max_body_size: i32,
    },
    StripPrefixRegex {
        regex: [&'static str; 1],
    },
    #[serde(rename_all = "camelCase")]
    InFlightReq {
        amount: usize,
        source_criterion: SourceCriterion,
    },
    #[serde(rename_all = "camelCase")]
    Retry {
        attempts: u32,
        initial_interval: &'static str,
        timeout: &'static str,
    },
}

/// The address of the connection's other end.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SourceCriterion {
    ip_strategy: IpStrategy,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IpStrategy {
    depth: u8,
    ipv6_subnet: u8,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ServersTransport {
    forwarding_timeouts: ForwardingTimeouts,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ForwardingTimeouts {
    dial_timeout: &'static str,
    /// 0: a tool call may take its time before it answers.
    response_header_timeout: &'static str,
    idle_conn_timeout: &'static str,
}

#[derive(Serialize)]
struct Tls {
    certificates: [Certificate; 1],
    stores: BTreeMap<&'static str, Store>,
}

#[derive(Serialize, Clone)]
#[serde(rename_all = "camelCase")]
struct Certificate {
    cert_file: String,
    key_file: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Store {
    default_certificate: Certificate,
}

/// Renders the whole document.
///
/// # Errors
/// If it cannot be encoded.
pub fn render<'a>(servers: impl Iterator<Item = &'a Server>, facts: &RouteFacts) -> Result<Bytes> {
    let router_tls = RouterTls {
        cert_resolver: facts.cert_resolver.clone(),
    };
    let mut http = Http {
        routers: fallback_routers(&router_tls),
        services: BTreeMap::from([(FALLBACK.to_owned(), service(facts.upstream_url.clone()))]),
        middlewares: shared_middlewares(facts),
        servers_transports: BTreeMap::from([(
            TRANSPORT.to_owned(),
            ServersTransport {
                forwarding_timeouts: ForwardingTimeouts {
                    dial_timeout: DIAL_TIMEOUT,
                    response_header_timeout: "0s",
                    idle_conn_timeout: BACKEND_IDLE_TIMEOUT,
                },
            },
        )]),
    };
    for server in servers {
        add_server(&mut http, server, facts, &router_tls);
    }
    let tls = facts.certificate.as_ref().map(tls_section);
    let bytes = serde_json::to_vec(&Document { http, tls })
        .map_err(|error| Error::internal("the routes could not be encoded", error))?;
    Ok(Bytes::from(bytes))
}

fn fallback_routers(tls: &RouterTls) -> BTreeMap<String, Router> {
    let fallback = |rule: &str, priority, refuse: Option<&str>| Router {
        entry_points: [ENTRY_POINT],
        rule: rule.to_owned(),
        priority,
        service: FALLBACK.to_owned(),
        middlewares: names(std::iter::once(FLIGHT).chain(refuse)),
        tls: tls.clone(),
    };
    BTreeMap::from([
        (
            FALLBACK.to_owned(),
            fallback("PathPrefix(`/`)", FALLBACK_PRIORITY, None),
        ),
        (
            "emcp-well-known".to_owned(),
            fallback(
                "PathRegexp(`(^|/)\\.well-known(/|$)`)",
                WELL_KNOWN_PRIORITY,
                None,
            ),
        ),
        (
            "emcp-too-large".to_owned(),
            // EMCP's own API has limits of its own, and says them itself.
            fallback(
                &format!(
                    "PathPrefix(`/api/`) && !PathRegexp(`^/api/(servers|check)(/|$)`) && {TOO_LARGE}"
                ),
                TOO_LARGE_PRIORITY,
                Some("too-large"),
            ),
        ),
    ])
}

fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// What all routers share. Traefik makes one of each for every router, so what
/// they count they count there.
fn shared_middlewares(facts: &RouteFacts) -> BTreeMap<String, Middleware> {
    let in_flight = |amount| Middleware::InFlightReq {
        amount,
        source_criterion: SourceCriterion {
            ip_strategy: IpStrategy {
                depth: 0,
                ipv6_subnet: IPV6_CLIENT_BITS,
            },
        },
    };
    let asks = |page: &str| gate(format!("{}/gate/{page}", facts.internal_url), Body::Left);
    let retry = Middleware::Retry {
        attempts: RETRY_ATTEMPTS,
        initial_interval: RETRY_INTERVAL,
        timeout: RETRY_TIMEOUT,
    };
    // A name has no slash, and the gate has made sure of the rest.
    let strip = Middleware::StripPrefixRegex {
        regex: ["^/api/[^/]+"],
    };
    [
        (FLIGHT, in_flight(facts.requests_per_address)),
        (FLIGHT_LARGE, in_flight(LARGE_PER_ADDRESS)),
        (KNOCK, asks("knock")),
        ("too-large", asks("too-large")),
        (RETRY, retry),
        (STRIP, strip),
    ]
    .map(|(name, middleware)| (name.to_owned(), middleware))
    .into()
}

/// What becomes of a request's body and credentials at a gate.
#[derive(Clone, Copy)]
enum Body {
    /// Neither is touched: another gate follows.
    Left,
    /// The credentials go, the body is sent on as it comes.
    Streamed,
    /// The same, when the body has been read to its end.
    Read { max_bytes: i32 },
}

fn gate(address: String, body: Body) -> Middleware {
    Middleware::ForwardAuth {
        address,
        trust_forward_header: false,
        auth_request_headers: AUTH_REQUEST_HEADERS,
        auth_response_headers_regex: match body {
            Body::Left => None,
            Body::Streamed | Body::Read { .. } => Some(AUTH_RESPONSE_HEADERS),
        },
        max_response_body_size: NO_LIMIT,
        forward_body: matches!(body, Body::Read { .. }),
        max_body_size: match body {
            Body::Read { max_bytes } => max_bytes,
            Body::Left | Body::Streamed => NO_LIMIT,
        },
    }
}

fn add_server(http: &mut Http, server: &Server, facts: &RouteFacts, tls: &RouterTls) {
    let id = server.id;
    let name = format!("server-{id}");
    let prefix = server.path_prefix();
    // PathPrefix without the slash would also match a longer name.
    let rule = format!("Path(`{prefix}`) || PathPrefix(`{prefix}/`)");
    http.services.insert(
        name.clone(),
        service(format!("http://{}", server.endpoint(&facts.networks))),
    );
    let (told, untold) = (NO_LIMIT, UNTOLD_MAX_BYTES);
    for (kind, body) in [
        ("", Body::Streamed),
        ("-sized", Body::Read { max_bytes: told }),
        ("-untold", Body::Read { max_bytes: untold }),
    ] {
        // Where this very route leads, since the gate may know better.
        let at = server.address_in(&facts.networks);
        let address = format!("{}/gate?server={id}&at={at}", facts.internal_url);
        http.middlewares
            .insert(format!("gate-{id}{kind}"), gate(address, body));
    }
    for (kind, condition, rank, gate, is_large) in [
        ("-bare", Some(BARE), 3, "", false),
        ("-small", Some(SMALL), 2, "-sized", false),
        ("-large", Some(LARGE), 1, "-sized", true),
        ("", None, 0, "-untold", true),
    ] {
        let gate = format!("gate-{id}{gate}");
        // Behind the gate, which has read what it reads by then: that can be
        // sent at a later try as at the first.
        let middlewares = if is_large {
            names([FLIGHT, KNOCK, FLIGHT_LARGE, &gate, RETRY, STRIP])
        } else {
            names([FLIGHT, &gate, RETRY, STRIP])
        };
        http.routers.insert(
            format!("{name}{kind}"),
            Router {
                entry_points: [ENTRY_POINT],
                rule: match condition {
                    Some(condition) => format!("({rule}) && ({condition})"),
                    None => rule.clone(),
                },
                priority: SERVER_PRIORITY + rank,
                service: name.clone(),
                middlewares,
                tls: tls.clone(),
            },
        );
    }
}

fn service(url: String) -> Service {
    Service {
        load_balancer: LoadBalancer {
            servers: [Backend { url }],
            pass_host_header: true,
            servers_transport: TRANSPORT,
        },
    }
}

fn tls_section(served: &ServedCertificate) -> Tls {
    let certificate = Certificate {
        cert_file: served.cert_pem.clone(),
        key_file: served.key_pem.clone(),
    };
    Tls {
        certificates: [certificate.clone()],
        // Also for clients that name no host they want.
        stores: BTreeMap::from([(
            "default",
            Store {
                default_certificate: certificate,
            },
        )]),
    }
}

#[cfg(test)]
mod tests;
