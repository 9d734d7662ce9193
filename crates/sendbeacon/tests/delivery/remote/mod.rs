//! Documents in a content process, the user agent in another: what the channel between them promises.

mod channel;
mod deferred;
mod fetching;
mod killed;
mod pinned;

use std::{os::unix::net::UnixStream, thread};

use sendbeacon::{
    Client, Document, Inflight, KeepaliveLimits, Nonce,
    remote::{ChannelError, Pin, RemoteUserAgent},
};
use sendbeacon_testkit::server::RecordingServer;
use tokio::sync::oneshot;
use url::Url;

use crate::browser::{Browser, wait_until};

/// The settings object of a page.
fn client(url: &str) -> Client {
    Client::new(Url::parse(url).unwrap(), Nonce::from_u128(1))
}

/// A content process, in this one.
pub(crate) struct Content {
    pub(crate) agent: RemoteUserAgent,
}

impl Content {
    pub(crate) fn start(browser: &Browser, page: &Client) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        serve(browser, ours, Pin::of(page));
        Self { agent: RemoteUserAgent::over_unix_stream(theirs).unwrap() }
    }
}

/// Serves a content process on a thread of its own.
fn serve(
    browser: &Browser,
    stream: UnixStream,
    pin: Pin,
) -> oneshot::Receiver<Result<(), ChannelError>> {
    let process = browser.agent.content_process(pin);
    let (sender, ended) = oneshot::channel();
    thread::spawn(move || sender.send(process.serve_unix(stream)));
    ended
}

/// Waits until nothing of a document's quota is taken.
async fn wait_for_quota(document: &Document) {
    wait_until(|| document.fetch_group().inflight() == Inflight::default()).await;
}

/// A page of the server, as a client.
pub(crate) fn page_of(server: &RecordingServer) -> Client {
    client(&server.url("/d/page"))
}

/// Room for more than a channel holds.
const PLENTY: KeepaliveLimits = KeepaliveLimits::DEFAULT
    .with_body_bytes(2_000_000)
    .with_requests(60_000)
    .with_url_bytes(60_000_000);
