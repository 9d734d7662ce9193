//! Floods: whatever pages send to a server that does not answer, the library holds no more memory than its limits say,
//! other sites get `true`, and what was accepted is delivered.

use std::{
    alloc::System,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, Method, StatusCode};
use sendbeacon::{
    BodyInit, Client, CspDisposition, DeferredRequestInit, Document, NetworkError, Nonce, Origin,
    Request, Site, Timeouts, UserAgent, UserAgentBuilder,
    host::{BoxFuture, EmptyBody, Network, NetworkRequest, NetworkResponse},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::{runtime::Builder, sync::watch};
use url::Url;

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The tests run one after the other, because the allocations of all threads are counted together.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// How many documents send. Of those whose URL or policies take long to parse there are fewer: what is accepted fills the
/// memory long before the last of them.
const MANY: usize = 20_000;
const FEWER: usize = 400;

/// The default limit of the user agent, and what the library may take beyond it.
const MOST: usize = (64 << 20) + (64 << 20);

/// A server that answers nothing until it is told to answer everything with 204.
struct Silent(watch::Receiver<bool>);

impl Network for Silent {
    fn http_network_fetch(
        &self,
        request: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
        let mut answers = self.0.clone();
        Box::pin(async move {
            let _held = request;
            let _ = answers.wait_for(|answers| *answers).await;
            let (status, headers) = (StatusCode::NO_CONTENT, HeaderMap::new());
            Ok(NetworkResponse::new(status, headers, Box::pin(EmptyBody)))
        })
    }
}

/// A document of `https://{host}.test` in the partition of `https://{top_level}.test`.
fn document(agent: &UserAgent, host: &str, top_level: &str) -> Document {
    agent.document(client(host, top_level))
}

fn client(host: &str, top_level: &str) -> Client {
    let url = |host: &str| Url::parse(&format!("https://{host}.test/page")).unwrap();
    let mut client = Client::new(url(host), Nonce::from_u128(1));
    let top_level = Origin::of(&url(top_level), Nonce::from_u128(1));
    client.network_partition_key.top_level_site = Site::of(&top_level);
    client
}

/// Lets each document send by `send`, in one partition and then in eight. `send` returns how many requests were accepted.
/// It may keep the document, or drop it.
fn flood(documents: usize, mut send: impl FnMut(&UserAgent, Client) -> usize) {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for partitions in [1, 8] {
        let (answer, answers) = watch::channel(false);
        let hour = Duration::from_secs(3_600);
        let timeouts = Timeouts::default().with_fetch(hour).with_after_document(hour);
        let builder = UserAgentBuilder::new(Arc::new(Silent(answers))).timeouts(timeouts);
        let agent = builder.build().unwrap();
        let mut accepted = 0;
        for n in 0..documents {
            // Frames of five sites in each partition.
            let top_level = format!("top{}", n % partitions);
            accepted += send(&agent, client(&format!("frame{}", n / partitions % 5), &top_level));
        }
        let stats = GLOBAL.stats();
        let held = stats.bytes_allocated - stats.bytes_deallocated;
        eprintln!("{partitions} partitions: {accepted} accepted, {} MiB held", held >> 20);
        assert!(held < MOST, "{held} bytes");
        assert!(accepted > 0);
        // The ninth partition, and the first party beside the hostile frames.
        let kib = "x".repeat(1 << 10);
        for host in ["ninth", "top0"] {
            let document = document(&agent, host, host);
            assert_eq!(document.send_beacon("/collect", Some((&*kib).into())), Ok(true), "{host}");
            accepted += 1;
        }
        let report = agent.shutdown(Duration::from_secs(300));
        answer.send(true).unwrap();
        let report = Builder::new_current_thread().build().unwrap().block_on(report);
        assert!(report.completed && report.lost.is_empty(), "{:?}", report.lost.first());
        assert_eq!(report.delivered.len(), accepted);
    }
}

/// Sends from a document, which is gone afterwards, until a beacon is refused or there were `most`.
fn beacons(agent: &UserAgent, client: Client, url: &str, body: Option<&str>, most: usize) -> usize {
    let document = agent.document(client);
    let body = || body.map(BodyInit::from);
    (0..most).take_while(|_| document.send_beacon(url, body()) == Ok(true)).count()
}

#[test]
fn bodies_of_64_kib_are_bounded() {
    let body = "x".repeat(65_536);
    flood(MANY, |agent, client| beacons(agent, client, "/", Some(&body), 2));
}

#[test]
fn beacons_without_a_body_are_bounded() {
    flood(MANY, |agent, client| beacons(agent, client, "/", None, 4_096));
}

#[test]
fn beacons_with_the_longest_url_are_bounded() {
    let url = format!("/{}", "x".repeat(65_000));
    flood(FEWER, |agent, client| beacons(agent, client, &url, None, 4_096));
}

#[test]
fn urls_of_1_mb_are_bounded() {
    let query = "x".repeat(1_000_000);
    flood(FEWER / 10, |agent, client| {
        let document = agent.document(client);
        let mut accepted = 0;
        for _ in 0..4 {
            let mut url = document.client().api_base_url.clone();
            url.set_query(Some(&query));
            let mut request = Request::new(document.client(), url);
            request.keepalive = true;
            let before = document.fetch_group().inflight().requests;
            drop(document.fetch_group().fetch(request));
            let is_accepted = document.fetch_group().inflight().requests > before;
            accepted += usize::from(is_accepted);
            if !is_accepted {
                break;
            }
        }
        accepted
    });
}

#[test]
fn policies_of_64_kib_are_bounded() {
    let policy = format!("img-src https://{}", "a".repeat(65_000));
    flood(FEWER, |agent, mut client| {
        client.csp_list.push_header(&policy, CspDisposition::Enforce);
        beacons(agent, client, "/", None, 1)
    });
}

#[test]
fn policies_of_many_sources_are_bounded() {
    flood(FEWER / 10, |agent, mut client| {
        let sources: Vec<_> = (0..3_000).map(|n| format!("https://h{n}.c.test")).collect();
        let policy = format!("connect-src 'self' {}", sources.join(" "));
        client.csp_list.push_header(&policy, CspDisposition::Enforce);
        // The engine has matched a URL against it.
        assert!(client.csp_list.violations_of("connect-src", &client.creation_url).is_empty());
        beacons(agent, client, "/", None, 1)
    });
}

#[test]
fn deferred_fetches_are_bounded_while_they_are_pending_and_afterwards() {
    let body = bytes::Bytes::from("x".repeat(60_000));
    let mut pending = Vec::new();
    flood(MANY, |agent, client| {
        let document = agent.document(client);
        let mut url = document.client().api_base_url.clone();
        url.set_path("/later");
        let mut request = Request::new(document.client(), url);
        request.method = Method::POST;
        request.body = Some(bytes::Bytes::copy_from_slice(&body).into());
        let deferred = document.fetch_later(request, DeferredRequestInit::default());
        // A document that is gone has its fetch sent. The others are pending until the shutdown.
        let is_accepted = deferred.is_ok();
        if is_accepted && pending.len() < 40 {
            pending.push(document);
        }
        usize::from(is_accepted)
    });
}
