//! Container output, as lines.

use std::collections::VecDeque;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptions;
use futures_util::StreamExt;
use jiff::Timestamp;

use super::explain;
use crate::runtime::{OutputLine, OutputStream, RuntimeError};

/// A longer line is cut into pieces of this size, in bytes, so that a server
/// that never ends its line costs a bounded buffer.
const LINE_MAX_BYTES: usize = 64 * 1024;

/// Both streams, with the times by which lines are told apart.
pub(super) fn both_streams() -> LogsOptions {
    LogsOptions {
        stdout: true,
        stderr: true,
        timestamps: true,
        ..LogsOptions::default()
    }
}

/// The last lines a container wrote.
pub(super) async fn tail(
    docker: &Docker,
    id: &str,
    lines: usize,
) -> Result<Vec<OutputLine>, RuntimeError> {
    let mut splitter = take_tail(docker, id, lines).await?;
    splitter.end();
    let mut all: Vec<OutputLine> = splitter.ready.into();
    // Docker keeps the order within a stream, not between the two.
    all.sort_by_key(|line| line.at);
    Ok(all)
}

/// When a container wrote the last there is of it; nothing if it wrote nothing
/// or the engine does not say.
pub(super) async fn newest_of(docker: &Docker, id: &str) -> Option<Timestamp> {
    take_tail(docker, id, 1).await.ok()?.newest()
}

async fn take_tail(docker: &Docker, id: &str, lines: usize) -> Result<Splitter, RuntimeError> {
    let options = LogsOptions {
        tail: lines.to_string(),
        ..both_streams()
    };
    let mut frames = Box::pin(docker.logs(id, Some(options)));
    let mut splitter = Splitter::default();
    while let Some(frame) = frames.next().await {
        splitter.take(frame.map_err(explain)?);
    }
    Ok(splitter)
}

/// Makes lines of what the engine sends, and leaves out what it sends again.
#[derive(Default)]
pub(super) struct Splitter {
    ready: VecDeque<OutputLine>,
    stdout: Partial,
    stderr: Partial,
    /// The newest there was before the stream was opened again, until it has
    /// come again.
    expected: Option<Timestamp>,
}

/// A line whose end has not come yet.
#[derive(Default)]
struct Partial {
    at: Option<Timestamp>,
    bytes: Vec<u8>,
    /// The time of the newest piece of this stream.
    newest: Option<Timestamp>,
    /// Whether pieces come that came before.
    is_repeated: bool,
}

impl Splitter {
    pub(super) fn next_line(&mut self) -> Option<OutputLine> {
        self.ready.pop_front()
    }

    /// When the newest piece was written that has come.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.stdout.newest.max(self.stderr.newest)
    }

    /// The next pieces are from a stream that begins somewhat before the newest
    /// one, if the engine still has that.
    pub(super) fn expect_again(&mut self) {
        self.expected = self.newest();
        self.stdout.is_repeated = true;
        self.stderr.is_repeated = true;
    }

    /// With timestamps on, Docker puts `RFC3339NANO ` before every line, and
    /// before every 16 KiB piece of a long one.
    pub(super) fn take(&mut self, frame: LogOutput) {
        let (stream, message) = match frame {
            LogOutput::StdErr { message } => (OutputStream::Stderr, message),
            LogOutput::StdOut { message }
            | LogOutput::Console { message }
            | LogOutput::StdIn { message } => (OutputStream::Stdout, message),
        };
        for piece in message.split_inclusive(|byte| *byte == b'\n') {
            let (at, text) = split_timestamp(piece);
            self.tell_gap(at);
            let partial = match stream {
                OutputStream::Stderr => &mut self.stderr,
                OutputStream::Stdout | OutputStream::Gap => &mut self.stdout,
            };
            if partial.came_before(at) {
                continue;
            }
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

    /// Something newer than what was expected to come again: the engine has
    /// thrown that away, and who knows what behind it.
    fn tell_gap(&mut self, at: Option<Timestamp>) {
        let (Some(at), Some(expected)) = (at, self.expected) else {
            return;
        };
        if at < expected {
            return;
        }
        self.expected = None;
        if at > expected {
            self.end();
            self.ready.push_back(OutputLine {
                at,
                stream: OutputStream::Gap,
                text: String::new(),
                goes_on: false,
            });
        }
    }

    /// What has no end yet will have none.
    pub(super) fn end(&mut self) {
        self.ready.extend(self.stdout.rest(OutputStream::Stdout));
        self.ready.extend(self.stderr.rest(OutputStream::Stderr));
    }
}

impl Partial {
    /// Whether this piece was taken in before the stream was opened again.
    fn came_before(&mut self, at: Option<Timestamp>) -> bool {
        if self.is_repeated {
            self.is_repeated = at.is_none_or(|at| self.newest.is_some_and(|newest| at <= newest));
        }
        if !self.is_repeated {
            self.newest = at.or(self.newest);
        }
        self.is_repeated
    }

    /// The beginning of a line whose end will not come.
    fn rest(&mut self, stream: OutputStream) -> Option<OutputLine> {
        (!self.bytes.is_empty()).then(|| self.emit(stream))
    }

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

    fn lines_of(frames: Vec<LogOutput>) -> Vec<OutputLine> {
        let mut splitter = Splitter::default();
        for frame in frames {
            splitter.take(frame);
        }
        splitter.end();
        splitter.ready.into()
    }

    fn out(text: &str) -> LogOutput {
        LogOutput::StdOut {
            message: Bytes::copy_from_slice(text.as_bytes()),
        }
    }

    #[test]
    fn pieces_of_a_long_line_become_one_line() {
        let lines = lines_of(vec![
            out("2026-01-02T03:04:05.000000001Z first "),
            out("2026-01-02T03:04:05.000000001Z second\n"),
        ]);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].text, "first second");
        assert_eq!(lines[0].at.subsec_nanosecond(), 1);
    }

    #[test]
    fn a_last_line_without_end_is_not_lost() {
        let lines = lines_of(vec![out("2026-01-02T03:04:05Z no end")]);
        assert_eq!(lines[0].text, "no end");
    }

    #[test]
    fn a_line_without_end_is_cut_when_it_grows_too_long() {
        let piece = format!("2026-01-02T03:04:05Z {}", "x".repeat(16 * 1024));
        let lines = lines_of(vec![out(&piece); 9]);
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.text.len() <= LINE_MAX_BYTES));
        let goes_on: Vec<bool> = lines.iter().map(|line| line.goes_on).collect();
        assert_eq!(goes_on, [true, true, false]);
    }

    #[test]
    fn a_cut_never_goes_through_a_character() {
        // An odd byte first, so that every boundary lies inside a character.
        for character in ["é", "好", "👋"] {
            let text = format!("a{}", character.repeat(200 * 1024 / character.len()));
            let frames = text.as_bytes().chunks(16 * 1024).map(|piece| {
                let message = [b"2026-01-02T03:04:05Z ", piece].concat().into();
                LogOutput::StdOut { message }
            });
            let lines = lines_of(frames.collect());
            assert!(lines.len() > 2);
            let joined: String = lines.into_iter().map(|line| line.text).collect();
            assert!(joined == text, "{character} was broken");
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_are_replaced() {
        let message = Bytes::from_static(b"2026-01-02T03:04:05Z a\xffb\n");
        let lines = lines_of(vec![LogOutput::StdErr { message }]);
        assert_eq!(lines[0].text, "a\u{fffd}b");
        assert_eq!(lines[0].stream, OutputStream::Stderr);
    }

    fn texts(splitter: &mut Splitter) -> Vec<String> {
        let lines = std::mem::take(&mut splitter.ready).into_iter();
        lines
            .map(|line| match line.stream {
                OutputStream::Gap => "GAP".to_owned(),
                _ => line.text,
            })
            .collect()
    }

    fn err(text: &str) -> LogOutput {
        LogOutput::StdErr {
            message: Bytes::copy_from_slice(text.as_bytes()),
        }
    }

    #[test]
    fn what_comes_again_is_left_out_also_in_the_middle_of_a_line() {
        let mut splitter = Splitter::default();
        let before = [
            out("2026-01-02T03:04:05.1Z one\n"),
            err("2026-01-02T03:04:05.2Z two\n"),
            out("2026-01-02T03:04:05.3Z beginning, "),
        ];
        for frame in before.clone() {
            splitter.take(frame);
        }
        splitter.expect_again();
        for frame in before {
            splitter.take(frame);
        }
        splitter.take(out("2026-01-02T03:04:05.4Z end\n"));
        splitter.take(err("2026-01-02T03:04:05.5Z more\n"));
        assert_eq!(
            texts(&mut splitter),
            ["one", "two", "beginning, end", "more"]
        );
    }

    #[test]
    fn what_the_engine_threw_away_is_told() {
        let mut splitter = Splitter::default();
        splitter.take(out("2026-01-02T03:04:05.1Z one\n"));
        splitter.take(out("2026-01-02T03:04:05.2Z beginning"));
        splitter.expect_again();
        // Of the time before, only what the other stream had is left.
        splitter.take(err("2026-01-02T03:04:05.3Z other\n"));
        splitter.take(out("2026-01-02T03:04:05.4Z next\n"));
        let told = texts(&mut splitter);
        assert_eq!(told, ["one", "beginning", "GAP", "other", "next"]);
    }
}
