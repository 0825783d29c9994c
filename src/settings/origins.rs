//! The origins that browsers and desktop apps may call from, as the operator
//! writes them.

use url::Url;

const FORMS: &str = "write https://host:port for a web page, SCHEME://HOST or SCHEME://* for a desktop app (app://obsidian.md, vscode-webview://*), file://, or null";

/// Reads a list with commas.
///
/// # Errors
/// What is no origin, with the forms there are.
pub(super) fn check_origins(text: &str) -> Result<Vec<String>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|origin| !origin.is_empty())
        .map(|origin| {
            normal(origin).ok_or_else(|| format!("\"{origin}\" is not an origin: {FORMS}"))
        })
        .collect()
}

/// As browsers write it (RFC 6454 §6.1 and WHATWG HTML, "serialization of an
/// origin"); desktop apps send the address of their own pages.
fn normal(origin: &str) -> Option<String> {
    let lower = origin.to_ascii_lowercase();
    if matches!(lower.as_str(), "null" | "file://") {
        return Some(lower);
    }
    if let Ok(url) = Url::parse(origin)
        && url.origin().is_tuple()
    {
        let origin = url.origin().ascii_serialization();
        return (!origin.contains('*')).then_some(origin);
    }
    let (scheme, host) = lower.split_once("://")?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    // "Every page of the web" is not offered.
    let is_web = matches!(
        scheme,
        "http" | "https" | "ws" | "wss" | "ftp" | "blob" | "data"
    );
    let is_host = host == "*"
        || !host.is_empty()
            && host
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-._~:".contains(c));
    (is_scheme && !is_web && is_host).then_some(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_pages_and_desktop_apps_are_written_as_they_name_themselves() {
        let written = "HTTPS://Tools.example.com:443/x, http://localhost:6274,app://Obsidian.md, vscode-webview://*,file://, null,";
        assert_eq!(
            check_origins(written).unwrap(),
            [
                "https://tools.example.com",
                "http://localhost:6274",
                "app://obsidian.md",
                "vscode-webview://*",
                "file://",
                "null",
            ]
        );
    }

    #[test]
    fn what_would_allow_the_whole_web_or_is_no_origin_is_refused() {
        for bad in [
            "*",
            "https://*",
            "http://*",
            "https://*.example.com",
            "tools.example.com",
            "://x",
            "app://",
            "app://a/b",
            "app://*.md",
            "app://a b",
            "vscode-webview://.*|https://evil.example",
            "1app://x",
        ] {
            let refused = check_origins(bad).unwrap_err();
            assert!(refused.contains("vscode-webview://*"), "{bad}: {refused}");
        }
    }
}
