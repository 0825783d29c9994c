//! Wrong tokens, counted by the client's address.
//!
//! Too many within a minute lock the address out for a time that doubles with
//! each lock-out. Many colleagues may share one address, so a lock-out does not
//! turn away a right token; but only so many wrong ones are looked at while it
//! lasts. After that, whoever presents a token that has not worked from there
//! before is turned away unheard, right or wrong: guessing stays bounded
//! however fast it is tried.
//!
//! Clients whose address is unknown all count as one, and may be anybody. Their
//! lock-outs last a second and grow no longer: guessing is bounded as before, to
//! a hundred and some in a second, and nobody is shut out for what another did.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::ClientKey;

/// Wrong tokens are counted over this time.
const WINDOW: Duration = Duration::from_secs(60);
/// The first lock-out; each further one is twice as long.
const FIRST_LOCK_OUT: Duration = Duration::from_secs(30);
/// The longest.
const LONGEST_LOCK_OUT: Duration = Duration::from_secs(15 * 60);
/// Each of those whose address is unknown.
const LOCK_OUT_OF_UNKNOWN: Duration = Duration::from_secs(1);
/// An address without a wrong token for so long begins anew.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60 * 60);
/// Wrong tokens looked at during one lock-out.
const LOOKED_AT_MAX: u32 = 100;
/// Addresses remembered; the one silent for longest is forgotten first.
const ADDRESSES_MAX: usize = 10_000;

/// How an address stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Like any other.
    Free,
    /// Locked out: only a right token passes.
    Locked {
        /// Until then.
        remaining: Duration,
    },
    /// Locked out, and its tries are used up: only a token that has worked
    /// from there before passes.
    Spent {
        /// Until then.
        remaining: Duration,
    },
}

/// What a wrong token leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It is counted.
    Counted,
    /// It was one too many: a lock-out begins with the next request.
    LockOutBegins,
    /// The address is locked out already.
    Locked {
        /// Until then.
        remaining: Duration,
    },
}

/// The count.
pub struct Limiter {
    wrong_max: u32,
    addresses_max: usize,
    records: HashMap<ClientKey, Record>,
    /// The same addresses by when they were last heard of.
    by_age: BTreeSet<(Instant, ClientKey)>,
}

#[derive(Clone, Copy)]
struct Record {
    window_began: Instant,
    wrong: u32,
    lock_outs: u32,
    locked_until: Option<Instant>,
    looked_at: u32,
    last: Instant,
}

impl Record {
    fn new(now: Instant) -> Self {
        Self {
            window_began: now,
            wrong: 0,
            lock_outs: 0,
            locked_until: None,
            looked_at: 0,
            last: now,
        }
    }

    fn remaining(&self, now: Instant) -> Option<Duration> {
        self.locked_until
            .map(|end| end.saturating_duration_since(now))
            .filter(|remaining| !remaining.is_zero())
    }
}

impl Limiter {
    /// Locks an address out after `wrong_max` wrong tokens in a minute.
    pub fn new(wrong_max: u32) -> Self {
        Self {
            wrong_max,
            addresses_max: ADDRESSES_MAX,
            records: HashMap::new(),
            by_age: BTreeSet::new(),
        }
    }

    /// How an address stands.
    pub fn standing(&self, client: ClientKey, now: Instant) -> Standing {
        let Some(record) = self.records.get(&client) else {
            return Standing::Free;
        };
        match record.remaining(now) {
            None => Standing::Free,
            Some(remaining) if record.looked_at >= LOOKED_AT_MAX => Standing::Spent { remaining },
            Some(remaining) => Standing::Locked { remaining },
        }
    }

    /// Counts a wrong token.
    pub fn wrong(&mut self, client: ClientKey, now: Instant) -> Wrong {
        let mut record = self.take(client, now);
        let outcome = if let Some(remaining) = record.remaining(now) {
            record.looked_at = record.looked_at.saturating_add(1);
            Wrong::Locked { remaining }
        } else {
            if now.saturating_duration_since(record.window_began) >= WINDOW {
                record.window_began = now;
                record.wrong = 0;
            }
            record.wrong += 1;
            if record.wrong < self.wrong_max {
                Wrong::Counted
            } else {
                let length = if client == ClientKey::Unknown {
                    LOCK_OUT_OF_UNKNOWN
                } else {
                    let doubled = FIRST_LOCK_OUT * 2_u32.saturating_pow(record.lock_outs.min(16));
                    doubled.min(LONGEST_LOCK_OUT)
                };
                record.locked_until = Some(now + length);
                record.lock_outs = record.lock_outs.saturating_add(1);
                record.wrong = 0;
                record.looked_at = 0;
                Wrong::LockOutBegins
            }
        };
        record.last = now;
        self.records.insert(client, record);
        self.by_age.insert((now, client));
        outcome
    }

    /// Takes an address's record out, or begins one, making room for it.
    fn take(&mut self, client: ClientKey, now: Instant) -> Record {
        if let Some(record) = self.records.remove(&client) {
            self.by_age.remove(&(record.last, client));
            let is_forgiven = now.saturating_duration_since(record.last) >= FORGIVEN_AFTER;
            return if is_forgiven {
                Record::new(now)
            } else {
                record
            };
        }
        if self.records.len() >= self.addresses_max
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.records.remove(&oldest);
        }
        Record::new(now)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn client(n: u32) -> ClientKey {
        ClientKey::from(IpAddr::from(Ipv4Addr::from(n)))
    }

    fn lock_out(limiter: &mut Limiter, now: Instant) -> Duration {
        for _ in 1..limiter.wrong_max {
            assert_eq!(limiter.wrong(client(1), now), Wrong::Counted);
        }
        assert_eq!(limiter.wrong(client(1), now), Wrong::LockOutBegins);
        match limiter.standing(client(1), now) {
            Standing::Locked { remaining } => remaining,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_tenth_wrong_token_within_a_minute_locks_its_address_out_and_no_other() {
        let (mut limiter, now) = (Limiter::new(10), Instant::now());
        assert_eq!(lock_out(&mut limiter, now), FIRST_LOCK_OUT);
        assert_eq!(limiter.standing(client(2), now), Standing::Free);
        assert_eq!(limiter.wrong(client(2), now), Wrong::Counted);
    }

    #[test]
    fn unknown_clients_are_locked_out_for_a_second_at_most() {
        let (mut limiter, mut now) = (Limiter::new(10), Instant::now());
        for _ in 0..100 {
            for _ in 0..10 + LOOKED_AT_MAX {
                limiter.wrong(ClientKey::Unknown, now);
            }
            assert_eq!(
                limiter.standing(ClientKey::Unknown, now),
                Standing::Spent { remaining: SECOND }
            );
            now += SECOND;
            assert_eq!(limiter.standing(ClientKey::Unknown, now), Standing::Free);
        }
    }

    #[test]
    fn wrong_tokens_spread_over_more_than_a_minute_lock_nobody_out() {
        let (mut limiter, mut now) = (Limiter::new(10), Instant::now());
        for _ in 0..100 {
            assert_eq!(limiter.wrong(client(1), now), Wrong::Counted);
            now += 7 * SECOND;
        }
    }

    #[test]
    fn lock_outs_double_up_to_the_longest_and_are_forgiven_after_an_hour() {
        let (mut limiter, mut now) = (Limiter::new(10), Instant::now());
        let mut lengths = Vec::new();
        for _ in 0..8 {
            let length = lock_out(&mut limiter, now);
            lengths.push(length.as_secs());
            now += length;
            assert_eq!(limiter.standing(client(1), now), Standing::Free);
        }
        assert_eq!(lengths, [30, 60, 120, 240, 480, 900, 900, 900]);
        now += FORGIVEN_AFTER;
        assert_eq!(lock_out(&mut limiter, now), FIRST_LOCK_OUT);
    }

    #[test]
    fn trying_on_does_not_prolong_a_lock_out_but_uses_up_its_tries() {
        let (mut limiter, now) = (Limiter::new(10), Instant::now());
        lock_out(&mut limiter, now);
        for _ in 0..LOOKED_AT_MAX {
            assert!(matches!(
                limiter.standing(client(1), now),
                Standing::Locked { .. }
            ));
            assert!(matches!(
                limiter.wrong(client(1), now),
                Wrong::Locked { .. }
            ));
        }
        assert_eq!(
            limiter.standing(client(1), now + 10 * SECOND),
            Standing::Spent {
                remaining: 20 * SECOND
            }
        );
        assert_eq!(
            limiter.standing(client(1), now + FIRST_LOCK_OUT),
            Standing::Free
        );
    }

    #[test]
    fn the_address_silent_for_longest_is_forgotten_first() {
        let now = Instant::now();
        let mut limiter = Limiter {
            addresses_max: 3,
            ..Limiter::new(2)
        };
        for (at, n) in [1, 2, 3, 1, 4].into_iter().enumerate() {
            limiter.wrong(client(n), now + SECOND * u32::try_from(at).unwrap());
        }
        assert_eq!(limiter.records.len(), 3);
        assert!(!limiter.records.contains_key(&client(2)));
        // Its second wrong token, so it was remembered.
        assert!(matches!(
            limiter.standing(client(1), now + 5 * SECOND),
            Standing::Locked { .. }
        ));
    }

    proptest! {
        #[test]
        fn memory_is_bounded_and_both_indexes_agree(
            steps in prop::collection::vec((0_u32..40, 0_u64..4_000), 0..400)
        ) {
            let mut now = Instant::now();
            let mut limiter = Limiter { addresses_max: 16, ..Limiter::new(3) };
            for (n, millis) in steps {
                now += Duration::from_millis(millis);
                limiter.wrong(client(n), now);
                prop_assert!(limiter.records.len() <= 16);
                prop_assert_eq!(limiter.records.len(), limiter.by_age.len());
                for (last, key) in &limiter.by_age {
                    prop_assert_eq!(limiter.records[key].last, *last);
                }
            }
        }

        #[test]
        fn however_fast_an_address_tries_only_so_many_are_looked_at(
            gaps in prop::collection::vec(0_u64..2_000, 1..1_500)
        ) {
            let begin = Instant::now();
            let (mut now, mut looked_at) = (begin, 0_u64);
            let mut limiter = Limiter::new(10);
            for millis in gaps {
                now += Duration::from_millis(millis);
                if !matches!(limiter.standing(client(1), now), Standing::Spent { .. }) {
                    looked_at += 1;
                    limiter.wrong(client(1), now);
                }
            }
            // One lock-out takes 30 s at least and costs 10 tries to begin.
            let lock_outs = (now - begin).as_secs() / FIRST_LOCK_OUT.as_secs() + 1;
            prop_assert!(looked_at <= lock_outs * (10 + u64::from(LOOKED_AT_MAX)) + 10);
        }
    }
}
