//! Tests against content processes that send what no honest one would.

use std::{
    collections::HashSet,
    io::{Cursor, Read, Write as _, empty, sink},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;
use sendbeacon_fetch::{CspDisposition, CspViolation, Mode, Origin, Request};
use url::{Host, Url};

use super::{
    ChannelError, Pin, RemoteUserAgent,
    frame::{encode, payload_length, read},
    limits::{FIRST_CREDITS, LOAN, VERSION},
    protocol::{GroupFrame, ToContent, ToNetwork},
    tests_support::{agent, bytes_of, group, network, page, serve, wants},
};
use crate::{
    Document, Inflight,
    request_frame::{BeaconFrame, RequestFrame},
};

fn beacon(id: u64, group: GroupFrame) -> ToNetwork {
    let data = Some((Bytes::from_static(b"x"), None));
    ToNetwork::Beacon { id, group, beacon: BeaconFrame { url: "https://a.test/".into(), data } }
}

fn fetch(request: &Request) -> ToNetwork {
    let request = Box::new(RequestFrame::new(request, None).unwrap());
    ToNetwork::Fetch { id: 0, group: group(0, &page()), request }
}

fn request(url: &str) -> Request {
    Request::new(Arc::new(page()), Url::parse(url).unwrap())
}

#[test]
fn a_no_cors_request_is_confined_to_what_script_could_make() {
    let mut forged = request("https://bank.test/");
    forged.mode = Mode::NoCors;
    forged.method = Method::DELETE;
    assert!(
        matches!(serve(&[fetch(&forged)]), (Err(ChannelError::Request), sent) if sent.is_empty())
    );

    forged.method = Method::POST;
    forged.headers.insert("x-csrf", HeaderValue::from_static("1"));
    forged.headers.insert("content-type", HeaderValue::from_static("application/json"));
    forged.headers.insert("accept", HeaderValue::from_static("text/x"));
    let (client, frame) = (Arc::new(page()), RequestFrame::new(&forged, None).unwrap());
    let confined = frame.into_request(client).unwrap();
    assert_eq!(confined.headers.keys().collect::<Vec<_>>(), ["accept"]);
}

#[test]
fn a_forged_cors_request_is_preflighted() {
    let mut forged = request("https://bank.test/");
    forged.method = Method::DELETE;
    forged.unsafe_request = false;
    forged.keepalive = true;
    let (result, sent) = serve(&[fetch(&forged)]);
    result.unwrap();
    assert_eq!(sent, ["OPTIONS https://bank.test/"]);
}

#[test]
fn a_second_fetch_with_the_identifier_of_one_that_runs_ends_the_channel() {
    // The process takes no piece of the body, so the first fetch does not end.
    let (result, sent) =
        serve(&[fetch(&request("https://a.test/long")), fetch(&request("https://a.test/"))]);
    assert!(matches!(result, Err(ChannelError::Malformed(_))), "{result:?}");
    assert!(!sent.contains(&"GET https://a.test/".to_owned()), "{sent:?}");
}

#[test]
fn forbidden_methods_are_refused() {
    for method in ["TRACE", "trace", "TRACK", "CONNECT"] {
        let mut forged = request("https://a.test/");
        forged.method = Method::from_bytes(method.as_bytes()).unwrap();
        assert!(matches!(serve(&[fetch(&forged)]).0, Err(ChannelError::Request)), "{method}");
    }
}

#[test]
fn an_origin_whose_host_no_parser_makes_is_refused() {
    let mut client = page();
    let host = Host::Domain("bank.test/.a.test".to_owned());
    client.origin = Origin::Tuple { scheme: "https".into(), host, port: Some(443) };
    let (result, sent) = serve(&[beacon(0, group(0, &client))]);
    assert!(matches!(result, Err(ChannelError::Malformed(_))), "{result:?}");
    assert!(sent.is_empty());
}

#[test]
fn a_document_of_a_webviews_own_scheme_may_send() {
    let mut client = page();
    client.creation_url = Url::parse("tauri://localhost/index.html").unwrap();
    let host = Host::Domain("localhost".to_owned());
    client.origin = Origin::Tuple { scheme: "tauri".into(), host, port: None };
    let agent = agent(&network());
    let bytes = bytes_of(&[beacon(0, group(0, &client))]);
    agent.content_process(Pin::of(&client)).serve(&*bytes, sink()).unwrap();
    // A document of another host may not.
    client.creation_url = Url::parse("tauri://elsewhere/index.html").unwrap();
    let bytes = bytes_of(&[beacon(0, group(0, &client))]);
    let result = agent.content_process(Pin::of(&client)).serve(&*bytes, sink());
    assert!(matches!(result, Err(ChannelError::Pin("creation URL"))), "{result:?}");
}

#[test]
fn more_headers_than_a_request_may_have_are_refused() {
    let names = (0..1_000).map(|i| HeaderName::try_from(format!("x-{i}")).unwrap());
    let mut many: HeaderMap = names.map(|name| (name, HeaderValue::from_static(""))).collect();
    let mut forged = request("https://a.test/");
    forged.headers = many.clone();
    assert!(RequestFrame::new(&forged, None).is_some());
    many.insert("one-more", HeaderValue::from_static(""));
    forged.headers = many;
    assert!(RequestFrame::new(&forged, None).is_none());
}

#[test]
fn overlong_policies_are_refused() {
    let mut client = page();
    client.csp_list.push_meta(&format!("connect-src {}", "a ".repeat(40_000)));
    assert!(matches!(serve(&[beacon(0, group(0, &client))]).0, Err(ChannelError::Quota)));
}

#[test]
fn the_size_of_all_settings_objects_is_limited() {
    let mut client = page();
    // The directive has no effect on beacons. Each of its sources takes more in memory than in a frame.
    client.csp_list.push_meta(&format!("img-src {}", "a ".repeat(30_000)));
    let beacons = (0..10).map(|id| beacon(id, group(id, &client)));
    let frames: Vec<_> = wants().into_iter().chain(beacons).collect();
    assert!(matches!(serve(&frames).0, Err(ChannelError::Groups)));
}

#[test]
fn too_many_settings_objects_make_a_beacon_false_and_keep_the_channel() {
    let mut client = page();
    client.csp_list.push_meta(&format!("img-src {}", "a ".repeat(30_000)));
    let (reader, mut network_process) = std::io::pipe().unwrap();
    let said = Told::default();
    let content = RemoteUserAgent::connect(reader, said.clone()).unwrap();
    // There are enough credits for all.
    let lend = encode(&ToContent::Lend { bytes: 64 << 20 }).unwrap();
    network_process.write_all(&lend).unwrap();
    let mut documents: Vec<_> = (0..10).map(|_| content.document(client.clone())).collect();
    let sends = |document: &Document| document.send_beacon("https://a.test/", None).unwrap();
    let accepted = documents.iter().filter(|document| sends(document)).count();
    assert!((1..10).contains(&accepted), "{accepted}");
    // A document that goes makes room.
    drop(documents.remove(0));
    assert!(sends(&documents[8]));
    let mut reader = Cursor::new(said.0.lock().unwrap().clone());
    let frames = std::iter::from_fn(|| read::<ToNetwork>(&mut reader).unwrap());
    let is_beacon = |frame: &ToNetwork| matches!(frame, ToNetwork::Beacon { .. });
    assert_eq!(frames.filter(|(frame, _)| is_beacon(frame)).count(), accepted + 1);
}

#[test]
fn a_flood_of_violations_leaves_room_for_beacons() {
    let (reader, _open) = std::io::pipe().unwrap();
    let said = Told::default();
    let content = RemoteUserAgent::connect(reader, said.clone()).unwrap();
    let document = content.document(page());
    let disposition = CspDisposition::Enforce;
    let long = format!("script-src 'none'; report-uri{}", " /r".repeat(30_000));
    for (policy, sent) in [(&*long, 0), ("script-src 'none'; report-uri /r", 64)] {
        let violation = CspViolation::new(policy, disposition, "script-src", "inline");
        for _ in 0..1_000 {
            document.report_violation(&violation);
        }
        let mut reader = Cursor::new(said.0.lock().unwrap().clone());
        let frames = std::iter::from_fn(|| read::<ToNetwork>(&mut reader).unwrap());
        let is_violation = |frame: &ToNetwork| matches!(frame, ToNetwork::Violation { .. });
        assert_eq!(frames.filter(|(frame, _)| is_violation(frame)).count(), sent);
    }
    assert_eq!(document.send_beacon("https://a.test/", None), Ok(true));
}

#[test]
fn the_reports_of_all_groups_together_are_limited() {
    let agent = agent(&network());
    agent.set_online(false);
    let policy = "script-src 'none'; report-uri /r";
    let violation = CspViolation::new(policy, CspDisposition::Enforce, "script-src", "inline");
    let frames = (0..3_000).map(|id| {
        let (group, violation) = (group(id / 64, &page()), Box::new(violation.clone()));
        ToNetwork::Violation { id, group, violation }
    });
    let bytes = bytes_of(&wants().into_iter().chain(frames).collect::<Vec<_>>());
    agent.content_process(Pin::of(&page())).serve(&*bytes, sink()).unwrap();
    assert_eq!(agent.shutdown_blocking(Duration::ZERO).lost.len(), 1_024);
}

/// Accepts the first frame, and then has no room for any other.
#[derive(Clone, Default)]
struct Stuck(Arc<Mutex<HashSet<Vec<u8>>>>);

impl std::io::Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut given = self.0.lock().unwrap();
        given.insert(bytes.to_vec());
        if given.len() == 1 { Ok(bytes.len()) } else { Err(std::io::ErrorKind::WouldBlock.into()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn script_waits_for_room_once_for_all_pings_of_a_hyperlink() {
    let (reader, _open) = std::io::pipe().unwrap();
    let stuck = Stuck::default();
    let content = RemoteUserAgent::connect(reader, stuck.clone()).unwrap();
    let document = content.document(page());
    document.ping("/1 /2 /3", "/to", None);
    // The hello and the first ping.
    assert_eq!(stuck.0.lock().unwrap().len(), 2);
    assert_eq!(document.fetch_group().inflight(), Inflight::default());
}

/// A beacon of a group that is known, and the number of them that the credits are enough for.
fn known_beacon(id: u64, credits: u64) -> (ToNetwork, u64) {
    let frame = beacon(id, GroupFrame { id: 0, flags: 0, client: None });
    let cost = frame.cost(payload_length(&encode(&frame).unwrap()));
    (frame, credits / cost)
}

#[test]
fn more_requests_than_the_credits_are_enough_for_end_the_channel() {
    for (loans, credits) in [(0, FIRST_CREDITS), (1, FIRST_CREDITS + LOAN)] {
        let network = network();
        let agent = agent(&network);
        agent.set_online(false);
        let mut frames: Vec<_> = (0..loans).map(|_| ToNetwork::Want).collect();
        frames.push(beacon(0, group(0, &page())));
        // The identifiers are as long as the last one, so that all cost the same.
        let (_, most) = known_beacon(1_000, credits);
        frames.extend((1_000..1_000 + most).map(|id| known_beacon(id, 0).0));
        let process = agent.content_process(Pin::of(&page()));
        let result = process.serve(&*bytes_of(&frames), sink());
        assert!(matches!(result, Err(ChannelError::Quota)), "{result:?}");
        // The first beacon has cost more than the others, because it has the settings object.
        let lost = agent.shutdown_blocking(Duration::ZERO).lost.len() as u64;
        assert!(lost == most || lost + 1 == most, "{lost} of {most}");
    }
}

#[test]
fn credits_that_a_process_does_not_have_cannot_be_returned() {
    let some = ToNetwork::Return { bytes: FIRST_CREDITS };
    assert!(serve(&[some]).0.is_ok());
    let too_many = ToNetwork::Return { bytes: FIRST_CREDITS + 1 };
    assert!(matches!(serve(&[too_many]).0, Err(ChannelError::Quota)));
}

/// A process that reads nothing: a write waits until the test is over.
struct Unread(mpsc::Receiver<()>);

impl std::io::Write for Unread {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.0.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_process_that_asks_for_credits_and_reads_no_answer_ends_its_channel() {
    let agent = agent(&network());
    let frames: Vec<_> = (0..10_000).map(|_| ToNetwork::Want).collect();
    let (_test, is_over) = mpsc::channel();
    let result =
        agent.content_process(Pin::of(&page())).serve(&*bytes_of(&frames), Unread(is_over));
    assert!(matches!(result, Err(ChannelError::Malformed(_))), "{result:?}");
}

#[test]
fn a_process_that_reads_each_answer_may_ask_for_credits_any_number_of_times() {
    let agent = agent(&network());
    let process = agent.content_process(Pin::of(&page()));
    let (reader, mut to_network) = std::io::pipe().unwrap();
    let (mut to_content, writer) = std::io::pipe().unwrap();
    let serving = std::thread::spawn(move || process.serve(reader, writer));
    to_network.write_all(&bytes_of(&[])).unwrap();
    for _ in 0..1_000 {
        to_network.write_all(&encode(&ToNetwork::Want).unwrap()).unwrap();
        let (answer, _) = read(&mut to_content).unwrap().unwrap();
        assert!(matches!(answer, ToContent::Lend { .. }), "{answer:?}");
    }
    drop(to_network);
    serving.join().unwrap().unwrap();
}

#[test]
fn a_request_after_the_last_one_ends_the_channel() {
    let closed = [ToNetwork::Closed, beacon(0, group(0, &page()))];
    assert!(matches!(serve(&closed).0, Err(ChannelError::Malformed(_))));
    assert!(matches!(
        serve(&[ToNetwork::Closed, ToNetwork::Closed]).0,
        Err(ChannelError::Malformed(_))
    ));
    let unknown = GroupFrame { id: 7, flags: 0, client: None };
    assert!(matches!(serve(&[beacon(0, unknown)]).0, Err(ChannelError::Malformed(_))));
}

fn defer(id: u64, group: GroupFrame, url: &str, body: usize) -> ToNetwork {
    let body = Some(Bytes::from(vec![b'x'; body]));
    let mut request = request(url);
    request.method = Method::POST;
    let request = Box::new(RequestFrame::new(&request, body).unwrap());
    ToNetwork::Defer { id, group, request, activate_after: None }
}

#[test]
fn deferred_fetches_are_sent_when_their_process_goes_unless_aborted() {
    let deferred = [
        defer(0, group(0, &page()), "https://a.test/0", 60_000),
        ToNetwork::AbortDeferred { id: 0 },
        ToNetwork::AbortDeferred { id: 0 },
        ToNetwork::AbortDeferred { id: 7 },
        defer(1, GroupFrame { id: 0, flags: 0, client: None }, "https://a.test/1", 60_000),
    ];
    let (result, sent) = serve(&deferred);
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(sent, ["POST https://a.test/1"]);
}

#[test]
fn deferred_fetches_beyond_the_largest_quota_end_the_channel() {
    let twice = |id| defer(id, group(0, &page()), "https://a.test/", 40_000);
    assert!(matches!(serve(&[twice(0), twice(1)]).0, Err(ChannelError::Quota)));
    let to = |id| defer(id, group(0, &page()), &format!("https://{id}.test/"), 60_000);
    let frames: Vec<_> = wants().into_iter().chain((0..11).map(to)).collect();
    let (result, sent) = serve(&frames);
    assert!(matches!(result, Err(ChannelError::Quota)));
    // The requests that were accepted before are sent.
    assert_eq!(sent.len(), 10);
    let plain = defer(0, group(0, &page()), "http://b.test/", 1);
    assert!(matches!(serve(&[plain]).0, Err(ChannelError::Request)));
}

#[test]
fn a_process_with_another_version_is_refused() {
    let agent = agent(&network());
    let bytes = encode(&ToNetwork::Hello { version: VERSION + 1 }).unwrap();
    let result = agent.content_process(Pin::of(&page())).serve(&*bytes, sink());
    assert!(matches!(result, Err(ChannelError::Version(version)) if version == VERSION + 1));
    let bytes = encode(&ToNetwork::Closed).unwrap();
    let result = agent.content_process(Pin::of(&page())).serve(&*bytes, sink());
    assert!(matches!(result, Err(ChannelError::Malformed(_))));
}

#[test]
fn a_process_may_not_name_a_document_of_another_process() {
    let agent = agent(&network());
    let mut pin = Pin::of(&page());
    pin.document_ids = 5..=6;
    let bytes = bytes_of(&[beacon(0, group(0, &page()))]);
    let result = agent.content_process(pin).serve(&*bytes, sink());
    assert!(matches!(result, Err(ChannelError::Pin("document identifier"))), "{result:?}");
}

/// Records the bytes that are written to it.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Told {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Told {
    fn frames(&self) -> Vec<ToContent> {
        let mut reader = Cursor::new(self.0.lock().unwrap().clone());
        std::iter::from_fn(|| read(&mut reader).unwrap()).map(|(frame, _)| frame).collect()
    }
}

/// Ends when the content process was told that its fetch is done.
struct Waiting(Told);

impl Read for Waiting {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        let is_done = |frame: &ToContent| matches!(frame, ToContent::Done { .. });
        while !self.0.frames().iter().any(is_done) {
            std::thread::yield_now();
        }
        empty().read(&mut [])
    }
}

#[test]
fn an_opaque_response_does_not_tell_the_url_it_was_redirected_to() {
    let mut request = request("https://idp.test/redirect");
    request.mode = Mode::NoCors;
    let agent = agent(&network());
    let bytes = bytes_of(&[fetch(&request)]);
    let told = Told::default();
    let reader = bytes.chain(Waiting(told.clone()));
    agent.content_process(Pin::of(&page())).serve(reader, told.clone()).unwrap();
    assert!(matches!(
        told.frames()[..],
        [ToContent::Response { .. }, ToContent::End { .. }, ToContent::Done { .. },]
    ));
    let text = String::from_utf8_lossy(&told.0.lock().unwrap()).into_owned();
    assert!(text.contains("idp.test") && !text.contains("victim") && !text.contains("secret"));
}

proptest! {
    #[test]
    fn any_payload_after_a_hello_is_an_error_or_ends_with_the_channel(payloads: Vec<Vec<u8>>) {
        let agent = agent(&network());
        let mut bytes = bytes_of(&[]);
        for payload in payloads {
            bytes.extend(u32::try_from(payload.len()).unwrap().to_le_bytes());
            bytes.extend(payload);
            bytes.push(1);
        }
        let _ = agent.content_process(Pin::of(&page())).serve(&*bytes, sink());
        prop_assert!(agent.shutdown_blocking(Duration::from_secs(20)).completed);
    }
}
