//! Which headers pass between clients and servers (pure). A server's code is
//! not trusted: what it answers must do nothing to whoever opens it in a
//! browser, and nothing a client sends may pass there for the gate's word.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex_lite::Regex;

/// Headers to set; one without a value is removed.
pub(super) type Headers = BTreeMap<&'static str, &'static str>;

/// Marks a request that came by the servers' own host, where the dashboard is
/// not served. Traefik sets it, so that EMCP and Traefik agree on the host.
pub const SERVERS_HOST_HEADER: &str = "X-Emcp-Servers-Host";

/// Removed from the client's request, and set again only where the gate
/// answered with them: credentials, what EMCP says itself, and the headers by
/// which common proxies tell an application who is signed in.
pub(super) const NOT_FROM_CLIENTS: &str = concat!(
    "(?i)^(authorization|cookie|x-api-key|x-emcp-.*",
    // oauth2-proxy, Authelia, authentik, Apache, Grafana's auth proxy, Vouch, Pomerium.
    "|x-forwarded-(user.*|email|groups?|roles?|name|preferred-username|access-token|id-token)",
    "|(x-)?remote-(user.*|email|groups?|roles?|name)",
    "|x-auth-(request-.*|user.*|email|groups?|roles?|name)",
    "|x-(authenticated|authentik|webauth|vouch|pomerium|sso|userinfo)(-.*)?",
    // Kong, Cloudflare, Google, Azure, AWS, Tailscale.
    "|x-(consumer|credential)-.*|cf-access-.*|x-goog-(authenticated-user-.*|iap-.*)",
    "|x-ms-(client-principal.*|token-.*)|x-amzn-oidc-.*|tailscale-.*",
    // Certificates of clients.
    "|x-forwarded-(tls-)?client-cert.*|(x-)?ssl-client-.*|(x-)?client-cert.*)$",
);

/// Whether a header of this name must not come from a client to a server, not
/// even where the server asks for it (`model::PassHeaders`): all that is removed
/// but for the two that hold credentials.
pub fn passes_never(name: &str) -> bool {
    static REMOVED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(NOT_FROM_CLIENTS).ok());
    let is_credential = ["authorization", "x-api-key"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known));
    let removed = REMOVED.as_ref();
    !is_credential && removed.is_none_or(|removed| removed.is_match(name))
}

/// What a browser's page may read of a server's answers, besides what every page
/// may (WHATWG Fetch, "CORS-safelisted response-header name").
pub(super) const EXPOSED: &[&str] = &[
    "Mcp-Session-Id",
    "Mcp-Protocol-Version",
    "WWW-Authenticate",
    "Retry-After",
    "X-Request-Id",
];

/// What a server says of who may read its answers, which is EMCP's to say.
fn of_other_origins() -> Headers {
    [
        "Access-Control-Allow-Origin",
        "Access-Control-Allow-Credentials",
        "Access-Control-Allow-Headers",
        "Access-Control-Allow-Methods",
        "Access-Control-Allow-Private-Network",
        "Access-Control-Max-Age",
        "Timing-Allow-Origin",
    ]
    .map(|name| (name, ""))
    .into()
}

/// Set on every answer that comes by a server's route, also on the gate's own, and
/// on what else clients are answered.
/// A document has no script, no form, no frame and an origin of its own; and
/// what would speak for the whole host does not pass.
pub(super) fn of_servers_answers() -> Headers {
    const REMOVED: [&str; 15] = [
        // State of the whole host, or of the browser for it.
        "Set-Cookie",
        "Clear-Site-Data",
        "Strict-Transport-Security",
        "Alt-Svc",
        "NEL",
        "Report-To",
        "Reporting-Endpoints",
        "Accept-CH",
        "Critical-CH",
        "Set-Login",
        "Sec-Session-Registration",
        "Secure-Session-Registration",
        "Use-As-Dictionary",
        // What leads a page or a worker beyond its own path.
        "Service-Worker-Allowed",
        "Refresh",
    ];
    let mut headers = of_other_origins();
    headers.extend(REMOVED.map(|name| (name, "")));
    headers.insert(
        "Content-Security-Policy",
        "sandbox; default-src 'none'; frame-ancestors 'none'",
    );
    headers.insert("X-Content-Type-Options", "nosniff");
    headers.insert("Cross-Origin-Resource-Policy", "same-origin");
    // What a browser got as a client, or before anybody asked for it (`prefetch`
    // names no destination), is never taken for the answer to a navigation.
    // The origin is named besides, for who looks for that alone.
    headers.insert("Vary", "*, Origin");
    headers
}

/// For the dashboard's host, where every browser takes the certificate: a year
/// of HTTPS alone (RFC 6797). Not for its subdomains, which are not EMCP's.
pub(super) fn of_the_dashboard() -> Headers {
    Headers::from([("Strict-Transport-Security", "max-age=31536000")])
}

/// Of a request that came by the servers' own host.
pub(super) fn of_the_servers_host() -> Headers {
    Headers::from([(SERVERS_HOST_HEADER, "1")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_pass_never_and_credentials_of_the_servers_own_do() {
        for never in [
            "Cookie",
            "X-Emcp-User",
            "x-forwarded-user",
            "Remote-User",
            "X-Auth-Request-Email",
            "CF-Access-Client-Id",
            "Tailscale-User-Login",
        ] {
            assert!(passes_never(never), "{never}");
        }
        for may in [
            "Authorization",
            "X-API-KEY",
            "X-Upstream-Token",
            "X-Auth-Token",
        ] {
            assert!(!passes_never(may), "{may}");
        }
    }
}
