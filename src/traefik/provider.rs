//! Hands the configuration to Traefik by long-poll, and knows from the polls
//! which revision Traefik holds: that is how `running` can be honest.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A TCP connection to EMCP, numbered by the accept loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// How long a poll is held when nothing changes; well under Traefik's
/// `pollTimeout`.
const HOLD: Duration = Duration::from_secs(3);
/// A Traefik that has not polled for so long is taken for gone.
const SILENCE: Duration = Duration::from_secs(10);

/// The present configuration and who has it.
pub struct Provider {
    current: watch::Sender<Option<Revision>>,
    confirmed: watch::Sender<u64>,
    pollers: Mutex<HashMap<ConnectionId, Poller>>,
}

#[derive(Clone)]
struct Revision {
    number: u64,
    body: Bytes,
}

#[derive(Clone, Copy)]
struct Poller {
    served: u64,
    last_seen: Instant,
}

/// What a poll is answered with.
#[derive(Debug, PartialEq, Eq)]
pub enum Poll {
    /// The configuration.
    Document(Bytes),
    /// Nothing was rendered yet: answer 503, since an empty 200 would wipe
    /// every route.
    NotLoaded,
}

impl Default for Provider {
    fn default() -> Self {
        Self {
            current: watch::Sender::new(None),
            confirmed: watch::Sender::new(0),
            pollers: Mutex::default(),
        }
    }
}

impl Provider {
    /// Takes over a newly rendered document and tells its revision. The same
    /// bytes change nothing. For the one who publishes: documents of two would
    /// replace each other in any order.
    pub(super) fn publish(&self, body: Bytes) -> u64 {
        let mut number = 1;
        self.current.send_if_modified(|current| {
            if let Some(revision) = current {
                number = revision.number;
                if revision.body == body {
                    return false;
                }
                number += 1;
            }
            *current = Some(Revision { number, body });
            true
        });
        number
    }

    /// Answers one poll: at once on a new connection or after a change, else
    /// when something changes or the hold ends. A poll on a known connection
    /// says that Traefik has taken what was served there before.
    ///
    /// An EMCP that is `closing` answers at once: Traefik would take a cut poll
    /// for an error, and ask the next EMCP up to 18 s later.
    pub async fn poll(&self, connection: ConnectionId, closing: &CancellationToken) -> Poll {
        let known = self.pollers().get(&connection).map(|poller| poller.served);
        if let Some(served) = known {
            self.confirmed
                .send_if_modified(|confirmed| std::mem::replace(confirmed, served) != served);
        }
        self.see(connection, known.unwrap_or(0));
        let mut current = self.current.subscribe();
        if let Some(served) = known {
            let is_newer =
                |revision: &Option<Revision>| revision.as_ref().is_some_and(|r| r.number > served);
            // Running out of time is an answer too: the same document again.
            let newer = closing.run_until_cancelled(current.wait_for(is_newer));
            let _ = tokio::time::timeout(HOLD, newer).await;
        }
        let revision = current.borrow_and_update().clone();
        match revision {
            Some(revision) => {
                self.see(connection, revision.number);
                Poll::Document(revision.body)
            }
            None => Poll::NotLoaded,
        }
    }

    /// Whether a Traefik polls and has this revision, or a later one.
    pub fn is_fetched(&self, revision: u64) -> bool {
        *self.confirmed.borrow() >= revision && self.is_polled()
    }

    /// Whether a Traefik polls and has fetched some revision: it routes.
    pub fn is_in_service(&self) -> bool {
        *self.confirmed.borrow() > 0 && self.is_polled()
    }

    /// Whether a Traefik polled lately.
    fn is_polled(&self) -> bool {
        self.pollers()
            .values()
            .any(|poller| poller.last_seen.elapsed() < SILENCE)
    }

    /// Waits until a Traefik has this revision, or a later one. False for one
    /// that has it and has not polled since for long.
    pub async fn wait_fetched(&self, revision: u64) -> bool {
        let mut confirmed = self.confirmed.subscribe();
        let fetched = confirmed.wait_for(|number| *number >= revision).await;
        fetched.is_ok() && self.is_polled()
    }

    fn see(&self, connection: ConnectionId, served: u64) {
        let now = Instant::now();
        let mut pollers = self.pollers();
        pollers.retain(|_, poller| now.duration_since(poller.last_seen) < SILENCE);
        pollers.insert(
            connection,
            Poller {
                served,
                last_seen: now,
            },
        );
    }

    fn pollers(&self) -> MutexGuard<'_, HashMap<ConnectionId, Poller>> {
        self.pollers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ConnectionId = ConnectionId(1);

    fn open() -> CancellationToken {
        CancellationToken::new()
    }

    #[tokio::test]
    async fn nothing_is_handed_out_before_it_is_rendered() {
        assert_eq!(
            Provider::default().poll(ONE, &open()).await,
            Poll::NotLoaded
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_is_answered_at_once_and_the_next_poll_is_held() {
        let provider = Provider::default();
        provider.publish(Bytes::from_static(b"one"));
        let begin = Instant::now();
        assert_eq!(
            provider.poll(ONE, &open()).await,
            Poll::Document(Bytes::from_static(b"one"))
        );
        assert_eq!(begin.elapsed(), Duration::ZERO);
        provider.poll(ONE, &open()).await;
        assert_eq!(begin.elapsed(), HOLD);
    }

    #[tokio::test]
    async fn a_document_counts_as_fetched_with_the_poll_after_it() {
        let provider = Provider::default();
        let one = provider.publish(Bytes::from_static(b"one"));
        provider.poll(ONE, &open()).await;
        assert!(!provider.is_fetched(one));
        let two = provider.publish(Bytes::from_static(b"two"));
        assert_eq!(provider.publish(Bytes::from_static(b"two")), two);
        // Answered at once, since "two" is newer; it confirms "one" only.
        assert_eq!(
            provider.poll(ONE, &open()).await,
            Poll::Document(Bytes::from_static(b"two"))
        );
        assert!(provider.is_fetched(one));
        assert!(!provider.is_fetched(two));
        let closing = open();
        let (fetched, _) = tokio::join!(
            tokio::time::timeout(Duration::from_secs(60), provider.wait_fetched(two)),
            tokio::time::timeout(Duration::from_millis(20), provider.poll(ONE, &closing))
        );
        assert_eq!(fetched, Ok(true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_held_poll_is_answered_when_emcp_is_to_end() {
        let provider = Provider::default();
        provider.publish(Bytes::from_static(b"one"));
        provider.poll(ONE, &open()).await;
        let closing = open();
        let begin = Instant::now();
        let (answer, ()) = tokio::join!(provider.poll(ONE, &closing), async {
            tokio::time::sleep(HOLD / 10).await;
            closing.cancel();
        });
        assert_eq!(answer, Poll::Document(Bytes::from_static(b"one")));
        assert_eq!(begin.elapsed(), HOLD / 10);
    }
}
