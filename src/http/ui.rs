//! The dashboard: files of `ui/`, embedded in the binary (read from disk in
//! debug builds), compressed, and sent again only when they have changed.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{LazyLock, Mutex, PoisonError};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use rust_embed::{EmbeddedFile, RustEmbed};
use warp::Reply;
use warp::reply::Response;

#[derive(RustEmbed)]
#[folder = "ui/"]
#[exclude = "*.md"]
#[exclude = "package*.json"]
#[exclude = "node_modules/*"]
#[exclude = "tsconfig.json"]
#[exclude = "*/*.d.ts"]
#[exclude = "*/.*"]
struct Assets;

type Hash = [u8; 32];

/// Compressed files, by the hash of their content. There are as many as the
/// dashboard has; in a debug build also those of before an edit.
static COMPRESSED: LazyLock<Mutex<HashMap<Hash, Bytes>>> = LazyLock::new(Mutex::default);

/// A file of the dashboard, if there is one.
pub(super) fn asset(path: &str, method: &Method, headers: &HeaderMap) -> Option<Response> {
    let name = match path {
        "/" => "index.html",
        other => other.trim_start_matches('/'),
    };
    if method != Method::GET && method != Method::HEAD {
        return None;
    }
    let file = Assets::get(name)?;
    let hash = file.metadata.sha256_hash();
    let tag = format!("\"{}\"", hex::encode(&hash[..16]));
    let mut response = if is_known(headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        content(name, file, hash, accepts_gzip(headers))
    };
    let answer = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        answer.insert(ETAG, tag);
    }
    answer.insert(VARY, HeaderValue::from_static("accept-encoding"));
    // Checked with every load, so that an upgrade shows at once.
    answer.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Some(response)
}

fn content(name: &str, file: EmbeddedFile, hash: Hash, gzip: bool) -> Response {
    let kind = mime_guess::from_path(name).first_or_octet_stream();
    let kind = with_charset(kind.essence_str());
    // Pictures are compressed already, but for drawings, which are text.
    let is_text = !kind.starts_with("image/") || kind.contains("svg");
    let compressed = (gzip && is_text)
        .then(|| compress(hash, &file.data))
        .flatten();
    let mut response = match &compressed {
        Some(bytes) => bytes.to_vec().into_response(),
        None => file.data.into_owned().into_response(),
    };
    let headers = response.headers_mut();
    if compressed.is_some() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Ok(value) = HeaderValue::from_str(&kind) {
        headers.insert(CONTENT_TYPE, value);
    }
    response
}

fn compress(hash: Hash, data: &[u8]) -> Option<Bytes> {
    let mut cache = COMPRESSED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = cache.get(&hash) {
        return Some(known.clone());
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).ok()?;
    let bytes = Bytes::from(encoder.finish().ok()?);
    cache.insert(hash, bytes.clone());
    Some(bytes)
}

/// Whether the client has this content (RFC 9110 §13.1.2).
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .any(|one| one.trim().trim_start_matches("W/") == tag)
}

/// Whether the client takes gzip (RFC 9110 §12.5.3): named, and not with a
/// weight of 0.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .any(|one| {
            let mut parts = one.split(';').map(str::trim);
            let is_gzip = parts
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
            let is_refused = parts.any(|weight| {
                let value = weight
                    .strip_prefix("q=")
                    .and_then(|text| text.parse::<f32>().ok());
                value == Some(0.0)
            });
            is_gzip && !is_refused
        })
}

fn with_charset(kind: &str) -> String {
    if kind.starts_with("text/") {
        format!("{kind}; charset=utf-8")
    } else {
        kind.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: http::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn gzip_is_sent_to_who_takes_it() {
        for yes in ["gzip", "br, GZIP;q=0.5", "deflate,gzip"] {
            assert!(accepts_gzip(&with(ACCEPT_ENCODING, yes)), "{yes}");
        }
        for no in ["", "br", "gzip;q=0", "gzip; q=0.0"] {
            assert!(!accepts_gzip(&with(ACCEPT_ENCODING, no)), "{no}");
        }
    }

    #[test]
    fn a_known_content_is_recognised_also_as_weak_and_in_a_list() {
        for yes in ["\"a\"", "W/\"a\"", "\"b\", \"a\""] {
            assert!(is_known(&with(IF_NONE_MATCH, yes), "\"a\""), "{yes}");
        }
        assert!(!is_known(&with(IF_NONE_MATCH, "\"b\""), "\"a\""));
    }
}
