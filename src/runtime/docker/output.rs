//! Container output, as lines.

use std::collections::VecDeque;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error as BollardError;
use bollard::query_parameters::LogsOptions;
use futures_util::{Stream, StreamExt, stream};
use jiff::Timestamp;

use super::explain;
use crate::runtime::{OutputLine, OutputStream, RuntimeError};

/// A longer line is cut into pieces of this size, in bytes, so that a server
/// that never ends its line costs a bounded buffer.
const LINE_MAX_BYTES: usize = 64 * 1024;

/// The last lines a container wrote.
pub(super) async fn tail(
    docker: &Docker,
    id: &str,
    lines: usize,
) -> Result<Vec<OutputLine>, RuntimeError> {
    let options = LogsOptions {
        stdout: true,
        stderr: true,
        timestamps: true,
        tail: lines.to_string(),
        ..LogsOptions::default()
    };
    let mut all: Vec<OutputLine> = Vec::new();
    let mut stream = Box::pin(as_lines(docker.logs(id, Some(options))));
    while let Some(line) = stream.next().await {
        all.push(line?);
    }
    // Docker keeps the order within a stream, not between the two.
    all.sort_by_key(|line| line.at);
    Ok(all)
}

/// Output from the beginning, then live until the container ends.
pub(super) fn follow(
    docker: &Docker,
    id: &str,
    since_secs: i64,
) -> impl Stream<Item = Result<OutputLine, RuntimeError>> + Send + use<> {
    let options = LogsOptions {
        follow: true,
        stdout: true,
        stderr: true,
        timestamps: true,
        since: i32::try_from(since_secs).unwrap_or(0),
        tail: "all".to_owned(),
        ..LogsOptions::default()
    };
    let docker = docker.clone();
    let id = id.to_owned();
    stream::once(async move { as_lines(docker.logs(&id, Some(options))) }).flatten()
}

struct Splitter<S> {
    frames: S,
    ready: VecDeque<OutputLine>,
    stdout: Partial,
    stderr: Partial,
    ended: bool,
}

/// A line whose end has not come yet.
#[derive(Default)]
struct Partial {
    at: Option<Timestamp>,
    bytes: Vec<u8>,
}

fn as_lines(
    frames: impl Stream<Item = Result<LogOutput, BollardError>> + Send,
) -> impl Stream<Item = Result<OutputLine, RuntimeError>> + Send {
    let splitter = Splitter {
        frames: Box::pin(frames),
        ready: VecDeque::new(),
        stdout: Partial::default(),
        stderr: Partial::default(),
        ended: false,
    };
    stream::try_unfold(splitter, |mut splitter| async move {
        loop {
            if let Some(line) = splitter.ready.pop_front() {
                return Ok(Some((line, splitter)));
            }
            if splitter.ended {
                return Ok(None);
            }
            match splitter.frames.next().await {
                Some(frame) => splitter.take(frame.map_err(explain)?),
                None => splitter.end(),
            }
        }
    })
}

impl<S> Splitter<S> {
    /// With timestamps on, Docker puts `RFC3339NANO ` before every line, and
    /// before every 16 KiB piece of a long one.
    fn take(&mut self, frame: LogOutput) {
        let (stream, partial, message) = match frame {
            LogOutput::StdErr { message } => (OutputStream::Stderr, &mut self.stderr, message),
            LogOutput::StdOut { message }
            | LogOutput::Console { message }
            | LogOutput::StdIn { message } => (OutputStream::Stdout, &mut self.stdout, message),
        };
        for piece in message.split_inclusive(|byte| *byte == b'\n') {
            let (at, text) = split_timestamp(piece);
            if partial.at.is_none() {
                partial.at = at;
            }
            let (text, is_whole) = match text.strip_suffix(b"\n") {
                Some(text) => (text.strip_suffix(b"\r").unwrap_or(text), true),
                None => (text, false),
            };
            partial.bytes.extend_from_slice(text);
            if is_whole {
                self.ready.push_back(partial.emit(stream));
            } else if partial.bytes.len() >= LINE_MAX_BYTES {
                self.ready.push_back(partial.emit_beginning(stream));
            }
        }
    }

    fn end(&mut self) {
        self.ended = true;
        for (stream, partial) in [
            (OutputStream::Stdout, &mut self.stdout),
            (OutputStream::Stderr, &mut self.stderr),
        ] {
            if !partial.bytes.is_empty() {
                self.ready.push_back(partial.emit(stream));
            }
        }
    }
}

impl Partial {
    fn emit(&mut self, stream: OutputStream) -> OutputLine {
        let bytes = std::mem::take(&mut self.bytes);
        OutputLine {
            at: self.at.take().unwrap_or_else(Timestamp::now),
            stream,
            text: String::from_utf8_lossy(&bytes).into_owned(),
            goes_on: false,
        }
    }

    /// What there is of a line that goes on, but for a character whose bytes
    /// are not all there.
    fn emit_beginning(&mut self, stream: OutputStream) -> OutputLine {
        let rest = self.bytes.split_off(whole_chars(&self.bytes));
        let line = self.emit(stream);
        self.bytes = rest;
        OutputLine {
            goes_on: true,
            ..line
        }
    }
}

/// How many bytes there are before an unfinished UTF-8 character at the end.
fn whole_chars(bytes: &[u8]) -> usize {
    let tail = bytes.len().saturating_sub(3);
    let unfinished = bytes[tail..].iter().rposition(|byte| match byte {
        // The first byte of a character tells its length (RFC 3629 §3).
        0xc2..=0xf4 => true,
        _ => false,
    });
    let Some(at) = unfinished.map(|at| tail + at) else {
        return bytes.len();
    };
    let length = match bytes[at] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    };
    let is_whole = bytes.len() - at >= length;
    // Anything else behind the first byte is no character at all.
    let is_one = bytes[at + 1..].iter().all(|byte| byte & 0xc0 == 0x80);
    if is_whole || !is_one { bytes.len() } else { at }
}

fn split_timestamp(piece: &[u8]) -> (Option<Timestamp>, &[u8]) {
    let Some(space) = piece.iter().position(|byte| *byte == b' ') else {
        return (None, piece);
    };
    let at = std::str::from_utf8(&piece[..space])
        .ok()
        .and_then(|text| text.parse().ok());
    match at {
        Some(at) => (Some(at), &piece[space + 1..]),
        None => (None, piece),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    async fn lines_of(frames: Vec<LogOutput>) -> Vec<OutputLine> {
        as_lines(stream::iter(frames.into_iter().map(Ok)))
            .map(Result::unwrap)
            .collect()
            .await
    }

    fn out(text: &str) -> LogOutput {
        LogOutput::StdOut {
            message: Bytes::copy_from_slice(text.as_bytes()),
        }
    }

    #[tokio::test]
    async fn pieces_of_a_long_line_become_one_line() {
        let lines = lines_of(vec![
            out("2026-01-02T03:04:05.000000001Z first "),
            out("2026-01-02T03:04:05.000000001Z second\n"),
        ])
        .await;
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].text, "first second");
        assert_eq!(lines[0].at.subsec_nanosecond(), 1);
    }

    #[tokio::test]
    async fn a_last_line_without_end_is_not_lost() {
        let lines = lines_of(vec![out("2026-01-02T03:04:05Z no end")]).await;
        assert_eq!(lines[0].text, "no end");
    }

    #[tokio::test]
    async fn a_line_without_end_is_cut_when_it_grows_too_long() {
        let piece = format!("2026-01-02T03:04:05Z {}", "x".repeat(16 * 1024));
        let lines = lines_of(vec![out(&piece); 9]).await;
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.text.len() <= LINE_MAX_BYTES));
        let goes_on: Vec<bool> = lines.iter().map(|line| line.goes_on).collect();
        assert_eq!(goes_on, [true, true, false]);
    }

    #[tokio::test]
    async fn a_cut_never_goes_through_a_character() {
        // An odd byte first, so that every boundary lies inside a character.
        for character in ["é", "好", "👋"] {
            let text = format!("a{}", character.repeat(200 * 1024 / character.len()));
            let frames = text.as_bytes().chunks(16 * 1024).map(|piece| {
                let message = [b"2026-01-02T03:04:05Z ", piece].concat().into();
                LogOutput::StdOut { message }
            });
            let lines = lines_of(frames.collect()).await;
            assert!(lines.len() > 2);
            let joined: String = lines.into_iter().map(|line| line.text).collect();
            assert!(joined == text, "{character} was broken");
        }
    }

    #[tokio::test]
    async fn bytes_that_are_no_utf8_are_replaced() {
        let message = Bytes::from_static(b"2026-01-02T03:04:05Z a\xffb\n");
        let lines = lines_of(vec![LogOutput::StdErr { message }]).await;
        assert_eq!(lines[0].text, "a\u{fffd}b");
        assert_eq!(lines[0].stream, OutputStream::Stderr);
    }
}
