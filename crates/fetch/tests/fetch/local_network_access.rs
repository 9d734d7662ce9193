//! The Local Network Access check: which clients may ask for a permission, and for which addresses it is needed.

use http::{HeaderMap, HeaderValue};
use sendbeacon_fetch::{
    AddressSpace::{self, Local, Loopback, Public},
    Client, ContainerPolicy, NetworkError, Nonce, Origin, PermissionsPolicy,
    host::{Answer, LocalNetworkAccess},
    local_network_access_check,
};
use sendbeacon_testkit::network::complete;
use url::Url;

/// Permits everything.
struct PermitAll;

impl LocalNetworkAccess for PermitAll {
    fn permits(&self, _: &Client, _: &Url, _: AddressSpace) -> Answer<bool> {
        Answer::Ready(true)
    }
}

fn client(page: &str, space: AddressSpace) -> Client {
    let mut client = Client::new(Url::parse(page).unwrap(), Nonce::from_u128(1));
    client.address_space = Some(space);
    client
}

fn check(client: &Client, url: &str, target: AddressSpace) -> Result<(), NetworkError> {
    let url = Url::parse(url).unwrap();
    complete(local_network_access_check(client, &url, target, &PermitAll))
}

/// Whether a client may reach an address in the local network, and one of the machine itself.
fn may_reach(client: &Client) -> [bool; 2] {
    [Local, Loopback].map(|target| check(client, "https://device.test/", target).is_ok())
}

fn policy(value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([("permissions-policy".parse().unwrap(), HeaderValue::from_static(value))])
}

#[test]
fn the_client_must_be_a_secure_context_with_a_document() {
    let page = client("https://a.test/", Public);
    assert_eq!(may_reach(&page), [true, true]);
    let insecure = client("http://a.test/", Public);
    assert_eq!(may_reach(&insecure), [false, false]);
    let mut worker = page;
    worker.has_document = false;
    assert_eq!(may_reach(&worker), [false, false]);
    worker.address_space = Some(Loopback);
    assert_eq!(may_reach(&worker), [true, true], "no address is less public");
}

#[test]
fn each_address_space_has_a_permissions_policy() {
    let mut page = client("https://a.test/", Public);
    for (value, expected) in [
        ("local-network=()", [false, true]),
        ("loopback-network=()", [true, false]),
        ("local-network=(), loopback-network=self", [false, true]),
        ("local-network-access=()", [true, true]),
    ] {
        page.permissions_policy = PermissionsPolicy::top_level(&page.origin, &policy(value));
        assert_eq!(may_reach(&page), expected, "{value}");
    }
}

#[test]
fn a_frame_of_another_origin_needs_the_allow_attribute() {
    let top = client("https://a.test/", Public);
    let mut frame = client("https://b.test/", Public);
    for (allow, expected) in [
        ("", [false, false]),
        ("local-network", [true, false]),
        ("loopback-network *; local-network https://b.test", [true, true]),
        ("local-network https://c.test", [false, false]),
    ] {
        let src = Origin::of(&"https://b.test/".parse().unwrap(), Nonce::from_u128(2));
        let container =
            ContainerPolicy::new(&PermissionsPolicy::default(), &top.origin, allow, &src);
        frame.permissions_policy = container.permissions_policy(&frame.origin, &HeaderMap::new());
        assert_eq!(may_reach(&frame), expected, "{allow:?}");
    }
}

#[test]
fn mixed_content_that_is_not_at_a_local_address_is_refused() {
    let page = client("https://a.test/", Public);
    for (target, is_allowed) in [(Loopback, false), (Local, true), (Public, false)] {
        let answer = check(&page, "http://printer.local/", target);
        let refusal = NetworkError::LocalNetworkAccess { client: Public, target };
        assert_eq!(answer, if is_allowed { Ok(()) } else { Err(refusal) });
        let answer = check(&page, "https://printer.local/", target);
        assert_eq!(answer, Ok(()), "it is not mixed content");
        let answer = check(&client("http://a.test/", Loopback), "http://printer.local/", target);
        assert_eq!(answer, Ok(()), "nor is this");
    }
}
