use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use sendbeacon_fetch::{NetworkError, PartitionKey, host::Answer};
use url::Host;

use crate::name_cache::NameCache;

/// Whoever knows the addresses of host names.
///
/// Asked within the tokio runtime that the fetch is polled in, and must not block it. `localhost`,
/// names under it, IP addresses and the names of [`host_map`](crate::HttpNetworkBuilder::host_map)
/// are not asked for. Answers are remembered per network partition for their lifetime, failures are
/// not, and there is one question at a time for a name and partition.
pub trait Resolver: Send + Sync {
    /// The addresses of `name`, which is lower case and ASCII. `partition` is for a resolver that
    /// keeps its own connections or answers apart.
    fn resolve(&self, name: &str, partition: &PartitionKey) -> Answer<io::Result<Resolved>>;
}

/// What a [`Resolver`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The addresses, the one to try first at the front. None is a failure.
    pub addresses: Vec<IpAddr>,
    /// How long they may be used again without asking; a minute if it is not known.
    pub lifetime: Option<Duration>,
}

/// The default: the system's resolver, on the runtime's blocking threads.
impl Resolver for () {
    fn resolve(&self, name: &str, _: &PartitionKey) -> Answer<io::Result<Resolved>> {
        let name = name.to_owned();
        Answer::Later(Box::pin(async move {
            let addresses = tokio::net::lookup_host((name, 0)).await?;
            let addresses = addresses.map(|address| address.ip()).collect();
            Ok(Resolved { addresses, lifetime: None })
        }))
    }
}

/// How many addresses of a host are tried: each costs a socket, and whoever runs its name server may
/// give thousands.
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

    /// [Resolve an origin](https://fetch.spec.whatwg.org/#resolve-an-origin), with the port each
    /// address is to be connected to.
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
        // Step 3: resolve in an implementation-defined manner.
        if let Some(ip) = self.host_map.get(domain.as_str()) {
            return Ok(vec![(*ip, port).into()]);
        }
        let addresses = self.cache.resolve(domain, partition).await.map_err(|reason| {
            NetworkError::Dns { host: domain.clone(), reason: reason.as_ref().into() }
        })?;
        let addresses = interleaved(&addresses).into_iter().take(MAX_ADDRESSES);
        Ok(addresses.map(|ip| (ip, port).into()).collect())
    }

    /// Forgets what the resolver said.
    pub(crate) fn forget(&self) {
        self.cache.clear();
    }
}

/// Whether the public suffix of `domain` is `localhost` or `localhost.`
pub(crate) fn is_localhost(domain: &str) -> bool {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    domain == "localhost" || domain.ends_with(".localhost")
}

/// The addresses with their families in turn, each family in its own order, as
/// [RFC 8305, section 4](https://www.rfc-editor.org/rfc/rfc8305#section-4) has it: where one family
/// does not work at all, an address of the other is tried second and not last.
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
    fn only_localhost_and_names_under_it_are_local() {
        for local in ["localhost", "localhost.", "a.localhost", "a.b.localhost."] {
            assert!(is_localhost(local), "{local}");
        }
        for other in ["localhost.test", "notlocalhost", "localhost..", ""] {
            assert!(!is_localhost(other), "{other}");
        }
    }

    #[test]
    fn families_take_turns_the_first_address_first() {
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
        fn no_address_is_lost_or_doubled(addresses: Vec<IpAddr>) {
            let mut interleaved = interleaved(&addresses);
            prop_assert_eq!(interleaved.first(), addresses.first());
            let mut addresses = addresses;
            addresses.sort_unstable();
            interleaved.sort_unstable();
            prop_assert_eq!(interleaved, addresses);
        }
    }
}
