//! The accept loop. warp's own server has no header timeout, drops the
//! connection when a handler panics, and does not end on open streams, so the
//! routes run as a service on hyper directly.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{CONNECTION, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;
use tracing::Instrument;
use uuid::Uuid;

use super::admission::Admission;
use super::context::{Arrived, Peer, RequestId};
use super::dispatch::Site;
use super::error::{error_body, error_response};
use super::request_facts::{RouteName, request_span};
use super::unread::Unread;
use crate::metrics::Metrics;
use crate::model::Error;
use crate::traefik::ConnectionId;

/// A request's line and headers, and what of its body comes with them: twice
/// what Traefik takes, which adds some of its own.
const HEAD_MAX_BYTES: usize = 128 * 1024;
/// When EMCP is to end, an idle connection is kept for so long, and its next
/// request answered with "Connection: close". Were it closed at once, a request
/// could just be on its way into it, and Traefik sends that no second time:
/// where there is traffic, every idle connection is used within this time.
const LINGER: Duration = Duration::from_millis(500);
/// What is accepted so early came while nobody served.
const QUEUE_EMPTIED: Duration = Duration::from_secs(1);
/// After a failed accept (out of file descriptors): let others finish.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// One listener's accept loop.
pub(super) struct Accepting {
    pub(super) site: Site,
    /// Who may have how much at once.
    pub(super) admission: Admission,
    /// Takes each request's time.
    pub(super) metrics: Arc<Metrics>,
    /// A connection gets so long to bring the headers of a request, counted
    /// from when the last one was answered: it is also how long an idle
    /// connection is kept.
    pub(super) header_timeout: Duration,
    /// When this loop began.
    pub(super) since: Instant,
    /// Since when the connections may have waited that it finds.
    pub(super) queued_since: Instant,
    pub(super) connections: TaskTracker,
    pub(super) closing: CancellationToken,
}

impl Accepting {
    /// Accepts until EMCP is to end.
    pub(super) async fn run(self, listener: TcpListener) {
        static NEXT_CONNECTION: AtomicU64 = AtomicU64::new(1);
        let admission = Arc::new(self.admission);
        let arrived = Arrivals {
            since: self.since,
            queued_since: self.queued_since,
        };
        loop {
            let accepted = self.closing.run_until_cancelled(listener.accept());
            let (stream, peer) = match accepted.await {
                Some(Ok((stream, address))) => (stream, Peer(address.ip())),
                Some(Err(error)) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
                None => return,
            };
            let Ok(entry) = admission.connection(peer.0) else {
                tracing::debug!(peer = %peer.0, "too many connections of one address");
                continue;
            };
            let connection = Connection {
                id: ConnectionId(NEXT_CONNECTION.fetch_add(1, Ordering::Relaxed)),
                peer,
                site: self.site.clone(),
                admission: Arc::clone(&admission),
                metrics: Arc::clone(&self.metrics),
                arrived: arrived.now(),
                is_first: AtomicBool::new(true),
                closing: self.closing.clone(),
            };
            let header_timeout = self.header_timeout;
            self.connections.spawn(async move {
                if let Some(_slot) = entry.served().await {
                    connection.serve(stream, header_timeout).await;
                }
            });
        }
    }
}

/// Tells when a connection came.
struct Arrivals {
    since: Instant,
    queued_since: Instant,
}

impl Arrivals {
    fn now(&self) -> Instant {
        let now = Instant::now();
        if now < self.since + QUEUE_EMPTIED {
            self.queued_since
        } else {
            now
        }
    }
}

struct Connection {
    id: ConnectionId,
    peer: Peer,
    site: Site,
    admission: Arc<Admission>,
    metrics: Arc<Metrics>,
    arrived: Instant,
    is_first: AtomicBool,
    closing: CancellationToken,
}

impl Connection {
    async fn serve(self, stream: TcpStream, header_timeout: Duration) {
        // Small answers must not wait for Nagle's algorithm.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        // HTTP/1.1 alone, which is what Traefik speaks to plain addresses:
        // hyper's choice between the versions waits for the first bytes without
        // limit.
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .max_buf_size(HEAD_MAX_BYTES)
            .serve_connection(
                TokioIo::new(stream),
                service_fn(|request: Request<Incoming>| self.handle(request)),
            )
            .with_upgrades();
        tokio::pin!(connection);
        let is_over = async {
            self.closing.cancelled().await;
            tokio::time::sleep(LINGER).await;
        };
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = is_over => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "a connection ended early");
        }
    }

    fn arrival(&self) -> Arrived {
        let is_first = self.is_first.swap(false, Ordering::Relaxed);
        Arrived(if is_first {
            self.arrived
        } else {
            Instant::now()
        })
    }

    /// One request: gives it an id and a span, catches panics, sets the headers
    /// every answer has, and writes the log line.
    async fn handle<B>(&self, request: Request<B>) -> Result<warp::reply::Response, Infallible>
    where
        B: Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: std::error::Error + Send + Sync,
    {
        let id = Uuid::now_v7().to_string();
        let span = request_span(&id);
        self.answer(request, &id).instrument(span).await
    }

    async fn answer<B>(
        &self,
        request: Request<B>,
        id: &str,
    ) -> Result<warp::reply::Response, Infallible>
    where
        B: Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: std::error::Error + Send + Sync,
    {
        let (mut request, unread) = Unread::share(request);
        request.extensions_mut().insert(RequestId(id.to_owned()));
        request.extensions_mut().insert(self.id);
        request.extensions_mut().insert(self.peer);
        request.extensions_mut().insert(self.arrival());
        let route = RouteName::default();
        request.extensions_mut().insert(route.clone());
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let begin = Instant::now();
        let answered = match self.admission.request(self.peer.0, request.headers()) {
            Ok(place) => {
                if let Some(place) = place {
                    request.extensions_mut().insert(Arc::new(place));
                }
                AssertUnwindSafe(warp::service(self.site.clone()).call(request))
                    .catch_unwind()
                    .await
            }
            Err(_) => Ok(Ok(too_many(id))),
        };
        let mut response = match answered {
            Ok(Ok(response)) => response,
            Err(_) => {
                tracing::error!(%method, path, "a handler panicked");
                error_body(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "EMCP has met a fault; the request id leads to its log line",
                    None,
                    id,
                )
            }
        };
        unread.drain().await;
        let (status, took) = (response.status(), begin.elapsed());
        self.metrics
            .request_done(route.get(), method.as_str(), status.as_u16(), took);
        set_common_headers(&mut response, id);
        if self.closing.is_cancelled() {
            let headers = response.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        tracing::debug!(
            %method,
            path,
            route = route.get(),
            status = status.as_u16(),
            took_ms = took.as_millis() as u64,
            "request"
        );
        Ok(response)
    }
}

/// The same without a socket: requests are handed over, and come back answered.
#[cfg(test)]
pub(crate) struct InProcess(Connection);

#[cfg(test)]
impl InProcess {
    pub(super) fn of(accepting: Accepting, peer: std::net::IpAddr) -> Self {
        Self(Connection {
            id: ConnectionId(1),
            peer: Peer(peer),
            site: accepting.site,
            admission: Arc::new(accepting.admission),
            metrics: accepting.metrics,
            arrived: accepting.since,
            is_first: AtomicBool::new(true),
            closing: accepting.closing,
        })
    }

    /// Answers one request.
    pub(crate) async fn call(&self, request: Request<Bytes>) -> Response<Bytes> {
        use http_body_util::BodyExt;
        let (head, body) = self.open(request).await.into_parts();
        let body = body.collect().await.map(|whole| whole.to_bytes());
        Response::from_parts(head, body.unwrap_or_default())
    }

    /// Begins to answer one: who asked reads as much as they like.
    pub(crate) async fn open(
        &self,
        request: Request<Bytes>,
    ) -> Response<impl Body<Data = Bytes> + Unpin + use<>> {
        let whole = request.map(http_body_util::Full::new);
        let Ok(response) = self.0.handle(whole).await;
        response
    }
}

fn too_many(request_id: &str) -> warp::reply::Response {
    let error = Error::TooMany {
        code: "too_many_requests",
        message: "too many requests of your address are under way, open pages and streams among them; try again when some have ended, or ask the operator to raise EMCP_REQUESTS_PER_ADDRESS".to_owned(),
        retry_after_secs: 1,
    };
    error_response(&error, request_id)
}

fn set_common_headers<B>(response: &mut Response<B>, request_id: &str) {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: HeaderValue| {
        headers
            .entry(HeaderName::from_static(name))
            .or_insert(value);
    };
    if let Ok(value) = HeaderValue::from_str(request_id) {
        set("x-request-id", value);
    }
    set("content-security-policy", HeaderValue::from_static(POLICY));
    set(
        "x-content-type-options",
        HeaderValue::from_static("nosniff"),
    );
    // No page of another site may embed or open what is here.
    set(
        "cross-origin-resource-policy",
        HeaderValue::from_static("same-origin"),
    );
    set(
        "cross-origin-opener-policy",
        HeaderValue::from_static("same-origin"),
    );
    set("referrer-policy", HeaderValue::from_static("no-referrer"));
    set("cache-control", HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use warp::{Filter, Reply};

    use super::*;

    async fn answer(stream: &mut TcpStream, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        while !answer.ends_with("}}") && !answer.ends_with("alive") {
            let mut piece = [0; 4096];
            let read = stream.read(&mut piece).await.unwrap();
            assert!(read > 0, "the connection was closed after {answer:?}");
            answer.push_str(std::str::from_utf8(&piece[..read]).unwrap());
        }
        answer
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_with_a_request_id_and_the_connection_lives_on() {
        let panics = warp::path("panics").map(|| -> warp::reply::Response { panic!("on purpose") });
        let lives = warp::any().map(|| "alive".into_response());
        let site = panics.or(lives).unify().boxed();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
        let accepting = Accepting {
            site,
            admission: Admission::new(
                Arc::new(crate::access::Proxies::new(
                    [std::net::Ipv4Addr::UNSPECIFIED; 2],
                )),
                None,
            ),
            metrics: Arc::default(),
            header_timeout: Duration::from_secs(10),
            since: Instant::now(),
            queued_since: Instant::now(),
            connections: tasks.clone(),
            closing: cancel.clone(),
        };
        tasks.spawn(accepting.run(listener));
        let mut stream = TcpStream::connect(address).await.unwrap();

        let fault = answer(&mut stream, "/panics").await;
        assert!(fault.starts_with("HTTP/1.1 500 "), "{fault}");
        let (headers, body) = fault.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["error"]["code"], "internal");
        let id = body["error"]["request_id"].as_str().unwrap();
        assert!(
            headers.contains(&format!("x-request-id: {id}")),
            "{headers}"
        );
        assert!(
            !fault.contains("on purpose"),
            "a fault's cause is for the log"
        );

        assert!(answer(&mut stream, "/").await.ends_with("alive"));
        cancel.cancel();
    }
}
