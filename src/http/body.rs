//! Request bodies: counted while they are read, bounded in time.

use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt, TryStreamExt};
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use warp::{Filter, Rejection};

use super::context::Ctx;
use crate::access::{ClientKey, Places};
use crate::model::{Error, Result, json_weight_bytes};

/// A body as it arrives.
pub(super) type BodyStream =
    Pin<Box<dyn Stream<Item = std::result::Result<Bytes, warp::Error>> + Send>>;

/// What may be sent where, and how.
#[derive(Clone, Copy)]
pub(super) struct Limit {
    /// Bytes that are kept.
    max_bytes: u64,
    /// Bytes that are read and thrown away after those, so that the client gets
    /// the answer and not a broken connection.
    drain_bytes: u64,
    /// From the end of the headers to the end of the body.
    patience: Duration,
    /// Whose bodies it shares its places with.
    places: &'static LazyLock<Places<ClientKey>>,
}

impl Limit {
    /// A token, from anybody at all.
    pub(super) const SIGN_IN: Self = Self {
        max_bytes: 4 * 1024,
        drain_bytes: 64 * 1024,
        patience: Duration::from_secs(5),
        places: &STRANGERS,
    };
    /// A word or a name.
    pub(super) const WORD: Self = Self::known(4 * 1024);
    /// Settings, or a token with the names of its servers.
    pub(super) const SETTINGS: Self = Self::known(64 * 1024);
    /// A tool's arguments.
    pub(super) const CALL: Self = Self::known(1024 * 1024);
    /// All variables of a server, at their largest and escaped.
    pub(super) const ENV: Self = Self::known(ENV_MAX_BYTES);

    /// A file alone, which JSON may double.
    pub(super) fn code(max_code_bytes: u64) -> Self {
        Self::known(2 * max_code_bytes + Self::SETTINGS.max_bytes)
    }

    /// A whole server: file, variables and settings.
    pub(super) fn server(max_code_bytes: u64) -> Self {
        Self::known(Self::code(max_code_bytes).max_bytes + ENV_MAX_BYTES)
    }

    const fn known(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            drain_bytes: 16 * 1024 * 1024,
            patience: BODY_TIMEOUT,
            places: &KNOWN,
        }
    }
}

/// 200 variables of 32 KiB, and their names.
const ENV_MAX_BYTES: u64 = 8 * 1024 * 1024;
/// For callers who have shown a credential.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two pieces of a body.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// Bodies being read at once, and of those from one address.
static KNOWN: LazyLock<Places<ClientKey>> = LazyLock::new(|| Places::new(512, 64));
/// The same for bodies that come without a credential in the headers.
static STRANGERS: LazyLock<Places<ClientKey>> = LazyLock::new(|| Places::new(64, 8));
/// Bytes of all bodies together that are in memory, until they are dealt with.
const MEMORY_BYTES: usize = 24 * 1024 * 1024;
static MEMORY: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(MEMORY_BYTES)));
/// What a parsed body may take beyond its length: some thousand values.
const STRUCTURE_MAX_BYTES: u64 = 4 * 1024 * 1024;
/// What Traefik sends the gate at most (`traefik::document`), and some.
const GATE_MAX_BYTES: u64 = 9 * 1024 * 1024;
/// Of a body that is refused for its length, by who has a token.
const SWALLOW_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Whoever pauses waits for the answer, as with `Expect: 100-continue`.
const SWALLOW_SILENCE_MAX: Duration = Duration::from_secs(5);
/// Traefik has it all before it begins.
const GATE_PATIENCE: Duration = Duration::from_secs(10);

/// Brings the body.
pub(super) fn body() -> impl Filter<Extract = (BodyStream,), Error = Rejection> + Copy {
    warp::body::stream().map(|stream| -> BodyStream { Box::pin(as_bytes(stream)) })
}

fn as_bytes<B: Buf>(
    stream: impl Stream<Item = std::result::Result<B, warp::Error>> + Send,
) -> impl Stream<Item = std::result::Result<Bytes, warp::Error>> + Send {
    stream.map_ok(|mut piece| piece.copy_to_bytes(piece.remaining()))
}

/// A body in memory, with its share of what all may take.
struct Held {
    bytes: BytesMut,
    _memory: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a whole body. Whoever needs a credential has shown it before.
///
/// # Errors
/// `too_large`, `too_many_bodies`, `body_incomplete` or `body_timeout`.
pub(super) async fn read(ctx: &Ctx, mut stream: BodyStream, limit: Limit) -> Result<Bytes> {
    let place = limit.places.take(ctx.client().into());
    let _place = place.map_err(|_| too_many_bodies())?;
    let deadline = Instant::now() + limit.patience;
    let mut held = Held {
        bytes: BytesMut::new(),
        _memory: None,
    };
    let mut total: u64 = 0;
    loop {
        let until = deadline.min(Instant::now() + SILENCE_MAX);
        let next = timeout_at(until, stream.next()).await;
        let Some(piece) = next.map_err(|_| too_slow())? else {
            break;
        };
        let piece = piece.map_err(|_| incomplete())?;
        total += piece.len() as u64;
        if total > limit.max_bytes + limit.drain_bytes {
            break;
        }
        if total <= limit.max_bytes {
            held.keep(&piece)?;
        } else {
            held = Held {
                bytes: BytesMut::new(),
                _memory: None,
            };
        }
    }
    if total > limit.max_bytes {
        return Err(too_large(limit.max_bytes));
    }
    Ok(Bytes::from_owner(held))
}

impl Held {
    fn keep(&mut self, piece: &[u8]) -> Result<()> {
        let length = u32::try_from(piece.len()).unwrap_or(u32::MAX);
        let share = Arc::clone(&MEMORY).try_acquire_many_owned(length);
        let share = share.map_err(|_| too_many_bodies())?;
        match &mut self._memory {
            Some(memory) => memory.merge(share),
            none => *none = Some(share),
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }
}

/// Reads what Traefik sends along to the gate and throws it away.
///
/// # Errors
/// `too_large`, `body_incomplete` or `body_timeout`.
pub(super) async fn discard(mut stream: BodyStream) -> Result<()> {
    let reading = async {
        let mut total = 0;
        while let Some(piece) = stream.next().await {
            total += piece.map_err(|_| incomplete())?.len() as u64;
            if total > GATE_MAX_BYTES {
                return Err(too_large(GATE_MAX_BYTES));
            }
        }
        Ok(())
    };
    timeout(GATE_PATIENCE, reading)
        .await
        .unwrap_or_else(|_| Err(too_slow()))
}

/// Reads a body that is refused, and throws it away: as much as a client that
/// means well may have on its way. Whoever sends more, or slowly, finds the
/// connection closed.
pub(super) async fn swallow(mut stream: BodyStream) {
    let deadline = Instant::now() + BODY_TIMEOUT;
    let mut total = 0;
    while total <= SWALLOW_MAX_BYTES {
        let until = deadline.min(Instant::now() + SWALLOW_SILENCE_MAX);
        match timeout_at(until, stream.next()).await {
            Ok(Some(Ok(piece))) => total += piece.len() as u64,
            Ok(Some(Err(_)) | None) | Err(_) => return,
        }
    }
}

fn too_large(max_bytes: u64) -> Error {
    Error::TooLarge {
        field: None,
        message: format!("the request's body is larger than {max_bytes} bytes"),
    }
}

fn too_slow() -> Error {
    Error::bad_request(
        "body_timeout",
        "the request's body did not arrive in time; it may take 60 s, a sign-in 5 s, and not pause for 15 s",
    )
}

fn incomplete() -> Error {
    Error::bad_request("body_incomplete", "the request's body ended early")
}

fn too_many_bodies() -> Error {
    Error::TooMany {
        code: "too_many_bodies",
        message: "too many requests are being received at once; try again in a moment".to_owned(),
        retry_after_secs: 2,
    }
}

/// Reads a JSON body.
///
/// # Errors
/// As [`read`], or `invalid_json` with the place that is wrong.
pub(super) async fn read_json<T: DeserializeOwned>(
    ctx: &Ctx,
    stream: BodyStream,
    limit: Limit,
) -> Result<T> {
    parse_object(&read(ctx, stream, limit).await?)
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

/// Refuses a text that would take much more memory than it is long.
///
/// # Errors
/// `too_large`.
pub(super) fn check_structure(json: &[u8]) -> Result<()> {
    if json_weight_bytes(json) - json.len() as u64 <= STRUCTURE_MAX_BYTES {
        return Ok(());
    }
    Err(Error::TooLarge {
        field: None,
        message: "the body has more values and objects in it than any good request".to_owned(),
    })
}

/// Reads any JSON.
pub(super) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    check_structure(bytes)?;
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
