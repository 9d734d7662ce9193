//! Measures the memory of an idle document, and of a beacon with 1 KiB of body: queued, and in flight without a
//! network, over HTTP/1.1 and over HTTP/2. As many beacons are sent before, so that lists have already grown.
//!
//! Run it by `cargo run --release -p benches --bin memory`. Only the library allocates during the measurement. The
//! kernel's memory is not counted.

use std::{
    alloc::System,
    env,
    error::Error,
    future,
    io::{self, BufRead, BufReader, Read},
    net::TcpListener,
    process::{Command, Stdio},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use sendbeacon::{
    Client, Document, Event, EventKind, EventSink, NetworkError, Nonce, Scheduling, UserAgent,
    host::{BoxFuture, Network, NetworkRequest, NetworkResponse},
    net::HttpNetwork,
};
use sendbeacon_testkit::server::{Behavior, RecordingServer};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::runtime::Builder;
use url::Url;

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The argument that makes this program the server for the measurement of HTTP/2.
const HOLD_HTTP2: &str = "hold-http2";

/// How many beacons are measured.
const BEACONS: usize = 1_000;
/// The length of each body in bytes.
const SIZE: usize = 1_024;
/// How many beacons each document sends.
const BEACONS_PER_DOCUMENT: usize = 8;
/// How many beacons are measured on HTTP/2, after the same number was sent. One connection takes no more at once, and
/// beacons that wait for it have not reached the network.
const STREAMS: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    if env::args().nth(1).is_some_and(|argument| argument == HOLD_HTTP2) {
        return hold_http2();
    }
    at_rest()?;
    let (sent, in_flight) = sync_channel(2 * BEACONS);
    let silent = Arc::new(Silent(sent));
    let page = "http://127.0.0.1:9999/page".parse()?;
    let bytes = bytes_of_each(BEACONS, silent, page, &in_flight)?;
    println!("without a network: {bytes} bytes, {} beyond its body", bytes - SIZE);

    let listener = TcpListener::bind("127.0.0.1:0")?;
    let page = format!("http://{}/page", listener.local_addr()?).parse()?;
    let (sent, in_flight) = sync_channel(2 * BEACONS);
    thread::spawn(move || hold(&listener, &sent));
    let network = HttpNetwork::builder();
    let network = network.max_connections(2 * BEACONS).max_connections_per_origin(2 * BEACONS);
    let bytes = bytes_of_each(BEACONS, Arc::new(network.build()?), page, &in_flight)?;
    println!(
        "on an HTTP/1.1 connection of its own: {bytes} bytes, {} beyond its body",
        bytes - SIZE
    );

    // The server is a process of its own, so that its memory is not counted.
    let mut server = Command::new(env::current_exe()?);
    let mut server = server.arg(HOLD_HTTP2).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(server.stdout.take().ok_or("no output")?).lines();
    let page = lines.next().ok_or("no URL")??.parse()?;
    let mut certificate = String::new();
    for line in lines.by_ref() {
        certificate.push_str(&line?);
        certificate.push('\n');
        if certificate.contains("END") {
            break;
        }
    }
    let (sent, in_flight) = sync_channel(2 * BEACONS);
    thread::spawn(move || {
        for _ in lines {
            // The channel has room for all beacons.
            let _ = sent.send(());
        }
    });
    let network = HttpNetwork::builder().add_root_certificates_pem(certificate.as_bytes())?;
    let bytes = bytes_of_each(STREAMS, Arc::new(network.build()?), page, &in_flight)?;
    println!("on one HTTP/2 connection: {bytes} bytes, {} beyond its body", bytes - SIZE);
    server.kill()?;
    server.wait()?;
    Ok(())
}

/// Runs an HTTP/2 server that never answers. It prints its URL, its certificate, and a line for each request, and ends
/// at the end of stdin.
fn hold_http2() -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let server = RecordingServer::setup().tls(&["h2"]).max_streams(4_000);
    let server = runtime.block_on(server.start(|_| {
        println!();
        Behavior::Hang
    }));
    println!("{}\n{}", server.url("/page"), server.ca_pem().trim());
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

/// Measures an idle document, and a beacon that is queued because there is no network.
fn at_rest() -> Result<(), Box<dyn Error>> {
    let (sender, queued) = sync_channel(2 * BEACONS);
    let agent = UserAgent::builder().event_sink(Arc::new(Queued(sender))).build()?;
    agent.set_online(false);
    let client = Client::new("https://www.example.com/an-article".parse()?, Nonce::from_u128(1));
    let region = Region::new(GLOBAL);
    let groups: Vec<_> = (0..BEACONS).map(|_| agent.fetch_group()).collect();
    let bytes = held(&region) / BEACONS;
    drop(groups);
    println!("an idle document: {bytes} bytes beyond its client");

    let documents: Vec<_> =
        (0..2 * BEACONS / BEACONS_PER_DOCUMENT).map(|_| agent.document(client.clone())).collect();
    let (first, second) = documents.split_at(documents.len() / 2);
    send(first, &queued)?;
    let region = Region::new(GLOBAL);
    send(second, &queued)?;
    let bytes = held(&region) / BEACONS;
    println!("a queued beacon of {SIZE} bytes: {bytes} bytes, {} beyond its body", bytes - SIZE);
    Ok(())
}

/// An event sink that says when a beacon has reached the network side.
struct Queued(SyncSender<()>);

impl EventSink for Queued {
    fn event(&self, event: Event) {
        if let EventKind::Queued = event.kind {
            // The channel has room for all beacons.
            let _ = self.0.send(());
        }
    }
}

/// The bytes that were allocated in the region and not freed.
fn held(region: &Region<'_, System>) -> usize {
    let change = region.change();
    change.bytes_allocated - change.bytes_deallocated
}

/// Measures the bytes for each beacon that is in flight on `network`.
fn bytes_of_each(
    beacons: usize,
    network: Arc<dyn Network>,
    page: Url,
    in_flight: &Receiver<()>,
) -> Result<usize, Box<dyn Error>> {
    let scheduling = Scheduling::default()
        .with_per_origin(2 * BEACONS)
        .with_per_partition(2 * BEACONS)
        .with_overall(2 * BEACONS);
    let agent = UserAgent::builder().network(network).scheduling(scheduling).build()?;
    let page = Client::new(page, Nonce::from_u128(1));
    let documents: Vec<_> =
        (0..2 * beacons / BEACONS_PER_DOCUMENT).map(|_| agent.document(page.clone())).collect();
    let (first, second) = documents.split_at(documents.len() / 2);

    // The first half makes collections grow, which happens in steps.
    send(first, in_flight)?;
    let region = Region::new(GLOBAL);
    send(second, in_flight)?;
    let bytes = held(&region);
    drop((agent, documents));
    Ok(bytes / beacons)
}

/// Sends beacons from each document, and waits until `there` has said of each that it has arrived.
fn send(documents: &[Document], there: &Receiver<()>) -> Result<(), Box<dyn Error>> {
    let body = [b'x'; SIZE];
    for document in documents {
        for _ in 0..BEACONS_PER_DOCUMENT {
            if !document.send_beacon("/collect", Some((&body[..]).into()))? {
                return Err("the quota had no room".into());
            }
        }
    }
    there.iter().take(documents.len() * BEACONS_PER_DOCUMENT).for_each(drop);
    Ok(())
}

/// A network that never answers.
struct Silent(SyncSender<()>);

impl Network for Silent {
    fn http_network_fetch(
        &self,
        request: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
        // The channel has room for all beacons.
        let _ = self.0.send(());
        Box::pin(async move {
            let _held = request;
            future::pending().await
        })
    }
}

/// Reads a request from each connection, and never answers.
fn hold(listener: &TcpListener, sent: &SyncSender<()>) {
    let mut held = Vec::with_capacity(2 * BEACONS);
    let mut buffer = [0; 4 * SIZE];
    for mut connection in listener.incoming().flatten() {
        while let Ok(length @ 1..) = connection.read(&mut buffer)
            && buffer[length - 1] != b'x'
        {}
        held.push(connection);
        // The channel has room for all beacons.
        let _ = sent.send(());
    }
}
