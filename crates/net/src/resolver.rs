//! The service that finds the addresses of host names.

use std::{io, net::IpAddr, time::Duration};

use sendbeacon_fetch::{PartitionKey, host::Answer};

/// Finds the addresses of host names, in place of the system's resolver.
///
/// The network calls it inside the tokio runtime that polls the fetch, so it must not block. The
/// network does not ask for IP addresses, for `localhost` and names under it, or for the names of
/// [`add_host_mapping`](crate::HttpNetworkBuilder::add_host_mapping). It remembers answers for their
/// lifetime, separately for each network partition, and does not remember failures. It asks one
/// question at a time for a name and a partition.
///
/// ```
/// use std::{io, net::Ipv4Addr, sync::Arc, time::Duration};
///
/// use sendbeacon_fetch::{PartitionKey, host::Answer};
/// use sendbeacon_net::{HttpNetwork, Resolved, Resolver};
///
/// struct Intranet;
///
/// impl Resolver for Intranet {
///     fn resolve(&self, name: &str, _: &PartitionKey) -> Answer<io::Result<Resolved>> {
///         Answer::Ready(match name {
///             "collector.corp.example" => {
///                 let addresses = vec![Ipv4Addr::new(10, 0, 0, 7).into()];
///                 Ok(Resolved::new(addresses).with_lifetime(Duration::from_secs(300)))
///             }
///             _ => Err(io::Error::other("no such name")),
///         })
///     }
/// }
///
/// let network = HttpNetwork::builder().resolver(Arc::new(Intranet)).build()?;
/// # Ok::<(), sendbeacon_net::LimitError>(())
/// ```
pub trait Resolver: Send + Sync {
    /// Finds the addresses of `name`, which is ASCII in lower case.
    ///
    /// `partition` is the network partition of the request, for a resolver that keeps its own
    /// connections or answers apart. An error fails the fetch with
    /// [`NetworkError::Dns`](sendbeacon_fetch::NetworkError::Dns). The library then asks again later, for a request
    /// that may wait. An error of the kind [`PermissionDenied`](io::ErrorKind::PermissionDenied) (the resolver's policy
    /// forbids the name) or [`InvalidData`](io::ErrorKind::InvalidData) (secure DNS has failed, or its answer was
    /// forged) is final.
    fn resolve(&self, name: &str, partition: &PartitionKey) -> Answer<io::Result<Resolved>>;
}

/// The answer of a [`Resolver`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resolved {
    /// The addresses, with the one to try first in front. An empty list is a failure.
    pub addresses: Vec<IpAddr>,
    /// How long the network may use the addresses without asking again. Default: `None`, which means
    /// 60 seconds.
    pub lifetime: Option<Duration>,
}

impl Resolved {
    /// An answer with these addresses, whose lifetime is not known.
    #[must_use]
    pub fn new(addresses: Vec<IpAddr>) -> Self {
        Self { addresses, lifetime: None }
    }

    /// Sets how long the network may use the addresses without asking again.
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }
}

/// The system's resolver, on the blocking threads of the tokio runtime. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve(&self, name: &str, _: &PartitionKey) -> Answer<io::Result<Resolved>> {
        let name = name.to_owned();
        Answer::Later(Box::pin(async move {
            let addresses = tokio::net::lookup_host((name, 0)).await?;
            Ok(Resolved::new(addresses.map(|address| address.ip()).collect()))
        }))
    }
}
