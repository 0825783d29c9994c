//! What Traefik's dynamic configuration is made of, in its own words.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::traefik::headers::Headers;

#[derive(Serialize)]
pub(super) struct Document {
    pub(super) http: Http,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls: Option<Tls>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Http {
    pub(super) routers: BTreeMap<String, Router>,
    pub(super) services: BTreeMap<String, Service>,
    pub(super) middlewares: BTreeMap<String, Middleware>,
    pub(super) servers_transports: BTreeMap<String, ServersTransport>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Router {
    pub(super) entry_points: [&'static str; 1],
    pub(super) rule: String,
    pub(super) priority: u32,
    pub(super) service: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) middlewares: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls: Option<RouterTls>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) observability: Option<Observability>,
}

/// What Traefik notes of a route's requests.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Observability {
    access_logs: bool,
    metrics: bool,
    tracing: bool,
}

impl Observability {
    /// Nothing.
    pub(super) const NONE: Self = Self {
        access_logs: false,
        metrics: false,
        tracing: false,
    };
}

#[derive(Serialize, Clone)]
#[serde(rename_all = "camelCase")]
pub(super) struct RouterTls {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cert_resolver: Option<String>,
    /// What the resolver gets a certificate for where the rule names no host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) domains: Vec<Domain>,
}

#[derive(Serialize, Clone)]
pub(super) struct Domain {
    pub(super) main: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Service {
    pub(super) load_balancer: LoadBalancer,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LoadBalancer {
    pub(super) servers: [Backend; 1],
    pub(super) pass_host_header: bool,
    pub(super) servers_transport: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) health_check: Option<HealthCheck>,
}

/// Asked by Traefik of a service, for as long as it routes by the document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HealthCheck {
    pub(super) path: &'static str,
    pub(super) interval: &'static str,
    pub(super) unhealthy_interval: &'static str,
    pub(super) timeout: &'static str,
    pub(super) follow_redirects: bool,
    pub(super) status: u16,
}

#[derive(Serialize)]
pub(super) struct Backend {
    pub(super) url: String,
}

/// Which pages of other origins may read answers. A preflight that met this
/// would be answered by Traefik itself; none does (`PREFLIGHT`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cors {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) access_control_allow_origin_list: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) access_control_allow_origin_list_regex: Vec<String>,
    pub(super) access_control_expose_headers: &'static [&'static str],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Middleware {
    #[serde(rename_all = "camelCase")]
    ForwardAuth {
        address: String,
        trust_forward_header: bool,
        auth_request_headers: &'static [&'static str],
        #[serde(skip_serializing_if = "Option::is_none")]
        auth_response_headers_regex: Option<&'static str>,
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
    ReplacePath {
        path: String,
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
    Headers {
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        custom_request_headers: Headers,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        custom_response_headers: Headers,
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        cors: Option<Cors>,
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
pub(super) struct SourceCriterion {
    pub(super) ip_strategy: IpStrategy,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IpStrategy {
    pub(super) depth: u8,
    pub(super) ipv6_subnet: u8,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServersTransport {
    pub(super) forwarding_timeouts: ForwardingTimeouts,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ForwardingTimeouts {
    pub(super) dial_timeout: &'static str,
    /// 0: a tool call may take its time before it answers.
    pub(super) response_header_timeout: &'static str,
    pub(super) idle_conn_timeout: &'static str,
}

#[derive(Serialize)]
pub(super) struct Tls {
    pub(super) certificates: [Certificate; 1],
    pub(super) stores: BTreeMap<&'static str, Store>,
}

#[derive(Serialize, Clone)]
#[serde(rename_all = "camelCase")]
pub(super) struct Certificate {
    pub(super) cert_file: String,
    pub(super) key_file: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Store {
    pub(super) default_certificate: Certificate,
}
