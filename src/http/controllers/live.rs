//! `/api/events/stream`: what changes, as server-sent events
//! (WHATWG HTML §9.2). A stream begins with everything, so that a browser that
//! reconnects has missed nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::sleep;
use warp::Reply;

use crate::directory::Entry;
use crate::http::context::Ctx;
use crate::http::openapi::Refusals;
use crate::http::reply::Answer;
use crate::model::ServerId;
use crate::services::{ServerView, UsageView};

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
    ctx.caller()?.may_read()?;
    let closing = ctx.app.closing.clone();
    let events = stream::unfold(Some(Watcher::new(ctx)), async |watcher| {
        let mut watcher = watcher?;
        let text = watcher.next().await?;
        Some((Ok::<_, Infallible>(text), Some(watcher)))
    });
    let events = futures_util::StreamExt::take_until(events, closing.cancelled_owned());
    let mut response = warp::reply::stream(Box::pin(events)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What one browser has been told.
struct Watcher {
    ctx: Ctx,
    changes: watch::Receiver<u64>,
    usage: watch::Receiver<Arc<UsageView>>,
    told: Option<BTreeMap<ServerId, Entry>>,
}

#[derive(Serialize)]
struct Change {
    servers: Vec<ServerView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<Vec<ServerId>>,
}

enum Woken {
    Changed,
    Measured,
    Silence,
}

impl Watcher {
    fn new(ctx: Ctx) -> Self {
        let mut usage = ctx.app.usage.subscribe();
        // What was measured before somebody looked is old.
        usage.mark_unchanged();
        Self {
            changes: ctx.app.directory.subscribe(),
            usage,
            told: None,
            ctx,
        }
    }

    /// The next piece of the stream; `None` when the caller may no longer see
    /// it.
    async fn next(&mut self) -> Option<String> {
        loop {
            if self.told.is_none() {
                return Some(self.change("snapshot"));
            }
            let woken = tokio::select! {
                changed = self.changes.changed() => changed.ok().map(|()| Woken::Changed)?,
                measured = self.usage.changed() => measured.ok().map(|()| Woken::Measured)?,
                () = sleep(KEEP_ALIVE) => Woken::Silence,
            };
            // The token may have been revoked or the session have ended.
            self.ctx.caller().ok()?.may_read().ok()?;
            match woken {
                Woken::Silence => return Some(": still here\n\n".to_owned()),
                Woken::Measured => {
                    let latest = self.usage.borrow_and_update().clone();
                    // Asking again keeps the meter running.
                    let _ = self.ctx.app.usage.subscribe();
                    return Some(event("usage", &*latest));
                }
                Woken::Changed => {
                    sleep(GATHER).await;
                    self.changes.mark_unchanged();
                    if self.is_behind() {
                        return Some(self.change("change"));
                    }
                }
            }
        }
    }

    fn is_behind(&self) -> bool {
        let told = self.told.as_ref();
        let now = self.ctx.app.directory.list();
        told.is_none_or(|told| {
            told.len() != now.len() || now.iter().any(|entry| is_news(told, entry))
        })
    }

    /// What is new since the last time.
    fn change(&mut self, name: &str) -> String {
        self.changes.mark_unchanged();
        let app = &self.ctx.app;
        let now = app.directory.list();
        let told = self.told.take();
        let present: BTreeSet<_> = now.iter().map(|entry| entry.server.id).collect();
        let change = Change {
            servers: now
                .iter()
                .filter(|entry| told.as_ref().is_none_or(|told| is_news(told, entry)))
                .map(|entry| app.view(entry))
                .collect(),
            removed: told.map(|told| {
                told.into_keys()
                    .filter(|id| !present.contains(id))
                    .collect()
            }),
        };
        self.told = Some(
            now.into_iter()
                .map(|entry| (entry.server.id, entry))
                .collect(),
        );
        event(name, &change)
    }
}

/// Whether a server is not as it was told. Entries are replaced, never
/// changed, so that the same pointer is the same content.
fn is_news(told: &BTreeMap<ServerId, Entry>, entry: &Entry) -> bool {
    told.get(&entry.server.id).is_none_or(|old| {
        !Arc::ptr_eq(&old.server, &entry.server) || !Arc::ptr_eq(&old.state, &entry.state)
    })
}

fn event(name: &str, data: &impl Serialize) -> String {
    // JSON has no line breaks of its own, so it is one data line.
    let data = serde_json::to_string(data).unwrap_or_else(|error| {
        tracing::error!(%error, "an event could not be written");
        "null".to_owned()
    });
    format!("event: {name}\ndata: {data}\n\n")
}
