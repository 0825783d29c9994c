//! A container's output as it comes, from an engine that may forget to send it.
//!
//! Docker Engine can lose its place when it rotates a container's log while
//! somebody follows it who is not quite at its end: the stream stays open and
//! nothing comes any more (seen with 20.10.24 and its own `docker logs -f`;
//! moby/moby#37646 and others report the like). So a stream that has gone quiet
//! is compared with the newest line that the engine has.

use std::pin::Pin;
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error as BollardError;
use bollard::query_parameters::LogsOptions;
use futures_util::{Stream, StreamExt, stream};
use jiff::Timestamp;
use tokio::time::timeout;

use super::explain;
use super::output::{Splitter, both_streams, newest_of};
use crate::runtime::{OutputLine, RuntimeError};

/// How long a stream is quiet before the first look after much has come, and
/// as long again with every look that finds nothing. One reads the end of the
/// engine's log: a stream that brings a line now and then is not looked at.
const QUIET_MIN: Duration = Duration::from_secs(2);
const QUIET_MAX: Duration = Duration::from_secs(60);
/// So much is much, in bytes: logs are rotated at 10 MB.
const MUCH_BYTES: usize = 256 * 1024;
/// For one look.
const LOOK_MAX: Duration = Duration::from_secs(10);

type Frames = Pin<Box<dyn Stream<Item = Result<LogOutput, BollardError>> + Send>>;

/// Output from the beginning, then live until the container ends.
pub(super) fn follow(
    docker: &Docker,
    id: &str,
    since_secs: i64,
) -> impl Stream<Item = Result<OutputLine, RuntimeError>> + Send + use<> {
    let follower = Follower {
        docker: docker.clone(),
        id: id.to_owned(),
        begin: Timestamp::from_second(since_secs).unwrap_or(Timestamp::UNIX_EPOCH),
        frames: None,
        splitter: Splitter::default(),
        asked_again_at: None,
        quiet: QUIET_MIN,
        unchecked_bytes: 0,
        has_ended: false,
    };
    stream::try_unfold(follower, |mut follower| async move {
        let line = follower.next().await?;
        Ok(line.map(|line| (line, follower)))
    })
}

struct Follower {
    docker: Docker,
    id: String,
    begin: Timestamp,
    /// Opened when first asked for.
    frames: Option<Frames>,
    splitter: Splitter,
    /// Up to when it had come when the stream was opened again.
    asked_again_at: Option<Timestamp>,
    quiet: Duration,
    /// What has come since the last look.
    unchecked_bytes: usize,
    has_ended: bool,
}

impl Follower {
    async fn next(&mut self) -> Result<Option<OutputLine>, RuntimeError> {
        loop {
            if let Some(line) = self.splitter.next_line() {
                return Ok(Some(line));
            }
            if self.has_ended {
                return Ok(None);
            }
            let begin = self.begin;
            let frames = self
                .frames
                .get_or_insert_with(|| open(&self.docker, &self.id, begin));
            match timeout(self.quiet, frames.next()).await {
                Ok(Some(Ok(frame))) => {
                    self.unchecked_bytes += frame.as_ref().len();
                    if self.unchecked_bytes >= MUCH_BYTES {
                        self.quiet = QUIET_MIN;
                    }
                    self.splitter.take(frame);
                }
                // At its end too it may not have sent everything.
                Ok(Some(Err(error))) => {
                    if !self.ask_for_the_rest().await {
                        return Err(explain(error));
                    }
                }
                Ok(None) => {
                    if !self.ask_for_the_rest().await {
                        self.splitter.end();
                        self.has_ended = true;
                    }
                }
                Err(_) => {
                    self.quiet = (self.quiet * 2).min(QUIET_MAX);
                    self.unchecked_bytes = 0;
                    self.ask_for_the_rest().await;
                }
            }
        }
    }

    /// Opens the stream anew if the engine has what it did not send; whether it
    /// has. What did not come when it was asked for again is not asked for
    /// once more.
    async fn ask_for_the_rest(&mut self) -> bool {
        if self.asked_again_at == Some(self.newest()) {
            return false;
        }
        // An engine that is away ends the stream; that is for the caller.
        let Ok(Some(kept)) = timeout(LOOK_MAX, newest_of(&self.docker, &self.id)).await else {
            return false;
        };
        if kept <= self.newest() {
            return false;
        }
        tracing::warn!(
            container = self.id,
            "Docker stopped sending a log; it is asked for again"
        );
        self.begin = self.newest();
        self.asked_again_at = Some(self.begin);
        self.splitter.expect_again();
        self.frames = None;
        true
    }

    /// Up to when it has come.
    fn newest(&self) -> Timestamp {
        self.splitter.newest().unwrap_or(self.begin)
    }
}

fn open(docker: &Docker, id: &str, since: Timestamp) -> Frames {
    let options = LogsOptions {
        follow: true,
        // Whole seconds: what was sent before in this one comes again.
        since: i32::try_from(since.as_second()).unwrap_or(0),
        tail: "all".to_owned(),
        ..both_streams()
    };
    Box::pin(docker.logs(id, Some(options)))
}
