//! Tests of what the network process admits again: forged beacons, pings and violations.

use std::slice;

use bytes::Bytes;
use sendbeacon_fetch::{CspDisposition, CspViolation};

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

#[test]
fn a_violation_of_more_than_its_group_may_report_is_not_reported() {
    let report = |endpoints: Vec<String>| {
        let mut violation = CspViolation::new("", CspDisposition::Enforce, "img-src", "inline");
        violation.report_uri = endpoints;
        let (violation, group) = (Box::new(violation), group(0, &page()));
        let (result, sent) = serve(&[ToNetwork::Violation { id: 0, group, violation }]);
        assert!(result.is_ok(), "{result:?}");
        sent.len()
    };
    let endpoint = || vec!["https://a.test/report".to_owned()];
    assert_eq!(report(endpoint()), 1);
    // Each takes three bytes in a frame, and more in memory.
    let many = vec!["//".to_owned(); 10_000];
    assert_eq!(report([endpoint(), many].concat()), 0);
}
