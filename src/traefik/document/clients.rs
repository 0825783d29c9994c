//! What clients call besides servers' own routes, and pages of other origins
//! that do.

use super::headers;
use super::shapes::{Cors, Http, Router};
use super::{ENTRY_POINT, FLIGHT, INTERNAL, RouteFacts, WELL_KNOWN, names, router_tls};
use crate::model::RESERVED_NAMES;

/// Browsers' questions whether a page may call, which come without a token.
pub(super) const PREFLIGHT: &str = "emcp-preflight";
const IS_PREFLIGHT: &str =
    "Method(`OPTIONS`) && HeaderRegexp(`Access-Control-Request-Method`, `.+`)";
const OAUTH_ENDPOINTS: &str = "Path(`/register`) || Path(`/authorize`) || Path(`/token`)";
const PREFLIGHT_PRIORITY: u32 = 200_000;

/// A gate lets pass or refuses; it cannot answer with success. So preflights do
/// not come to it: EMCP answers them (`http::controllers::preflight`), for every
/// place that clients call, and for none of the dashboard's.
pub(super) fn answer_preflights(http: &mut Http, facts: &RouteFacts) {
    let router = Router {
        entry_points: [ENTRY_POINT],
        rule: format!("{IS_PREFLIGHT} && ({} || {WELL_KNOWN})", places()),
        priority: PREFLIGHT_PRIORITY,
        service: INTERNAL.to_owned(),
        middlewares: names([FLIGHT, PREFLIGHT]),
        tls: Some(router_tls(facts, None)),
        observability: None,
    };
    http.routers.insert(PREFLIGHT.to_owned(), router);
}

/// The places of servers, there or not, and of OAuth's.
pub(super) fn places() -> String {
    let own = RESERVED_NAMES.join("|");
    format!("({OAUTH_ENDPOINTS} || (PathPrefix(`/api/`) && !PathRegexp(`^/api/({own})(\\.|/|$)`)))")
}

/// The origins as Traefik compares them: whole, or by a pattern.
pub(super) fn cors(facts: &RouteFacts) -> Cors {
    let of_scheme = |origin: &String| {
        let scheme = origin.strip_suffix("://*")?.replace('.', "\\.");
        Some(format!(
            "^{}://[A-Za-z0-9._~:-]+$",
            scheme.replace('+', "\\+")
        ))
    };
    let origins = &facts.allowed_origins;
    Cors {
        access_control_allow_origin_list: origins
            .iter()
            .filter(|origin| of_scheme(origin).is_none())
            .cloned()
            .collect(),
        access_control_allow_origin_list_regex: origins.iter().filter_map(of_scheme).collect(),
        access_control_expose_headers: headers::EXPOSED,
    }
}
