//! The address pool: every server has one address of the network for life.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// A network description that EMCP cannot work with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SubnetError(String);

/// An IPv4 subnet of which the first sixteenth stays with Docker (for Traefik
/// and others) and the rest belongs to servers (DESIGN §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressPool {
    base: u32,
    prefix_len: u8,
}

impl AddressPool {
    /// How many bits smaller Docker's own range is than the subnet.
    const DOCKER_RANGE_BITS: u8 = 4;

    /// Reads `a.b.c.d/len`.
    ///
    /// # Errors
    /// If it is no IPv4 subnet in CIDR form, or too large or small to hold
    /// both ranges (`/8` to `/26`).
    pub fn parse(cidr: &str) -> Result<Self, SubnetError> {
        let wrong = || {
            SubnetError(format!(
                "\"{cidr}\" is not an IPv4 subnet; write it like 10.213.0.0/20"
            ))
        };
        let (address, length) = cidr.split_once('/').ok_or_else(wrong)?;
        let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
        let prefix_len: u8 = length.parse().map_err(|_| wrong())?;
        if !(8..=26).contains(&prefix_len) {
            return Err(SubnetError(format!(
                "the subnet {cidr} must be between /8 and /26"
            )));
        }
        let base = u32::from(address);
        if base & Self::host_mask(prefix_len) != 0 {
            return Err(SubnetError(format!(
                "the subnet {cidr} has host bits set; write its first address"
            )));
        }
        Ok(Self { base, prefix_len })
    }

    /// The subnet in CIDR form.
    pub fn subnet(&self) -> String {
        format!("{}/{}", Ipv4Addr::from(self.base), self.prefix_len)
    }

    /// The range Docker gives addresses from by itself, in CIDR form.
    pub fn docker_range(&self) -> String {
        let length = self.prefix_len + Self::DOCKER_RANGE_BITS;
        format!("{}/{length}", Ipv4Addr::from(self.base))
    }

    /// How many servers fit.
    pub fn capacity(&self) -> usize {
        (self.last() - self.first() + 1) as usize
    }

    /// The lowest free address, or `None` when all are taken.
    pub fn lowest_free(&self, taken: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
        (self.first()..=self.last())
            .map(Ipv4Addr::from)
            .find(|address| !taken.contains(address))
    }

    /// Whether servers may have this address.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        (self.first()..=self.last()).contains(&u32::from(address))
    }

    fn first(&self) -> u32 {
        self.base + (1 << (32 - self.prefix_len - Self::DOCKER_RANGE_BITS))
    }

    fn last(&self) -> u32 {
        // The highest address is the broadcast address.
        self.base + Self::host_mask(self.prefix_len) - 1
    }

    fn host_mask(prefix_len: u8) -> u32 {
        u32::MAX >> prefix_len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            "::1/64",
        ] {
            assert!(AddressPool::parse(bad).is_err(), "{bad} was taken");
        }
    }
}
