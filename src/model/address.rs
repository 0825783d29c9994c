//! The address pool: an instance of a server leases an address of the network
//! with a way out, and has its twin in the network without one.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::{IpAdd, IpBitAnd, IpBitOr, IpSub, Ipv4AddrRange, Ipv4Net};

use serde::{Deserialize, Serialize};

use super::Egress;

/// An address of the pool that somebody has for a while. The store leases it,
/// and what it leads to is the runtime's to know (`runtime::Endpoint`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeasedAddress(Ipv4Addr);

impl LeasedAddress {
    /// What is leased, for the store and the runtime.
    pub(crate) fn ip(self) -> Ipv4Addr {
        self.0
    }
}

impl From<Ipv4Addr> for LeasedAddress {
    fn from(ip: Ipv4Addr) -> Self {
        Self(ip)
    }
}

impl From<[u8; 4]> for LeasedAddress {
    fn from(octets: [u8; 4]) -> Self {
        Self(octets.into())
    }
}

/// A network description that EMCP cannot work with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SubnetError(String);

/// An IPv4 subnet of which the first sixteenth stays with Docker (for Traefik
/// and others) and the rest belongs to servers. `scripts/subnet.sh` has the same
/// rule for what runs before there is an EMCP to ask; `tests/subnet.rs` holds the
/// two against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressPool(Ipv4Net);

impl AddressPool {
    /// How many bits smaller Docker's own range is than the subnet.
    const DOCKER_RANGE_BITS: u8 = 4;

    /// Reads `a.b.c.d/len`.
    ///
    /// # Errors
    /// If it is no IPv4 subnet in CIDR form, or too large or small to hold
    /// both ranges (`/8` to `/26`).
    pub fn parse(cidr: &str) -> Result<Self, SubnetError> {
        // As it is written by everybody: ipnet takes 010.0.0.0 for 10.0.0.0, and
        // others for 8.0.0.0 (RFC 6943 §3.1.1).
        let parsed = cidr.parse().ok();
        let subnet = parsed.filter(|subnet: &Ipv4Net| subnet.to_string() == cidr);
        let subnet = subnet.ok_or_else(|| {
            SubnetError(format!(
                "\"{cidr}\" is not an IPv4 subnet; write it like 10.213.0.0/20"
            ))
        })?;
        if !(8..=26).contains(&subnet.prefix_len()) {
            return Err(SubnetError(format!(
                "the subnet {cidr} must be between /8 and /26"
            )));
        }
        if subnet != subnet.trunc() {
            return Err(SubnetError(format!(
                "the subnet {cidr} has host bits set; write its first address"
            )));
        }
        Ok(Self(subnet))
    }

    /// The subnet in CIDR form.
    pub fn subnet(&self) -> String {
        self.0.to_string()
    }

    /// The range Docker gives addresses from by itself, in CIDR form.
    pub fn docker_range(&self) -> String {
        self.dockers().to_string()
    }

    /// The subnet of the same size whose third byte differs in its highest bit:
    /// where the twin network lies unless the operator says otherwise. `None`
    /// if that bit is one of a host's, as in subnets larger than `/17`.
    pub fn twin(&self) -> Option<Self> {
        const HIGHEST_OF_THIRD_BYTE: u32 = 1 << 15;
        if self.0.prefix_len() < 17 {
            return None;
        }
        let base = Ipv4Addr::from_bits(self.0.network().to_bits() ^ HIGHEST_OF_THIRD_BYTE);
        Ipv4Net::new(base, self.0.prefix_len()).ok().map(Self)
    }

    /// The bridge's own address, which is the host's: the first, which Docker
    /// takes where nobody names another.
    pub fn gateway(&self) -> Ipv4Addr {
        self.0.network().saturating_add(1)
    }

    /// How many servers fit.
    pub fn capacity(&self) -> usize {
        self.servers().count()
    }

    /// The lowest free address, or `None` when all are taken.
    pub fn lowest_free(&self, taken: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
        self.servers().find(|address| !taken.contains(address))
    }

    /// The highest free address, or `None` when all are taken.
    pub fn highest_free(&self, taken: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
        self.servers().rfind(|address| !taken.contains(address))
    }

    /// Whether servers may have this address.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        self.0.contains(&address)
            && !self.dockers().contains(&address)
            && address != self.0.broadcast()
    }

    fn dockers(&self) -> Ipv4Net {
        // At most /30.
        let length = self.0.prefix_len() + Self::DOCKER_RANGE_BITS;
        Ipv4Net::new_assert(self.0.network(), length)
    }

    /// What is not Docker's, but for the broadcast address, which is the highest.
    fn servers(&self) -> Ipv4AddrRange {
        Ipv4AddrRange::new(
            self.dockers().broadcast().saturating_add(1),
            self.0.broadcast().saturating_sub(1),
        )
    }
}

/// The two networks a server can be in. They are of one size, so that an
/// address of the pool has exactly one twin in the other: where an instance is
/// found follows from its lease and its egress, without asking anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerNetworks {
    open: AddressPool,
    internal: AddressPool,
}

impl ServerNetworks {
    /// Pairs the subnets.
    ///
    /// # Errors
    /// If they differ in size or overlap.
    pub fn new(open: AddressPool, internal: AddressPool) -> Result<Self, SubnetError> {
        if open.0.prefix_len() != internal.0.prefix_len() {
            return Err(SubnetError(format!(
                "{} and {} must be of the same size",
                open.subnet(),
                internal.subnet()
            )));
        }
        if open.0 == internal.0 {
            return Err(SubnetError(format!(
                "the internal subnet must be another one than {}",
                open.subnet()
            )));
        }
        Ok(Self { open, internal })
    }

    /// The subnet of the network with a way out, whose addresses are leased.
    pub fn open(&self) -> AddressPool {
        self.open
    }

    /// The subnet of the network without one.
    pub fn internal(&self) -> AddressPool {
        self.internal
    }

    /// The addresses that the host has in both.
    pub fn gateways(&self) -> [Ipv4Addr; 2] {
        [self.open.gateway(), self.internal.gateway()]
    }

    /// Where who leases this address is found.
    pub(crate) fn address(&self, leased: LeasedAddress, egress: Egress) -> Ipv4Addr {
        let LeasedAddress(leased) = leased;
        match egress {
            Egress::Open => leased,
            Egress::None => {
                let internal = self.internal.0;
                let host = leased.bitand(internal.hostmask());
                internal.network().bitor(host)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(open: &str, internal: &str) -> Result<ServerNetworks, SubnetError> {
        ServerNetworks::new(AddressPool::parse(open)?, AddressPool::parse(internal)?)
    }

    #[test]
    fn every_address_has_one_twin_that_servers_may_have() {
        let open = AddressPool::parse("198.18.5.0/26").unwrap();
        let internal = open.twin().unwrap();
        assert_eq!(internal.subnet(), "198.18.133.0/26");
        let networks = ServerNetworks::new(open, internal).unwrap();
        let mut taken = BTreeSet::new();
        let mut twins = BTreeSet::new();
        while let Some(address) = open.lowest_free(&taken) {
            let twin = networks.address(address.into(), Egress::None);
            assert!(internal.contains(twin));
            assert_eq!(networks.address(address.into(), Egress::Open), address);
            assert!(twins.insert(twin));
            taken.insert(address);
        }
        assert_eq!(twins.len(), internal.capacity());
    }

    #[test]
    fn a_twin_is_derived_only_where_it_stays_in_the_same_block() {
        let twin = |cidr: &str| {
            let pool = AddressPool::parse(cidr).unwrap();
            pool.twin().map(|twin| twin.subnet())
        };
        assert_eq!(twin("10.213.0.0/20").as_deref(), Some("10.213.128.0/20"));
        assert_eq!(twin("172.16.128.0/17").as_deref(), Some("172.16.0.0/17"));
        assert_eq!(twin("172.16.0.0/16"), None);
    }

    #[test]
    fn networks_that_cannot_mirror_each_other_are_refused() {
        assert!(networks("10.1.0.0/20", "10.2.0.0/21").is_err());
        assert!(networks("10.1.0.0/20", "10.1.0.0/20").is_err());
        assert!(networks("10.1.0.0/20", "10.2.0.0/20").is_ok());
    }

    #[test]
    fn the_highest_free_address_is_the_last_that_servers_may_have() {
        let pool = AddressPool::parse("198.18.0.0/26").unwrap();
        let last = Ipv4Addr::new(198, 18, 0, 62);
        assert_eq!(pool.highest_free(&BTreeSet::new()), Some(last));
        let next = pool.highest_free(&BTreeSet::from([last]));
        assert_eq!(next, Some(Ipv4Addr::new(198, 18, 0, 61)));
    }

    #[test]
    fn the_first_sixteenth_stays_with_docker() {
        let pool = AddressPool::parse("10.213.0.0/20").unwrap();
        assert_eq!(pool.docker_range(), "10.213.0.0/24");
        let first = pool.lowest_free(&BTreeSet::new()).unwrap();
        assert_eq!(first, Ipv4Addr::new(10, 213, 1, 0));
        assert!(pool.contains(Ipv4Addr::new(10, 213, 15, 254)));
        assert!(!pool.contains(Ipv4Addr::new(10, 213, 15, 255)));
        assert_eq!(pool.capacity(), 15 * 256 - 1);
    }

    #[test]
    fn a_full_pool_gives_nothing_and_a_hole_is_filled_first() {
        let pool = AddressPool::parse("198.18.0.0/26").unwrap();
        let mut taken = BTreeSet::new();
        while let Some(address) = pool.lowest_free(&taken) {
            taken.insert(address);
        }
        assert_eq!(taken.len(), pool.capacity());
        let hole = *taken.iter().nth(7).unwrap();
        taken.remove(&hole);
        assert_eq!(pool.lowest_free(&taken), Some(hole));
    }

    #[test]
    fn bad_subnets_are_refused() {
        for bad in [
            "",
            "10.0.0.0",
            "10.0.0.1/24",
            "10.0.0.0/30",
            "10.0.0.0/x",
            "10.0.0.0/33",
            "10.0.0.0/+20",
            "10.0.0.0/020",
            "010.0.0.0/20",
            " 10.0.0.0/20",
            "::1/64",
        ] {
            assert!(AddressPool::parse(bad).is_err(), "{bad} was taken");
        }
    }
}
