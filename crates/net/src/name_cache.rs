//! A cache of the resolver's answers, partitioned like the connections.

use std::{
    collections::VecDeque,
    net::IpAddr,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::{FutureExt, Shared};
use sendbeacon_fetch::{ErrorDetail, PartitionKey, host::BoxFuture};
use tokio::time::Instant;

use crate::resolver::Resolver;

/// How long an answer is used if the resolver gives no lifetime.
///
/// The systems' resolvers give no lifetime, and keep answers themselves for as long as DNS allows. Browsers
/// use one minute. It saves the questions of a burst of requests, and lets a server move.
const LIFETIME: Duration = Duration::from_secs(60);

/// How many partitions the cache has room for.
const MAX_PARTITIONS: usize = 64;

/// How many names each partition has room for. Each partition has its own limit: with a shared limit, a
/// site could learn another site's names by which of its own names it displaces.
const MAX_NAMES: usize = 64;

/// The answers of a [`Resolver`], partitioned like the connections: how fast a name resolves tells a
/// page whether another page has asked for it before. Failures are not kept.
pub(crate) struct NameCache {
    resolver: Arc<dyn Resolver>,
    /// The most recently used partition is at the back. Likewise the names in each partition.
    partitions: Mutex<VecDeque<(PartitionKey, Names)>>,
}

type Names = VecDeque<(Box<str>, Lookup)>;

/// A question to the resolver, or its answer. All requests that ask for the same name hold a clone.
type Lookup = Shared<BoxFuture<'static, Result<Addresses, ErrorDetail>>>;

#[derive(Clone)]
struct Addresses {
    addresses: Arc<[IpAddr]>,
    /// `None` if the lifetime ends later than the clock can tell.
    expires: Option<Instant>,
}

impl NameCache {
    pub(crate) fn new(resolver: Arc<dyn Resolver>) -> Self {
        Self { resolver, partitions: Mutex::default() }
    }

    /// The addresses of `name`, or why it has none. Requests that ask for the same name at the same time
    /// share one question.
    pub(crate) async fn resolve(
        &self,
        name: &str,
        partition: &PartitionKey,
    ) -> Result<Arc<[IpAddr]>, ErrorDetail> {
        self.lookup(name, partition).await.map(|known| known.addresses)
    }

    /// Forgets the answers: the device has joined another network.
    pub(crate) fn network_changed(&self) {
        self.resolver.network_changed();
        let forgotten =
            std::mem::take(&mut *self.partitions.lock().unwrap_or_else(PoisonError::into_inner));
        // The embedder's futures are dropped only after the lock is released.
        drop(forgotten);
    }

    fn lookup(&self, name: &str, partition: &PartitionKey) -> Lookup {
        // After a panic at any point here, the queue still holds names with their own look-ups.
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        let known = partitions.iter().rposition(|(other, _)| other == partition);
        let (partition, mut names) = known
            .and_then(|at| partitions.remove(at))
            .unwrap_or_else(|| (partition.clone(), Names::new()));
        let now = Instant::now();
        names.retain(|(_, lookup)| is_useful(lookup, now));
        let known = names.iter().rposition(|(other, _)| **other == *name);
        let (name, lookup) = known
            .and_then(|at| names.remove(at))
            .unwrap_or_else(|| (name.into(), self.ask(name.into(), partition.clone())));
        if names.len() >= MAX_NAMES {
            names.pop_front();
        }
        names.push_back((name, lookup.clone()));
        if partitions.len() >= MAX_PARTITIONS {
            partitions.pop_front();
        }
        partitions.push_back((partition, names));
        lookup
    }

    fn ask(&self, name: String, partition: PartitionKey) -> Lookup {
        let resolver = Arc::clone(&self.resolver);
        let answer = async move {
            let found = resolver.resolve(&name, &partition).get().await?;
            if found.addresses.is_empty() {
                return Err("it has no addresses".into());
            }
            let expires = Instant::now().checked_add(found.lifetime.unwrap_or(LIFETIME));
            Ok::<_, ErrorDetail>(Addresses { addresses: found.addresses.into(), expires })
        };
        // Without this, the resolver's panic would also reach every request that asks later.
        let answer = AssertUnwindSafe(answer).catch_unwind();
        let answer = answer.map(|answer| answer.unwrap_or(Err("the resolver panicked".into())));
        answer.boxed().shared()
    }
}

/// Whether another request may use the look-up. A question makes progress only while a request polls a
/// clone, so a question that only the cache holds is of no use.
fn is_useful(lookup: &Lookup, now: Instant) -> bool {
    match lookup.peek() {
        None => lookup.strong_count().is_some_and(|count| count > 1),
        Some(Ok(known)) => known.expires.is_none_or(|expires| now < expires),
        Some(Err(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        net::Ipv4Addr,
        sync::atomic::{AtomicU8, Ordering},
    };

    use sendbeacon_fetch::{Nonce, Site, host::Answer};
    use tokio::{sync::Notify, time::advance};

    use super::*;
    use crate::resolver::Resolved;

    /// Answers the n-th question with 10.0.0.n, once its gate opens.
    #[derive(Default)]
    struct Counting {
        asked: AtomicU8,
        lifetime: Option<Duration>,
        gate: Option<Arc<Notify>>,
    }

    impl Resolver for Counting {
        fn resolve(&self, name: &str, _: &PartitionKey) -> Answer<io::Result<Resolved>> {
            let n = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
            match name {
                "nx.test" => return Answer::Ready(Err(io::Error::other("no such name"))),
                "empty.test" => {
                    return Answer::Ready(Ok(Resolved::new(Vec::new())));
                }
                "panic.test" => panic!("a resolver's own fault"),
                _ => {}
            }
            let mut resolved = Resolved::new(vec![Ipv4Addr::new(10, 0, 0, n).into()]);
            resolved.lifetime = self.lifetime;
            let resolved = Ok(resolved);
            match self.gate.clone() {
                None => Answer::Ready(resolved),
                Some(gate) => Answer::Later(Box::pin(async move {
                    gate.notified().await;
                    resolved
                })),
            }
        }
    }

    fn partition(site: u128) -> PartitionKey {
        PartitionKey { top_level_site: Site::Opaque(Nonce::from_u128(site)), second_key: None }
    }

    fn cache(resolver: Counting) -> (NameCache, Arc<Counting>) {
        let resolver = Arc::new(resolver);
        (NameCache::new(Arc::clone(&resolver) as _), resolver)
    }

    /// The number of the question whose answer a request gets.
    async fn answer_of(cache: &NameCache, name: &str, site: u128) -> Result<u8, String> {
        let addresses = cache.resolve(name, &partition(site)).await;
        let addresses = addresses.map_err(|reason| reason.to_string())?;
        let [IpAddr::V4(ip)] = *addresses else { panic!("{addresses:?}") };
        Ok(ip.octets()[3])
    }

    #[tokio::test]
    async fn answer_is_remembered_in_its_partition_and_in_no_other() {
        let (cache, _) = cache(Counting::default());
        for (name, site, answer) in [
            ("a.test", 1, 1),
            ("a.test", 1, 1),
            ("a.test", 2, 2),
            ("b.test", 1, 3),
            ("a.test", 1, 1),
        ] {
            assert_eq!(answer_of(&cache, name, site).await, Ok(answer), "{name} in {site}");
        }
        cache.network_changed();
        assert_eq!(answer_of(&cache, "a.test", 1).await, Ok(4));
    }

    #[tokio::test(start_paused = true)]
    async fn answer_is_forgotten_after_its_lifetime_or_else_after_a_minute() {
        for (lifetime, seconds) in
            [(None, 60), (Some(Duration::from_secs(5)), 5), (Some(Duration::from_secs(600)), 600)]
        {
            let (cache, _) = cache(Counting { lifetime, ..Counting::default() });
            assert_eq!(answer_of(&cache, "a.test", 1).await, Ok(1));
            advance(Duration::from_secs(seconds - 1)).await;
            assert_eq!(answer_of(&cache, "a.test", 1).await, Ok(1), "{lifetime:?}");
            advance(Duration::from_secs(1)).await;
            assert_eq!(answer_of(&cache, "a.test", 1).await, Ok(2), "{lifetime:?}");
        }
        let (cache, _) = cache(Counting { lifetime: Some(Duration::MAX), ..Counting::default() });
        assert_eq!(answer_of(&cache, "a.test", 1).await, Ok(1));
        advance(Duration::from_secs(1_000_000)).await;
        assert_eq!(answer_of(&cache, "a.test", 1).await, Ok(1));
    }

    #[tokio::test]
    async fn questions_at_the_same_time_share_one_look_up_in_a_partition() {
        let gate = Arc::new(Notify::new());
        let (cache, resolver) =
            cache(Counting { gate: Some(Arc::clone(&gate)), ..Counting::default() });
        let (first, second, other, ()) = tokio::join!(
            answer_of(&cache, "a.test", 1),
            answer_of(&cache, "a.test", 1),
            answer_of(&cache, "a.test", 2),
            async {
                assert_eq!(resolver.asked.load(Ordering::Relaxed), 2);
                gate.notify_waiters();
            }
        );
        assert_eq!([first, second, other], [Ok(1), Ok(1), Ok(2)]);
    }

    #[tokio::test]
    async fn question_goes_on_for_the_others_when_one_request_gives_up() {
        let gate = Arc::new(Notify::new());
        let (cache, _) = cache(Counting { gate: Some(Arc::clone(&gate)), ..Counting::default() });
        let first = cache.lookup("a.test", &partition(1));
        let second = cache.lookup("a.test", &partition(1));
        assert!(first.clone().now_or_never().is_none());
        drop(first);
        gate.notify_one();
        assert!(second.await.is_ok());
        assert_eq!(answer_of(&cache, "a.test", 1).await, Ok(1));
    }

    #[tokio::test]
    async fn question_that_every_request_gave_up_is_asked_again() {
        let gate = Arc::new(Notify::new());
        let (cache, _) = cache(Counting { gate: Some(Arc::clone(&gate)), ..Counting::default() });
        assert!(answer_of(&cache, "a.test", 1).now_or_never().is_none());
        gate.notify_one();
        assert_eq!(answer_of(&cache, "a.test", 1).await, Ok(2));
    }

    #[tokio::test]
    async fn failure_has_its_reason_and_is_not_remembered() {
        let (cache, resolver) = cache(Counting::default());
        for (name, reason) in [
            ("nx.test", "no such name"),
            ("empty.test", "it has no addresses"),
            ("panic.test", "the resolver panicked"),
        ] {
            for _ in 0..2 {
                assert_eq!(answer_of(&cache, name, 1).await, Err(reason.to_owned()));
            }
        }
        assert_eq!(resolver.asked.load(Ordering::Relaxed), 6);
        assert_eq!(answer_of(&cache, "a.test", 1).await, Ok(7));
    }

    #[tokio::test]
    async fn partition_displaces_only_its_own_oldest_names() {
        let (cache, _) = cache(Counting::default());
        assert_eq!(answer_of(&cache, "other.test", 0).await, Ok(1));
        assert_eq!(answer_of(&cache, "first.test", 1).await, Ok(2));
        for n in 0..MAX_NAMES {
            answer_of(&cache, &format!("{n}.test"), 1).await.unwrap();
        }
        assert_eq!(answer_of(&cache, "1.test", 1).await, Ok(4));
        assert_eq!(answer_of(&cache, "other.test", 0).await, Ok(1));
        assert_eq!(answer_of(&cache, "first.test", 1).await, Ok(67));
        for site in 2..u128::try_from(MAX_PARTITIONS).unwrap() + 2 {
            answer_of(&cache, "a.test", site).await.unwrap();
        }
        let partitions = cache.partitions.lock().unwrap();
        assert_eq!(partitions.len(), MAX_PARTITIONS);
        assert!(partitions.iter().all(|(_, names)| names.len() <= MAX_NAMES));
    }
}
