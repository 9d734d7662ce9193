//! Tests of documents in a content process, whose user agent is in the network process.

mod channel;
mod deferred;
mod fetching;
mod killed;
mod pinned;

use std::{os::unix::net::UnixStream, thread};

use sendbeacon::{
    Client, Document, Inflight, KeepaliveLimits,
    remote::{ChannelError, Pin, RemoteUserAgent},
};
use sendbeacon_testkit::server::RecordingServer;
use tokio::sync::oneshot;

use crate::browser::{Browser, client, wait_until};

/// The result of serving a content process, once its channel has ended.
type Ended = oneshot::Receiver<Result<(), ChannelError>>;

/// The user agent of a content process for `page`. The content process is this process.
pub(crate) fn start_content_process(browser: &Browser, page: &Client) -> RemoteUserAgent {
    connect(browser, Pin::of(page)).0
}

/// The user agent of a content process with this pin, and the end of its channel.
fn connect(browser: &Browser, pin: Pin) -> (RemoteUserAgent, Ended) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let ended = serve(browser, ours, pin);
    (RemoteUserAgent::over_unix_stream(theirs).unwrap(), ended)
}

/// A browser, a content process for a page of the server, and a document of that page.
fn open_page_of(server: &RecordingServer) -> (Browser, RemoteUserAgent, Document) {
    let browser = Browser::new();
    let page = page_of(server);
    let content = start_content_process(&browser, &page);
    let document = content.document(page);
    (browser, content, document)
}

/// Serves a content process on a thread of its own.
fn serve(browser: &Browser, stream: UnixStream, pin: Pin) -> Ended {
    let process = browser.agent.content_process(pin);
    let (sender, ended) = oneshot::channel();
    thread::spawn(move || sender.send(process.serve_unix(stream)));
    ended
}

/// Waits until the whole keepalive quota of a document is free.
async fn wait_for_quota(document: &Document) {
    wait_until(|| document.fetch_group().inflight() == Inflight::default()).await;
}

/// The settings object of a page of the server.
pub(crate) fn page_of(server: &RecordingServer) -> Client {
    client(&server.url("/d/page"))
}

/// Limits that allow more than a channel holds.
const PLENTY: KeepaliveLimits =
    KeepaliveLimits { body_bytes: 2_000_000, requests: 60_000, url_bytes: 60_000_000 };
