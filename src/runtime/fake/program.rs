//! What a container of the fake engine does when it runs: a file of a server
//! says it in its comments, as in
//!
//! ```text
//! # fake: say ready soon
//! # fake: warn of something
//! # fake: print VARIABLE
//! # fake: ready after 700ms
//! # fake: exit 3 after 2s on run 1
//! ```
//!
//! A file that says nothing is ready after a moment and serves for ever.

use std::time::Duration;

use crate::runtime::OutputStream;

const MARK: &str = "# fake: ";

/// What happens in a run, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    /// From the start to the first answer; never if not set.
    pub(super) ready_after: Option<Duration>,
    /// Said at the start.
    pub(super) lines: Vec<Line>,
    /// Whether it serves MCP, or plain HTTP.
    pub(super) has_mcp: bool,
    /// The status by which its own code turns EMCP away.
    pub(super) refuses_with: Option<u16>,
    /// Whether it ends by SIGTERM, or only by SIGKILL.
    pub(super) heeds_sigterm: bool,
    /// How and when it ends by itself, the run that this is so in, all if not set.
    pub(super) ends: Vec<(Ending, Duration, Option<u32>)>,
    /// From when on it answers nothing.
    pub(super) hangs_after: Option<Duration>,
}

/// A line of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// These words.
    Words(OutputStream, String),
    /// The value of a variable.
    Variable(String),
}

/// How a run ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// With an exit code.
    Exit(i64),
    /// For want of memory.
    OutOfMemory,
}

impl Default for Program {
    fn default() -> Self {
        Self {
            ready_after: Some(Duration::from_millis(300)),
            lines: Vec::new(),
            has_mcp: true,
            refuses_with: None,
            heeds_sigterm: true,
            ends: Vec::new(),
            hangs_after: None,
        }
    }
}

impl Program {
    /// Reads what a file says of itself.
    pub(super) fn of(code: &str) -> Self {
        let mut program = Self::default();
        for line in code.lines().filter_map(|line| line.strip_prefix(MARK)) {
            program.take(line);
        }
        program
    }

    /// How this run of the server ends by itself, if it does.
    pub(super) fn ending(&self, run: u32) -> Option<(Ending, Duration)> {
        let this = |(_, _, only): &&(Ending, Duration, Option<u32>)| only.is_none_or(|n| n == run);
        self.ends
            .iter()
            .find(this)
            .map(|(ending, after, _)| (*ending, *after))
    }

    fn says(&mut self, stream: OutputStream, words: &str) {
        self.lines.push(Line::Words(stream, words.to_owned()));
    }

    fn take(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["say", ..] => self.says(OutputStream::Stdout, &line[4..]),
            ["warn", ..] => self.says(OutputStream::Stderr, &line[5..]),
            ["print", variable] => self.lines.push(Line::Variable((*variable).to_owned())),
            ["ready", "after", time] => self.ready_after = Some(duration(time)),
            ["never", "ready"] => self.ready_after = None,
            ["http", "only"] => self.has_mcp = false,
            ["refuse", status] => self.refuses_with = Some(number(status)),
            ["ignore", "SIGTERM"] => self.heeds_sigterm = false,
            ["hang", "after", time] => self.hangs_after = Some(duration(time)),
            ["exit", code, "after", time, rest @ ..] => {
                let ending = Ending::Exit(number(code));
                self.ends.push((ending, duration(time), only_run(rest)));
            }
            ["oom", "after", time, rest @ ..] => {
                self.ends
                    .push((Ending::OutOfMemory, duration(time), only_run(rest)));
            }
            _ => panic!("the fake engine does not know \"{line}\""),
        }
    }
}

fn only_run(words: &[&str]) -> Option<u32> {
    match words {
        [] => None,
        ["on", "run", n] => Some(number(n)),
        other => panic!("the fake engine does not know {other:?}"),
    }
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|_| panic!("\"{text}\" is no number"))
}

fn duration(text: &str) -> Duration {
    match text.strip_suffix("ms") {
        Some(millis) => Duration::from_millis(number(millis)),
        None => Duration::from_secs(number(text.trim_end_matches('s'))),
    }
}
