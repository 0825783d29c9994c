//! How a document tells that Traefik routes by it.
//!
//! Traefik takes a document when it polls, and routes by it only when it has
//! built all its routers, which takes it some hundred milliseconds where there
//! are a thousand servers. It tells nobody. So every document has a route of its
//! own on the plain entry point, by which Traefik's health check asks Traefik
//! itself: what the answer passes is the table that is in effect, and this
//! route's middleware says of which document that was made.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::shapes::{
    Backend, HealthCheck, Http, LoadBalancer, Middleware, Observability, Router, Service,
};
use super::{
    Fingerprint, INTERNAL, PLAIN_ENTRY_POINT, RouteFacts, SERVER_PRIORITY, TRANSPORT, names,
};

const ROUTE: &str = "emcp-in-effect";
/// What only a health check needs: Traefik makes one for services that some
/// route leads to.
const CHECK: &str = "emcp-in-effect-check";
const PATH: &str = "/.emcp/in-effect";
/// Where the route leads on EMCP's internal listener.
const UPSTREAM_PATH: &str = "/traefik/in-effect";
/// Above Traefik's redirect to HTTPS, and what refuses tokens in clear text.
const PRIORITY: u32 = SERVER_PRIORITY + 1;
/// From an answer to the next question. EMCP holds the answer while nothing
/// changes (`provider.rs`).
const INTERVAL: &str = "10ms";
/// The same while EMCP is away: each failure is a line of Traefik's log.
const INTERVAL_OF_FAILURES: &str = "1s";
const DEFAULT_PORT: u16 = 80;
/// Longer than EMCP holds an answer, shorter than the entry point's own limit.
const TIMEOUT: &str = "8s";

/// Where Traefik reaches its own entry point that listens on this address
/// (`[HOST]:PORT`): that of a host of many addresses by the loopback one.
pub fn own_address(listens_on: &str) -> SocketAddr {
    let (host, port) = listens_on.rsplit_once(':').unwrap_or((listens_on, ""));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = host
        .parse()
        .ok()
        .filter(|host: &IpAddr| !host.is_unspecified());
    let address = address.unwrap_or(Ipv4Addr::LOCALHOST.into());
    SocketAddr::new(address, port.parse().unwrap_or(DEFAULT_PORT))
}

pub(super) fn add(http: &mut Http, facts: &RouteFacts, fingerprint: &Fingerprint) {
    let own = &facts.traefik_address;
    let from_itself = format!("ClientIP(`{}`)", own.ip());
    let router = |rule: String, service: &str, middlewares| Router {
        entry_points: [PLAIN_ENTRY_POINT],
        rule,
        priority: PRIORITY,
        service: service.to_owned(),
        middlewares,
        tls: None,
        observability: Some(Observability::NONE),
    };
    let rule = format!("Path(`{PATH}`) && {from_itself}");
    let ask = router(rule, INTERNAL, names([ROUTE]));
    http.routers.insert(ROUTE.to_owned(), ask);
    let path = format!("{UPSTREAM_PATH}/{fingerprint}");
    let replace = Middleware::ReplacePath { path };
    http.middlewares.insert(ROUTE.to_owned(), replace);

    // Nobody asks for this one.
    let rule = format!("Host(`in-effect.invalid`) && {from_itself}");
    let nobodys = router(rule, CHECK, Vec::new());
    http.routers.insert(CHECK.to_owned(), nobodys);
    let service = Service {
        load_balancer: LoadBalancer {
            servers: [Backend {
                url: format!("http://{own}"),
            }],
            pass_host_header: false,
            servers_transport: TRANSPORT,
            health_check: Some(HealthCheck {
                path: PATH,
                interval: INTERVAL,
                unhealthy_interval: INTERVAL_OF_FAILURES,
                timeout: TIMEOUT,
                // A table without the route redirects.
                follow_redirects: false,
                status: 204,
            }),
        },
    };
    http.services.insert(CHECK.to_owned(), service);
}
