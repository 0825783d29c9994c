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
}

const ENTRY_POINT: &str = "websecure";
const PLAIN_ENTRY_POINT: &str = "web";
/// A request over plain HTTP with a token in it: the token is burnt, and a
/// redirect would hide that. EMCP says so. What signs in has it in the body.
const PLAIN_WITH_TOKEN: &str = "QueryRegexp(`key`, `.*`) || HeaderRegexp(`Authorization`, `.+`) || HeaderRegexp(`X-Api-Key`, `.+`) || (Path(`/api/session`) && Method(`POST`))";
const CLEAR_TEXT: &str = "emcp-clear-text";
/// What EMCP's internal listener refuses such requests under
/// (`http::controllers::gate`).
const CLEAR_TEXT_PATH: &str = "/clear-text";
const FALLBACK: &str = "emcp";
const TRANSPORT: &str = "emcp";
/// Above every other rule: paths OAuth clients look up, which must be a true
/// 404 under every prefix so that they don't try to sign in.
const WELL_KNOWN_PRIORITY: u32 = 100_000;
const SERVER_PRIORITY: u32 = 1_000;
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

/// What the gate sees of a client's request. `X-Forwarded-*` always come.
const AUTH_REQUEST_HEADERS: &[&str] = &["Authorization", "X-Api-Key", "Origin"];
/// Removed from the client's request, and set again only where the gate
/// answered with them: nothing a client writes is taken for the gate's word.
const AUTH_RESPONSE_HEADERS: &str = "(?i)^(authorization|cookie|x-api-key|x-emcp-.*)$";
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
        /// The gate's redirects are relative to the client's host, not to the
        /// gate's.
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
    let router_tls = RouterTls {
        cert_resolver: facts.cert_resolver.clone(),
    };
    let mut http = Http {
        routers: fallback_routers(&router_tls),
        services: BTreeMap::from([
            (FALLBACK.to_owned(), service(facts.upstream_url.clone())),
            (CLEAR_TEXT.to_owned(), service(facts.internal_url.clone())),
        ]),
        middlewares: BTreeMap::from([(
            CLEAR_TEXT.to_owned(),
            Middleware::ReplacePath {
                path: CLEAR_TEXT_PATH,
            },
        )]),
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
    http.middlewares.insert(
        RETRY.to_owned(),
        Middleware::Retry {
            attempts: RETRY_ATTEMPTS,
            initial_interval: RETRY_INTERVAL,
            timeout: RETRY_TIMEOUT,
        },
    );
    let tls = facts.certificate.as_ref().map(tls_section);
    let bytes = serde_json::to_vec(&Document { http, tls })
        .map_err(|error| Error::internal("the routes could not be encoded", error))?;
    Ok(Bytes::from(bytes))
}

fn fallback_routers(tls: &RouterTls) -> BTreeMap<String, Router> {
    let fallback = |rule: &str, priority| Router {
        entry_points: [ENTRY_POINT],
        rule: rule.to_owned(),
        priority,
        service: FALLBACK.to_owned(),
        middlewares: Vec::new(),
        tls: Some(tls.clone()),
    };
    BTreeMap::from([
        (
            CLEAR_TEXT.to_owned(),
            Router {
                entry_points: [PLAIN_ENTRY_POINT],
                service: CLEAR_TEXT.to_owned(),
                middlewares: vec![CLEAR_TEXT.to_owned()],
                tls: None,
                ..fallback(PLAIN_WITH_TOKEN, SERVER_PRIORITY)
            },
        ),
        (
            FALLBACK.to_owned(),
            fallback("PathPrefix(`/`)", FALLBACK_PRIORITY),
        ),
        (
            "emcp-well-known".to_owned(),
            fallback("PathRegexp(`(^|/)\\.well-known(/|$)`)", WELL_KNOWN_PRIORITY),
        ),
    ])
}

fn add_server(http: &mut Http, server: &Server, facts: &RouteFacts, tls: &RouterTls) {
    let id = server.id;
    let (name, strip) = (format!("server-{id}"), format!("strip-{id}"));
    let prefix = server.path_prefix();
    // PathPrefix without the slash would also match a longer name.
    let rule = format!("Path(`{prefix}`) || PathPrefix(`{prefix}/`)");
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
                auth_response_headers_regex: AUTH_RESPONSE_HEADERS,
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
                // Behind the gate, which has read the request whole by then: it
                // can be sent at a later try as at the first.
                middlewares: vec![gate, RETRY.to_owned(), strip.clone()],
                tls: Some(tls.clone()),
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
mod tests {
    use jiff::Timestamp;
    use serde_json::Value;

    use super::*;
    use crate::model::{Actor, AddressPool, Egress, ServerId};

    fn facts() -> RouteFacts {
        let open = AddressPool::parse("198.18.1.0/24").unwrap();
        let networks = ServerNetworks::new(open, open.twin().unwrap()).unwrap();
        RouteFacts {
            networks,
            internal_url: "http://emcp:8081".into(),
            upstream_url: "http://emcp:8080".into(),
            certificate: None,
            cert_resolver: None,
        }
    }

    fn server(name: &str) -> Server {
        Server {
            address: [198, 18, 1, 7].into(),
            ..Server::new(
                ServerId::new(),
                name.parse().unwrap(),
                Actor("admin".into()),
                Timestamp::UNIX_EPOCH,
            )
        }
    }

    #[test]
    fn a_route_leads_into_the_network_the_egress_says() {
        let mut demo = server("demo");
        for (egress, url) in [
            (Egress::Open, "http://198.18.1.7:8000"),
            (Egress::None, "http://198.18.129.7:8000"),
        ] {
            demo.egress = egress;
            let bytes = render([&demo].into_iter(), &facts()).unwrap();
            let value: Value = serde_json::from_slice(&bytes).unwrap();
            let service = &value["http"]["services"][format!("server-{}", demo.id)];
            assert_eq!(service["loadBalancer"]["servers"][0]["url"], url);
        }
    }

    fn has_empty_map(value: &Value, path: &str) -> Option<String> {
        match value {
            Value::Object(map) if map.is_empty() && !path.ends_with("/tls") => {
                Some(path.to_owned())
            }
            Value::Object(map) => map
                .iter()
                .find_map(|(key, child)| has_empty_map(child, &format!("{path}/{key}"))),
            _ => None,
        }
    }

    #[test]
    fn no_document_has_an_empty_map() {
        let demo = server("demo");
        for servers in [vec![], vec![&demo]] {
            let bytes = render(servers.into_iter(), &facts()).unwrap();
            let value: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(has_empty_map(&value, ""), None);
        }
    }

    #[test]
    fn the_same_servers_give_the_same_bytes() {
        let (one, two) = (server("one"), server("two"));
        let forth = render([&one, &two].into_iter(), &facts()).unwrap();
        let back = render([&two, &one].into_iter(), &facts()).unwrap();
        assert_eq!(forth, back);
    }

    #[test]
    fn a_token_over_plain_http_is_refused_before_it_is_redirected() {
        let bytes = render(std::iter::empty(), &facts()).unwrap();
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        let router = &value["http"]["routers"][CLEAR_TEXT];
        assert_eq!(router["entryPoints"], serde_json::json!(["web"]));
        assert!(router.get("tls").is_none());
        let services = &value["http"]["services"][CLEAR_TEXT]["loadBalancer"]["servers"];
        assert_eq!(services[0]["url"], "http://emcp:8081");
        let template = include_str!("../../traefik/traefik.yml");
        let redirect = template.split("redirections:").nth(1).unwrap();
        let priority = redirect.split("priority: ").nth(1).unwrap();
        let priority: u64 = priority.lines().next().unwrap().parse().unwrap();
        assert!(priority < router["priority"].as_u64().unwrap());
    }

    #[test]
    fn a_server_is_reached_through_its_gate_before_the_prefix_goes() {
        let demo = server("demo");
        let bytes = render([&demo].into_iter(), &facts()).unwrap();
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        let router = &value["http"]["routers"][format!("server-{}", demo.id)];
        assert_eq!(
            router["rule"],
            "Path(`/api/demo`) || PathPrefix(`/api/demo/`)"
        );
        assert_eq!(router["middlewares"][0], format!("gate-{}", demo.id));
        assert_eq!(router["middlewares"][1], "retry");
        assert_eq!(router["middlewares"][2], format!("strip-{}", demo.id));
        let gate = &value["http"]["middlewares"][format!("gate-{}", demo.id)]["forwardAuth"];
        assert_eq!(
            gate["address"],
            format!("http://emcp:8081/gate?server={}&at=198.18.1.7", demo.id)
        );
        assert_eq!(gate["trustForwardHeader"], false);
        // Left out, Traefik would complain with every change of the routes.
        assert_eq!(gate["maxResponseBodySize"], -1);
    }

    #[test]
    fn only_requests_that_tell_a_bearable_length_are_read_without_a_limit() {
        let demo = server("demo");
        let bytes = render([&demo].into_iter(), &facts()).unwrap();
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        let router = |kind: &str| &value["http"]["routers"][format!("server-{}{kind}", demo.id)];
        let limit = |router: &Value| {
            let gate = &value["http"]["middlewares"][router["middlewares"][0].as_str().unwrap()];
            gate["forwardAuth"]["maxBodySize"].clone()
        };
        let (sized, other) = (router("-sized"), router(""));
        assert_eq!(limit(sized), -1);
        assert_eq!(limit(other), UNTOLD_MAX_BYTES);
        assert!(sized["priority"].as_u64() > other["priority"].as_u64());
        assert_eq!(sized["service"], other["service"]);
        assert_eq!(
            sized["rule"],
            "(Path(`/api/demo`) || PathPrefix(`/api/demo/`)) && HeaderRegexp(`Content-Length`, `^([0-9]{1,6}|[1-7][0-9]{6})$`)"
        );
    }
}
