//! The dashboard: files of `ui/`, embedded in the binary (read from disk in
//! debug builds).

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method};
use rust_embed::RustEmbed;
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Rejection, Reply};

#[derive(RustEmbed)]
#[folder = "ui/"]
#[exclude = "*.md"]
#[exclude = "package*.json"]
#[exclude = "node_modules/*"]
#[exclude = "tsconfig.json"]
#[exclude = "vendor/*.d.ts"]
#[exclude = "*/.*"]
struct Assets;

/// A file of the dashboard, or "no such route".
pub(super) async fn asset(path: FullPath, method: Method) -> Result<Response, Rejection> {
    let name = match path.as_str() {
        "/" => "index.html",
        other => other.trim_start_matches('/'),
    };
    if method != Method::GET && method != Method::HEAD {
        return Err(warp::reject::not_found());
    }
    let Some(file) = Assets::get(name) else {
        return Err(warp::reject::not_found());
    };
    let kind = mime_guess::from_path(name).first_or_octet_stream();
    let mut response = file.data.into_owned().into_response();
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&with_charset(kind.essence_str())) {
        headers.insert(CONTENT_TYPE, value);
    }
    // Checked with every load, so that an upgrade shows at once.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

fn with_charset(kind: &str) -> String {
    if kind.starts_with("text/") {
        format!("{kind}; charset=utf-8")
    } else {
        kind.to_owned()
    }
}
