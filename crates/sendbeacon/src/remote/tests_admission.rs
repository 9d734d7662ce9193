//! Tests of what the network process admits again: forged beacons and pings to a URL that no script can send to.

use std::{io::sink, sync::Arc, time::Duration};

use bytes::Bytes;
use sendbeacon_fetch::{Client, Nonce};
use sendbeacon_testkit::network::{ScriptedNetwork, respond};
use url::Url;

use super::{
    ChannelError, Pin,
    frame::encode,
    limits::VERSION,
    protocol::{BeaconFrame, GroupFrame, PingFrame, ToNetwork},
};
use crate::UserAgentBuilder;

/// The longest URL, without its fragment, that a beacon may have, in bytes.
const MAX_URL_LENGTH: usize = 65_534;

fn page() -> Client {
    Client::new(Url::parse("https://a.test/").unwrap(), Nonce::from_u128(1))
}

fn group() -> GroupFrame {
    let client = Some(postcard::to_stdvec(&page()).unwrap().into());
    GroupFrame { id: 0, flags: 0, client }
}

fn beacon(url: &str) -> ToNetwork {
    let data = Some((Bytes::from_static(b"x"), None));
    ToNetwork::Beacon { id: 0, group: group(), beacon: BeaconFrame { url: url.to_owned(), data } }
}

fn ping(url: &str) -> ToNetwork {
    let target_url = "https://b.test/".to_owned();
    ToNetwork::Ping { id: 0, group: group(), ping: PingFrame { url: url.to_owned(), target_url } }
}

/// Serves a content process that sends this one frame. Returns how its channel ended, and the number of requests.
fn serve(frame: &ToNetwork) -> (Result<(), ChannelError>, usize) {
    let network = Arc::new(ScriptedNetwork::new(|_| respond(204, &[])));
    let agent = UserAgentBuilder::new(Arc::clone(&network) as _).build().unwrap();
    let frames = [&ToNetwork::Hello { version: VERSION }, frame];
    let bytes: Vec<u8> = frames.into_iter().flat_map(|frame| encode(frame).unwrap()).collect();
    let result = agent.content_process(Pin::of(&page())).serve(&*bytes, sink());
    assert!(agent.shutdown_blocking(Duration::from_secs(20)).completed);
    (result, network.sent().len())
}

fn assert_is_refused(frame: &ToNetwork) {
    let (result, sent) = serve(frame);
    assert!(matches!(result, Err(ChannelError::Quota)), "{result:?}");
    assert_eq!(sent, 0);
}

/// A URL of so many bytes.
fn url_of(length: usize) -> String {
    format!("{:x<length$}", "https://a.test/")
}

#[test]
fn a_beacon_to_a_url_that_is_not_http_ends_the_channel() {
    for url in ["ftp://a.test/", "data:,x", "ws://a.test/", "blob:https://a.test/0"] {
        assert_is_refused(&beacon(url));
    }
}

#[test]
fn a_beacon_to_mixed_content_ends_the_channel() {
    assert_is_refused(&beacon("http://b.test/"));
}

#[test]
fn a_beacon_to_a_url_longer_than_the_wire_carries_ends_the_channel() {
    let (result, sent) = serve(&beacon(&url_of(MAX_URL_LENGTH)));
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(sent, 1);
    assert_is_refused(&beacon(&url_of(MAX_URL_LENGTH + 1)));
}

#[test]
fn a_ping_to_a_url_that_no_script_can_ping_ends_the_channel() {
    let (result, sent) = serve(&ping("https://a.test/"));
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(sent, 1);
    assert_is_refused(&ping("ftp://a.test/"));
    assert_is_refused(&ping(&url_of(MAX_URL_LENGTH + 1)));
}
