//! The accept loop. warp's own server has no header timeout, drops the
//! connection when a handler panics, and does not end on open streams, so the
//! routes run as a service on hyper directly (DESIGN §11).

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use http::header::{HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;
use uuid::Uuid;
use warp::filters::BoxedFilter;

use super::context::{Peer, RequestId};
use super::error::error_body;
use crate::traefik::ConnectionId;

type Routes = BoxedFilter<(warp::reply::Response,)>;

/// Connections served at once on one listener; further ones wait in the
/// kernel's queue.
const CONNECTIONS_MAX: usize = 2_048;
/// How long open requests get when EMCP ends.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// After a failed accept (out of file descriptors): let others finish.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Accepts until cancelled. A connection gets `header_timeout` to bring the
/// headers of a request, counted from when the last one was answered: it is
/// also how long an idle connection is kept.
pub(super) async fn accept(
    listener: TcpListener,
    routes: Routes,
    header_timeout: Duration,
    tasks: TaskTracker,
    cancel: CancellationToken,
) {
    static NEXT_CONNECTION: AtomicU64 = AtomicU64::new(1);
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            () = cancel.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok((stream, address)) => (stream, Peer(address.ip())),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let id = ConnectionId(NEXT_CONNECTION.fetch_add(1, Ordering::Relaxed));
        let routes = routes.clone();
        let cancel = cancel.clone();
        tasks.spawn(async move {
            serve_connection(stream, id, peer, routes, header_timeout, cancel).await;
            drop(slot);
        });
    }
}

async fn serve_connection(
    stream: TcpStream,
    id: ConnectionId,
    peer: Peer,
    routes: Routes,
    header_timeout: Duration,
    cancel: CancellationToken,
) {
    // Small answers must not wait for Nagle's algorithm.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let service = service_fn(move |request| handle(request, id, peer, routes.clone()));
    // HTTP/1.1 alone, which is what Traefik speaks to plain addresses: hyper's
    // choice between the versions waits for the first bytes without limit.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = cancel.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(SHUTDOWN_GRACE, connection).await {
                Ok(result) => result,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// One request: gives it an id, catches panics, sets the headers every answer
/// has, and writes the log line.
async fn handle(
    mut request: Request<Incoming>,
    connection: ConnectionId,
    peer: Peer,
    routes: Routes,
) -> Result<warp::reply::Response, Infallible> {
    let id = Uuid::now_v7().to_string();
    request.extensions_mut().insert(RequestId(id.clone()));
    request.extensions_mut().insert(connection);
    request.extensions_mut().insert(peer);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let begin = Instant::now();
    let answered = AssertUnwindSafe(warp::service(routes).call(request))
        .catch_unwind()
        .await;
    let mut response = match answered {
        Ok(Ok(response)) => response,
        Err(_) => {
            tracing::error!(request_id = id, %method, path, "a handler panicked");
            error_body(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "EMCP has met a fault; the request id leads to its log line",
                None,
                &id,
            )
        }
    };
    let status = response.status();
    set_common_headers(&mut response, &id);
    tracing::debug!(
        request_id = id,
        %method,
        path,
        status = status.as_u16(),
        took_ms = begin.elapsed().as_millis() as u64,
        "request"
    );
    Ok(response)
}

fn set_common_headers<B>(response: &mut Response<B>, request_id: &str) {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
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
    set("referrer-policy", HeaderValue::from_static("no-referrer"));
    set("cache-control", HeaderValue::from_static("no-store"));
}
