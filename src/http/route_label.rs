//! Which route a request came by, for metrics: a template, never a path, which
//! is a stranger's word.

use http::StatusCode;

use super::openapi;

/// What the internal listener has, and others that the API's description does
/// not name. Those that Traefik asks most are first.
const UNDESCRIBED: &[(&str, &str)] = &[
    ("/gate", "/gate"),
    ("/traefik/config", "/traefik/config"),
    ("/traefik/in-effect/*", "/traefik/in-effect/{fingerprint}"),
    ("/gate/knock", "/gate/knock"),
    ("/gate/too-large", "/gate/too-large"),
    ("/too-large", "/too-large"),
    ("/preflight", "/preflight"),
    ("/clear-text", "/clear-text"),
    ("/readyz", "/readyz"),
    ("/metrics/may-scrape", "/metrics/may-scrape"),
];

/// A file of the dashboard.
const DASHBOARD: &str = "dashboard";
/// Everything that no route is for.
const UNMATCHED: &str = "unmatched";

/// The label of a request for this path that was answered so.
pub(super) fn route_label(path: &str, status: StatusCode) -> &'static str {
    let undescribed = UNDESCRIBED.iter().find(|(pattern, _)| {
        pattern.strip_suffix('*').map_or(*pattern == path, |start| {
            path.strip_prefix(start)
                .is_some_and(|rest| !rest.contains('/'))
        })
    });
    if let Some((_, label)) = undescribed {
        return label;
    }
    match openapi::template_of(path) {
        Some(template) => template,
        None if status.is_success() || status == StatusCode::NOT_MODIFIED => DASHBOARD,
        None => UNMATCHED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_has_its_template_and_all_that_is_none_one_label() {
        let ok = StatusCode::OK;
        for (path, status, label) in [
            ("/gate", ok, "/gate"),
            (
                "/traefik/in-effect/00ff",
                StatusCode::NO_CONTENT,
                "/traefik/in-effect/{fingerprint}",
            ),
            ("/traefik/in-effect/a/b", StatusCode::NOT_FOUND, "unmatched"),
            ("/metrics", ok, "/metrics"),
            ("/api/servers", ok, "/api/servers"),
            (
                "/api/servers/secret-plan",
                StatusCode::NOT_FOUND,
                "/api/servers/{id}",
            ),
            ("/", ok, "dashboard"),
            ("/main.js", StatusCode::NOT_MODIFIED, "dashboard"),
            ("/wp-login.php", StatusCode::NOT_FOUND, "unmatched"),
            ("/api/nobody/mcp", StatusCode::UNAUTHORIZED, "unmatched"),
        ] {
            assert_eq!(route_label(path, status), label, "{path}");
        }
    }

    /// As the test of `openapi`, for what it does not describe.
    #[test]
    fn every_internal_route_has_a_label() {
        let source = include_str!("router.rs");
        let internal = source.split("pub(super) fn internal").nth(1).unwrap();
        let paths = internal.lines().filter_map(|line| {
            let (path, _) = line.trim().strip_prefix("path!(")?.split_once(").and(")?;
            let parts = path.split(" / ").map(|part| match part {
                "String" => "/x".to_owned(),
                literal => format!("/{}", literal.trim_matches('"')),
            });
            Some(parts.collect::<String>())
        });
        let paths: Vec<String> = paths.collect();
        assert!(paths.len() > 8, "the routes were not found: {paths:?}");
        for path in paths {
            assert_ne!(
                route_label(&path, StatusCode::NOT_FOUND),
                UNMATCHED,
                "{path}"
            );
        }
    }
}
