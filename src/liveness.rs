//! Whether each running server still answers, in memory: what EMCP hears of it,
//! and what that means. Pure but for the lock: whoever asks the servers tells
//! what came of it, and when ([ADR 21](../docs/adr/0021-running-stays-true.md)).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many looks in a row that find no answer make a server unresponsive: one
/// may be lost, and a machine may stand still for a moment.
const MISSES: u32 = 3;
/// Between a look that found no answer and the next one.
const RETRY: Duration = Duration::from_secs(2);
/// After so many intervals in which one call kept it from answering anybody
/// else, that is told.
const BLOCKED_INTERVALS: u32 = 12;
/// A process that uses at least this part of one CPU is at work, and one that
/// is stopped or waits for what never comes is not.
const AT_WORK: f64 = 0.02;

/// What one look at a server found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// It answers; whether it was answering calls meanwhile.
    Answers {
        /// Whether a call was running in it.
        in_call: bool,
    },
    /// It does not, and its witness says that a call is running.
    InCall,
    /// It does not, and its witness says that none is.
    Hangs,
    /// Neither it nor its witness answers.
    Silent {
        /// CPU time of its container so far, in nanoseconds, if that is known.
        cpu_nanos: Option<u64>,
    },
    /// No connection can be made.
    Unreachable,
    /// It does not, and its base image is too old to tell why.
    Untold,
}

/// How a server does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// Connections may be made, and nothing comes.
    Mute,
    /// None can be made.
    Unreachable,
    /// A call has kept it busy for long.
    InCall,
}

/// What is to be thought of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is known of this run, or not enough.
    Unknown,
    /// It answers, or is busy with a call.
    Answers,
    /// It does not.
    Unresponsive {
        /// In which way.
        silence: Silence,
        /// Since when.
        since: Instant,
    },
}

/// What is known of one server. Lost with EMCP, which then asks anew.
#[derive(Debug)]
pub struct Liveness(Mutex<Known>);

#[derive(Debug)]
struct Known {
    /// The run that all this is known of (`Run::key`).
    run: Option<String>,
    due: Instant,
    is_being_asked: bool,
    answered_at: Option<Instant>,
    /// What had passed the gate when it last answered.
    requests_at_answer: u64,
    was_in_call: bool,
    /// Without an answer since, and how often.
    silent_since: Option<Instant>,
    misses: u32,
    silence: Silence,
    /// Whether the silence may come of a call: one was running before it, or
    /// passed the gate between the last answer and the first miss.
    may_be_in_call: bool,
    cpu: Option<(u64, Instant)>,
    in_call_since: Option<Instant>,
}

impl Known {
    fn of(run: Option<String>, due: Instant) -> Self {
        Self {
            run,
            due,
            is_being_asked: false,
            answered_at: None,
            requests_at_answer: 0,
            was_in_call: false,
            silent_since: None,
            misses: 0,
            silence: Silence::Mute,
            may_be_in_call: false,
            cpu: None,
            in_call_since: None,
        }
    }

    fn answered(&mut self, now: Instant, requests: u64, in_call: bool) {
        self.answered_at = Some(now);
        self.requests_at_answer = requests;
        self.was_in_call = in_call;
        self.silent_since = None;
        self.misses = 0;
        self.cpu = None;
        self.in_call_since = None;
    }

    fn in_call(&mut self, now: Instant) {
        self.in_call_since.get_or_insert(now);
        self.was_in_call = true;
        self.silent_since = None;
        self.misses = 0;
    }

    /// Whether its container has worked since it was last asked that, if both are
    /// known.
    fn has_worked(&mut self, cpu_nanos: Option<u64>, now: Instant) -> Option<bool> {
        let nanos = cpu_nanos?;
        let (before, at) = self.cpu.replace((nanos, now))?;
        let worked = Duration::from_nanos(nanos.saturating_sub(before));
        Some(worked.as_secs_f64() >= now.duration_since(at).as_secs_f64() * AT_WORK)
    }

    /// Nothing comes from it, not even from its witness: it is stopped, or at work
    /// on a call that lets nothing else of it run.
    fn silent(&mut self, cpu_nanos: Option<u64>, now: Instant, requests: u64) {
        if self.silent_since.is_none() && self.in_call_since.is_none() {
            self.may_be_in_call = self.answered_at.is_some()
                && (self.was_in_call || requests != self.requests_at_answer);
        }
        if !self.may_be_in_call {
            self.missed(Silence::Mute, now);
            return;
        }
        match self.has_worked(cpu_nanos, now) {
            Some(true) => self.in_call(now),
            Some(false) => self.missed(Silence::Mute, now),
            // Not a miss yet, and to be looked at again soon.
            None => {
                self.silent_since.get_or_insert(now);
            }
        }
    }

    fn missed(&mut self, silence: Silence, now: Instant) {
        self.silent_since.get_or_insert(now);
        self.misses = self.misses.saturating_add(1);
        self.silence = silence;
        if self.misses >= MISSES {
            self.in_call_since = None;
        }
    }
}

impl Default for Liveness {
    fn default() -> Self {
        Self(Mutex::new(Known::of(None, Instant::now())))
    }
}

impl Liveness {
    /// Whether it is time to ask this run. Of a new run nothing is known, and
    /// `spread` of the interval (0 to 1) passes before it is asked, so that not
    /// all are asked at once. Who is told so asks, and tells what came of it.
    pub fn is_due(&self, run: &str, now: Instant, interval: Duration, spread: f64) -> bool {
        let mut known = self.known();
        if known.run.as_deref() != Some(run) {
            *known = Known::of(Some(run.to_owned()), now + interval.mul_f64(spread));
        }
        let is_due = !known.is_being_asked && known.due <= now;
        known.is_being_asked |= is_due;
        is_due
    }

    /// A run has begun and was found to answer.
    pub fn begins(&self, run: &str, now: Instant, interval: Duration, requests: u64) {
        let mut known = self.known();
        *known = Known::of(Some(run.to_owned()), now + interval);
        known.answered(now, requests, false);
    }

    /// Something happened to it: what was known says nothing any more, and it is
    /// asked at once.
    pub fn forget(&self, now: Instant) {
        let mut known = self.known();
        *known = Known {
            is_being_asked: known.is_being_asked,
            ..Known::of(known.run.take(), now)
        };
    }

    /// It answered something else that EMCP asked it.
    pub fn answered(&self, run: &str, now: Instant, interval: Duration, requests: u64) {
        let mut known = self.known();
        if known.run.as_deref() == Some(run) {
            let in_call = known.was_in_call;
            known.answered(now, requests, in_call);
            known.due = known.due.max(now + interval);
        }
    }

    /// What a look found. `requests` is how many have passed the gate so far.
    /// `None` is a look that says nothing: another run has begun, or this machine
    /// stood still.
    pub fn saw(
        &self,
        run: &str,
        look: Option<Look>,
        now: Instant,
        interval: Duration,
        spread: f64,
        requests: u64,
    ) {
        let mut known = self.known();
        if known.run.as_deref() != Some(run) {
            return;
        }
        known.is_being_asked = false;
        match look {
            Some(Look::Answers { in_call }) => known.answered(now, requests, in_call),
            Some(Look::InCall) => known.in_call(now),
            Some(Look::Hangs) => known.missed(Silence::Mute, now),
            Some(Look::Silent { cpu_nanos }) => known.silent(cpu_nanos, now, requests),
            Some(Look::Unreachable) => known.missed(Silence::Unreachable, now),
            Some(Look::Untold) | None => {}
        }
        let is_in_doubt = known.silent_since.is_some() || look.is_none();
        let wait = if is_in_doubt {
            RETRY.min(interval)
        } else {
            // From 0.8 to 1.2 of the interval.
            interval.mul_f64(0.8 + 0.4 * spread)
        };
        known.due = now + wait;
    }

    /// What is to be thought of it.
    pub fn verdict(&self, run: &str, now: Instant, interval: Duration) -> Verdict {
        let known = self.known();
        if known.run.as_deref() != Some(run) {
            return Verdict::Unknown;
        }
        if let Some(since) = known.in_call_since
            && now.duration_since(since) >= interval * BLOCKED_INTERVALS
        {
            let silence = Silence::InCall;
            return Verdict::Unresponsive { silence, since };
        }
        match known.silent_since {
            Some(since) if known.misses >= MISSES => Verdict::Unresponsive {
                silence: known.silence,
                since,
            },
            Some(_) => Verdict::Unknown,
            None if known.answered_at.is_some() || known.in_call_since.is_some() => {
                Verdict::Answers
            }
            None => Verdict::Unknown,
        }
    }

    /// Whether it has answered since then.
    pub fn has_answered_since(&self, then: Instant) -> bool {
        self.known().answered_at.is_some_and(|at| at >= then)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);
    const RUN: &str = "c 1";
    const MUTE: Look = Look::Silent { cpu_nanos: None };

    /// A server that is looked at again and again.
    struct Watched {
        liveness: Liveness,
        begin: Instant,
        at_secs: u64,
        requests: u64,
    }

    impl Watched {
        fn new() -> Self {
            let begin = Instant::now();
            let watched = Self {
                liveness: Liveness::default(),
                begin,
                at_secs: 0,
                requests: 0,
            };
            assert!(watched.liveness.is_due(RUN, begin, INTERVAL, 0.0));
            watched.saw(Look::Answers { in_call: false });
            watched
        }

        fn now(&self) -> Instant {
            self.begin + Duration::from_secs(self.at_secs)
        }

        fn saw(&self, look: Look) {
            let look = Some(look);
            self.liveness
                .saw(RUN, look, self.now(), INTERVAL, 0.5, self.requests);
        }

        fn later(&mut self, secs: u64, look: Look) {
            self.at_secs += secs;
            self.saw(look);
        }

        fn verdict(&self) -> Verdict {
            self.liveness.verdict(RUN, self.now(), INTERVAL)
        }

        fn silence(&self) -> Option<Silence> {
            match self.verdict() {
                Verdict::Unresponsive { silence, .. } => Some(silence),
                _ => None,
            }
        }
    }

    fn silent_with(cpu_secs: u64) -> Look {
        Look::Silent {
            cpu_nanos: Some(cpu_secs * 1_000_000_000),
        }
    }

    #[test]
    fn three_looks_in_a_row_without_an_answer_make_it_unresponsive_and_one_answer_unmakes_it() {
        let mut watched = Watched::new();
        assert_eq!(watched.verdict(), Verdict::Answers);
        watched.later(10, MUTE);
        let since = watched.now();
        watched.later(4, MUTE);
        assert_eq!(watched.verdict(), Verdict::Unknown);
        watched.later(4, MUTE);
        let silence = Silence::Mute;
        assert_eq!(watched.verdict(), Verdict::Unresponsive { silence, since });
        watched.later(4, Look::Answers { in_call: false });
        assert_eq!(watched.verdict(), Verdict::Answers);
        // Not in a row.
        for _ in 0..5 {
            watched.later(4, MUTE);
            watched.later(4, MUTE);
            watched.later(4, Look::Answers { in_call: false });
            assert_eq!(watched.verdict(), Verdict::Answers);
        }
    }

    #[test]
    fn a_call_that_blocks_it_is_no_silence_until_it_has_done_so_for_long() {
        let mut watched = Watched::new();
        for _ in 0..12 {
            watched.later(10, Look::InCall);
            assert_eq!(watched.verdict(), Verdict::Answers);
        }
        watched.later(10, Look::InCall);
        assert_eq!(watched.silence(), Some(Silence::InCall));
        watched.later(10, Look::Answers { in_call: false });
        assert_eq!(watched.verdict(), Verdict::Answers);
    }

    #[test]
    fn what_hangs_after_a_long_call_is_silent_in_its_own_right() {
        let mut watched = Watched::new();
        for _ in 0..14 {
            watched.later(10, Look::InCall);
        }
        for _ in 0..3 {
            watched.later(4, Look::Hangs);
        }
        assert_eq!(watched.silence(), Some(Silence::Mute));
    }

    #[test]
    fn one_that_cannot_even_tell_and_works_is_busy_with_the_call_that_came_before() {
        let mut watched = Watched::new();
        // As a tool does that keeps Python's lock: its witness is silent, too.
        watched.requests += 1;
        for second in 0..30 {
            watched.later(2, silent_with(second));
            assert_eq!(watched.silence(), None);
        }
        // What it does cannot be known for a while: that says nothing.
        for _ in 0..9 {
            watched.later(2, MUTE);
            assert_eq!(watched.silence(), None);
        }
        // Stopped, it does not work any more.
        for _ in 0..4 {
            watched.later(2, silent_with(30));
        }
        assert_eq!(watched.silence(), Some(Silence::Mute));
    }

    #[test]
    fn where_its_witness_says_that_no_call_runs_work_and_requests_are_no_excuse() {
        for look in [Look::Hangs, Look::Unreachable] {
            let mut watched = Watched::new();
            watched.requests += 1;
            for _ in 0..3 {
                watched.later(2, look);
            }
            assert!(watched.silence().is_some(), "{look:?}");
        }
    }

    #[test]
    fn one_that_works_without_a_call_is_silent_and_calls_of_afterwards_are_no_excuse() {
        let mut watched = Watched::new();
        for second in 0..3 {
            watched.later(4, silent_with(4 * second));
            watched.requests += 1;
        }
        assert_eq!(watched.silence(), Some(Silence::Mute));
    }

    #[test]
    fn it_is_asked_when_it_is_due_by_one_at_a_time_and_later_where_it_answered_otherwise() {
        let liveness = Liveness::default();
        let begin = Instant::now();
        let at = |secs| begin + Duration::from_secs(secs);
        let due = |secs| liveness.is_due(RUN, at(secs), INTERVAL, 0.5);
        assert!(!due(0) && !due(4) && due(5) && !due(6));
        let answers = Some(Look::Answers { in_call: false });
        liveness.saw(RUN, answers, at(6), INTERVAL, 0.5, 0);
        assert!(!due(15) && due(16));
        liveness.saw(RUN, answers, at(16), INTERVAL, 0.0, 0);
        liveness.answered(RUN, at(20), INTERVAL, 0);
        assert!(!due(29) && due(30));
        liveness.saw(RUN, Some(MUTE), at(30), INTERVAL, 0.5, 0);
        assert!(!due(31) && due(32));
        // Another run: nothing is known of it, and what was asked of the old one is late.
        assert!(!liveness.is_due("c 2", at(33), INTERVAL, 0.5));
        for _ in 0..3 {
            liveness.saw(RUN, Some(MUTE), at(34), INTERVAL, 0.5, 0);
        }
        assert_eq!(liveness.verdict("c 2", at(34), INTERVAL), Verdict::Unknown);
        assert!(liveness.is_due("c 2", at(38), INTERVAL, 0.5));
    }

    #[test]
    fn what_was_cut_off_is_believed_to_answer_only_when_it_has() {
        let mut watched = Watched::new();
        watched.liveness.forget(watched.now());
        assert_eq!(watched.verdict(), Verdict::Unknown);
        assert!(watched.liveness.is_due(RUN, watched.now(), INTERVAL, 0.5));
        watched.later(1, Look::Answers { in_call: false });
        assert_eq!(watched.verdict(), Verdict::Answers);
    }

    #[test]
    fn an_image_of_before_and_a_look_that_says_nothing_change_nothing() {
        let mut watched = Watched::new();
        for _ in 0..9 {
            watched.later(10, Look::Untold);
            watched
                .liveness
                .saw(RUN, None, watched.now(), INTERVAL, 0.5, 0);
        }
        assert_eq!(watched.verdict(), Verdict::Answers);
    }
}
