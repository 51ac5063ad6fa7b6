//! What counts as one address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How much of an address of version 6 is its network: one household or machine is given at least that many.
const NETWORK_BITS: u32 = 64;

/// An address of version 4, or the network of 64 bits that one of version 6 is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Network {
    /// One address.
    V4(Ipv4Addr),
    /// Its first half.
    V6(u64),
}

impl Network {
    /// The network that an address counts for.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => address.to_ipv4_mapped().map_or_else(|| Self::half(address), Self::V4),
        }
    }

    fn half(address: Ipv6Addr) -> Self {
        let first = address.to_bits() >> NETWORK_BITS;
        Self::V6(u64::try_from(first).expect("half of 128 bits are 64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        Network::of(text.parse().unwrap())
    }

    #[test]
    fn addresses_of_version_6_count_by_their_network() {
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
    }

    #[test]
    fn an_address_of_version_4_is_itself_however_it_is_written() {
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    }
}
