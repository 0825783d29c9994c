//! `/api/servers/{id}/logs`: text, or a WebSocket of JSON lines.

use std::fmt::Write;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use jiff::Timestamp;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use warp::Reply;
use warp::ws::{Message, WebSocket, Ws};

use crate::access::CanRead;
use crate::http::context::Ctx;
use crate::http::openapi::Refusals;
use crate::http::reply::{Answer, content};
use crate::logs::{ServerLog, for_terminal};
use crate::model::{Error, Result};

const TAIL_DEFAULT: u64 = 1_000;
/// The largest `?tail=`.
const TAIL_MAX: u64 = 1_000_000;
/// Lines sent in one go.
const BATCH_LINES: usize = 500;
/// Keeps proxies and firewalls from cutting a silent connection, and finds out
/// in time that a session has ended.
const PING_EVERY: Duration = Duration::from_secs(20);
/// What a viewer may say in one message. Nothing of it is asked for.
const SAID_MAX_BYTES: usize = 4 * 1024;
/// The code of a WebSocket's end (RFC 6455 §7.4.1).
const POLICY_VIOLATION: u16 = 1008;

#[utoipa::path(
    get,
    path = "/api/servers/{id}/logs",
    tag = "servers",
    params(("id" = String, Path, description = "id or name"), ("tail" = Option<u64>, Query, maximum = 1_000_000, description = "the last so many lines; 1000 by default"), ("since" = Option<String>, Query, format = DateTime, description = "an RFC 3339 time")),
    responses((status = 200, description = "its output; with an Upgrade header, a WebSocket of JSON lines", body = String, content_type = "text/plain; charset=utf-8"), Refusals)
)]
pub(in crate::http) async fn text(ctx: Ctx, id: String) -> Answer {
    let leave = ctx.may_read(&id)?;
    let tail = ctx.query_number("tail", TAIL_MAX)?.unwrap_or(TAIL_DEFAULT);
    let since = ctx.query("since").map(parse_time).transpose()?;
    let log = ctx.app.log(&leave, &id).await?;
    let mut text = String::new();
    for record in log.tail(usize::try_from(tail).unwrap_or(usize::MAX)) {
        if since.is_none_or(|since| record.ts >= since) {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{}", for_terminal(&record.line));
        }
    }
    Ok(content("text/plain; charset=utf-8", text))
}

pub(in crate::http) async fn stream(ctx: Ctx, id: String, ws: Ws) -> Answer {
    let leave = may_view(&ctx)?;
    ctx.server(&id)?;
    let after = ctx.query_number("after", u64::MAX)?.unwrap_or(0);
    let log = ctx.app.log(&leave, &id).await?;
    let ws = ws
        .max_message_size(SAID_MAX_BYTES)
        .max_frame_size(SAID_MAX_BYTES);
    let cancel = ctx.app.closing().clone();
    let tasks = ctx.app.tasks().clone();
    let span = ctx.note.span().clone();
    let upgrade = ws.on_upgrade(move |socket| {
        let sending = async move {
            cancel
                .clone()
                .run_until_cancelled(send_lines(&ctx, socket, &log, after, &cancel))
                .await;
        };
        tasks.track_future(sending.instrument(span))
    });
    Ok(upgrade.into_response())
}

fn may_view(ctx: &Ctx) -> Result<CanRead> {
    ctx.websocket_caller()?.may_read()
}

/// Sends what came after `after`, then what comes, while the viewer may see it.
/// The viewer pulls from the ring at its own speed: nothing is queued for it.
async fn send_lines(
    ctx: &Ctx,
    socket: WebSocket,
    log: &ServerLog,
    after: u64,
    cancel: &CancellationToken,
) {
    let (mut sink, mut source) = socket.split();
    let mut newest = log.subscribe();
    let mut cursor = after;
    let mut ping = tokio::time::interval(PING_EVERY);
    ping.tick().await;
    loop {
        // The token may have been revoked or the session have ended.
        if may_view(ctx).is_err() {
            let farewell = Message::close_with(POLICY_VIOLATION, "you may no longer see this log");
            let _ = sink.send(farewell).await;
            return;
        }
        newest.mark_unchanged();
        let batch = log.after(cursor, BATCH_LINES);
        if batch.skipped > 0 {
            let notice = json!({
                "ts": Timestamp::now(),
                "stream": "emcp",
                "line": format!("--- {} lines skipped ---", batch.skipped),
                "seq": cursor + batch.skipped,
                "skipped": batch.skipped,
            });
            if sink.send(Message::text(notice.to_string())).await.is_err() {
                return;
            }
        }
        let is_full = batch.records.len() == BATCH_LINES;
        for record in batch.records {
            cursor = record.seq;
            let Ok(line) = serde_json::to_string(&record) else {
                continue;
            };
            if sink.feed(Message::text(line)).await.is_err() {
                return;
            }
        }
        if sink.flush().await.is_err() {
            return;
        }
        if is_full {
            continue;
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            changed = newest.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            message = source.next() => match message {
                // What a viewer says is not asked for; that it went is.
                Some(Ok(message)) if !message.is_close() => {}
                _ => return,
            },
            _ = ping.tick() => {
                if sink.send(Message::ping(Vec::new())).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn parse_time(text: &str) -> Result<Timestamp> {
    text.parse().map_err(|_| {
        Error::invalid(
            "invalid_query",
            "since",
            "since must be a time like 2026-01-02T03:04:05Z",
        )
    })
}
