//! Tests of what the network process admits again: forged beacons and pings to a URL that no script can send to.

use std::slice;

use bytes::Bytes;

use super::{
    ChannelError,
    protocol::ToNetwork,
    tests_support::{group, page, serve},
};
use crate::request_frame::{BeaconFrame, PingFrame};

/// The longest URL, without its fragment, that a beacon may have, in bytes.
const MAX_URL_LENGTH: usize = 65_534;

fn beacon(url: &str) -> ToNetwork {
    let data = Some((Bytes::from_static(b"x"), None));
    ToNetwork::Beacon {
        id: 0,
        group: group(0, &page()),
        beacon: BeaconFrame { url: url.to_owned(), data },
    }
}

fn ping(url: &str) -> ToNetwork {
    let target_url = "https://b.test/".to_owned();
    ToNetwork::Ping {
        id: 0,
        group: group(0, &page()),
        ping: PingFrame { url: url.to_owned(), target_url },
    }
}

fn assert_is_refused(frame: &ToNetwork) {
    let (result, sent) = serve(slice::from_ref(frame));
    assert!(matches!(result, Err(ChannelError::Quota)), "{result:?}");
    assert!(sent.is_empty(), "{sent:?}");
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
    let (result, sent) = serve(&[beacon(&url_of(MAX_URL_LENGTH))]);
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(sent.len(), 1);
    assert_is_refused(&beacon(&url_of(MAX_URL_LENGTH + 1)));
}

#[test]
fn a_ping_to_a_url_that_no_script_can_ping_ends_the_channel() {
    let (result, sent) = serve(&[ping("https://a.test/")]);
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(sent.len(), 1);
    assert_is_refused(&ping("ftp://a.test/"));
    assert_is_refused(&ping(&url_of(MAX_URL_LENGTH + 1)));
}
