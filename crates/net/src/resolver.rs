//! The service that finds the addresses of host names.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, ToSocketAddrs},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use sendbeacon_fetch::{PartitionKey, Pruning, host::Answer};
use tokio::{sync::Semaphore, task::spawn_blocking};

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

/// How many names the system is asked for at once. NB: half of the threads that a tokio runtime has for work that blocks.
const MAX_LOOKUPS: usize = 256;

/// How many of these are for one network partition.
const MAX_LOOKUPS_OF_PARTITION: usize = 16;

/// The system's resolver, on the blocking threads of the tokio runtime. The default.
///
/// It asks for 256 names at once, and for 16 of one network partition. A look-up that nobody waits for any more counts until
/// the system has answered, because it cannot be given up.
#[derive(Debug)]
pub struct SystemResolver {
    /// A permit for each look-up.
    all: Arc<Semaphore>,
    of_partitions: Mutex<Partitions>,
}

/// The partitions with look-ups, and a permit for each look-up of a partition.
#[derive(Debug, Default)]
struct Partitions {
    permits: HashMap<PartitionKey, Weak<Semaphore>>,
    pruning: Pruning,
}

impl SystemResolver {
    /// Asks the system by `look_up`, which blocks, when it is the partition's turn.
    fn ask<T: Send + 'static>(
        &self,
        partition: &PartitionKey,
        look_up: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> impl Future<Output = io::Result<T>> + Send + 'static {
        let (all, of_partition) = (Arc::clone(&self.all), self.permits_of(partition));
        async move {
            // NB: `ok`, because the semaphores are never closed.
            let permits = (of_partition.acquire_owned().await.ok(), all.acquire_owned().await.ok());
            let asked = spawn_blocking(move || {
                let _permits = permits;
                look_up()
            });
            asked.await?
        }
    }

    fn permits_of(&self, partition: &PartitionKey) -> Arc<Semaphore> {
        let mut guard = self.of_partitions.lock().unwrap_or_else(PoisonError::into_inner);
        let Partitions { permits, pruning } = &mut *guard;
        if pruning.is_due(permits.len()) {
            permits.retain(|_, permits| permits.strong_count() > 0);
            pruning.done(permits.len());
        }
        let known = permits.entry(partition.clone()).or_default();
        known.upgrade().unwrap_or_else(|| {
            let made = Arc::new(Semaphore::new(MAX_LOOKUPS_OF_PARTITION));
            *known = Arc::downgrade(&made);
            made
        })
    }
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(MAX_LOOKUPS)), of_partitions: Mutex::default() }
    }
}

impl Resolver for SystemResolver {
    fn resolve(&self, name: &str, partition: &PartitionKey) -> Answer<io::Result<Resolved>> {
        let name = name.to_owned();
        let addresses = self.ask(partition, move || {
            let addresses = (name, 0).to_socket_addrs()?;
            Ok(Resolved::new(addresses.map(|address| address.ip()).collect()))
        });
        Answer::Later(Box::pin(addresses))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    };

    use futures_util::FutureExt;
    use sendbeacon_fetch::{Nonce, Site};

    use super::*;

    fn partition(number: u128) -> PartitionKey {
        PartitionKey { top_level_site: Site::Opaque(Nonce::from_u128(number)), second_key: None }
    }

    #[tokio::test]
    async fn look_ups_that_hang_do_not_stop_those_of_other_partitions() {
        let resolver = SystemResolver::default();
        let (hanging, (answer, system)) = (Arc::new(AtomicUsize::new(0)), mpsc::channel::<()>());
        let system = Arc::new(Mutex::new(system));
        for _ in 0..100 {
            let (hanging, system) = (Arc::clone(&hanging), Arc::clone(&system));
            let hangs = resolver.ask(&partition(1), move || {
                hanging.fetch_add(1, SeqCst);
                let _ = system.lock().map(|system| system.recv());
                Ok(())
            });
            // The page begins the fetch, and gives it up.
            let mut hangs = Box::pin(hangs);
            assert!((&mut hangs).now_or_never().is_none());
        }
        while hanging.load(SeqCst) < MAX_LOOKUPS_OF_PARTITION {
            tokio::task::yield_now().await;
        }
        assert_eq!(resolver.ask(&partition(2), || Ok(2)).await.unwrap(), 2);
        let waits = resolver.ask(&partition(1), || Ok(1));
        drop(answer);
        assert_eq!(waits.await.unwrap(), 1);
        assert_eq!(hanging.load(SeqCst), MAX_LOOKUPS_OF_PARTITION);
    }
}
