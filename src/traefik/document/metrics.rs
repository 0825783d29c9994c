//! Where Traefik's own metrics are read, if they may be read from outside: no
//! entry point shows them, this route leads to them, and EMCP says who may.

use super::shapes::{Http, Router};
use super::{Body, CLIENTS_PRIORITY, ENTRY_POINT, FLIGHT, RouteFacts, gate, names, router_tls};

const ROUTE: &str = "emcp-traefik-metrics";
/// Asks EMCP, by a page of its internal listener (`http::controllers::metrics`).
const MAY_SCRAPE: &str = "may-scrape";
/// Traefik's own service, which there is where its static configuration says so
/// (`identity`). Where it does not, Traefik leaves this one route out.
const SERVICE: &str = "prometheus@internal";
/// Above the dashboard's route, and below those of the servers' own host.
const PRIORITY: u32 = CLIENTS_PRIORITY;

pub(super) fn add(http: &mut Http, facts: &RouteFacts) {
    if !facts.serves_metrics {
        return;
    }
    let ask = gate(
        format!("{}/metrics/may-scrape", facts.internal_url),
        Body::Left,
    );
    http.middlewares.insert(MAY_SCRAPE.to_owned(), ask);
    let router = Router {
        entry_points: [ENTRY_POINT],
        rule: "Path(`/metrics/traefik`) && Method(`GET`)".to_owned(),
        priority: PRIORITY,
        service: SERVICE.to_owned(),
        middlewares: names([FLIGHT, MAY_SCRAPE]),
        tls: Some(router_tls(facts, None)),
        observability: None,
    };
    http.routers.insert(ROUTE.to_owned(), router);
}
