//! Request bodies: counted while they are read, bounded in time.

use std::pin::Pin;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt, TryStreamExt};
use serde::de::DeserializeOwned;
use warp::{Filter, Rejection};

use crate::model::{Error, Result};

/// A body as it arrives.
pub(super) type BodyStream =
    Pin<Box<dyn Stream<Item = std::result::Result<Bytes, warp::Error>> + Send>>;

/// JSON bodies of everything but code.
pub(super) const SMALL_BODY_MAX_BYTES: u64 = 8 * 1024 * 1024;
/// From the end of the headers to the end of the body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// An oversized body is read on up to this much and thrown away, so that the
/// client gets the answer and not a broken connection.
const DRAIN_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Brings the body.
pub(super) fn body() -> impl Filter<Extract = (BodyStream,), Error = Rejection> + Copy {
    warp::body::stream().map(|stream| -> BodyStream { Box::pin(as_bytes(stream)) })
}

fn as_bytes<B: Buf>(
    stream: impl Stream<Item = std::result::Result<B, warp::Error>> + Send,
) -> impl Stream<Item = std::result::Result<Bytes, warp::Error>> + Send {
    stream.map_ok(|mut piece| piece.copy_to_bytes(piece.remaining()))
}

/// Reads a whole body.
///
/// # Errors
/// `too_large`, `body_incomplete` or `body_timeout`.
pub(super) async fn read(mut stream: BodyStream, max_bytes: u64) -> Result<Bytes> {
    let reading = async {
        let mut all = BytesMut::new();
        let mut total: u64 = 0;
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|_| {
                Error::bad_request("body_incomplete", "the request's body ended early")
            })?;
            total += piece.len() as u64;
            if total > DRAIN_MAX_BYTES {
                break;
            }
            if total <= max_bytes {
                all.extend_from_slice(&piece);
            } else {
                all.clear();
            }
        }
        if total > max_bytes {
            return Err(Error::TooLarge {
                field: None,
                message: format!("the request's body is larger than {max_bytes} bytes"),
            });
        }
        Ok(all.freeze())
    };
    tokio::time::timeout(BODY_TIMEOUT, reading)
        .await
        .unwrap_or_else(|_| {
            Err(Error::bad_request(
                "body_timeout",
                "the request's body did not arrive within 60 s",
            ))
        })
}

/// Reads a body to its end and throws it away.
///
/// # Errors
/// `body_incomplete` or `body_timeout`.
pub(super) async fn discard(stream: BodyStream) -> Result<()> {
    match read(stream, 0).await {
        Ok(_) | Err(Error::TooLarge { .. }) => Ok(()),
        Err(other) => Err(other),
    }
}

/// Reads a JSON body.
///
/// # Errors
/// As [`read`], or `invalid_json` with the place that is wrong.
pub(super) async fn read_json<T: DeserializeOwned>(stream: BodyStream) -> Result<T> {
    parse_object(&read(stream, SMALL_BODY_MAX_BYTES).await?)
}

/// Reads a JSON object; serde_json bounds its depth at 128. An array is not
/// taken for one, though serde would fill the fields by their order.
pub(super) fn parse_object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Error::bad_request(
            "invalid_json",
            "the body must be a JSON object, not an array",
        ));
    }
    parse_json(bytes)
}

/// Reads any JSON.
pub(super) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        // Only the place is told: the text around it may be a secret.
        let what = match error.classify() {
            serde_json::error::Category::Data => {
                "has a missing, unknown or ill-typed field; docs/api.md has its shape"
            }
            _ => "is not JSON",
        };
        Error::bad_request(
            "invalid_json",
            format!(
                "the body {what} (line {}, column {})",
                error.line(),
                error.column()
            ),
        )
    })
}
