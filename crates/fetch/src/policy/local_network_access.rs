//! [Local Network Access](https://wicg.github.io/local-network-access/).

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use url::Url;

use crate::{Client, NetworkError, host::LocalNetworkAccess, is_potentially_trustworthy};

/// [IP address space](https://wicg.github.io/local-network-access/#ip-address-space-section): from
/// how far away an address means the same. The lesser is the
/// [less public](https://wicg.github.io/local-network-access/#ip-address-space-less-public).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum AddressSpace {
    /// The machine itself.
    Loopback,
    /// The network the machine is in.
    Local,
    /// The internet.
    Public,
}

impl AddressSpace {
    /// [Determine the IP address space](https://wicg.github.io/local-network-access/#determine-the-ip-address-space)
    /// of `address`.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        // Step 1: an IPv4-mapped address is the IPv4 address. Step 2, the table.
        match address.to_canonical() {
            IpAddr::V4(ip) => Self::of_v4(ip),
            IpAddr::V6(ip) => Self::of_v6(ip),
        }
    }

    fn of_v4(ip: Ipv4Addr) -> Self {
        match ip.octets() {
            // Benchmarking (198.18.0.0/15) is the text's idea of loopback.
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
            // NB: not in the table. A translator (NAT64) or a relay (6to4) takes them to the IPv4
            // address they have in them.
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

/// [Local Network Access check](https://wicg.github.io/local-network-access/#local-network-access-check)
/// for a request of `client` to `url` and a connection to an address in `target`.
///
/// A [`Network`](crate::host::Network) makes it for every request and connection, one that it made
/// for somebody else included, before anything is written; best before connecting, as that a port
/// is open is told by how long it takes.
///
/// # Errors
/// [`NetworkError::LocalNetworkAccess`].
pub async fn local_network_access_check(
    client: &Client,
    url: &Url,
    target: AddressSpace,
    permission: &dyn LocalNetworkAccess,
) -> Result<(), NetworkError> {
    // Step 1. NB: for the same origin to be trustworthy is for the URL to be.
    if client.origin.is_same_origin_with_url(url) && is_potentially_trustworthy(url) {
        return Ok(());
    }
    // Step 2: an unknown address space is the null policy container's. Step 3 is passed over, as
    // script has no way here to say what address space it means to reach.
    let Some(space) = client.address_space else { return Ok(()) };
    // Step 4.
    let is_less_public = target < space;
    // Step 4.2, and Step 4.4 where it holds.
    let is_permitted = !is_less_public
        || (client.is_secure_context && permission.permits(client, url, target).get().await);
    if !is_permitted {
        // Steps 4.1 and 4.3.
        return Err(NetworkError::LocalNetworkAccess { client: space, target });
    }
    // Step 5.
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::AddressSpace::{self, Local, Loopback, Public};

    fn space(address: &str) -> AddressSpace {
        AddressSpace::of(address.parse().unwrap())
    }

    /// First and last address of each block of the text's table, and what is just outside of it.
    #[test]
    fn address_spaces_are_those_of_the_table() {
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
    fn mapped_address_is_the_ipv4_address() {
        assert_eq!(space("::ffff:127.0.0.1"), Loopback);
        assert_eq!(space("::ffff:192.168.0.1"), Local);
        assert_eq!(space("::ffff:8.8.8.8"), Public);
        // What a translator or a relay takes to one is as well.
        assert_eq!(space("64:ff9b::192.168.1.1"), Local);
        assert_eq!(space("64:ff9b::8.8.8.8"), Public);
        assert_eq!(space("64:ff9b:1::1"), Local);
        assert_eq!(space("2002:7f00:1::1"), Loopback);
        assert_eq!(space("2002:808:808::1"), Public);
        // The deprecated "IPv4-compatible" form is not one.
        assert_eq!(space("::7f00:1"), Public);
    }

    #[test]
    fn loopback_is_less_public_than_local_and_local_than_public() {
        assert!(Loopback < Local && Local < Public);
    }
}
