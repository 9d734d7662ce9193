//! Tests of deferred fetching: errors, quota, and the sums against a walk of the tree.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use url::Url;

use super::*;
use crate::{Client, ContainerPolicy, KeepaliveLimits, Nonce, Origin, PermissionsPolicy, Referrer};

const KIB: u64 = 1024;

fn url(url: &str) -> Url {
    Url::parse(url).unwrap()
}

fn origin(origin: &str) -> Origin {
    Origin::of(&url(origin), Nonce::from_u128(7))
}

/// A request of exactly this length, its URL and `about:client` included.
fn request(client: &Client, to: &str, length: u64) -> Request {
    let mut request = Request::new(Arc::new(client.clone()), url(to));
    let body = length - total_request_length(&request);
    request.body = Some(Bytes::from(vec![b'x'; usize::try_from(body).unwrap()]).into());
    assert_eq!(total_request_length(&request), length);
    request
}

fn top(page: &str, header: &str) -> (Client, DeferredFetching) {
    let mut client = Client::new(url(page), Nonce::from_u128(1));
    client.permissions_policy = PermissionsPolicy::top_level(&client.origin, &headers(header));
    let document = DeferredFetching::top_level(&client);
    (client, document)
}

/// The ledger that a request counts in once it is sent.
fn ledger() -> Arc<Ledger> {
    Ledger::new(KeepaliveLimits::default())
}

fn headers(permissions_policy: &str) -> HeaderMap {
    let value = HeaderValue::from_str(permissions_policy).unwrap();
    [(http::HeaderName::from_static("permissions-policy"), value)].into_iter().collect()
}

/// A frame that its parent has navigated to the first of `urls`, which redirects to the second.
fn frame(
    (parent, document): &(Client, DeferredFetching),
    allow: &str,
    urls: [&str; 2],
) -> (NavigableContainer, (Client, DeferredFetching)) {
    let container = document.container(&parent.origin);
    let to = origin(urls[0]);
    let policy = ContainerPolicy::new(&parent.permissions_policy, &parent.origin, allow, &to);
    container.reserve_deferred_fetch_quota(&policy, &to);
    let mut client = Client::new(url(urls[1]), Nonce::from_u128(2));
    client.permissions_policy = policy.permissions_policy(&client.origin, &HeaderMap::new());
    let nested = DeferredFetching::nested(&client, &container);
    (container, (client, nested))
}

fn available((_, document): &(Client, DeferredFetching)) -> u64 {
    document.available_quota(&origin("https://nobody.test"))
}

/// How much fits if it goes to many origins, so that the quota of an origin is never the limit.
fn room((client, document): &(Client, DeferredFetching)) -> u64 {
    let mut held = Vec::new();
    let mut room = 0;
    for n in 0.. {
        let to = format!("https://{n}.test/");
        let Some(length) = Some(document.available_quota(&origin(&to))).filter(|&left| left > 40)
        else {
            break;
        };
        room += length;
        held.push(
            document.queue_a_deferred_fetch(request(client, &to, length), None, &ledger()).unwrap(),
        );
    }
    document.abort();
    room
}

#[test]
fn the_request_length_counts_url_referrer_headers_and_body() {
    let mut request = Request::new(
        Arc::new(Client::new(url("https://a.test/page"), Nonce::from_u128(1))),
        url("https://a.test/x?q#fragment"),
    );
    assert_eq!(total_request_length(&request), 18 + 12);
    request.headers.append("x-a", HeaderValue::from_static("bc"));
    request.headers.append("x-a", HeaderValue::from_static(""));
    assert_eq!(total_request_length(&request), 18 + 12 + 5 + 3);
    request.referrer = Referrer::NoReferrer;
    assert_eq!(total_request_length(&request), 18 + 8);
    request.referrer = Referrer::Url(url("https://a.test/r"));
    request.body = Some(Bytes::from_static(b"body").into());
    assert_eq!(total_request_length(&request), 18 + 8 + 16 + 4);
}

#[test]
fn errors_come_in_the_order_of_the_steps() {
    let (client, document) = top("https://a.test/", "deferred-fetch=()");
    let call = |to: &str, is_fully_active, init| {
        let request = Request::new(Arc::new(client.clone()), url(to));
        fetch_later(&document, is_fully_active, request, init, &ledger()).unwrap_err()
    };
    let mut init = DeferredRequestInit {
        activate_after: Some(f64::NAN),
        is_aborted: true,
        has_stream_body: true,
    };
    assert_eq!(call("ftp://b.test/", false, init), FetchLaterError::ActivateAfterNotFinite);
    init.activate_after = Some(-0.001);
    assert_eq!(call("ftp://b.test/", false, init), FetchLaterError::Aborted);
    init.is_aborted = false;
    assert_eq!(call("ftp://b.test/", false, init), FetchLaterError::NegativeActivateAfter);
    init.activate_after = Some(-0.0);
    assert_eq!(call("ftp://b.test/", false, init), FetchLaterError::NotFullyActive);
    assert_eq!(call("ftp://b.test/", true, init), FetchLaterError::NotHttp("ftp".into()));
    assert_eq!(call("http://b.test/", true, init), FetchLaterError::NotTrustworthy);
    assert_eq!(call("http://localhost/", true, init), FetchLaterError::StreamBody);
    init.has_stream_body = false;
    let refused = FetchLaterError::QuotaExceeded { quota: 0, requested: 27 };
    assert_eq!(call("https://b.test/", true, init), refused);
    assert_eq!(refused.exception_name(), "QuotaExceededError");
}

#[test]
fn a_queued_request_has_keepalive_and_no_service_worker() {
    let (client, document) = top("https://a.test/", "");
    let queued = |init| {
        fetch_later(&document, true, request(&client, "https://a.test/", 99), init, &ledger())
    };
    let queued_at_once = queued(DeferredRequestInit::after(Duration::ZERO)).unwrap();
    assert!(queued_at_once.request().keepalive && !queued_at_once.request().use_service_workers);
    assert_eq!(queued_at_once.activate_after(), Some(Duration::ZERO));
    let for_ever = DeferredRequestInit { activate_after: Some(1e300), ..Default::default() };
    assert_eq!(queued(for_ever).unwrap().activate_after(), Some(Duration::MAX));
    assert_eq!(queued(DeferredRequestInit::default()).unwrap().activate_after(), None);
}

#[test]
fn a_sent_or_aborted_fetch_gives_its_quota_back_once() {
    let (client, document) = top("https://a.test/", "");
    let queue = || {
        let request = request(&client, "https://a.test/", 64 * KIB);
        document
            .queue_a_deferred_fetch(request, None, &ledger())
            .map(|queued| Arc::clone(queued.record()))
    };
    let first = queue().unwrap();
    let full = FetchLaterError::QuotaExceeded { quota: 0, requested: 64 * KIB };
    assert_eq!(queue().unwrap_err(), full);
    assert!(first.abort() && !first.process() && !first.is_sent());
    let second = queue().unwrap();
    assert!(second.process() && !second.abort() && second.is_sent() && second.process());
    let third = queue().unwrap();
    document.process_deferred_fetches();
    assert!(third.is_sent());
    let fourth = queue().unwrap();
    document.abort();
    assert!(!fourth.process());
    assert_eq!(document.available_quota(&origin("https://a.test")), 64 * KIB);
}

#[test]
fn the_number_of_pending_records_is_limited() {
    let (client, document) = top("https://a.test/", "");
    let queue =
        || document.queue_a_deferred_fetch(request(&client, "http://[::1]/", 26), None, &ledger());
    let mut held: Vec<_> = (0..2_400).map(|_| queue().unwrap()).collect();
    let to = "https://b.test/";
    let other = || document.queue_a_deferred_fetch(request(&client, to, 27), None, &ledger());
    held.extend((2_400..4_096).map(|_| other().unwrap()));
    let refused = FetchLaterError::QuotaExceeded { quota: 0, requested: 27 };
    assert_eq!(other().unwrap_err(), refused);
    held.pop();
    document.abort();
    assert!(other().is_ok());
}

/// The tree of the example in the standard.
#[test]
fn the_example_tree_leaves_384_kibibytes() {
    let policy = "deferred-fetch=(self \"https://ok.example.com\")";
    let top = top("https://top.example.com/", policy);
    let allow = "deferred-fetch";
    let (_a, same) = frame(&top, "", ["https://top.example.com/frame"; 2]);
    let (_b, in_same) = frame(&same, "", ["https://x.example.com/"; 2]);
    let (_c, x) = frame(&top, "", ["https://x.example.com/"; 2]);
    let (_d, back_in_x) = frame(&x, "", ["https://top.example.com/"; 2]);
    let (_e, good) = frame(&top, allow, ["https://ok.example.com/good"; 2]);
    let (_f, in_good) = frame(&good, "", ["https://x.example.com/"; 2]);
    let redirect = ["https://ok.example.com/redirect", "https://x.example.com/"];
    let (_g, redirected) = frame(&top, allow, redirect);
    let back = ["https://ok.example.com/back", "https://top.example.com/"];
    let (_h, back) = frame(&top, allow, back);
    assert_eq!([&in_same, &x].map(room), [8 * KIB; 2]);
    assert_eq!([&back_in_x, &in_good, &redirected].map(room), [0; 3]);
    assert_eq!(room(&good), 64 * KIB);
    assert_eq!([&top, &same, &back].map(room), [384 * KIB; 3]);
}

#[test]
fn sixteen_containers_have_minimal_quota_at_a_time() {
    let top = top("https://a.test/", "");
    let mut frames: Vec<_> = (0..16).map(|_| frame(&top, "", ["https://b.test/"; 2])).collect();
    assert!(frames.iter().all(|(_, nested)| available(nested) == 8 * KIB));
    assert_eq!(available(&frame(&top, "", ["https://b.test/"; 2]).1), 0);
    frames.pop();
    let last = frame(&top, "", ["https://c.test/"; 2]);
    assert_eq!(available(&last.1), 8 * KIB);
    assert_eq!(room(&top), 512 * KIB);
}

#[test]
fn a_nested_document_may_give_its_whole_quota_away() {
    let top = top("https://a.test/", "deferred-fetch=*");
    let (_b, b) = frame(&top, "deferred-fetch *", ["https://b.test/"; 2]);
    let (c, in_b) = frame(&b, "deferred-fetch *", ["https://c.test/"; 2]);
    assert_eq!([&b, &in_b].map(available), [0, 64 * KIB]);
    drop(c);
    let (client, document) = &b;
    let queued =
        document.queue_a_deferred_fetch(request(client, "https://x.test/", 40), None, &ledger());
    let (_c, in_b) = frame(&b, "deferred-fetch *", ["https://c.test/"; 2]);
    assert_eq!([&b, &in_b].map(available), [64 * KIB - 40, 0]);
    drop(queued);
}

#[test]
fn a_container_in_another_process_passes_its_reserved_quota_on() {
    let container = NavigableContainer::in_another_process(ReservedQuota::Minimal);
    let client = Client::new(url("https://b.test/"), Nonce::from_u128(1));
    let nested = (client.clone(), DeferredFetching::nested(&client, &container));
    assert_eq!(available(&nested), 8 * KIB);
    container.set_reserved_quota(ReservedQuota::Normal);
    assert_eq!(available(&nested), 64 * KIB);
    container.set_reserved_quota(ReservedQuota::None);
    assert_eq!(available(&nested), 0);
}

/// The algorithms of the standard to the letter: they walk the tree.
mod model {
    use super::*;

    pub(super) struct Frame {
        pub(super) parent: Option<usize>,
        pub(super) client: Client,
        pub(super) reserved: u64,
        pub(super) is_there: bool,
        /// Reporting origin, length, and whether it is pending.
        pub(super) records: Vec<(Origin, u64, bool)>,
    }

    pub(super) fn control(tree: &[Frame], mut frame: usize) -> usize {
        while let Some(parent) = tree[frame].parent
            && tree[parent].client.origin == tree[frame].client.origin
        {
            frame = parent;
        }
        frame
    }

    fn allowed(frame: &Frame, feature: crate::PolicyFeature) -> bool {
        let Client { permissions_policy, origin, .. } = &frame.client;
        permissions_policy.get_feature_value_for_origin(feature, origin)
    }

    pub(super) fn available(tree: &[Frame], of: usize, origin: Option<&Origin>) -> u64 {
        let control_document = control(tree, of);
        let frame = &tree[control_document];
        let full = allowed(frame, crate::PolicyFeature::DeferredFetch);
        let minimal = allowed(frame, crate::PolicyFeature::DeferredFetchMinimal);
        let mut quota = i128::from(match (frame.parent, frame.reserved) {
            (None, _) if !full => 0,
            (None, _) if !minimal => 640 * KIB,
            (None, _) => 512 * KIB,
            (_, reserved) if full && reserved == 64 * KIB => reserved,
            (_, reserved) if minimal && reserved == 8 * KIB => reserved,
            _ => 0,
        });
        let mut for_origin = i128::from(64 * KIB);
        for (at, frame) in tree.iter().enumerate() {
            if !frame.is_there {
                continue;
            }
            // Minimal quota was set aside above.
            let is_under = |parent| control(tree, parent) == control_document;
            if frame.reserved == 64 * KIB && frame.parent.is_some_and(is_under) {
                quota -= i128::from(frame.reserved);
            }
            if control(tree, at) == control_document {
                for (reporting, length, is_pending) in &frame.records {
                    if *is_pending {
                        quota -= i128::from(*length);
                        for_origin -=
                            if Some(reporting) == origin { i128::from(*length) } else { 0 };
                    }
                }
            }
        }
        u64::try_from(quota.min(for_origin).max(0)).unwrap()
    }
}

const ORIGINS: [&str; 3] = ["https://a.test/", "https://b.test/", "https://c.test/"];
const ALLOWS: [&str; 4] =
    ["", "deferred-fetch *", "deferred-fetch-minimal 'none'", "deferred-fetch 'self'"];
const TOPS: [&str; 4] =
    ["", "deferred-fetch=*", "deferred-fetch=()", "deferred-fetch=*, deferred-fetch-minimal=()"];

#[derive(Clone, Copy, Debug)]
enum Step {
    Frame { parent: usize, allow: usize, to: usize, ends_at: usize },
    Fetch { frame: usize, to: usize, length: u64 },
    Abort(usize),
    Process(usize),
    Remove(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let any = 0..1_000_usize;
    prop_oneof![
        4 => (any.clone(), 0..4_usize, 0..3_usize, 0..3_usize)
            .prop_map(|(parent, allow, to, ends_at)| Step::Frame { parent, allow, to, ends_at }),
        8 => (any.clone(), 0..3_usize, prop_oneof![40..70_000_u64, 30_000..66_000_u64])
            .prop_map(|(frame, to, length)| Step::Fetch { frame, to, length }),
        2 => any.clone().prop_map(Step::Abort),
        2 => any.clone().prop_map(Step::Process),
        1 => any.prop_map(Step::Remove),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_sums_equal_a_walk_of_the_tree_and_are_within_the_limits(
        top_policy in 0..TOPS.len(),
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let (client, document) = top(ORIGINS[0], TOPS[top_policy]);
        let mut tree = vec![model::Frame {
            parent: None, client: client.clone(), reserved: 0, is_there: true, records: Vec::new(),
        }];
        let mut real = vec![Some((None, (client, document)))];
        let mut records: Vec<(usize, usize, Arc<DeferredFetchRecord>)> = Vec::new();
        for step in steps {
            let there: Vec<_> = (0..tree.len()).filter(|&at| tree[at].is_there).collect();
            match step {
                Step::Frame { parent, allow, to, ends_at } => {
                    let parent = there[parent % there.len()];
                    let pair = &real[parent].as_ref().unwrap().1;
                    let made = frame(pair, ALLOWS[allow], [ORIGINS[to], ORIGINS[ends_at]]);
                    let to = origin(ORIGINS[to]);
                    let policy = ContainerPolicy::new(
                        &pair.0.permissions_policy, &pair.0.origin, ALLOWS[allow], &to);
                    let inherits = |feature| policy.define_an_inherited_policy(feature, &to);
                    let control = model::control(&tree, parent);
                    let minimal = tree.iter().filter(|it| it.is_there && it.reserved == 8 * KIB);
                    let same = made.1.0.origin == pair.0.origin;
                    let reserved = if inherits(crate::PolicyFeature::DeferredFetch)
                        && model::available(&tree, control, None) >= 64 * KIB {
                        64 * KIB
                    } else if tree[control].parent.is_none()
                        && inherits(crate::PolicyFeature::DeferredFetchMinimal)
                        && minimal.count() < 16 {
                        8 * KIB
                    } else { 0 };
                    tree.push(model::Frame {
                        parent: Some(parent),
                        client: made.1.0.clone(),
                        reserved: if same { 0 } else { reserved },
                        is_there: true,
                        records: Vec::new(),
                    });
                    real.push(Some((Some(made.0), made.1)));
                }
                Step::Fetch { frame, to, length } => {
                    let frame = there[frame % there.len()];
                    let to_origin = origin(ORIGINS[to]);
                    let quota = model::available(&tree, frame, Some(&to_origin));
                    let (client, document) = &real[frame].as_ref().unwrap().1;
                    let request = request(client, ORIGINS[to], length);
                    match document.queue_a_deferred_fetch(request, None, &ledger()) {
                        Ok(queued) => {
                            prop_assert!(length <= quota);
                            records.push((frame, tree[frame].records.len(), Arc::clone(queued.record())));
                            tree[frame].records.push((to_origin, length, true));
                        }
                        Err(error) => prop_assert_eq!(
                            error, FetchLaterError::QuotaExceeded { quota, requested: length }),
                    }
                }
                Step::Abort(at) | Step::Process(at) if !records.is_empty() => {
                    let (frame, of_frame, record) = &records[at % records.len()];
                    if matches!(step, Step::Abort(_)) { record.abort() } else { record.process() };
                    tree[*frame].records[*of_frame].2 = false;
                }
                Step::Remove(at) => {
                    let gone = there[at % there.len()];
                    if gone == 0 { continue; }
                    for frame in (gone..tree.len()).rev() {
                        let mut ancestor = Some(frame);
                        while ancestor.is_some_and(|it| it != gone) {
                            ancestor = tree[ancestor.unwrap()].parent;
                        }
                        if ancestor.is_some() {
                            tree[frame].is_there = false;
                            if let Some((_, (_, document))) = real[frame].take() {
                                document.process_deferred_fetches();
                            }
                        }
                    }
                }
                Step::Abort(_) | Step::Process(_) => {}
            }
            for (at, frame) in real.iter().enumerate() {
                let Some((container, (_, document))) = frame else { continue };
                for origin in ORIGINS.map(origin) {
                    let expected = model::available(&tree, at, Some(&origin));
                    prop_assert_eq!(document.available_quota(&origin), expected);
                }
                let reserved = container.as_ref().map_or(0, |it| it.reserved_quota().bytes());
                prop_assert_eq!(reserved, tree[at].reserved);
            }
            let pending = tree.iter().filter(|it| it.is_there).flat_map(|it| &it.records);
            let pending: u64 = pending.filter(|it| it.2).map(|it| it.1).sum();
            prop_assert!(pending <= 640 * KIB);
        }
        let whole = model::available(&tree[..1], 0, None);
        drop(real.drain(1..).collect::<Vec<_>>());
        drop(records);
        let (_, top) = real.remove(0).unwrap();
        top.1.abort();
        prop_assert_eq!(available(&top), whole);
    }
}
