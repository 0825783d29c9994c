//! What a browser says of where a request comes from, and what follows from it.
//! Browsers send `Origin` (RFC 6454 §7) and Fetch Metadata (W3C, "Fetch Metadata
//! Request Headers"); no page can forge either. Other clients send neither.

use super::GateRequest;
use crate::model::Error;

/// Of an origin that is refused, which the answer repeats.
const ORIGIN_SHOWN_MAX_BYTES: usize = 200;

/// What a browser says of one request to the dashboard's API.
#[derive(Debug, Clone, Copy)]
pub struct Provenance<'a> {
    /// Every `Origin` header.
    pub origins: &'a [&'a str],
    /// Every `Sec-Fetch-Site` header.
    pub sites: &'a [&'a str],
    /// Whether the request only reads, as GET and HEAD do.
    pub only_reads: bool,
}

/// Whether a browser's request may be a client's at all.
///
/// A page of another site must not reach a server through a visitor's browser
/// (MCP specification, Transports, Security Warning). Nor may a browser take
/// what a server answers for a page, a script or a frame: it would act in the
/// name of this address.
///
/// # Errors
/// `origin_not_allowed`, `not_a_page`; the same whether there is such a server
/// or not.
pub fn check_browser(request: &GateRequest<'_>, allowed_origins: &[String]) -> Result<(), Error> {
    check_origin(request.origin, allowed_origins)?;
    // Absent from clients that are no browsers, "empty" for fetch, EventSource
    // and XMLHttpRequest.
    match request.fetch_dest {
        None | Some("empty") => Ok(()),
        Some(_) => Err(Error::Forbidden {
            code: "not_a_page",
            message: "this is the address of an MCP server, not a page: paste it into an MCP client, such as Claude, Cursor or Cherry Studio".to_owned(),
        }),
    }
}

fn check_origin(origin: Option<&str>, allowed: &[String]) -> Result<(), Error> {
    let is_allowed = |origin: &str| allowed.iter().any(|known| origin_fits(known, origin));
    if origin.is_none_or(is_allowed) {
        return Ok(());
    }
    // What the operator would write, where it is one.
    let named = origin.filter(|origin| is_printable(origin)).unwrap_or("?");
    Err(Error::Forbidden {
        code: "origin_not_allowed",
        message: format!(
            "calls from the origin \"{named}\" (a web page or a desktop app) are not allowed; the operator can add it to EMCP_ALLOWED_ORIGINS"
        ),
    })
}

/// Whether an allowed origin, as the settings have it, is this one: the same text,
/// or `SCHEME://*` for every host of a scheme that is no web page's, such as the
/// changing ones of `vscode-webview://`.
pub fn origin_fits(allowed: &str, origin: &str) -> bool {
    if allowed.eq_ignore_ascii_case(origin) {
        return true;
    }
    let (Some(scheme), Some((of, host))) = (allowed.strip_suffix("://*"), origin.split_once("://"))
    else {
        return false;
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._~:".contains(c);
    of.eq_ignore_ascii_case(scheme) && !host.is_empty() && host.chars().all(fits)
}

fn is_printable(origin: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._~:/+[]".contains(c);
    origin.len() <= ORIGIN_SHOWN_MAX_BYTES && origin.chars().all(fits)
}

/// Whether a request may use the dashboard's cookie, which a browser sends by
/// itself whatever page makes the request. What changes something must prove
/// that it comes from the dashboard (`own_origin`); what only reads must not be
/// known to come from elsewhere: older browsers say nothing with a GET of the
/// page's own.
///
/// # Errors
/// `origin_not_allowed`.
pub fn check_cookie_use(from: Provenance<'_>, own_origin: &str) -> Result<(), Error> {
    let is_own = |origin: &&str| origin.eq_ignore_ascii_case(own_origin);
    let origin_fits =
        from.origins.iter().all(is_own) && (from.only_reads || !from.origins.is_empty());
    // "none" is what the person does, such as a bookmark.
    let site_fits = from
        .sites
        .iter()
        .all(|site| matches!(*site, "same-origin" | "none"));
    if origin_fits && site_fits {
        return Ok(());
    }
    Err(Error::Forbidden {
        code: "origin_not_allowed",
        message: "this must come from the dashboard's own page".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "https://mcp.example.com";

    fn use_of(only_reads: bool, origins: &[&str], sites: &[&str]) -> bool {
        let from = Provenance {
            origins,
            sites,
            only_reads,
        };
        check_cookie_use(from, OWN).is_ok()
    }

    #[test]
    fn an_origin_is_allowed_as_it_is_written_or_by_its_scheme() {
        for (allowed, origin, fits) in [
            ("https://a.example", "https://A.example", true),
            ("https://a.example", "https://a.example:8443", false),
            ("https://a.example", "https://a.example.evil", false),
            ("null", "null", true),
            ("file://", "file://", true),
            ("app://obsidian.md", "app://obsidian.md", true),
            ("vscode-webview://*", "vscode-webview://1abc-2", true),
            ("vscode-webview://*", "vscode-webview://", false),
            ("vscode-webview://*", "vscode-webview://a/b", false),
            ("vscode-webview://*", "vscode-webview://a b", false),
            ("vscode-webview://*", "xvscode-webview://a", false),
            ("vscode-webview://*", "https://vscode-webview://a", false),
            ("vscode-webview://*", "null", false),
        ] {
            assert_eq!(origin_fits(allowed, origin), fits, "{allowed} {origin}");
        }
    }

    #[test]
    fn a_refused_origin_is_named_unless_it_is_none() {
        let says = |origin: &str| {
            let error = check_origin(Some(origin), &[]).unwrap_err();
            assert_eq!(error.code(), "origin_not_allowed");
            error.to_string()
        };
        for origin in ["vscode-webview://abc", "null", "https://[::1]:8443"] {
            let message = says(origin);
            assert!(message.contains(&format!("\"{origin}\"")), "{message}");
            assert!(message.contains("EMCP_ALLOWED_ORIGINS"), "{message}");
        }
        for hostile in ["<script>", "\u{202e}x", &"x".repeat(300)] {
            assert!(says(hostile).contains("\"?\""), "{hostile}");
        }
    }

    #[test]
    fn the_cookie_reads_for_the_dashboard_and_for_who_types_the_address() {
        assert!(use_of(true, &[], &[]), "a browser without Fetch Metadata");
        assert!(use_of(true, &[], &["same-origin"]));
        assert!(use_of(true, &[], &["none"]));
        assert!(use_of(true, &["HTTPS://MCP.example.com"], &["same-origin"]));
    }

    #[test]
    fn the_cookie_reads_nothing_for_another_page() {
        for site in [
            "cross-site",
            "same-site",
            "",
            "SAME-ORIGIN",
            "what comes yet",
        ] {
            assert!(!use_of(true, &[], &[site]), "{site}");
        }
        assert!(!use_of(true, &[], &["same-origin", "cross-site"]));
        // "null" is the origin of a sandboxed page.
        for origin in [
            "null",
            "",
            "https://mcp.example.com.evil.example",
            "http://mcp.example.com",
            "https://mcp.example.com:444",
        ] {
            assert!(!use_of(true, &[origin], &[]), "{origin}");
            assert!(!use_of(true, &[OWN, origin], &["same-origin"]), "{origin}");
        }
    }

    #[test]
    fn a_change_by_cookie_must_name_the_dashboards_origin() {
        assert!(use_of(false, &[OWN], &["same-origin"]));
        assert!(use_of(false, &[OWN], &[]));
        assert!(!use_of(false, &[], &["same-origin"]));
        assert!(!use_of(false, &[], &["none"]));
        assert!(!use_of(false, &[OWN], &["cross-site"]));
        assert!(!use_of(false, &["null"], &["cross-site"]));
    }
}
