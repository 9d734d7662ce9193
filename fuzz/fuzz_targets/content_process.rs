//! The bytes of a content process that is not trusted: a real session, changed anywhere.
#![no_main]

mod change;

use std::{
    io::{self, Write, sink},
    os::unix::net::UnixStream,
    sync::{Arc, LazyLock, Mutex},
    thread,
    time::Duration,
};

use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use sendbeacon::{
    Client, Nonce, Origin, Request, Site, UserAgent, UserAgentBuilder, VisibilityState,
    remote::{Pin, RemoteUserAgent},
};
use sendbeacon_testkit::network::{ScriptedNetwork, respond_with_body};
use url::Url;

use change::{Change, change};

fn page() -> Client {
    Client::new(Url::parse("https://a.test/page").expect("a URL"), Nonce::from_u128(1))
}

fn agent() -> (UserAgent, Arc<ScriptedNetwork>) {
    let network = Arc::new(ScriptedNetwork::new(|_| respond_with_body(200, &[], "x")));
    (UserAgentBuilder::new(Arc::clone(&network) as _).build().expect("an agent"), network)
}

/// Writes to a socket, and keeps a copy.
struct Copying(UnixStream, Arc<Mutex<Vec<u8>>>);

impl Write for Copying {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.write(bytes)?;
        self.1.lock().expect("no panic").extend_from_slice(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// What an honest content process writes.
static SESSION: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let (agent, network) = agent();
    let (theirs, ours) = UnixStream::pair().expect("a socket pair");
    let process = agent.content_process(Pin::of(&page()));
    let serving = thread::spawn(move || process.serve_unix(theirs));
    let bytes = Arc::default();
    let writer = Copying(ours.try_clone().expect("a socket"), Arc::clone(&bytes));
    let reader = ours.try_clone().expect("a socket");
    let remote = RemoteUserAgent::connect(reader, writer).expect("a channel");
    let document = remote.document(page());
    assert_eq!(document.send_beacon("/x", Some("text".into())), Ok(true));
    let mut request =
        Request::new(Arc::new(page()), Url::parse("https://b.test/y").expect("a URL"));
    request.keepalive = true;
    request.headers.insert("x-own", HeaderValue::from_static("1"));
    let pending = document.fetch_group().fetch(request);
    document.visibility_change(VisibilityState::Hidden);
    // The beacon, the preflight, and the request itself if the preflight allows it.
    while network.sent().len() < 2 {
        thread::yield_now();
    }
    document.unload();
    drop((pending, document, remote));
    let _ = ours.shutdown(std::net::Shutdown::Both);
    let _ = serving.join();
    let bytes: &Mutex<Vec<u8>> = &bytes;
    bytes.lock().expect("no panic").clone()
});

fuzz_target!(|changes: Vec<Change<'_>>| {
    let mut bytes = SESSION.clone();
    change(&mut bytes, changes);
    let (agent, network) = agent();
    let _ = agent.content_process(Pin::of(&page())).serve(&*bytes, sink());
    let report = agent.shutdown_blocking(Duration::from_secs(20));
    assert!(report.completed);
    for request in network.sent() {
        assert!(matches!(request.url.scheme(), "http" | "https"));
        let client = request.client.expect("a page's request");
        // A sandboxed document has an opaque origin, and the URL of its site.
        let site = Site::of(&page().origin);
        assert!(matches!(client.origin, Origin::Opaque(_)) || Site::of(&client.origin) == site);
        // Another host of the site is allowed.
        let url = &client.creation_url;
        assert!(!url.has_host() || site.is_of_url(url), "{url}");
        assert_eq!(client.network_partition_key, page().network_partition_key);
    }
});
