//! The dynamic configuration as a pure function of the servers. The output is
//! byte-stable (ordered maps) and never has an empty map: Traefik recognises
//! an unchanged document by its hash and rejects a whole document for
//! `"routers":{}`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bytes::Bytes;
use serde::Serialize;

use super::headers::{self, Headers};
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
    /// The host of the public URL.
    pub public_host: String,
    /// The host servers have for themselves, if they do.
    pub servers_host: Option<String>,
    /// Where servers are found.
    pub networks: ServerNetworks,
}

const ENTRY_POINT: &str = "websecure";
const PLAIN_ENTRY_POINT: &str = "web";
/// Requests that show a token. What signs in has it in its body.
const PLAIN_WITH_TOKEN: &str = "QueryRegexp(`key`, `.*`) || HeaderRegexp(`Authorization`, `.+`) || HeaderRegexp(`X-Api-Key`, `.+`) || (Path(`/api/session`) && Method(`POST`))";
const CLEAR_TEXT: &str = "emcp-clear-text";
const FALLBACK: &str = "emcp";
const TRANSPORT: &str = "emcp";
/// Above every other rule: paths OAuth clients look up, which must be a true
/// 404 under every prefix so that they don't try to sign in.
const WELL_KNOWN_PRIORITY: u32 = 100_000;
const SERVER_PRIORITY: u32 = 1_000;
const FALLBACK_PRIORITY: u32 = 1;
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

/// What the gate sees of a client's request. `X-Forwarded-*` always come.
const AUTH_REQUEST_HEADERS: &[&str] = &["Authorization", "X-Api-Key", "Origin", "Sec-Fetch-Dest"];
/// Requests that tell a length below 8,000,000 bytes. Go lets no more be read
/// than was told, so Traefik may read these without a limit of its own.
const TELLS_LENGTH: &str = "HeaderRegexp(`Content-Length`, `^([0-9]{1,6}|[1-7][0-9]{6})$`)";
/// What Traefik reads of those at most, and of the gate's answers, which are
/// EMCP's own and short: all of it, in a buffer that grows. With a limit it makes
/// a buffer of the limit's size every time, and keeps a request's until that is
/// answered (ADR 7).
const NO_LIMIT: i32 = -1;
/// What it reads of all others: GET and DELETE without a body, chunks, and what
/// is too large and refused. Each takes a buffer of this size.
const UNTOLD_MAX_BYTES: i32 = 1024 * 1024;

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
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
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
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<RouterTls>,
}

#[derive(Serialize, Clone)]
#[serde(rename_all = "camelCase")]
struct RouterTls {
    #[serde(skip_serializing_if = "Option::is_none")]
    cert_resolver: Option<String>,
    /// What the resolver gets a certificate for where the rule names no host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    domains: Vec<Domain>,
}

#[derive(Serialize, Clone)]
struct Domain {
    main: String,
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
        auth_response_headers_regex: &'static str,
        /// The gate's redirects are relative to the client's host, not to its
        /// own.
        preserve_location_header: bool,
        max_response_body_size: i32,
        /// Makes Traefik read a request's body to its end before it forwards
        /// it. Otherwise an answer that begins at once can overtake the last
        /// read of the body, and Go's net/http then cuts the connection: up to
        /// 0.6 % of tool calls were lost (ADR 7). The gate ignores the body.
        forward_body: bool,
        max_body_size: i32,
    },
    #[serde(rename_all = "camelCase")]
    Headers {
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        custom_request_headers: Headers,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        custom_response_headers: Headers,
    },
    #[serde(rename_all = "camelCase")]
    StripPrefix {
        prefixes: [String; 1],
    },
    ReplacePath {
        path: &'static str,
    },
    #[serde(rename_all = "camelCase")]
    Retry {
        attempts: u32,
        initial_interval: &'static str,
        timeout: &'static str,
    },
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
    let mut http = Http {
        routers: BTreeMap::new(),
        services: BTreeMap::from([(FALLBACK.to_owned(), service(facts.upstream_url.clone()))]),
        middlewares: BTreeMap::new(),
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
    let mut has_servers = false;
    for server in servers {
        add_server(&mut http, server, facts);
        has_servers = true;
    }
    if has_servers {
        let isolate = of_answers(headers::of_servers_answers());
        http.middlewares.insert(ISOLATE.to_owned(), isolate);
        http.middlewares.insert(
            RETRY.to_owned(),
            Middleware::Retry {
                attempts: RETRY_ATTEMPTS,
                initial_interval: RETRY_INTERVAL,
                timeout: RETRY_TIMEOUT,
            },
        );
    }
    let tls = facts.certificate.as_ref().map(tls_section);
    let bytes = serde_json::to_vec(&Document { http, tls })
        .map_err(|error| Error::internal("the routes could not be encoded", error))?;
    Ok(Bytes::from(bytes))
}

/// Everything that is no server's: EMCP's, for each host.
fn add_fallbacks(http: &mut Http, facts: &RouteFacts) {
    let mut add = |name: &str, rule: &str, host: &str, middleware: Option<&str>, above: u32| {
        for (kind, path, priority) in [
            ("", "PathPrefix(`/`)", FALLBACK_PRIORITY),
            (
                "-well-known",
                "PathRegexp(`(^|/)\\.well-known(/|$)`)",
                WELL_KNOWN_PRIORITY,
            ),
        ] {
            let router = Router {
                entry_points: [ENTRY_POINT],
                rule: format!("{rule}{path}"),
                priority: priority + above,
                service: FALLBACK.to_owned(),
                middlewares: middleware.map(str::to_owned).into_iter().collect(),
                tls: Some(router_tls(facts, Some(host))),
            };
            http.routers.insert(format!("{name}{kind}"), router);
        }
    };
    let hsts = has_public_certificate(facts).then_some(HSTS);
    add(FALLBACK, "", &facts.public_host, hsts, 0);
    if let Some(host) = &facts.servers_host {
        let rule = format!("{} && ", host_rule(host));
        add("emcp-servers", &rule, host, Some(SERVERS_HOST), 1);
        let mark = Middleware::Headers {
            custom_request_headers: headers::of_the_servers_host(),
            custom_response_headers: Headers::new(),
        };
        http.middlewares.insert(SERVERS_HOST.to_owned(), mark);
    }
    if hsts.is_some() {
        let hsts = of_answers(headers::of_the_dashboard());
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
        service: CLEAR_TEXT.to_owned(),
        middlewares: vec![CLEAR_TEXT.to_owned()],
        tls: None,
    };
    let path = "/clear-text";
    let replace = Middleware::ReplacePath { path };
    http.routers.insert(CLEAR_TEXT.to_owned(), router);
    http.middlewares.insert(CLEAR_TEXT.to_owned(), replace);
    let service = service(facts.internal_url.clone());
    http.services.insert(CLEAR_TEXT.to_owned(), service);
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

fn of_answers(custom_response_headers: Headers) -> Middleware {
    Middleware::Headers {
        custom_request_headers: Headers::new(),
        custom_response_headers,
    }
}

fn add_server(http: &mut Http, server: &Server, facts: &RouteFacts) {
    let id = server.id;
    let (name, strip) = (format!("server-{id}"), format!("strip-{id}"));
    let prefix = server.path_prefix();
    // PathPrefix without the slash would also match a longer name.
    let mut rule = format!("Path(`{prefix}`) || PathPrefix(`{prefix}/`)");
    if let Some(host) = &facts.servers_host {
        rule = format!("{} && ({rule})", host_rule(host));
    }
    let with_length = format!("({rule}) && {TELLS_LENGTH}");
    http.middlewares.insert(
        strip.clone(),
        Middleware::StripPrefix {
            prefixes: [prefix.clone()],
        },
    );
    http.services.insert(
        name.clone(),
        service(format!("http://{}", server.endpoint(&facts.networks))),
    );
    for (kind, rule, priority, max_body_size) in [
        ("", rule, SERVER_PRIORITY, UNTOLD_MAX_BYTES),
        ("-sized", with_length, SERVER_PRIORITY + 1, NO_LIMIT),
    ] {
        let gate = format!("gate-{id}{kind}");
        http.middlewares.insert(
            gate.clone(),
            Middleware::ForwardAuth {
                // Where this very route leads, since the gate may know better.
                address: format!(
                    "{}/gate?server={id}&at={}",
                    facts.internal_url,
                    server.address_in(&facts.networks)
                ),
                trust_forward_header: false,
                auth_request_headers: AUTH_REQUEST_HEADERS,
                auth_response_headers_regex: headers::NOT_FROM_CLIENTS,
                preserve_location_header: true,
                max_response_body_size: NO_LIMIT,
                forward_body: true,
                max_body_size,
            },
        );
        http.routers.insert(
            format!("{name}{kind}"),
            Router {
                entry_points: [ENTRY_POINT],
                rule,
                priority,
                service: name.clone(),
                // The retry is behind the gate, which has read the request whole by
                // then: it can be sent at a later try as at the first.
                middlewares: vec![ISOLATE.to_owned(), gate, RETRY.to_owned(), strip.clone()],
                tls: Some(router_tls(facts, None)),
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
