//! Hands the configuration to Traefik by long-poll, and learns from Traefik's
//! health check of itself which one it routes by (`document/effect.rs`): that is
//! how `running` can be honest.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Fingerprint, Rendered};

/// A TCP connection to EMCP, numbered by the accept loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// How long a poll is held when nothing changes; well under Traefik's
/// `pollTimeout`.
const HOLD: Duration = Duration::from_secs(3);
/// A Traefik that has not polled for so long is taken for gone.
const SILENCE: Duration = Duration::from_secs(10);
/// How long Traefik waits for an answer when it tells that it routes by the
/// newest document. Its entry point gives it 10 s.
const CURRENT_HOLD: Duration = Duration::from_secs(5);
/// The same where it is just about to route by a newer one.
const OUTDATED_HOLD: Duration = Duration::from_millis(20);
/// A Traefik that does not tell what it routes by has a static configuration of
/// its own; what it fetched so long ago is taken to be in effect.
const UNTOLD: Duration = Duration::from_secs(5);
/// As many documents are known by their fingerprint after they were handed out.
/// Traefik fetches ten in a second at most, and routes by each in turn.
const HANDED_OUT_MAX: usize = 64;

/// The present configuration, and who has it.
pub struct Provider {
    current: watch::Sender<Option<Revision>>,
    in_effect: watch::Sender<u64>,
    state: Mutex<State>,
}

#[derive(Clone)]
struct Revision {
    number: u64,
    rendered: Rendered,
}

#[derive(Default)]
struct State {
    pollers: HashMap<ConnectionId, Poller>,
    /// The newest revision that a poll said to be taken.
    fetched: u64,
    /// What was taken lately, and when.
    fetched_lately: VecDeque<(u64, Instant)>,
    /// The newest of what was taken longer ago than [`UNTOLD`].
    fetched_long_ago: u64,
    /// The newest last.
    handed_out: VecDeque<(Fingerprint, u64)>,
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
            in_effect: watch::Sender::new(0),
            state: Mutex::default(),
        }
    }
}

impl Provider {
    /// Takes over a newly rendered document and tells its revision. The same
    /// bytes change nothing. For the one who publishes: documents of two would
    /// replace each other in any order.
    pub(super) fn publish(&self, rendered: Rendered) -> u64 {
        let mut number = 1;
        self.current.send_if_modified(|current| {
            if let Some(revision) = current {
                number = revision.number;
                if revision.rendered == rendered {
                    return false;
                }
                number += 1;
            }
            *current = Some(Revision { number, rendered });
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
        let served = self.state().polled(connection);
        let mut current = self.current.subscribe();
        if let Some(served) = served {
            let is_newer =
                |revision: &Option<Revision>| revision.as_ref().is_some_and(|r| r.number > served);
            // Running out of time is an answer too: the same document again.
            let newer = closing.run_until_cancelled(current.wait_for(is_newer));
            let _ = tokio::time::timeout(HOLD, newer).await;
        }
        let revision = current.borrow_and_update().clone();
        match revision {
            Some(revision) => {
                self.state().hand_out(connection, &revision);
                Poll::Document(revision.rendered.body)
            }
            None => Poll::NotLoaded,
        }
    }

    /// Traefik routes by the document with this fingerprint. Returns when it is
    /// to tell again, which it does as long as that is so.
    pub async fn see_in_effect(&self, told: &Fingerprint, closing: &CancellationToken) {
        // Neither lock is held while the other is asked for: who waits for one of
        // them may hold the other.
        let number = self.state().number_of(told);
        if let Some(number) = number {
            self.in_effect
                .send_if_modified(|known| std::mem::replace(known, number) != number);
        }
        let mut current = self.current.subscribe();
        let is_other = |revision: &Option<Revision>| {
            let newest = revision.as_ref().map(|r| &r.rendered.fingerprint);
            newest != Some(told)
        };
        if is_other(&current.borrow()) {
            let pause = tokio::time::sleep(OUTDATED_HOLD);
            closing.run_until_cancelled(pause).await;
        } else {
            let other = closing.run_until_cancelled(current.wait_for(is_other));
            let _ = tokio::time::timeout(CURRENT_HOLD, other).await;
        }
    }

    /// Whether a Traefik polls and routes by this revision, or a later one.
    pub fn is_in_effect(&self, revision: u64) -> bool {
        let mut state = self.state();
        let is_told = *self.in_effect.borrow() >= revision;
        (is_told || state.fetched_long_ago() >= revision) && state.is_polled()
    }

    /// Whether a Traefik polls and has fetched some revision: it routes.
    pub fn is_in_service(&self) -> bool {
        let state = self.state();
        state.fetched > 0 && state.is_polled()
    }

    /// Waits until a Traefik tells that it routes by this revision, or a later
    /// one. False for one that has not polled since for long.
    pub async fn wait_in_effect(&self, revision: u64) -> bool {
        let mut in_effect = self.in_effect.subscribe();
        let told = in_effect.wait_for(|number| *number >= revision).await;
        // What it brings holds what is known of the revision in effect.
        let is_told = told.map(drop).is_ok();
        is_told && self.state().is_polled()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What was served on this connection before, which is taken now.
    fn polled(&mut self, connection: ConnectionId) -> Option<u64> {
        let served = self.pollers.get(&connection).map(|poller| poller.served);
        if let Some(served) = served {
            self.fetched = served;
            let is_new = |&(newest, _): &(u64, Instant)| newest != served;
            if self.fetched_lately.back().is_none_or(is_new) && self.fetched_long_ago != served {
                self.fetched_lately.push_back((served, Instant::now()));
            }
            self.fetched_long_ago();
        }
        self.see(connection, served.unwrap_or(0));
        served
    }

    fn hand_out(&mut self, connection: ConnectionId, revision: &Revision) {
        self.see(connection, revision.number);
        let newest = self.handed_out.back().map(|(_, number)| *number);
        if newest != Some(revision.number) {
            let fingerprint = revision.rendered.fingerprint.clone();
            self.handed_out.push_back((fingerprint, revision.number));
        }
        if self.handed_out.len() > HANDED_OUT_MAX {
            self.handed_out.pop_front();
        }
    }

    /// Where a document came back that had been replaced, the later revision.
    fn number_of(&self, told: &Fingerprint) -> Option<u64> {
        let mut latest_first = self.handed_out.iter().rev();
        latest_first.find_map(|(known, number)| (known == told).then_some(*number))
    }

    fn fetched_long_ago(&mut self) -> u64 {
        while let Some(&(number, at)) = self.fetched_lately.front()
            && at.elapsed() >= UNTOLD
        {
            self.fetched_long_ago = number;
            self.fetched_lately.pop_front();
        }
        self.fetched_long_ago
    }

    /// Whether a Traefik polled lately.
    fn is_polled(&self) -> bool {
        self.pollers
            .values()
            .any(|poller| poller.last_seen.elapsed() < SILENCE)
    }

    fn see(&mut self, connection: ConnectionId, served: u64) {
        let now = Instant::now();
        self.pollers
            .retain(|_, poller| now.duration_since(poller.last_seen) < SILENCE);
        self.pollers.insert(
            connection,
            Poller {
                served,
                last_seen: now,
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const ONE: ConnectionId = ConnectionId(1);

    fn open() -> CancellationToken {
        CancellationToken::new()
    }

    fn rendered(text: &'static str) -> Rendered {
        Rendered {
            body: Bytes::from_static(text.as_bytes()),
            fingerprint: Fingerprint::told(text.to_owned()),
        }
    }

    fn document(text: &'static str) -> Poll {
        Poll::Document(rendered(text).body)
    }

    /// Traefik tells, and does not wait for an answer.
    async fn tell(provider: &Provider, text: &'static str) {
        let told = rendered(text).fingerprint;
        let closed = open();
        closed.cancel();
        provider.see_in_effect(&told, &closed).await;
    }

    /// Each with a lock of the other's would end both, and with them all threads
    /// of the runtime, so that no timeout of its own would tell.
    #[test]
    fn who_is_told_and_who_waits_do_not_hold_each_other_up() {
        const TIMES: usize = 20_000;
        let (done, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let threads = &mut tokio::runtime::Builder::new_multi_thread();
            let runtime = threads.worker_threads(4).enable_time().build().unwrap();
            let provider = Arc::new(Provider::default());
            let one = provider.publish(rendered("one"));
            runtime.block_on(provider.poll(ONE, &open()));
            runtime.block_on(tell(&provider, "one"));
            let mut both = tokio::task::JoinSet::new();
            for is_told in [true, true, false, false] {
                let provider = Arc::clone(&provider);
                let work = async move {
                    for _ in 0..TIMES {
                        if is_told {
                            tell(&provider, "one").await;
                        } else {
                            assert!(provider.wait_in_effect(one).await);
                        }
                    }
                };
                both.spawn_on(work, runtime.handle());
            }
            while let Some(one) = runtime.block_on(both.join_next()) {
                one.unwrap();
            }
            done.send(()).unwrap();
        });
        let ended = ended.recv_timeout(Duration::from_secs(60));
        ended.expect("they hold each other up");
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
        provider.publish(rendered("one"));
        let begin = Instant::now();
        assert_eq!(provider.poll(ONE, &open()).await, document("one"));
        assert_eq!(begin.elapsed(), Duration::ZERO);
        provider.poll(ONE, &open()).await;
        assert_eq!(begin.elapsed(), HOLD);
    }

    #[tokio::test(start_paused = true)]
    async fn a_document_is_in_effect_when_traefik_tells_so_and_not_when_it_is_fetched() {
        let provider = Provider::default();
        let one = provider.publish(rendered("one"));
        provider.poll(ONE, &open()).await;
        tell(&provider, "of an earlier EMCP").await;
        assert!(!provider.is_in_effect(one));
        let two = provider.publish(rendered("two"));
        assert_eq!(provider.publish(rendered("two")), two);
        // Answered at once, since "two" is newer; it says that "one" is fetched.
        assert_eq!(provider.poll(ONE, &open()).await, document("two"));
        assert!(provider.is_in_service());
        assert!(!provider.is_in_effect(one));
        tell(&provider, "one").await;
        assert!(provider.is_in_effect(one));
        assert!(!provider.is_in_effect(two));
        let (in_effect, ()) = tokio::join!(
            tokio::time::timeout(Duration::from_secs(60), provider.wait_in_effect(two)),
            tell(&provider, "two"),
        );
        assert_eq!(in_effect, Ok(true));
        // A document that comes back is the later revision.
        provider.publish(rendered("one"));
        provider.poll(ONE, &open()).await;
        tell(&provider, "one").await;
        assert!(provider.is_in_effect(two + 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_traefik_fetched_that_never_tells_counts_after_a_while() {
        let provider = Provider::default();
        let one = provider.publish(rendered("one"));
        provider.poll(ONE, &open()).await;
        // It goes on fetching others meanwhile.
        let begin = Instant::now();
        for text in ["two", "three", "four"] {
            provider.publish(rendered(text));
            provider.poll(ONE, &open()).await;
            assert!(!provider.is_in_effect(one));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        while !provider.is_in_effect(one) {
            provider.poll(ONE, &open()).await;
        }
        assert!(begin.elapsed() < UNTOLD + HOLD);
        assert!(!provider.is_in_effect(one + 4));
    }

    #[tokio::test(start_paused = true)]
    async fn traefik_is_answered_when_there_is_something_new_and_soon_while_it_is_behind() {
        let provider = Provider::default();
        provider.publish(rendered("one"));
        provider.poll(ONE, &open()).await;
        let (one, closing) = (rendered("one").fingerprint, open());
        let begin = Instant::now();
        provider.see_in_effect(&one, &closing).await;
        assert_eq!(begin.elapsed(), CURRENT_HOLD);
        let begin = Instant::now();
        tokio::join!(provider.see_in_effect(&one, &closing), async {
            tokio::time::sleep(CURRENT_HOLD / 10).await;
            provider.publish(rendered("two"));
        });
        assert_eq!(begin.elapsed(), CURRENT_HOLD / 10);
        provider.see_in_effect(&one, &closing).await;
        assert_eq!(begin.elapsed(), CURRENT_HOLD / 10 + OUTDATED_HOLD);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_is_answered_when_emcp_is_to_end() {
        let provider = Provider::default();
        provider.publish(rendered("one"));
        provider.poll(ONE, &open()).await;
        let (one, closing) = (rendered("one").fingerprint, open());
        let begin = Instant::now();
        let (answer, (), ()) = tokio::join!(
            provider.poll(ONE, &closing),
            provider.see_in_effect(&one, &closing),
            async {
                tokio::time::sleep(HOLD / 10).await;
                closing.cancel();
            }
        );
        assert_eq!(answer, document("one"));
        assert_eq!(begin.elapsed(), HOLD / 10);
    }
}
