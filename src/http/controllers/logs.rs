//! `/api/servers/{id}/logs`: text, or a WebSocket of JSON lines.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, SplitSink};
use futures_util::{SinkExt, StreamExt};
use http::header::{CONTENT_TYPE, HeaderValue};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use warp::Reply;
use warp::ws::{Message, WebSocket, Ws};

use crate::access::CanRead;
use crate::api::{LogLine, LogPage};
use crate::http::context::Ctx;
use crate::http::error::Refusals;
use crate::http::reply::{Answer, json};
use crate::logs::{Lines, Needle, Piece, Selection, ServerLog, for_terminal};
use crate::model::{Error, LogRecord, LogSource, Result};

const TAIL_DEFAULT: u64 = 1_000;
/// The largest `?tail=`: more than is ever kept.
const TAIL_MAX: u64 = 1_000_000;
const LIMIT_DEFAULT: u64 = 500;
const LIMIT_MAX: u64 = 1_000;
/// What JSON Schema's `int64`, by which numbers of lines are described, can hold.
const SEQ_MAX: u64 = i64::MAX.unsigned_abs();
const GREP_MAX_CHARS: usize = 1_000;
/// Lines sent in one go.
const BATCH_LINES: usize = 500;
/// Keeps proxies and firewalls from cutting a silent connection, and finds out
/// in time that a session has ended.
const PING_EVERY: Duration = Duration::from_secs(20);
/// What a viewer may say in one message. Nothing of it is asked for.
const SAID_MAX_BYTES: usize = 4 * 1024;
/// The code of a WebSocket's end (RFC 6455 §7.4.1).
const POLICY_VIOLATION: u16 = 1008;

type ViewerSink = SplitSink<WebSocket, Message>;

#[utoipa::path(
    get,
    path = "/api/servers/{id}/logs",
    tag = "servers",
    params(
        ("id" = String, Path, description = "id or name"),
        ("format" = Option<String>, Query, pattern = "^(text|json)$", description = "\"text\" (default): lines, streamed; \"json\": a page of the newest lines that fit"),
        ("tail" = Option<u64>, Query, maximum = 1_000_000, description = "with \"text\": the last so many lines that fit; 1000 by default"),
        ("timestamps" = Option<bool>, Query, description = "with \"text\": begin each line with its time and its stream"),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "with \"json\": lines on a page, at most 1000; 500 by default"),
        ("before" = Option<u64>, Query, description = "only lines with a lower seq; \"next\" of a page is this for the next"),
        ("since" = Option<String>, Query, format = DateTime, description = "only lines not older than this RFC 3339 time"),
        ("until" = Option<String>, Query, format = DateTime, description = "only lines not newer than this RFC 3339 time"),
        ("stream" = Option<String>, Query, pattern = "^(stdout|stderr)$", description = "only lines of this stream, and EMCP's own between runs"),
        ("grep" = Option<String>, Query, max_length = 1_000, description = "only lines with this text in them, whatever its case; colours do not count")
    ),
    responses(
        (status = 200, description = "its output, as far as it is kept; with an Upgrade header, a WebSocket of JSON lines", content(
            (String = "text/plain; charset=utf-8"),
            (LogPage = "application/json")
        )),
        Refusals
    )
)]
pub(in crate::http) async fn get(ctx: Ctx, id: String, upgrade: Option<Ws>) -> Answer {
    match upgrade {
        Some(ws) => stream(ctx, id, ws).await,
        None => read(ctx, id).await,
    }
}

async fn read(ctx: Ctx, id: String) -> Answer {
    let permit = ctx.may_read(&id)?;
    let selection = selection_of(&ctx)?;
    let tail = ctx.query_number("tail", TAIL_MAX)?;
    let limit = ctx
        .query_number("limit", LIMIT_MAX)?
        .unwrap_or(LIMIT_DEFAULT);
    if limit == 0 {
        return Err(invalid(
            "limit",
            format!("the query parameter \"limit\" must be from 1 to {LIMIT_MAX}"),
        ));
    }
    let has_times = ctx.query_flag("timestamps")?.unwrap_or(false);
    let is_text = match ctx.query("format") {
        None | Some("text") => true,
        Some("json") => false,
        Some(_) => {
            let must = "the query parameter \"format\" must be \"text\" or \"json\"";
            return Err(invalid("format", must));
        }
    };
    let log = ctx.app.logs.of_server(&permit, &id).await?;
    if is_text {
        let lines = log.lines(selection, tail.unwrap_or(TAIL_DEFAULT)).await?;
        // Who asks for so many lines knows that there may be more.
        let notice = notice_of(&lines).filter(|_| tail.is_none() || lines.left_out == 0);
        return Ok(text(lines, notice, has_times));
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(json(&log.page(selection, limit).await?))
}

fn selection_of(ctx: &Ctx) -> Result<Selection> {
    let time = |name| {
        ctx.query(name)
            .map(|text| parse_time(name, text))
            .transpose()
    };
    let stream = match ctx.query("stream") {
        None => None,
        Some("stdout") => Some(LogSource::Stdout),
        Some("stderr") => Some(LogSource::Stderr),
        Some(_) => {
            let must = "the query parameter \"stream\" must be \"stdout\" or \"stderr\"";
            return Err(invalid("stream", must));
        }
    };
    let grep = ctx.query("grep").unwrap_or_default();
    if grep.chars().count() > GREP_MAX_CHARS {
        return Err(invalid(
            "grep",
            format!("the query parameter \"grep\" may have {GREP_MAX_CHARS} characters at most"),
        ));
    }
    Ok(Selection {
        before: ctx.query_number("before", SEQ_MAX)?,
        since: time("since")?,
        until: time("until")?,
        stream,
        needle: Needle::new(grep),
    })
}

/// What stands above lines that are not all there were.
fn notice_of(lines: &Lines) -> Option<String> {
    match lines.left_out {
        0 if lines.is_beginning_gone() => {
            Some("--- earlier lines are not kept any more ---\n".to_owned())
        }
        0 => None,
        count => Some(format!(
            "--- {count} earlier lines are left out: ?tail= takes more ---\n"
        )),
    }
}

/// The lines, read as fast as they are taken.
fn text(lines: Lines, notice: Option<String>, has_times: bool) -> warp::reply::Response {
    let lines = stream::try_unfold(lines, move |lines| async move {
        let Some((Piece { dropped, records }, rest)) = lines.next().await? else {
            return Ok(None);
        };
        let mut text = match dropped {
            0 => String::new(),
            count => format!("--- {count} lines skipped ---\n"),
        };
        for LogRecord {
            ts, stream, line, ..
        } in &records
        {
            let line = for_terminal(line);
            // Writing into a String cannot fail.
            let _ = match has_times {
                true => writeln!(text, "{ts} {} {line}", stream.name()),
                false => writeln!(text, "{line}"),
            };
        }
        Ok(Some((text, rest)))
    });
    let body = stream::iter(notice.map(Ok::<_, Error>)).chain(lines);
    let mut response = warp::reply::stream(Box::pin(body)).into_response();
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

async fn stream(ctx: Ctx, id: String, ws: Ws) -> Answer {
    let permit = may_view(&ctx)?;
    ctx.named(permit.caller(), &id)?;
    let after = ctx.query_number("after", u64::MAX)?.unwrap_or(0);
    let log = ctx.app.logs.of_server(&permit, &id).await?;
    let ws = ws
        .max_message_size(SAID_MAX_BYTES)
        .max_frame_size(SAID_MAX_BYTES);
    let cancel = ctx.app.closing().clone();
    let tasks = ctx.app.tasks().clone();
    let span = ctx.facts.span().clone();
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
/// The viewer pulls at its own speed, from the ring and, where that has gone on
/// without it, from disk: nothing is queued for it.
async fn send_lines(
    ctx: &Ctx,
    socket: WebSocket,
    log: &Arc<ServerLog>,
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
        let mut batch = log.after(cursor, BATCH_LINES);
        if batch.skipped > 0 {
            let Some(reached) = send_kept(ctx, &mut sink, log, cursor).await else {
                return;
            };
            cursor = reached;
            batch = log.after(cursor, BATCH_LINES);
        }
        if batch.skipped > 0 && !tell_skipped(&mut sink, cursor, batch.skipped).await {
            return;
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

/// Sends what the disk has after `after`; the number of the last line sent, or
/// nothing where the viewer is gone or may not see more.
async fn send_kept(
    ctx: &Ctx,
    sink: &mut ViewerSink,
    log: &Arc<ServerLog>,
    after: u64,
) -> Option<u64> {
    let mut cursor = after;
    let mut lines = log.kept_after(after);
    loop {
        let (records, rest) = match lines.next().await {
            Ok(Some((piece, rest))) => (piece.records, rest),
            Ok(None) => return Some(cursor),
            Err(error) => {
                // Told to the viewer as lines that were skipped.
                tracing::warn!(%error, "a viewer's log could not be read from disk");
                return Some(cursor);
            }
        };
        for record in records {
            let skipped = record.seq - cursor - 1;
            if skipped > 0 && !tell_skipped(sink, cursor, skipped).await {
                return None;
            }
            cursor = record.seq;
            let line = serde_json::to_string(&record).ok()?;
            sink.feed(Message::text(line)).await.ok()?;
        }
        sink.flush().await.ok()?;
        // The next round of the caller says goodbye.
        if may_view(ctx).is_err() {
            return Some(cursor);
        }
        lines = rest;
    }
}

/// Tells how many lines are gone; whether the viewer is still there.
async fn tell_skipped(sink: &mut ViewerSink, after: u64, skipped: u64) -> bool {
    let notice = LogLine {
        record: LogRecord {
            ts: Timestamp::now(),
            stream: LogSource::Emcp,
            line: format!("--- {skipped} lines skipped ---"),
            seq: after + skipped,
            instance: None,
        },
        skipped: Some(skipped),
    };
    let Ok(text) = serde_json::to_string(&notice) else {
        return false;
    };
    sink.send(Message::text(text)).await.is_ok()
}

fn parse_time(name: &'static str, text: &str) -> Result<Timestamp> {
    text.parse().map_err(|_| {
        let must = format!("{name} must be a time like 2026-01-02T03:04:05Z");
        invalid(name, must)
    })
}

fn invalid(name: &'static str, message: impl Into<String>) -> Error {
    Error::invalid("invalid_query", name, message)
}
