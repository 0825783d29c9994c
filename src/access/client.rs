//! From which address a request comes.
//!
//! Requests come through Traefik, which tells the client's address in
//! `X-Forwarded-For`. Anybody who reaches a listener directly (a server's
//! container, a process on the host) could write such a header too, so it is
//! believed only of an address from which the routes were fetched lately with
//! the provider token, which nobody but Traefik has.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Traefik polls every 3 s; an address that stopped may be somebody else's.
const PROXY_MEMORY: Duration = Duration::from_secs(30);

/// What counts as one client: an IPv4 address, or the /64 that a single IPv6
/// host is free to choose its addresses from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClientKey {
    /// One address.
    V4(Ipv4Addr),
    /// The first half of an address.
    V6([u16; 4]),
}

impl From<IpAddr> for ClientKey {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

/// The addresses Traefik calls from.
#[derive(Default)]
pub struct Proxies {
    seen: Mutex<HashMap<IpAddr, Instant>>,
}

impl Proxies {
    /// Notes that this peer has just shown the provider token.
    pub fn see(&self, peer: IpAddr, now: Instant) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
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
        if self.knows(peer, now) {
            last().map_or(peer, |client| client.to_canonical())
        } else {
            peer
        }
    }

    /// From where the routes were fetched last, if lately.
    pub fn latest(&self, now: Instant) -> Option<IpAddr> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter()
            .filter(|(_, last)| now.duration_since(**last) < PROXY_MEMORY)
            .max_by_key(|(_, last)| **last)
            .map(|(address, _)| *address)
    }

    /// Whether this is an address of Traefik's.
    pub fn knows(&self, peer: IpAddr, now: Instant) -> bool {
        let peer = peer.to_canonical();
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&peer)
            .is_some_and(|last| now.duration_since(*last) < PROXY_MEMORY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_traefik_is_believed_and_only_its_own_word() {
        let (proxies, now) = (Proxies::default(), Instant::now());
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
        let (proxies, now) = (Proxies::default(), Instant::now());
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
