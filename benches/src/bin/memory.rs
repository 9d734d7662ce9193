//! What a beacon of 1 KiB takes in memory, its body included, with a thousand more in flight:
//! `cargo run --release -p benches --bin memory`. Nothing here allocates while it is measured but the
//! library; what is in the kernel is not counted.

use std::{
    alloc::System,
    error::Error,
    future,
    io::Read,
    net::TcpListener,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use sendbeacon::{
    Client, Document, NetworkError, Scheduling, UserAgent,
    host::{BoxFuture, Network, NetworkRequest, NetworkResponse},
    net::HyperNetwork,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use url::Url;

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const BEACONS: usize = 1_000;
const SIZE: usize = 1_024;
/// How many a document's quota admits at once.
const OF_EACH_DOCUMENT: usize = 50;

fn main() -> Result<(), Box<dyn Error>> {
    let (sent, in_flight) = sync_channel(2 * BEACONS);
    let silent = Arc::new(Silent(sent));
    let bytes = bytes_of_each(silent, "http://127.0.0.1:9999/page".parse()?, &in_flight)?;
    println!("without a network: {bytes} bytes, {} beyond its body", bytes - SIZE);

    let listener = TcpListener::bind("127.0.0.1:0")?;
    let page = format!("http://{}/page", listener.local_addr()?).parse()?;
    let (sent, in_flight) = sync_channel(2 * BEACONS);
    thread::spawn(move || hold(&listener, &sent));
    let network = HyperNetwork::builder();
    let network = network.max_connections(2 * BEACONS).max_connections_per_key(2 * BEACONS);
    let bytes = bytes_of_each(Arc::new(network.build()), page, &in_flight)?;
    println!(
        "on an HTTP/1.1 connection of its own: {bytes} bytes, {} beyond its body",
        bytes - SIZE
    );
    Ok(())
}

fn bytes_of_each(
    network: Arc<dyn Network>,
    page: Url,
    in_flight: &Receiver<()>,
) -> Result<usize, Box<dyn Error>> {
    let mut scheduling = Scheduling::default();
    scheduling.per_destination = 2 * BEACONS;
    scheduling.per_partition = 2 * BEACONS;
    scheduling.overall = 2 * BEACONS;
    let agent = UserAgent::builder().network(network).scheduling(scheduling).build()?;
    let page = Client::new(page, 1);
    let documents: Vec<_> =
        (0..2 * BEACONS / OF_EACH_DOCUMENT).map(|_| agent.document(page.clone())).collect();
    let (first, second) = documents.split_at(documents.len() / 2);

    // The first ones make room for what grows in steps.
    send(first, in_flight)?;
    let region = Region::new(GLOBAL);
    send(second, in_flight)?;
    let change = region.change();
    drop((agent, documents));
    Ok((change.bytes_allocated - change.bytes_deallocated) / BEACONS)
}

/// Sends from each document what it may, until all of it is in flight.
fn send(documents: &[Document], in_flight: &Receiver<()>) -> Result<(), Box<dyn Error>> {
    let body = [b'x'; SIZE];
    for document in documents {
        for _ in 0..OF_EACH_DOCUMENT {
            if !document.send_beacon("/collect", Some((&body[..]).into()))? {
                return Err("it had no room".into());
            }
        }
    }
    in_flight.iter().take(BEACONS).for_each(drop);
    Ok(())
}

/// Never answers.
struct Silent(SyncSender<()>);

impl Network for Silent {
    fn http_network_fetch(
        &self,
        request: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
        // Whoever counts has room for all.
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
        // Whoever counts has room for all.
        let _ = sent.send(());
    }
}
