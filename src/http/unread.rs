//! What is left of a request's body when its answer is ready. A connection that
//! is closed on unread bytes may take the answer with it; and whoever is
//! refused must not be read without end.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::EXPECT;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::timeout;

/// As much as a client may have sent before it could know better.
const DRAIN_MAX_BYTES: usize = 256 * 1024;
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// A body that its handler may leave unread.
pub(super) struct Unread<B> {
    body: Shared<B>,
    /// The client sends nothing before it is told to.
    is_expecting: bool,
}

/// A body that two hold.
pub(super) struct Shared<B>(Arc<Mutex<B>>);

impl<B: Body<Data = Bytes> + Unpin> Unread<B> {
    /// Keeps a hand on the request's body.
    pub(super) fn share(request: Request<B>) -> (Request<Shared<B>>, Self) {
        let is_expecting = request.headers().contains_key(EXPECT);
        let request = request.map(|body| Shared(Arc::new(Mutex::new(body))));
        let body = Shared(Arc::clone(&request.body().0));
        (request, Self { body, is_expecting })
    }

    /// Reads a bounded rest and throws it away. What is longer, hyper closes
    /// the connection on.
    pub(super) async fn drain(mut self) {
        if self.is_expecting || self.body.is_end_stream() {
            return;
        }
        let draining = async {
            let mut left = DRAIN_MAX_BYTES;
            while let Some(Ok(frame)) =
                poll_fn(|context| Pin::new(&mut self.body).poll_frame(context)).await
            {
                let length = frame.data_ref().map_or(0, Bytes::len);
                match left.checked_sub(length) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        };
        let _ = timeout(DRAIN_MAX, draining).await;
    }
}

impl<B> Shared<B> {
    fn lock(&self) -> MutexGuard<'_, B> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Shared<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut *self.lock()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.lock().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().size_hint()
    }
}
