//! [IP address spaces](https://wicg.github.io/local-network-access/#ip-address-space-section).

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// An [IP address space](https://wicg.github.io/local-network-access/#ip-address-space-section).
///
/// The order is "[less public](https://wicg.github.io/local-network-access/#ip-address-space-less-public)":
/// `Loopback < Local < Public`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum AddressSpace {
    /// Addresses of the machine itself.
    Loopback,
    /// Addresses of the networks that the machine is in.
    Local,
    /// All other addresses.
    Public,
}

impl AddressSpace {
    /// [Determine the IP address space](https://wicg.github.io/local-network-access/#determine-the-ip-address-space)
    /// of `address`.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        // Step 1: an IPv4-mapped address counts as the IPv4 address.
        // Step 2: the table of non-public address blocks.
        match address.to_canonical() {
            IpAddr::V4(ip) => Self::of_v4(ip),
            IpAddr::V6(ip) => Self::of_v6(ip),
        }
    }

    fn of_v4(ip: Ipv4Addr) -> Self {
        match ip.octets() {
            // NB: the standard's table makes the benchmarking block (198.18.0.0/15) loopback.
            [127, ..] | [198, 18..=19, ..] | [0, 0, 0, 0] => Self::Loopback,
            [0 | 10, ..]
            | [100, 64..=127, ..]
            | [172, 16..=31, ..]
            | [192, 168, ..]
            | [169, 254, ..] => Self::Local,
            // Step 3.
            _ => Self::Public,
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Self {
        let embedded = |[high, low]: [u16; 2]| {
            let ip = Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
            Self::of_v4(ip)
        };
        match ip.segments() {
            // NB: these are not in the table. A NAT64 translator or a 6to4 relay forwards a packet for them to the IPv4
            // address that they contain.
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
                embedded([high, low])
            }
            [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Self::Loopback,
            [0xfc00..=0xfdff | 0xfe80..=0xfeff, ..]
            | [0x64, 0xff9b, 1, ..]
            | [0x2001, 0xdb8, ..]
            | [0x3fff, 0..=0xfff, ..] => Self::Local,
            // Step 3.
            _ => Self::Public,
        }
    }
}

impl fmt::Display for AddressSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "loopback",
            Self::Local => "local",
            Self::Public => "public",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::AddressSpace::{self, Local, Loopback, Public};

    fn space(address: &str) -> AddressSpace {
        AddressSpace::of(address.parse().unwrap())
    }

    /// Tests the first and the last address of each block of the table, and their neighbours outside the block.
    #[test]
    fn address_spaces_are_those_of_the_standards_table() {
        for (before, first, last, after, within) in [
            ("126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0", Loopback),
            ("9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0", Local),
            ("100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0", Local),
            ("172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0", Local),
            ("192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0", Local),
            ("198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0", Loopback),
            ("169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0", Local),
            ("fbff:ffff::", "fc00::", "fdff:ffff::", "fe00::", Local),
            ("fe7f:ffff::", "fe80::", "febf:ffff::", "ff00::", Local),
            ("fe7f:ffff::", "fec0::", "feff:ffff::", "ff00::", Local),
            ("2001:db7:ffff::", "2001:db8::", "2001:db8:ffff::", "2001:db9::", Local),
            ("3ffe:ffff::", "3fff::", "3fff:fff:ffff::", "3fff:1000::", Local),
        ] {
            assert_eq!([first, last].map(space), [within; 2], "{first} to {last}");
            assert_eq!([before, after].map(space), [Public; 2], "around {first} to {last}");
        }
        assert_eq!(["::1", "::", "0.0.0.0"].map(space), [Loopback; 3]);
        assert_eq!(["0.0.0.1", "0.255.255.255"].map(space), [Local; 2]);
        assert_eq!(["::2", "1.0.0.0", "255.255.255.255"].map(space), [Public; 3]);
    }

    #[test]
    fn an_embedded_ipv4_address_decides_the_address_space() {
        assert_eq!(space("::ffff:127.0.0.1"), Loopback);
        assert_eq!(space("::ffff:192.168.0.1"), Local);
        assert_eq!(space("::ffff:8.8.8.8"), Public);
        // NAT64 and 6to4.
        assert_eq!(space("64:ff9b::192.168.1.1"), Local);
        assert_eq!(space("64:ff9b::8.8.8.8"), Public);
        assert_eq!(space("64:ff9b:1::1"), Local);
        assert_eq!(space("2002:7f00:1::1"), Loopback);
        assert_eq!(space("2002:808:808::1"), Public);
        // The deprecated "IPv4-compatible" form does not count.
        assert_eq!(space("::7f00:1"), Public);
    }

    #[test]
    fn loopback_is_less_public_than_local_and_local_is_less_public_than_public() {
        assert!(Loopback < Local && Local < Public);
    }
}
