//! The dynamic configuration as a pure function of the servers. The output is
//! byte-stable (ordered maps) and never has an empty map: Traefik recognises
//! an unchanged document by its hash and rejects a whole document for
//! `"routers":{}`.

mod clients;
mod effect;
mod metrics;
mod shapes;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use sha2::{Digest, Sha256};

pub use self::effect::own_address;
use self::shapes::{
    Backend, Certificate, Cors, Document, Domain, ForwardingTimeouts, Http, IpStrategy,
    LoadBalancer, Middleware, Router, RouterTls, ServersTransport, Service, SourceCriterion, Store,
    Tls,
};
use super::headers::{self, Headers};
use crate::identity::ServedCertificate;
use crate::model::{Error, Placement, Result, Server, ServerNetworks};
use crate::runtime::Endpoint;

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
    /// The host of the public URL.
    pub public_host: String,
    /// The host servers have for themselves, if they do.
    pub servers_host: Option<String>,
    /// Where servers are found.
    pub networks: ServerNetworks,
    /// Requests of one address under way at once, on each router.
    pub requests_per_address: usize,
    /// Origins whose pages may call servers (`gate::origin_fits`).
    pub allowed_origins: Vec<String>,
    /// Whether metrics may be read from outside.
    pub serves_metrics: bool,
    /// Traefik's plain entry point, as Traefik reaches it itself.
    pub traefik_address: SocketAddr,
}

/// A document, and what tells it from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// What Traefik is given.
    pub body: Bytes,
    /// What it tells in return, once it routes by that.
    pub fingerprint: Fingerprint,
}

/// Tells documents apart, also those of another process: the same servers and
/// facts have the same one. Not to be guessed by who has not seen the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(String);

impl Fingerprint {
    const BYTES: usize = 16;

    fn of(bytes: &[u8]) -> Self {
        Self(hex::encode(&Sha256::digest(bytes)[..Self::BYTES]))
    }

    /// What Traefik tells. Anything may come; what is no fingerprint equals none.
    pub fn told(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const ENTRY_POINT: &str = "websecure";
const PLAIN_ENTRY_POINT: &str = "web";
/// Requests that show a token. What signs in has it in its body.
const PLAIN_WITH_TOKEN: &str = "QueryRegexp(`key`, `.*`) || HeaderRegexp(`Authorization`, `.+`) || HeaderRegexp(`X-Api-Key`, `.+`) || (Path(`/api/session`) && Method(`POST`))";
const CLEAR_TEXT: &str = "emcp-clear-text";
/// EMCP's internal listener, for what it answers itself and no gate can.
const INTERNAL: &str = "emcp-internal";
/// What clients ask for that is no server's: where an authorization server would
/// be, if there were one, and servers that there are none of.
const CLIENTS: &str = "-clients";
const WELL_KNOWN: &str = "PathRegexp(`(^|/)\\.well-known(/|$)`)";
const FALLBACK: &str = "emcp";
const TRANSPORT: &str = "emcp";
/// Above every other rule: paths OAuth clients look up, which must be a true
/// 404 under every prefix so that they don't try to sign in.
const WELL_KNOWN_PRIORITY: u32 = 100_000;
const SERVER_PRIORITY: u32 = 1_000;
const TOO_LARGE_PRIORITY: u32 = 50_000;
const FALLBACK_PRIORITY: u32 = 1;
const CLIENTS_PRIORITY: u32 = 2;
/// On every server's route: what a server answers is never a page of the host.
const ISOLATE: &str = "isolate";
/// The dashboard's host is for HTTPS alone.
const HSTS: &str = "hsts";
/// Tells EMCP that a request came by the servers' own host.
const SERVERS_HOST: &str = "servers-host";
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
const AUTH_REQUEST_HEADERS: &[&str] = &["Authorization", "X-Api-Key", "Origin", "Sec-Fetch-Dest"];
/// Requests whose body is not waited for: there is none in a sensible one.
const BARE: &str = "Method(`GET`) || Method(`HEAD`) || Method(`DELETE`) || Method(`OPTIONS`)";
/// Requests that tell a length below 60,000 bytes, as nearly all do. Go lets no
/// more be read than was told, so Traefik may read these without a limit of its
/// own, and before it is known who asks.
const SMALL: &str = "HeaderRegexp(`Content-Length`, `^([0-9]{1,4}|[1-5][0-9]{4})$`)";
/// Those that tell one up to 8,000,000.
const LARGE: &str = "HeaderRegexp(`Content-Length`, `^([0-9]{1,6}|[1-7][0-9]{6}|8000000)$`)";
/// And those that tell more, which no server gets.
const TOO_LARGE: &str = "HeaderRegexp(`Content-Length`, `^([89][0-9]{6}|[0-9]{8,})$`) && !Header(`Content-Length`, `8000000`)";
/// What Traefik reads of a told length, and of the gate's answers, which are
/// EMCP's own and short: all of it, in a buffer that grows. With a limit it makes
/// a buffer of the limit's size every time, and keeps a request's until that is
/// answered (ADR 7).
const NO_LIMIT: i32 = -1;
/// Asks who is calling before a large body is read.
const KNOCK: &str = "knock";
/// Bounds what one address has under way on a router.
const FLIGHT: &str = "flight";
/// The same for large bodies, which are kept until they are answered.
const FLIGHT_LARGE: &str = "flight-large";
const LARGE_PER_ADDRESS: usize = 32;
/// One client chooses its addresses from a /64.
const IPV6_CLIENT_BITS: u8 = 64;

/// Renders the whole document, each server with where the instance is that serves
/// it.
///
/// # Errors
/// If it cannot be encoded.
pub fn render<'a>(
    servers: impl Iterator<Item = (&'a Server, Placement)>,
    facts: &RouteFacts,
) -> Result<Rendered> {
    let mut http = Http {
        routers: BTreeMap::new(),
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
    add_fallbacks(&mut http, facts);
    refuse_clear_text(&mut http, facts);
    clients::answer_preflights(&mut http, facts);
    metrics::add(&mut http, facts);
    for (server, place) in servers {
        add_server(&mut http, server, place, facts);
    }
    let tls = facts.certificate.as_ref().map(tls_section);
    let mut document = Document { http, tls };
    let fingerprint = Fingerprint::of(&encode(&document)?);
    effect::add(&mut document.http, facts, &fingerprint);
    Ok(Rendered {
        body: encode(&document)?.into(),
        fingerprint,
    })
}

fn encode(document: &Document) -> Result<Vec<u8>> {
    serde_json::to_vec(document)
        .map_err(|error| Error::internal("the routes could not be encoded", error))
}

/// Everything that is no server's: EMCP's, for each host.
fn add_fallbacks(http: &mut Http, facts: &RouteFacts) {
    let clients = clients::places();
    let mut add = |name: &str, rule: &str, host: &str, middleware: Option<&str>, above: u32| {
        for (kind, path, priority) in [
            ("", "PathPrefix(`/`)", FALLBACK_PRIORITY),
            (CLIENTS, clients.as_str(), CLIENTS_PRIORITY),
            ("-well-known", WELL_KNOWN, WELL_KNOWN_PRIORITY),
        ] {
            // As on servers' routes, so that nobody sees by an answer's headers
            // which servers there are.
            let isolate = (!kind.is_empty()).then_some(ISOLATE);
            // Outside of what removes it from servers' answers.
            let hsts = middleware.filter(|name| *name == HSTS && kind != CLIENTS);
            let mark = middleware.filter(|name| *name != HSTS);
            let router = Router {
                entry_points: [ENTRY_POINT],
                rule: format!("{rule}{path}"),
                priority: priority + above,
                service: FALLBACK.to_owned(),
                middlewares: names([hsts, isolate, Some(FLIGHT), mark].into_iter().flatten()),
                tls: Some(router_tls(facts, Some(host))),
                observability: None,
            };
            http.routers.insert(format!("{name}{kind}"), router);
        }
    };
    // EMCP's own API has limits of its own, and says them itself.
    let mut rule =
        format!("PathPrefix(`/api/`) && !PathRegexp(`^/api/(servers|check)(/|$)`) && {TOO_LARGE}");
    if let Some(host) = &facts.servers_host {
        rule = format!("{} && {rule}", host_rule(host));
    }
    let hsts = has_public_certificate(facts).then_some(HSTS);
    add(FALLBACK, "", &facts.public_host, hsts, 0);
    if let Some(host) = &facts.servers_host {
        let rule = format!("{} && ", host_rule(host));
        // Above the dashboard's of every kind.
        add(
            "emcp-servers",
            &rule,
            host,
            Some(SERVERS_HOST),
            CLIENTS_PRIORITY,
        );
        let mark = Middleware::Headers {
            custom_request_headers: headers::of_the_servers_host(),
            custom_response_headers: Headers::new(),
            cors: None,
        };
        http.middlewares.insert(SERVERS_HOST.to_owned(), mark);
    }
    http.routers.insert(
        "emcp-too-large".to_owned(),
        Router {
            entry_points: [ENTRY_POINT],
            rule,
            priority: TOO_LARGE_PRIORITY,
            // Which reads the body before it answers: one that came early would be
            // lost with the connection.
            service: INTERNAL.to_owned(),
            middlewares: names([ISOLATE, FLIGHT, "too-large", "say-too-large"]),
            tls: Some(router_tls(facts, None)),
            observability: None,
        },
    );
    if hsts.is_some() {
        let hsts = of_answers(headers::of_the_dashboard(), None);
        http.middlewares.insert(HSTS.to_owned(), hsts);
    }
}

/// A token over plain HTTP is burnt, and a redirect would hide that. EMCP says
/// so, under a path of its internal listener (`http::controllers::gate`).
fn refuse_clear_text(http: &mut Http, facts: &RouteFacts) {
    let router = Router {
        entry_points: [PLAIN_ENTRY_POINT],
        rule: PLAIN_WITH_TOKEN.to_owned(),
        priority: SERVER_PRIORITY,
        service: INTERNAL.to_owned(),
        middlewares: names([FLIGHT, CLEAR_TEXT]),
        tls: None,
        observability: None,
    };
    http.routers.insert(CLEAR_TEXT.to_owned(), router);
    let service = service(facts.internal_url.clone());
    http.services.insert(INTERNAL.to_owned(), service);
}

/// Whether browsers take the certificate without being told of EMCP's own CA.
fn has_public_certificate(facts: &RouteFacts) -> bool {
    let served = facts.certificate.as_ref();
    facts.cert_resolver.is_some() || served.is_some_and(ServedCertificate::is_public)
}

/// `host` is what the resolver must get a certificate for, where the rule does
/// not say it. It gets none for an address.
fn router_tls(facts: &RouteFacts, host: Option<&str>) -> RouterTls {
    let host = host.filter(|host| facts.cert_resolver.is_some() && host.parse::<IpAddr>().is_err());
    let domains = host.map(|host| Domain {
        main: host.to_owned(),
    });
    RouterTls {
        cert_resolver: facts.cert_resolver.clone(),
        domains: domains.into_iter().collect(),
    }
}

fn host_rule(host: &str) -> String {
    format!("Host(`{host}`)")
}

fn of_answers(custom_response_headers: Headers, cors: Option<Cors>) -> Middleware {
    Middleware::Headers {
        custom_request_headers: Headers::new(),
        custom_response_headers,
        cors,
    }
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
        (
            ISOLATE,
            of_answers(headers::of_servers_answers(), Some(clients::cors(facts))),
        ),
        (CLEAR_TEXT, internal_page("/clear-text")),
        (clients::PREFLIGHT, internal_page("/preflight")),
        ("say-too-large", internal_page("/too-large")),
    ]
    .map(|(name, middleware)| (name.to_owned(), middleware))
    .into()
}

/// Leads to a page of EMCP's internal listener.
fn internal_page(path: &'static str) -> Middleware {
    let path = path.to_owned();
    Middleware::ReplacePath { path }
}

/// What becomes of a request's body and credentials at a gate.
#[derive(Clone, Copy)]
enum Body {
    /// Neither is touched: another gate follows.
    Left,
    /// The credentials go, the body is sent on as it comes.
    Streamed,
    /// The same, when the body has been read to its end.
    Read,
}

fn gate(address: String, body: Body) -> Middleware {
    Middleware::ForwardAuth {
        address,
        trust_forward_header: false,
        auth_request_headers: AUTH_REQUEST_HEADERS,
        auth_response_headers_regex: match body {
            Body::Left => None,
            Body::Streamed | Body::Read => Some(headers::NOT_FROM_CLIENTS),
        },
        preserve_location_header: true,
        max_response_body_size: NO_LIMIT,
        forward_body: matches!(body, Body::Read),
        max_body_size: NO_LIMIT,
    }
}

fn add_server(http: &mut Http, server: &Server, place: Placement, facts: &RouteFacts) {
    let id = server.id;
    let name = format!("server-{id}");
    let prefix = server.path_prefix();
    // PathPrefix without the slash would also match a longer name.
    let mut rule = format!("Path(`{prefix}`) || PathPrefix(`{prefix}/`)");
    if let Some(host) = &facts.servers_host {
        rule = format!("{} && ({rule})", host_rule(host));
    }
    let endpoint = Endpoint::of(place.address, place.egress, &facts.networks);
    http.services
        .insert(name.clone(), service(endpoint.url_for_traefik()));
    for (kind, body) in [("", Body::Streamed), ("-sized", Body::Read)] {
        // Which instance this very route leads to, since the gate may know better.
        let at = place.route;
        let address = format!("{}/gate?server={id}&at={at}", facts.internal_url);
        http.middlewares
            .insert(format!("gate-{id}{kind}"), gate(address, body));
    }
    for (kind, condition, rank, gate, before) in [
        ("-bare", Some(BARE), 3, "", &[] as &[&str]),
        ("-small", Some(SMALL), 2, "-sized", &[]),
        ("-large", Some(LARGE), 1, "-sized", &[KNOCK, FLIGHT_LARGE]),
        // Of untold length: the bootstrap reads it whole, and counts (ADR 7).
        ("", None, 0, "", &[FLIGHT_LARGE]),
    ] {
        let gate = format!("gate-{id}{gate}");
        // Behind the gate, which has read what it reads by then: that can be
        // sent at a later try as at the first.
        let first = [ISOLATE, FLIGHT].into_iter().chain(before.iter().copied());
        let middlewares = names(first.chain([gate.as_str(), RETRY, STRIP]));
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
                tls: Some(router_tls(facts, None)),
                observability: None,
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
            health_check: None,
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
