//! `/api/events/stream`: what changes, as server-sent events
//! (WHATWG HTML §9.2). A stream begins with everything, so that a browser that
//! reconnects has missed nothing.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::Instrument;
use warp::Reply;

use crate::access::CanRead;
use crate::api::UsageView;
use crate::http::context::Ctx;
use crate::http::error::Refusals;
use crate::http::reply::Answer;
use crate::services::Told;

/// Changes in between are sent together.
const GATHER: Duration = Duration::from_millis(100);
/// Keeps proxies from cutting a silent stream, and finds out in time that a
/// session has ended.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[utoipa::path(
    get,
    path = "/api/events/stream",
    tag = "platform",
    responses(
        (status = 200, description = "server-sent events: \"snapshot\", then \"change\" and \"usage\"", body = String, content_type = "text/event-stream"),
        Refusals
    )
)]
pub(in crate::http) async fn stream(ctx: Ctx) -> Answer {
    let permit = ctx.caller()?.may_read()?;
    let (closing, span) = (ctx.app.closing().clone(), ctx.facts.span().clone());
    let watcher = Watcher::new(ctx, &permit);
    let events = stream::unfold(Some(watcher), move |watcher: Option<Watcher>| {
        let next = async move {
            let mut watcher = watcher?;
            let text = watcher.next().await?;
            Some((Ok::<_, Infallible>(text), Some(watcher)))
        };
        next.instrument(span.clone())
    });
    let events = futures_util::StreamExt::take_until(events, closing.cancelled_owned());
    let mut response = warp::reply::stream(Box::pin(events)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// One browser, and what it has been told.
struct Watcher {
    ctx: Ctx,
    changes: watch::Receiver<u64>,
    usage: watch::Receiver<Arc<UsageView>>,
    told: Told,
    is_first: bool,
}

enum Woken {
    Changed,
    Measured,
    Silence,
}

impl Watcher {
    fn new(ctx: Ctx, permit: &CanRead) -> Self {
        let mut usage = ctx.app.live.usage_changes(permit);
        // What was measured before somebody looked is old.
        usage.mark_unchanged();
        Self {
            changes: ctx.app.live.server_changes(permit),
            usage,
            told: Told::default(),
            is_first: true,
            ctx,
        }
    }

    /// The next piece of the stream; `None` when the caller may no longer see
    /// it.
    async fn next(&mut self) -> Option<String> {
        if std::mem::take(&mut self.is_first) {
            let permit = self.permit()?;
            return self.news(&permit, "snapshot");
        }
        loop {
            let woken = tokio::select! {
                changed = self.changes.changed() => changed.ok().map(|()| Woken::Changed)?,
                measured = self.usage.changed() => measured.ok().map(|()| Woken::Measured)?,
                () = sleep(KEEP_ALIVE) => Woken::Silence,
            };
            let permit = self.permit()?;
            match woken {
                Woken::Silence => return Some(": still here\n\n".to_owned()),
                Woken::Measured => {
                    let latest = self.usage.borrow_and_update().clone();
                    // Asking again keeps the meter running.
                    let _ = self.ctx.app.live.usage_changes(&permit);
                    return Some(event("usage", &*latest));
                }
                Woken::Changed => {
                    sleep(GATHER).await;
                    if let Some(text) = self.news(&permit, "change") {
                        return Some(text);
                    }
                }
            }
        }
    }

    /// The token may have been revoked or the session have ended.
    fn permit(&self) -> Option<CanRead> {
        self.ctx.caller().ok()?.may_read().ok()
    }

    /// What is new since the last time, if anything is.
    fn news(&mut self, permit: &CanRead, name: &str) -> Option<String> {
        self.changes.mark_unchanged();
        let news = self.ctx.app.live.news(permit, &mut self.told)?;
        Some(event(name, &news))
    }
}

fn event(name: &str, data: &impl Serialize) -> String {
    // JSON has no line breaks of its own, so it is one data line.
    let data = serde_json::to_string(data).unwrap_or_else(|error| {
        tracing::error!(%error, "an event could not be written");
        "null".to_owned()
    });
    format!("event: {name}\ndata: {data}\n\n")
}
