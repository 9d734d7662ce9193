//! [Resolve an origin](https://fetch.spec.whatwg.org/#resolve-an-origin).

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use sendbeacon_fetch::{NetworkError, PartitionKey, is_localhost};
use url::Host;

use crate::{name_cache::NameCache, resolver::Resolver};

/// How many addresses of a host a request tries. Each address costs a socket, and a hostile name server
/// may give thousands.
const MAX_ADDRESSES: usize = 16;

/// Finds the addresses of hosts.
pub(crate) struct Names {
    host_map: HashMap<Box<str>, IpAddr>,
    cache: NameCache,
}

impl Names {
    pub(crate) fn new(host_map: HashMap<Box<str>, IpAddr>, resolver: Arc<dyn Resolver>) -> Self {
        Self { host_map, cache: NameCache::new(resolver) }
    }

    /// [Resolve an origin](https://fetch.spec.whatwg.org/#resolve-an-origin). Returns each address with
    /// the port to connect to.
    pub(crate) async fn resolve_an_origin(
        &self,
        host: &Host,
        port: u16,
        partition: &PartitionKey,
    ) -> Result<Vec<SocketAddr>, NetworkError> {
        let domain = match host {
            // Step 1.
            Host::Ipv4(ip) => return Ok(vec![(*ip, port).into()]),
            Host::Ipv6(ip) => return Ok(vec![(*ip, port).into()]),
            Host::Domain(domain) => domain,
        };
        // Step 2.
        if is_localhost(domain) {
            return Ok(vec![
                (Ipv6Addr::LOCALHOST, port).into(),
                (Ipv4Addr::LOCALHOST, port).into(),
            ]);
        }
        // Steps 3 and 4. Resolve in an implementation-defined manner, or fail.
        if let Some(ip) = self.host_map.get(domain.as_str()) {
            return Ok(vec![(*ip, port).into()]);
        }
        let addresses = self
            .cache
            .resolve(domain, partition)
            .await
            .map_err(|reason| NetworkError::Dns { host: domain.clone(), reason })?;
        let addresses = interleaved(&addresses).into_iter().take(MAX_ADDRESSES);
        Ok(addresses.map(|ip| (ip, port).into()).collect())
    }

    /// Forgets the resolver's answers: the device has joined another network.
    pub(crate) fn network_changed(&self) {
        self.cache.network_changed();
    }
}

/// Sorts the addresses so that the families take turns
/// ([RFC 8305, section 4](https://www.rfc-editor.org/rfc/rfc8305#section-4)).
///
/// Each family keeps its own order. If one family does not work at all, the request tries an address of
/// the other family second, not last.
fn interleaved(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let is_v6_first = addresses.first().is_some_and(IpAddr::is_ipv6);
    let mut places = [0, 0];
    let mut ranked: Vec<_> = addresses
        .iter()
        .map(|ip| {
            let family = usize::from(ip.is_ipv6() != is_v6_first);
            let place = places[family];
            places[family] += 1;
            (place, family, *ip)
        })
        .collect();
    ranked.sort_by_key(|(place, family, _)| (*place, *family));
    ranked.into_iter().map(|(.., ip)| ip).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn families_take_turns_and_the_first_address_stays_first() {
        let addresses = |text: &str| -> Vec<IpAddr> {
            text.split_whitespace().map(|ip| ip.parse().unwrap()).collect()
        };
        for (given, tried) in [
            ("::1 ::2 ::3 1.1.1.1 2.2.2.2", "::1 1.1.1.1 ::2 2.2.2.2 ::3"),
            ("1.1.1.1 ::1 ::2 ::3", "1.1.1.1 ::1 ::2 ::3"),
            ("1.1.1.1 2.2.2.2 3.3.3.3 ::1", "1.1.1.1 ::1 2.2.2.2 3.3.3.3"),
            ("2.2.2.2 1.1.1.1", "2.2.2.2 1.1.1.1"),
            ("", ""),
        ] {
            assert_eq!(interleaved(&addresses(given)), addresses(tried), "{given}");
        }
    }

    proptest! {
        #[test]
        fn interleaving_neither_loses_nor_repeats_an_address(addresses: Vec<IpAddr>) {
            let mut interleaved = interleaved(&addresses);
            prop_assert_eq!(interleaved.first(), addresses.first());
            let mut addresses = addresses;
            addresses.sort_unstable();
            interleaved.sort_unstable();
            prop_assert_eq!(interleaved, addresses);
        }
    }
}
