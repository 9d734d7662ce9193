//! What the tests of this module share: a document, its frames, and a network process that serves them.

use std::{io::sink, sync::Arc, time::Duration};

use sendbeacon_fetch::{Client, Nonce};
use sendbeacon_testkit::network::{ScriptedNetwork, respond, respond_with_body};
use url::Url;

use super::{
    ChannelError, Pin,
    frame::encode,
    limits::VERSION,
    protocol::{GroupFrame, ToNetwork},
};
use crate::{KeepaliveLimits, MemoryLimits, UserAgent, UserAgentBuilder};

pub(super) fn page() -> Client {
    Client::new(Url::parse("https://a.test/").unwrap(), Nonce::from_u128(1))
}

pub(super) fn network() -> Arc<ScriptedNetwork> {
    Arc::new(ScriptedNetwork::new(|request| match request.url.path() {
        "/redirect" => respond(302, &[("location", "https://victim.test/?secret")]),
        "/long" => respond_with_body(200, &[], vec![b'x'; 1 << 20]),
        _ => respond_with_body(200, &[("x", "secret")], "secret"),
    }))
}

pub(super) fn agent(network: &Arc<ScriptedNetwork>) -> UserAgent {
    let limits = KeepaliveLimits::default().with_requests(60_000);
    let memory = MemoryLimits::default().with_user_agent(1 << 30).with_partition(1 << 30);
    let builder = UserAgentBuilder::new(Arc::clone(network) as _);
    builder.keepalive_limits(limits).memory_limits(memory).build().unwrap()
}

/// Asks for enough credits for all requests of a test.
pub(super) fn wants() -> Vec<ToNetwork> {
    (0..20).map(|_| ToNetwork::Want).collect()
}

/// A fetch group, and its settings object.
pub(super) fn group(id: u64, client: &Client) -> GroupFrame {
    let client = Some(postcard::to_stdvec(client).unwrap().into());
    GroupFrame { id, flags: 0, client }
}

/// The bytes of a process that says hello and then sends these frames.
pub(super) fn bytes_of(frames: &[ToNetwork]) -> Vec<u8> {
    let hello = ToNetwork::Hello { version: VERSION };
    let frames = std::iter::once(&hello).chain(frames);
    frames.flat_map(|frame| encode(frame).unwrap()).collect()
}

/// Serves a process that sends these frames and is gone. Returns how the channel ended, and the requests on the wire.
pub(super) fn serve(frames: &[ToNetwork]) -> (Result<(), ChannelError>, Vec<String>) {
    let network = network();
    let agent = agent(&network);
    let result = agent.content_process(Pin::of(&page())).serve(&*bytes_of(frames), sink());
    assert!(agent.shutdown_blocking(Duration::from_secs(20)).completed);
    (result, network.sent().iter().map(|sent| format!("{} {}", sent.method, sent.url)).collect())
}
