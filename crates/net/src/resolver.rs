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

    /// Hears that the device has joined another network. Default: does nothing.
    fn network_changed(&self) {}
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
/// It asks for at most 256 names at once, and for at most 16 of one network partition. Keep one value: each has limits of its
/// own. A look-up cannot be given up. If nobody waits for it any more, it still counts until the system has answered, or
/// until the device joins another network.
#[derive(Debug, Default)]
pub struct SystemResolver(Mutex<Permits>);

/// A permit for each look-up.
#[derive(Debug)]
struct Permits {
    all: Arc<Semaphore>,
    of_partitions: HashMap<PartitionKey, Weak<Semaphore>>,
    pruning: Pruning,
}

impl Default for Permits {
    fn default() -> Self {
        let all = Arc::new(Semaphore::new(MAX_LOOKUPS));
        Self { all, of_partitions: HashMap::new(), pruning: Pruning::default() }
    }
}

impl SystemResolver {
    /// Asks the system by `look_up`, which blocks, when it is the partition's turn.
    fn ask<T: Send + 'static>(
        &self,
        partition: &PartitionKey,
        look_up: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> impl Future<Output = io::Result<T>> + Send + 'static {
        let (all, of_partition) = self.permits_of(partition);
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

    /// The permits of all look-ups, and those of the partition.
    fn permits_of(&self, partition: &PartitionKey) -> (Arc<Semaphore>, Arc<Semaphore>) {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Permits { all, of_partitions, pruning } = &mut *guard;
        if pruning.is_due(of_partitions.len()) {
            of_partitions.retain(|_, permits| permits.strong_count() > 0);
            pruning.done(of_partitions.len());
        }
        let known = of_partitions.entry(partition.clone()).or_default();
        let of_partition = known.upgrade().unwrap_or_else(|| {
            let made = Arc::new(Semaphore::new(MAX_LOOKUPS_OF_PARTITION));
            *known = Arc::downgrade(&made);
            made
        });
        (Arc::clone(all), of_partition)
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

    /// What was asked on the other network may never be answered, so it does not count any more.
    fn network_changed(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Permits::default();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        ops::Range,
        sync::{
            atomic::{AtomicUsize, Ordering::SeqCst},
            mpsc,
        },
    };

    use futures_util::FutureExt;
    use sendbeacon_fetch::{Nonce, Site};

    use super::*;

    fn partition(number: u128) -> PartitionKey {
        PartitionKey { top_level_site: Site::Opaque(Nonce::from_u128(number)), second_key: None }
    }

    /// Look-ups that are begun and given up, and that the system does not answer before `answer` is dropped.
    struct Hanging {
        count: Arc<AtomicUsize>,
        answer: mpsc::Sender<()>,
    }

    impl Hanging {
        async fn begin(resolver: &SystemResolver, partitions: Range<u128>, of_each: usize) -> Self {
            let (count, (answer, system)) = (Arc::new(AtomicUsize::new(0)), mpsc::channel());
            let system = Arc::new(Mutex::new(system));
            for number in partitions {
                for _ in 0..of_each {
                    let (count, system) = (Arc::clone(&count), Arc::clone(&system));
                    let mut hangs = Box::pin(resolver.ask(&partition(number), move || {
                        count.fetch_add(1, SeqCst);
                        let _ = system.lock().map(|system| system.recv());
                        Ok(())
                    }));
                    assert!((&mut hangs).now_or_never().is_none());
                }
                // NB: a task may take only so many permits in one turn.
                tokio::task::yield_now().await;
            }
            Self { count, answer }
        }

        async fn wait_for(&self, count: usize) {
            while self.count.load(SeqCst) < count {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn look_ups_that_hang_do_not_stop_those_of_other_partitions() {
        let resolver = SystemResolver::default();
        let hanging = Hanging::begin(&resolver, 1..2, 30).await;
        hanging.wait_for(MAX_LOOKUPS_OF_PARTITION).await;
        assert_eq!(resolver.ask(&partition(2), || Ok(2)).await.unwrap(), 2);
        let waits = resolver.ask(&partition(1), || Ok(1));
        drop(hanging.answer);
        assert_eq!(waits.await.unwrap(), 1);
        assert_eq!(hanging.count.load(SeqCst), MAX_LOOKUPS_OF_PARTITION);
    }

    #[tokio::test]
    async fn look_ups_of_another_network_do_not_count() {
        let resolver = SystemResolver::default();
        let partitions = (MAX_LOOKUPS / MAX_LOOKUPS_OF_PARTITION) as u128 + 1;
        let hanging = Hanging::begin(&resolver, 0..partitions, MAX_LOOKUPS_OF_PARTITION).await;
        hanging.wait_for(MAX_LOOKUPS).await;
        let mut waits = Box::pin(resolver.ask(&partition(99), || Ok(1)));
        assert!((&mut waits).now_or_never().is_none());
        resolver.network_changed();
        assert_eq!(resolver.ask(&partition(1), || Ok(2)).await.unwrap(), 2);
        drop(hanging.answer);
        assert_eq!(waits.await.unwrap(), 1);
        assert_eq!(hanging.count.load(SeqCst), MAX_LOOKUPS);
    }
}
