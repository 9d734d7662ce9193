//! Compares what the pool finds by its index with a search through all groups.

use foldhash::quality::RandomState;
use http::Method;
use proptest::prelude::*;
use sendbeacon_fetch::{
    Nonce, PartitionKey, Site,
    host::{ConnectionKey, NetworkRequest},
};
use tokio::runtime::Builder;
use url::Url;

use super::*;

/// A pool, and what the requests of a test have from it.
struct Requests {
    state: State,
    keys: Vec<Arc<PoolKey>>,
    waiting: Vec<(Arc<PoolKey>, Ticket)>,
    rooms: Vec<(Arc<PoolKey>, RoomGrant)>,
    in_use: Vec<(Arc<PoolKey>, u64, Option<Box<Http1Connection>>)>,
    /// The servers' ends of the connections.
    servers: Vec<tokio::io::DuplexStream>,
}

fn key(hasher: &RandomState, port: u16) -> Arc<PoolKey> {
    let partition =
        PartitionKey { top_level_site: Site::Opaque(Nonce::from_u128(0)), second_key: None };
    let url = Url::parse(&format!("https://a.test:{port}/")).unwrap();
    let request = NetworkRequest::new(Method::POST, url, ConnectionKey::new(partition, false));
    Arc::new(PoolKey::of(&request, None, hasher).unwrap())
}

impl Requests {
    fn new(per_group: usize, overall: usize, groups: u16) -> Self {
        let idle = Duration::from_secs(5);
        let limits = Limits { http1_idle: idle, http2_idle: idle, per_group, overall };
        let hasher = RandomState::default();
        Self {
            state: State::new(limits),
            keys: (1..=groups).map(|port| key(&hasher, port)).collect(),
            waiting: Vec::new(),
            rooms: Vec::new(),
            in_use: Vec::new(),
            servers: Vec::new(),
        }
    }

    fn take(&mut self, key: Arc<PoolKey>, grant: Grant) {
        match grant {
            Grant::Room(room) => self.rooms.push((key, room)),
            Grant::Http1 { connection, network, .. } => {
                self.in_use.push((key, network, Some(connection)));
            }
            Grant::Http2 { .. } => unreachable!("no connection speaks HTTP/2"),
        }
    }

    /// Does one thing that a request can do. `which` picks the request or the group.
    async fn step(&mut self, kind: u8, which: usize) {
        match kind {
            0..4 => {
                let key = Arc::clone(&self.keys[which % self.keys.len()]);
                match self.state.checkout_or_wait(&key, kind == 3) {
                    Ok(grant) => self.take(key, grant),
                    Err(ticket) => self.waiting.push((key, ticket)),
                }
            }
            4..6 if !self.rooms.is_empty() => {
                let (key, room) = self.rooms.swap_remove(which % self.rooms.len());
                let (client, server) = tokio::io::duplex(64);
                let mut connection =
                    Http1Connection::open(Box::new(client), false, None).await.unwrap();
                connection.sender.ready().await.unwrap();
                self.servers.push(server);
                self.state.opened_http1(&key, room);
                self.in_use.push((key, room.network, Some(connection)));
            }
            6 if !self.rooms.is_empty() => {
                let (key, room) = self.rooms.swap_remove(which % self.rooms.len());
                let reason = NetworkError::Connect("refused".into());
                self.state.not_opened(&key, room, (which.is_multiple_of(2)).then_some(&reason));
            }
            7..10 if !self.in_use.is_empty() => {
                let (key, network, connection) = self.in_use.swap_remove(which % self.in_use.len());
                let idle = connection.filter(|_| kind < 9).map(|it| (it, Duration::from_secs(5)));
                self.state.http1_ended(&key, network, idle);
            }
            10 if !self.waiting.is_empty() => {
                let (key, (ticket, mut receiver)) =
                    self.waiting.swap_remove(which % self.waiting.len());
                self.state.leave(&key, ticket);
                if let Ok(Ok(grant)) = receiver.try_recv() {
                    self.take(key, grant);
                }
            }
            11 if which.is_multiple_of(8) => self.state.network_changed(),
            _ => tokio::time::advance(Duration::from_millis(which as u64 * 10)).await,
        }
        for (key, (ticket, mut receiver)) in std::mem::take(&mut self.waiting) {
            match receiver.try_recv() {
                Ok(Ok(grant)) => self.take(key, grant),
                Ok(Err(_)) => {}
                Err(_) => self.waiting.push((key, (ticket, receiver))),
            }
        }
    }

    /// Compares the index with a search.
    fn check(&mut self) {
        let groups = || self.state.groups.values();
        let open = groups().map(ConnectionGroup::open).sum::<usize>();
        assert_eq!(self.state.index.open(), open);
        let idle = groups().filter_map(ConnectionGroup::longest_idle).min();
        let has_room = open < self.state.limits.overall || idle.is_some();
        let per_group = self.state.limits.per_group;
        let next = groups().find_map(|group| group.next_to_serve(has_room, per_group));
        assert_eq!(next, None, "a request waits that can be served");
        let waiting = groups().map(|group| group.waiting.len()).sum::<usize>();
        assert_eq!((self.state.waiting, self.waiting.len()), (waiting, waiting));
        let found = self.state.longest_idle();
        let found = found.and_then(|key| self.state.groups[&key].longest_idle());
        assert_eq!(found, idle);
        assert_eq!(self.state.has_room(), has_room);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_index_finds_what_a_search_through_all_groups_finds(
        limits in (1_usize..4, 1_usize..6),
        steps in prop::collection::vec((0_u8..13, 0_usize..64), 1..120),
    ) {
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut requests = Requests::new(limits.0, limits.1, 5);
            for (kind, which) in steps {
                requests.step(kind, which).await;
                requests.check();
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn requests_are_served_in_their_order_across_many_groups() {
    const GROUPS: u16 = 1_000;
    let mut requests = Requests::new(6, 1, GROUPS);
    for which in 0..usize::from(GROUPS) {
        requests.step(0, which).await;
    }
    for port in 1..=GROUPS {
        let (key, room) = requests.rooms.pop().unwrap();
        assert_eq!(key.port, port);
        requests.state.not_opened(&key, room, None);
        // This takes the next grant.
        requests.step(12, 0).await;
    }
    requests.check();
    assert!(requests.state.index.open() == 0 && requests.state.waiting == 0);
}
