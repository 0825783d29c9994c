//! Who may have how many connections and requests at once, so that one address
//! cannot keep others out. Traefik's address is everybody's: of what comes from
//! there, requests are counted by the client that Traefik tells.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::access::{ClientKey, Full, Place, Places, Proxies};

/// Traefik's connections served at once on one listener.
const PROXIED_MAX: usize = 2_048;
/// Further ones of it that wait for one of those to end, and for how long.
const WAITING_MAX: usize = 1_024;
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Connections that come around Traefik: health checks, monitoring, commands on
/// the machine; and servers' containers, where no firewall keeps them off.
const DIRECT_MAX: usize = 512;
const DIRECT_EACH_MAX: usize = 64;

/// The bounds of one listener.
pub(super) struct Admission {
    proxies: Arc<Proxies>,
    accepted: Places<()>,
    slots: Arc<Semaphore>,
    direct: Places<ClientKey>,
    requests: Option<Places<ClientKey>>,
}

/// A connection's place.
pub(super) enum Entry {
    /// It may be served.
    Direct {
        /// Held until it ends.
        _place: Place<ClientKey>,
    },
    /// It may be served once there is a slot.
    Proxied {
        /// Held until it ends.
        _place: Place<()>,
        slots: Arc<Semaphore>,
    },
}

impl Admission {
    /// `requests_max` bounds the requests of one client; where it is not given
    /// they are bounded otherwise.
    pub(super) fn new(proxies: Arc<Proxies>, requests_max: Option<usize>) -> Self {
        Self {
            proxies,
            accepted: Places::new(PROXIED_MAX + WAITING_MAX, PROXIED_MAX + WAITING_MAX),
            slots: Arc::new(Semaphore::new(PROXIED_MAX)),
            direct: Places::new(DIRECT_MAX, DIRECT_EACH_MAX),
            requests: requests_max.map(|each| Places::new(usize::MAX, each)),
        }
    }

    /// Lets a connection in, or not.
    pub(super) fn connection(&self, peer: IpAddr) -> Result<Entry, Full> {
        let now = Instant::now();
        // Until Traefik has shown itself, anybody may be it: what waited for a
        // new EMCP comes at once, and is Traefik's.
        if self.proxies.latest(now).is_none() || self.proxies.knows(peer, now) {
            return Ok(Entry::Proxied {
                _place: self.accepted.take(())?,
                slots: Arc::clone(&self.slots),
            });
        }
        Ok(Entry::Direct {
            _place: self.direct.take(peer.into())?,
        })
    }

    /// Lets a request in, or not; the place is held until it is answered, and
    /// by streams until they end.
    pub(super) fn request(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
    ) -> Result<Option<Place<ClientKey>>, Full> {
        let Some(requests) = &self.requests else {
            return Ok(None);
        };
        let client = self
            .proxies
            .client(peer, forwarded_for(headers), Instant::now());
        requests.take(client.into()).map(Some)
    }
}

impl Entry {
    /// Waits until the connection may be served; nothing if that takes too
    /// long.
    pub(super) async fn served(&self) -> Option<Option<OwnedSemaphorePermit>> {
        let Self::Proxied { slots, .. } = self else {
            return Some(None);
        };
        let slot = timeout(WAIT_MAX, Arc::clone(slots).acquire_owned()).await;
        Some(Some(slot.ok()?.ok()?))
    }
}

/// Who Traefik says the client is, if it is Traefik that says it.
pub(super) fn forwarded_for(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all("x-forwarded-for");
    lines.iter().next_back()?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use http::HeaderValue;

    use super::*;

    const TRAEFIK: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 2));
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 9));

    fn admission() -> Admission {
        let proxies = Arc::new(Proxies::new([Ipv4Addr::UNSPECIFIED; 2]));
        proxies.see(TRAEFIK, Instant::now());
        Admission::new(proxies, Some(2))
    }

    #[test]
    fn one_address_cannot_take_all_connections_and_traefik_is_nobodys_address() {
        let admission = admission();
        let connections = |peer, count: usize| -> Vec<_> {
            (0..count)
                .map_while(|_| admission.connection(peer).ok())
                .collect()
        };
        let others = connections(OTHER, DIRECT_EACH_MAX + 1);
        assert_eq!(others.len(), DIRECT_EACH_MAX);
        assert_eq!(connections(TRAEFIK, 500).len(), 500);
        drop(others);
        assert!(admission.connection(OTHER).is_ok());
    }

    #[test]
    fn before_traefik_has_come_nobody_is_turned_away_by_address() {
        let admission = Admission::new(Arc::new(Proxies::new([Ipv4Addr::UNSPECIFIED; 2])), None);
        let all: Vec<_> = (0..DIRECT_EACH_MAX + 1)
            .map_while(|_| admission.connection(TRAEFIK).ok())
            .collect();
        assert_eq!(all.len(), DIRECT_EACH_MAX + 1);
    }

    #[test]
    fn requests_are_counted_by_the_client_that_traefik_tells() {
        let admission = admission();
        let from = |address: &'static str| {
            let headers = [("x-forwarded-for", address)].map(|(name, value)| {
                let name = http::HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            });
            admission.request(TRAEFIK, &headers.into_iter().collect())
        };
        let _one = from("203.0.113.7").unwrap();
        let _two = from("203.0.113.7").unwrap();
        assert_eq!(from("203.0.113.7").unwrap_err(), Full::Each);
        assert!(from("203.0.113.8").is_ok());
    }
}
