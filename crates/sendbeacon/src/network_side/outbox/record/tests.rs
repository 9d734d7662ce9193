use http::Method;
use proptest::prelude::*;
use sendbeacon_fetch::{CspDisposition, Mode, Nonce};

use super::*;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn page() -> Client {
    let mut client = Client::new(url("https://a.test/page?q"), Nonce::from_u128(1));
    client.csp_list.push_header("connect-src https:", CspDisposition::Enforce);
    client.document_id = 7;
    client
}

/// Makes and reads a record without waiting: nothing here has to wait.
fn round_trip(client: &Client, request: KeptRequest) -> Option<(Kept, Vec<u8>)> {
    let made = Kept::make(Arc::new(client.clone()), request, Timestamp(5), None);
    let (kept, content) = sendbeacon_testkit::network::complete(made)?;
    assert_eq!(kept.size, content.len() as u64);
    Some((Kept::decode(&content)?, content))
}

fn beacon(body: &[u8], content_type: &'static str) -> KeptRequest {
    let body = Body::from(Bytes::copy_from_slice(body));
    let data = Some((body, Some(HeaderValue::from_static(content_type))));
    KeptRequest::Beacon { url: url("https://b.test/c").into(), data }
}

#[test]
fn a_record_leads_to_the_same_request() {
    let (kept, _) = round_trip(&page(), beacon(b"{}", "application/json")).unwrap();
    assert_eq!((kept.created, kept.client.document_id), (Timestamp(5), 7));
    let request = kept.request.into_request(Arc::clone(&kept.client));
    assert_eq!((request.method.clone(), request.mode), (Method::POST, Mode::Cors));
    assert_eq!(request.headers[http::header::CONTENT_TYPE], "application/json");
    assert_eq!(request.url().as_str(), "https://b.test/c");
    let body = sendbeacon_testkit::network::complete(request.body.unwrap().read()).unwrap();
    assert_eq!(&body[..], b"{}");

    let ping = KeptRequest::Ping {
        url: url("https://b.test/").into(),
        target_url: url("https://c.test/"),
    };
    let (kept, _) = round_trip(&page(), ping).unwrap();
    let request = kept.request.into_request(Arc::clone(&kept.client));
    assert_eq!(request.headers["ping-to"], "https://c.test/");
    assert_eq!(request.initiator_type, InitiatorType::Ping);

    let mut call = Request::new(Arc::new(page()), url("https://b.test/put"));
    (call.method, call.keepalive) = (Method::PUT, true);
    call.headers.insert("x-a", HeaderValue::from_static("1"));
    let (kept, _) = round_trip(&page(), KeptRequest::Request(Box::new(call))).unwrap();
    let request = kept.request.into_request(Arc::clone(&kept.client));
    assert_eq!((request.method.clone(), request.keepalive), (Method::PUT, true));
    assert_eq!(request.headers["x-a"], "1");
}

#[test]
fn a_record_is_confined_to_what_a_script_can_have_made() {
    let call = |change: fn(&mut Request)| {
        let mut call = Request::new(Arc::new(page()), url("https://b.test/"));
        call.keepalive = true;
        change(&mut call);
        round_trip(&page(), KeptRequest::Request(Box::new(call)))
    };
    assert!(call(|_| {}).is_some());
    assert!(call(|it| it.keepalive = false).is_none());
    assert!(call(|it| it.method = Method::CONNECT).is_none());
    assert!(call(|it| it.mode = Mode::NoCors).is_some());
    assert!(
        call(|it| (it.mode, it.method) = (Mode::NoCors, Method::PUT)).is_none(),
        "a method that needs a preflight"
    );
    let authorization = HeaderValue::from_static("Basic eDp5");
    let mut with_credentials = Request::new(Arc::new(page()), url("https://b.test/"));
    with_credentials.keepalive = true;
    with_credentials.headers.insert(AUTHORIZATION, authorization);
    assert!(round_trip(&page(), KeptRequest::Request(Box::new(with_credentials))).is_none());
    let mut opaque = page();
    opaque.origin = Origin::Opaque(Nonce::from_u128(2));
    assert!(round_trip(&opaque, beacon(b"", "text/plain")).is_none());
    let plain = KeptRequest::Beacon { url: url("http://b.test/").into(), data: None };
    assert!(round_trip(&page(), plain).is_none());
}

#[test]
fn a_cookie_digest_is_that_of_one_header_or_of_none() {
    let value = HeaderValue::from_static;
    let digest = CookieDigest::of(Some(&value("a=1")));
    assert!(digest.is_of(Some(&value("a=1"))));
    assert!(!digest.is_of(Some(&value("a=2"))) && !digest.is_of(None));
    let none = CookieDigest::of(None);
    assert!(none.is_of(None) && !none.is_of(Some(&value(""))));
    assert_ne!(CookieDigest::of(None), none, "each digest has a key of its own");
}

proptest! {
    #[test]
    fn bytes_that_are_no_record_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Kept::decode(&bytes).is_none());
        prop_assert!(State::decode(&bytes).is_none_or(|state| state.encode() == bytes));
    }

    #[test]
    fn a_changed_record_leads_to_nothing_that_may_not_be_kept(
        at: prop::sample::Index,
        byte: u8,
        length: prop::sample::Index,
    ) {
        let (_, content) = round_trip(&page(), beacon(b"body", "text/plain")).unwrap();
        let mut changed = content.clone();
        changed[at.index(content.len())] = byte;
        if let Some(kept) = Kept::decode(&changed) {
            prop_assert!(kept.request.may_be_kept(&kept.client));
            prop_assert!(is_potentially_trustworthy(kept.request.url()));
        }
        prop_assert!(Kept::decode(&content[..length.index(content.len())]).is_none());
    }
}
