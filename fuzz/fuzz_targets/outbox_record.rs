//! The records of an outbox that somebody else has written: a real record, changed anywhere, without a key.
#![no_main]

mod change;

use std::{
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use arbitrary::Arbitrary;
use bytes::Bytes;
use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use sendbeacon::{
    Blob, Client, CspDisposition, Nonce, Origin, UserAgent, UserAgentBuilder,
    host::{
        Answer, BackgroundAttempt, BackgroundSend, Outbox, OutboxChange, OutboxError, OutboxRecord,
        RecordId,
    },
    is_potentially_trustworthy,
    outbox::OutboxSettings,
};
use sendbeacon_testkit::{
    network::{ScriptedNetwork, respond},
    outbox::MemoryStorage,
};
use url::Url;

use change::{Change, change};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    record: u8,
    content: Vec<Change<'a>>,
    state: Vec<Change<'a>>,
}

fn page() -> Client {
    let mut client =
        Client::new(Url::parse("https://a.test/page").expect("a URL"), Nonce::from_u128(1));
    client.csp_list.push_header("connect-src https:", CspDisposition::Enforce);
    client.user_agent = Some(HeaderValue::from_static("x"));
    client
}

/// Permits every request of the outbox.
struct Permits;

impl BackgroundSend for Permits {
    fn permits(&self, _: BackgroundAttempt<'_>) -> Answer<bool> {
        Answer::Ready(true)
    }
}

fn agent(outbox: Box<dyn Outbox>) -> (UserAgent, Arc<ScriptedNetwork>) {
    let network = Arc::new(ScriptedNetwork::new(|_| respond(204, &[])));
    let settings = OutboxSettings::default().with_persist_after(Duration::ZERO);
    let agent = UserAgentBuilder::new(Arc::clone(&network) as _)
        .outbox(outbox, settings)
        .background_send(Arc::new(Permits))
        .build()
        .expect("an agent");
    (agent, network)
}

/// Honest records: of a beacon, a beacon with a preflight, a ping, and a deferred fetch.
static RECORDS: LazyLock<Vec<OutboxRecord>> = LazyLock::new(|| {
    let storage = MemoryStorage::default();
    let (agent, _) = agent(storage.outbox());
    agent.set_online(false);
    let document = agent.document(page());
    assert_eq!(document.send_beacon("/x", Some("text".into())), Ok(true));
    let json = Blob::new(Bytes::from_static(b"{}"), "application/json");
    assert_eq!(document.send_beacon("https://b.test/y", Some((&json).into())), Ok(true));
    document.ping("/ping", "/target", None);
    let request = sendbeacon::Request::new(document.client(), page().creation_url);
    let _ = document.fetch_later(request, sendbeacon::DeferredRequestInit::default());
    while storage.records().len() < 4 {
        std::thread::yield_now();
    }
    storage.image().records()
});

/// A store with one record. It counts the removals.
struct One(Option<OutboxRecord>, Arc<Mutex<usize>>);

impl Outbox for One {
    fn load(&mut self) -> Result<Vec<OutboxRecord>, OutboxError> {
        Ok(self.0.take().into_iter().collect())
    }

    fn commit(&mut self, changes: &[OutboxChange]) -> Result<(), OutboxError> {
        let removals = changes.iter().filter(|it| matches!(it, OutboxChange::Remove(_))).count();
        *self.1.lock().expect("no panic") += removals;
        Ok(())
    }

    fn clear(&mut self, _: &[RecordId]) -> Result<(), OutboxError> {
        Ok(())
    }
}

fuzz_target!(|input: Input<'_>| {
    let mut record = RECORDS[usize::from(input.record) % RECORDS.len()].clone();
    change(&mut record.content, input.content);
    change(&mut record.state, input.state);
    let removed = Arc::new(Mutex::new(0));
    let (agent, network) = agent(Box::new(One(Some(record), Arc::clone(&removed))));
    // The record ends: it is refused, unknown, too old, or sent, and then it is removed.
    for _ in 0..200_000 {
        if *removed.lock().expect("no panic") > 0 {
            break;
        }
        std::thread::yield_now();
    }
    assert!(agent.shutdown_blocking(Duration::from_secs(20)).completed);
    for request in network.sent() {
        assert!(is_potentially_trustworthy(&request.url));
        assert!(!request.connection.credentials || request.method == http::Method::OPTIONS);
        assert!(!request.headers.contains_key("cookie"));
        assert!(!request.headers.contains_key("authorization"));
        let client = request.client.expect("a page's request");
        assert!(matches!(client.origin, Origin::Opaque(_)) && !client.has_document);
    }
});
