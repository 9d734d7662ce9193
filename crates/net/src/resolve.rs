use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use sendbeacon_fetch::NetworkError;
use url::Host;

/// [Resolve an origin](https://fetch.spec.whatwg.org/#resolve-an-origin), with the port each
/// address is to be connected to.
pub(crate) async fn resolve_an_origin(
    host: &Host,
    port: u16,
    host_map: &HashMap<Box<str>, IpAddr>,
) -> Result<Vec<SocketAddr>, NetworkError> {
    let domain = match host {
        // Step 1.
        Host::Ipv4(ip) => return Ok(vec![(*ip, port).into()]),
        Host::Ipv6(ip) => return Ok(vec![(*ip, port).into()]),
        Host::Domain(domain) => domain,
    };
    // Step 2.
    if is_localhost(domain) {
        return Ok(vec![(Ipv6Addr::LOCALHOST, port).into(), (Ipv4Addr::LOCALHOST, port).into()]);
    }
    // Step 3: resolve in an implementation-defined manner.
    if let Some(ip) = host_map.get(domain.as_str()) {
        return Ok(vec![(*ip, port).into()]);
    }
    let failure = |reason| NetworkError::Dns { host: domain.clone(), reason };
    let addresses: Vec<_> = tokio::net::lookup_host((domain.as_str(), port))
        .await
        .map_err(|error| failure(error.to_string()))?
        .collect();
    if addresses.is_empty() {
        return Err(failure("it has no addresses".to_owned()));
    }
    Ok(addresses)
}

/// Whether the public suffix of `domain` is `localhost` or `localhost.`
fn is_localhost(domain: &str) -> bool {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    domain == "localhost" || domain.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
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
}
