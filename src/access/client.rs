//! From which address a request comes.
//!
//! Requests come through Traefik, which tells the client's address in
//! `X-Forwarded-For`. Anybody who reaches a listener directly (a server's
//! container, a process on the host) could write such a header too, so it is
//! believed only of an address from which the routes were fetched lately with
//! the provider token, which nobody but Traefik has.
//!
//! Traefik itself may not know: where Docker's own proxy stands before a
//! published port (for IPv6 clients, since the bridge has no IPv6, and for those
//! on the host), every connection comes from the bridge's gateway. Such a client
//! is [`UNKNOWN_CLIENT`]: nobody is blamed for what another has done.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Traefik polls every 3 s; an address that stopped may be somebody else's.
const PROXY_MEMORY: Duration = Duration::from_secs(30);

/// Stands for a client whose address nobody knows.
pub const UNKNOWN_CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// How long it is told that clients came whose address is unknown.
const UNKNOWN_MEMORY: Duration = Duration::from_secs(24 * 60 * 60);

/// What counts as one client: an IPv4 address, or the /64 that a single IPv6
/// host is free to choose its addresses from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClientKey {
    /// All whose address is unknown.
    Unknown,
    /// One address.
    V4(Ipv4Addr),
    /// The first half of an address.
    V6([u16; 4]),
}

impl From<IpAddr> for ClientKey {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            UNKNOWN_CLIENT => Self::Unknown,
            IpAddr::V4(v4) => Self::V4(v4),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

/// The addresses Traefik calls from, and those that stand for others'.
pub struct Proxies {
    gateways: [Ipv4Addr; 2],
    seen: Mutex<HashMap<IpAddr, Instant>>,
    unknown_last: Mutex<Option<Instant>>,
}

impl Proxies {
    /// `gateways` are the host's own addresses in the servers' networks.
    pub fn new(gateways: [Ipv4Addr; 2]) -> Self {
        Self {
            gateways,
            seen: Mutex::default(),
            unknown_last: Mutex::default(),
        }
    }

    /// Notes that this peer has just shown the provider token.
    pub fn see(&self, peer: IpAddr, now: Instant) {
        let mut seen = lock(&self.seen);
        seen.retain(|_, last| now.duration_since(*last) < PROXY_MEMORY);
        seen.insert(peer.to_canonical(), now);
    }

    /// The client behind a connection. `forwarded_for` is the last
    /// `X-Forwarded-For` line; its last element is what the proxy itself wrote.
    pub fn client(&self, peer: IpAddr, forwarded_for: Option<&str>, now: Instant) -> IpAddr {
        let peer = peer.to_canonical();
        let last = || {
            let last = forwarded_for?.rsplit(',').next()?.trim();
            // A zone ("fe80::1%eth0") is the proxy's, not the client's.
            last.split('%').next()?.parse::<IpAddr>().ok()
        };
        let client = if self.knows(peer, now) {
            last().map_or(peer, |client| client.to_canonical())
        } else {
            peer
        };
        if !matches!(client, IpAddr::V4(v4) if self.gateways.contains(&v4)) {
            return client;
        }
        *lock(&self.unknown_last) = Some(now);
        UNKNOWN_CLIENT
    }

    /// Whether a client came lately whose address is unknown.
    pub fn has_unknown_clients(&self, now: Instant) -> bool {
        let last = *lock(&self.unknown_last);
        last.is_some_and(|last| now.duration_since(last) < UNKNOWN_MEMORY)
    }

    /// From where the routes were fetched last, if lately.
    pub fn latest(&self, now: Instant) -> Option<IpAddr> {
        let seen = lock(&self.seen);
        seen.iter()
            .filter(|(_, last)| now.duration_since(**last) < PROXY_MEMORY)
            .max_by_key(|(_, last)| **last)
            .map(|(address, _)| *address)
    }

    /// Whether this is an address of Traefik's.
    pub fn knows(&self, peer: IpAddr, now: Instant) -> bool {
        let peer = peer.to_canonical();
        lock(&self.seen)
            .get(&peer)
            .is_some_and(|last| now.duration_since(*last) < PROXY_MEMORY)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies() -> Proxies {
        Proxies::new([[198, 18, 1, 1].into(), [198, 18, 129, 1].into()])
    }

    #[test]
    fn who_comes_by_the_bridges_gateway_is_unknown() {
        let (proxies, now) = (proxies(), Instant::now());
        let traefik = ip("198.18.1.2");
        proxies.see(traefik, now);
        assert!(!proxies.has_unknown_clients(now));
        for gateway in ["198.18.1.1", "198.18.129.1", "::ffff:198.18.1.1"] {
            let client = proxies.client(traefik, Some(gateway), now);
            assert_eq!(client, UNKNOWN_CLIENT, "{gateway}");
            assert_eq!(ClientKey::from(client), ClientKey::Unknown);
            assert_eq!(proxies.client(ip(gateway), None, now), UNKNOWN_CLIENT);
        }
        assert!(proxies.has_unknown_clients(now));
        assert!(!proxies.has_unknown_clients(now + UNKNOWN_MEMORY));
        let known = proxies.client(traefik, Some("198.18.1.3"), now);
        assert_eq!(known, ip("198.18.1.3"));
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_traefik_is_believed_and_only_its_own_word() {
        let (proxies, now) = (proxies(), Instant::now());
        let (traefik, other) = (ip("198.18.0.2"), ip("198.18.0.9"));
        proxies.see(ip("::ffff:198.18.0.2"), now);
        let client = |peer, header| proxies.client(peer, header, now);
        assert_eq!(client(traefik, Some("203.0.113.7")), ip("203.0.113.7"));
        assert_eq!(
            client(traefik, Some("1.2.3.4, 203.0.113.7")),
            ip("203.0.113.7")
        );
        assert_eq!(client(traefik, Some("fe80::1%eth0")), ip("fe80::1"));
        assert_eq!(client(traefik, Some("nonsense")), traefik);
        assert_eq!(client(traefik, None), traefik);
        assert_eq!(client(other, Some("203.0.113.7")), other);
    }

    #[test]
    fn an_address_that_stopped_fetching_routes_is_believed_no_more() {
        let (proxies, now) = (proxies(), Instant::now());
        let traefik = ip("198.18.0.2");
        proxies.see(traefik, now);
        let later = now + PROXY_MEMORY;
        assert_eq!(proxies.client(traefik, Some("203.0.113.7"), later), traefik);
        proxies.see(ip("198.18.0.3"), later);
        assert_eq!(proxies.seen.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_host_is_one_client_whatever_address_of_its_network_it_takes() {
        let key = |text: &str| ClientKey::from(ip(text));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff:1:2:3"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:203.0.113.7"), key("203.0.113.7"));
        assert_ne!(key("203.0.113.7"), key("203.0.113.8"));
    }
}
