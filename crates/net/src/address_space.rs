//! Which address space an address is in: the standard's table, and the embedder's exceptions.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use sendbeacon_fetch::AddressSpace;

use crate::error::AddressesError;

/// Knows the address space of each address.
#[derive(Clone, Debug, Default)]
pub(crate) struct AddressSpaces {
    /// The embedder's exceptions. The last one that has an address counts.
    overrides: Vec<(Addresses, AddressSpace)>,
}

impl AddressSpaces {
    pub(crate) fn add(
        &mut self,
        addresses: &str,
        space: AddressSpace,
    ) -> Result<(), AddressesError> {
        self.overrides.push((Addresses::parse(addresses)?, space));
        Ok(())
    }

    pub(crate) fn of(&self, address: SocketAddr) -> AddressSpace {
        let address = canonical(address);
        let known = self.overrides.iter().rev().find(|(addresses, _)| addresses.contains(address));
        known.map_or_else(|| AddressSpace::of(address.ip()), |(_, space)| *space)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Addresses {
    /// One port of one address.
    One(SocketAddr),
    /// All ports of a range of addresses.
    Range(IpNet),
}

impl Addresses {
    fn parse(text: &str) -> Result<Self, AddressesError> {
        let one = text.parse().ok().map(|address| Self::One(canonical(address)));
        let range = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let range = range.ok().map(|range| Self::Range(canonical_range(range)));
        one.or(range).ok_or_else(|| AddressesError(text.to_owned()))
    }

    fn contains(self, address: SocketAddr) -> bool {
        match self {
            Self::One(one) => one == address,
            Self::Range(range) => range.contains(&address.ip()),
        }
    }
}

/// The address, with an IPv4-mapped IPv6 address as the IPv4 address that it means.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The range, with a range of IPv4-mapped IPv6 addresses as a range of IPv4 addresses.
fn canonical_range(range: IpNet) -> IpNet {
    let mapped = match range {
        // The prefix of the IPv4 address is that of the IPv6 address less the 96 bits in front.
        IpNet::V6(range) => range.addr().to_ipv4_mapped().zip(range.prefix_len().checked_sub(96)),
        IpNet::V4(_) => None,
    };
    mapped.and_then(|(ip, prefix)| IpNet::new(ip.into(), prefix).ok()).unwrap_or(range)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn spaces(overrides: &[(&str, AddressSpace)]) -> AddressSpaces {
        let mut spaces = AddressSpaces::default();
        for (addresses, space) in overrides {
            spaces.add(addresses, *space).unwrap();
        }
        spaces
    }

    #[test]
    fn override_applies_to_its_addresses_only_and_the_last_one_counts() {
        let spaces = spaces(&[
            ("127.0.0.0/8", AddressSpace::Local),
            ("127.0.0.1:8080", AddressSpace::Public),
            ("8.8.8.8", AddressSpace::Local),
            ("2600::/16", AddressSpace::Local),
            ("2600:1::/32", AddressSpace::Loopback),
            ("[::ffff:9.9.9.9]:53", AddressSpace::Local),
            ("::ffff:9.9.8.0/120", AddressSpace::Local),
            ("::ffff:9.9.7.7", AddressSpace::Local),
        ]);
        for (address, space) in [
            ("127.0.0.1:80", AddressSpace::Local),
            ("127.0.0.1:8080", AddressSpace::Public),
            ("[::ffff:127.0.0.1]:8080", AddressSpace::Public),
            ("[::1]:8080", AddressSpace::Loopback),
            ("8.8.8.8:1", AddressSpace::Local),
            ("8.8.8.9:1", AddressSpace::Public),
            ("[2600::1]:1", AddressSpace::Local),
            ("[2600:1::1]:1", AddressSpace::Loopback),
            ("9.9.9.9:53", AddressSpace::Local),
            ("9.9.9.9:54", AddressSpace::Public),
            ("9.9.8.8:1", AddressSpace::Local),
            ("9.9.7.7:1", AddressSpace::Local),
            ("9.9.7.8:1", AddressSpace::Public),
            ("10.0.0.1:1", AddressSpace::Local),
        ] {
            assert_eq!(spaces.of(address.parse().unwrap()), space, "{address}");
        }
    }

    #[test]
    fn text_that_is_not_an_address_is_an_error() {
        for text in ["", "a.test", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8:80", "1.2.3", "::/129"] {
            let error = AddressSpaces::default().add(text, AddressSpace::Local).unwrap_err();
            assert_eq!(error, AddressesError(text.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn any_text_parses_as_addresses_or_is_an_error(text: String) {
            let _ = Addresses::parse(&text);
        }

        #[test]
        fn range_contains_the_addresses_that_share_its_prefix(range: u32, ip: u32, length in 0..=32_u32) {
            let text = format!("{}/{length}", Ipv4Addr::from(range));
            let shared = (range ^ ip).leading_zeros() >= length;
            let address = (Ipv4Addr::from(ip), 80).into();
            prop_assert_eq!(Addresses::parse(&text).unwrap().contains(address), shared);
        }

        #[test]
        fn address_with_a_port_contains_itself_and_no_other_port(ip: IpAddr, port: u16) {
            let address = SocketAddr::new(ip, port);
            let parsed = Addresses::parse(&address.to_string()).unwrap();
            prop_assert!(parsed.contains(canonical(address)));
            let other = SocketAddr::new(ip, port.wrapping_add(1));
            prop_assert!(!parsed.contains(canonical(other)));
        }
    }
}
