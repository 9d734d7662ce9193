//! Prints how the cost of a beacon grows with the size of a policy, a store or a list, as a table.
//!
//! The network side serves every page, so nothing that one page or one server does may make the beacons of all pages
//! slow. Each row compares a beacon at size 1 with a beacon at size N, in turn, over a network that answers at once.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use benches::{COLLECTOR, Instantly, KIB_BEACONS_PER_DOCUMENT, client, cookies, user_agent};
use http::{HeaderValue, header};
use sendbeacon::{
    Client, CspDisposition, Document, Event, EventKind, EventSink, MemoryHstsStore, NetworkError,
    Nonce, Outcome, UserAgent, UserAgentBuilder,
    host::{BoxFuture, HstsEntry, HstsStore, Network, NetworkRequest, NetworkResponse},
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};
use url::Url;

/// How many beacons a measurement sends.
const BATCH: usize = 64;
/// How many measurements each of the two sizes gets. The fastest counts, because other programs only make it slower.
const ROUNDS: usize = 15;
/// What the page of a case sends its beacons to.
type Target = Box<dyn Fn(usize) -> String>;

/// What grows.
#[derive(Clone, Copy, Debug)]
enum Case {
    /// Sources of the page's policy; beacons go to 64 allowed origins in turn.
    CspAllowed,
    /// Sources with paths; half of the beacons are blocked.
    CspHalfBlocked,
    /// Sources with wildcards and ports.
    CspWildcards,
    /// Known HSTS hosts of other sites.
    HstsHosts,
    /// The same, and each beacon goes to a new site whose response has `Strict-Transport-Security`.
    HstsNewHosts,
    /// Cookies of other sites.
    OtherCookies,
    /// Cookies of the own site with another path.
    OtherPaths,
    /// Documents that are open.
    Documents,
}

const CASES: [(Case, usize, f64); 8] = [
    (Case::CspAllowed, 1_000, 1.5),
    (Case::CspHalfBlocked, 1_000, 1.5),
    (Case::CspWildcards, 1_000, 1.5),
    (Case::HstsHosts, 1_000_000, 1.5),
    (Case::HstsNewHosts, 1_000_000, 1.5),
    (Case::OtherCookies, 3_000, 1.5),
    (Case::OtherPaths, 170, 2.0),
    (Case::Documents, 100_000, 1.5),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("{:<16} {:>8} {:>10} {:>10} {:>7}  at most", "case", "N", "at 1", "at N", "ratio");
    let mut is_flat = true;
    for (case, n, limit) in CASES {
        let (mut small, mut large) = (Page::new(case, 1)?, Page::new(case, n)?);
        let (mut at_1, mut at_n) = (Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            at_1 = at_1.min(small.measure()?);
            at_n = at_n.min(large.measure()?);
        }
        let ratio = at_n.as_secs_f64() / at_1.as_secs_f64();
        is_flat &= ratio <= limit;
        let name = format!("{case:?}");
        println!("{name:<16} {n:>8} {at_1:>10.2?} {at_n:>10.2?} {ratio:>7.2}  {limit}");
    }
    if is_flat { Ok(()) } else { Err("a row is above its limit".into()) }
}

/// A user agent with a case of some size.
struct Page {
    runtime: Runtime,
    _agent: UserAgent,
    documents: Vec<Document>,
    target: Target,
    done: UnboundedReceiver<()>,
    sent: usize,
}

impl Page {
    fn new(case: Case, n: usize) -> Result<Self, Box<dyn Error>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (sender, done) = unbounded_channel();
        let mut page = client();
        let mut builder = user_agent();
        let mut documents = 4;
        let cookies = cookies();
        let mut target: Target = Box::new(|_| COLLECTOR.to_owned());
        match case {
            Case::CspAllowed => {
                page = with_policy(n, |i| format!("https://c{i}.example.net"));
                target = Box::new(move |i| format!("https://c{}.example.net/c", i % 64 % n));
            }
            Case::CspHalfBlocked => {
                page = with_policy(n, |i| format!("https://c{}.example.net/{i}/", i % 64));
                target = Box::new(move |i| {
                    let (host, path) = (i % 64 % n, i % 2 * n + i % 64 % n);
                    format!("https://c{host}.example.net/{path}/{i}")
                });
            }
            Case::CspWildcards => {
                page = with_policy(n, |i| format!("https://*.c{i}.example.net:{}", 1_000 + i));
                target = Box::new(move |i| {
                    let i = i % 64 % n;
                    format!("https://x.c{i}.example.net:{}/c", 1_000 + i)
                });
            }
            Case::HstsHosts => builder = builder.hsts(Arc::new(hsts_store(n))),
            Case::HstsNewHosts => {
                page = with_policy(1, |_| "https:".to_owned());
                builder = builder.network(Arc::new(StrictTransport)).hsts(Arc::new(hsts_store(n)));
                target = Box::new(|i| format!("https://www.new{i}.com/c"));
            }
            Case::OtherCookies => {
                for i in 0..n {
                    let url = Url::parse(&format!("https://www.site{}.com/", i / 10))?;
                    let client = Client::new(url, Nonce::from_u128(1));
                    cookies.set_document_cookie(&client, &format!("c{i}=x; Max-Age=36000"));
                }
            }
            Case::OtherPaths => {
                for i in 0..n {
                    let cookie = format!("c{i}=x; Max-Age=36000; Path=/other");
                    cookies.set_document_cookie(&page, &cookie);
                }
            }
            Case::Documents => documents = n.max(4),
        }
        let agent = with_sink(builder, sender)
            .cookies(Arc::new(cookies))
            .runtime(runtime.handle().clone())
            .build()?;
        let documents = (0..documents).map(|_| agent.document(page.clone())).collect();
        Ok(Self { runtime, _agent: agent, documents, target, done, sent: 0 })
    }

    /// The time that a beacon takes, from the call to its outcome.
    fn measure(&mut self) -> Result<Duration, Box<dyn Error>> {
        let body = "x".repeat(1 << 10);
        let begin = Instant::now();
        for _ in 0..BATCH {
            let document = &self.documents[self.sent % self.documents.len()];
            let is_sent = document.send_beacon(&(self.target)(self.sent), Some((&*body).into()))?;
            assert!(is_sent, "the quota of {KIB_BEACONS_PER_DOCUMENT} beacons is not reached");
            self.sent += 1;
            self.runtime.block_on(self.done.recv());
        }
        Ok(begin.elapsed() / u32::try_from(BATCH)?)
    }
}

/// The client of [`client`] with a policy of `n` sources.
fn with_policy(n: usize, source: impl Fn(usize) -> String) -> Client {
    let mut client = Client::new(client().creation_url, Nonce::from_u128(1));
    let sources: Vec<_> = (0..n).map(source).collect();
    let policy = format!("default-src 'self'; connect-src 'self' {}", sources.join(" "));
    client.csp_list.push_header(&policy, CspDisposition::Enforce);
    client
}

/// A store with `n` known hosts, of `n` sites.
fn hsts_store(n: usize) -> MemoryHstsStore {
    let store = MemoryHstsStore::default();
    let expires = SystemTime::now() + Duration::from_secs(100_000);
    for i in 0..n {
        let entry = HstsEntry::new(expires, true);
        store.set(&format!("www.site{i}.com"), Some(entry));
    }
    store
}

/// A network like [`Instantly`] whose responses have `Strict-Transport-Security`.
struct StrictTransport;

impl Network for StrictTransport {
    fn http_network_fetch(
        &self,
        request: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
        Box::pin(async {
            let mut response = Instantly.http_network_fetch(request).await?;
            let value = HeaderValue::from_static("max-age=31536000");
            response.headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
            Ok(response)
        })
    }
}

/// Sends a message for each outcome.
struct Outcomes(UnboundedSender<()>);

impl EventSink for Outcomes {
    fn event(&self, event: Event) {
        if let EventKind::Done {
            outcome: Outcome::Delivered { .. } | Outcome::Failed { .. }, ..
        } = event.kind
        {
            let _ = self.0.send(());
        }
    }

    fn wants_wire_events(&self) -> bool {
        false
    }
}

fn with_sink(builder: UserAgentBuilder, sender: UnboundedSender<()>) -> UserAgentBuilder {
    builder.event_sink(Arc::new(Outcomes(sender)))
}
