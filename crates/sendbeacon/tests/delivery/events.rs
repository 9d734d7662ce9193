//! Tests of the events that a sink gets, and of a sink whose receiver does not read.

use std::{sync::Arc, time::Instant};

use http::StatusCode;
use sendbeacon::{
    AbandonReason, Blob, ChannelSink, Document, Event, EventKind, Events, FetchTiming,
    NetworkError, Observation, Request, UserAgent, UserAgentBuilder,
    host::{
        Answer as HostAnswer, ConnectionTiming, NetworkRequest, ServiceWorkerAnswer,
        ServiceWorkerResponse, ServiceWorkers,
    },
};
use sendbeacon_testkit::{
    network::{Answer, ScriptedNetwork, respond, respond_with_body},
    server::{Behavior, RecordingServer},
};
use tokio::task::spawn_blocking;

use crate::browser::{LONG, abandoned, client};

/// A builder of a user agent with a scripted network, and the events of that user agent.
fn builder(
    script: impl FnMut(&NetworkRequest) -> Answer + Send + 'static,
) -> (UserAgentBuilder, Events) {
    let (sink, events) = ChannelSink::new(10_000);
    let network = Arc::new(ScriptedNetwork::new(script));
    (UserAgent::builder().network(network).event_sink(sink), events)
}

fn page(agent: &UserAgent) -> Document {
    agent.document(client("https://a.test/"))
}

/// An event as one line of text.
fn line(kind: EventKind) -> String {
    let of = |is_preflight| if is_preflight { "preflight's " } else { "" };
    match kind {
        EventKind::Observed(Observation::RequestSent {
            is_preflight, method, url, body, ..
        }) => format!("{}{method} {url} {}", of(is_preflight), body.len()),
        EventKind::Observed(Observation::ResponseStarted { is_preflight, status, .. }) => {
            format!("{}{}", of(is_preflight), status.as_u16())
        }
        EventKind::Observed(Observation::Redirected { url, .. }) => format!("to {url}"),
        EventKind::Done { outcome, .. } => format!("{outcome:?}"),
        other => format!("{other:?}"),
    }
}

/// The response headers that let the preflight of the test pass.
const CORS: [(&str, &str); 3] = [
    ("access-control-allow-origin", "https://a.test"),
    ("access-control-allow-credentials", "true"),
    ("access-control-allow-headers", "content-type"),
];

#[test]
fn the_sink_gets_the_events_of_a_redirected_beacon_in_order() {
    let (builder, events) = builder(|request| match request.url.path() {
        "/x" => respond(307, &[("location", "https://b.test/y")]),
        _ => respond(204, &CORS),
    });
    let agent = builder.build().unwrap();
    let document = page(&agent);
    let json = Blob::new("{}", "application/json");
    assert_eq!(document.send_beacon("/x", Some((&json).into())), Ok(true));
    agent.shutdown_blocking(LONG);
    drop((document, agent));
    let events: Vec<_> = events.iter().collect();
    assert!(events.is_sorted_by_key(|event| event.at));
    let lines: Vec<_> = events.into_iter().map(|event| line(event.kind)).collect();
    assert_eq!(
        lines,
        [
            "Queued",
            "Started",
            "POST https://a.test/x 2",
            "307",
            "to https://b.test/y",
            "preflight's OPTIONS https://b.test/y 0",
            "preflight's 204",
            "POST https://b.test/y 2",
            "204",
            "Delivered { status: 204 }"
        ]
    );
}

/// The timing of the only fetch, and all its events.
fn timing(events: &Events) -> (FetchTiming, Vec<Event>) {
    let events: Vec<_> = events.iter().collect();
    let EventKind::Done { timing, .. } = events.last().unwrap().kind.clone() else { panic!() };
    (timing, events)
}

/// Sends one beacon. Returns its timing and its events.
fn beacon(
    script: impl FnMut(&NetworkRequest) -> Answer + Send + 'static,
    url: &str,
) -> (FetchTiming, Vec<Event>) {
    let (builder, events) = builder(script);
    let agent = builder.build().unwrap();
    let document = page(&agent);
    assert_eq!(document.send_beacon(url, Some("x".into())), Ok(true));
    agent.shutdown_blocking(LONG);
    drop((document, agent));
    timing(&events)
}

#[test]
fn the_done_event_has_the_times_of_resource_timing() {
    let (timing, events) = beacon(
        |request| {
            let mut answer = match request.url.path() {
                "/x" => respond(307, &[("location", "/y")]),
                _ => respond_with_body(
                    200,
                    &[
                        ("content-type", "text/json; charset=utf-8"),
                        ("server-timing", "db;dur=53, miss;desc=\"no \\\"x\\\"\""),
                    ],
                    "four",
                ),
            }?;
            let now = Instant::now();
            answer.version = Some(http::Version::HTTP_2);
            let info = Arc::make_mut(answer.info.get_or_insert_default());
            info.connection_timing = Some(Arc::new(ConnectionTiming::at(now)));
            info.first_interim_response_start = Some(now);
            Ok(answer)
        },
        "/x",
    );
    let at = |is: fn(&EventKind) -> bool| events.iter().rfind(|event| is(&event.kind)).unwrap().at;
    let sent = at(|kind| matches!(kind, EventKind::Observed(Observation::RequestSent { .. })));
    let head = at(|kind| matches!(kind, EventKind::Observed(Observation::ResponseStarted { .. })));
    let redirect = at(|kind| matches!(kind, EventKind::Observed(Observation::Redirected { .. })));
    let done = at(|kind| matches!(kind, EventKind::Done { .. }));
    assert!(timing.start <= events[0].at);
    assert_eq!(timing.redirect_start, Some(timing.start));
    assert_eq!(timing.redirect_end, Some(redirect));
    assert_eq!(timing.fetch_start, redirect);
    assert_eq!(timing.request_start, Some(sent));
    assert_eq!(timing.response_start, Some(head));
    assert_eq!(timing.response_end, done);
    assert_eq!(timing.response_status, Some(StatusCode::OK));
    assert_eq!((timing.encoded_body_size, timing.decoded_body_size), (4, Some(4)));
    assert_eq!(timing.transfer_size(), 304);
    assert_eq!((&*timing.content_type, timing.content_encoding), ("application/json", ""));
    let metrics: Vec<_> = timing
        .server_timing
        .iter()
        .map(|metric| (&*metric.name, metric.duration, &*metric.description))
        .collect();
    assert_eq!(metrics, [("db", 53.0, ""), ("miss", 0.0, "no \"x\"")]);
    assert!(timing.connection.as_ref().unwrap().connection_start >= redirect);
    let interim = timing.first_interim_response_start.unwrap();
    assert!(interim <= redirect, "the first one of the whole fetch");
    assert_eq!(timing.worker_start, None);
    assert_eq!(timing.next_hop_protocol, "h2");
    assert!(timing.timing_allow_passed);
    let shown = timing.for_script();
    assert_eq!(format!("{shown:?}"), format!("{timing:?}"));
}

#[test]
fn the_name_in_resource_timing_is_the_url_after_an_upgrade() {
    let name = |upgrades, url, status| {
        let (builder, events) = builder(move |request| {
            respond(
                if request.url.path() == "/x" { status } else { 204 },
                &[("location", "http://c.test/")],
            )
        });
        let agent = builder.build().unwrap();
        let mut client = client("http://a.test/");
        client.upgrade_insecure_requests = upgrades;
        assert_eq!(agent.document(client).send_beacon(url, None), Ok(true));
        agent.shutdown_blocking(LONG);
        drop(agent);
        let (timing, events) = timing(&events);
        let fetch = &events[0].fetch;
        assert_eq!(fetch.url.as_str(), url);
        assert_eq!(fetch.name(&timing), fetch.name(&timing.for_script()));
        fetch.name(&timing).to_string()
    };
    assert_eq!(name(false, "http://b.test/x", 204), "http://b.test/x");
    assert_eq!(name(true, "http://b.test/x", 204), "https://b.test/x");
    // The URL of a redirect is upgraded, too, but is not the name.
    assert_eq!(name(true, "http://b.test/x", 307), "https://b.test/x");
    assert_eq!(name(true, "https://b.test/x", 307), "https://b.test/x");
    // A fetch that fails after the upgrade.
    assert_eq!(name(true, "http://b.test:25/x", 204), "https://b.test:25/x");
}

#[test]
fn script_sees_the_timing_that_the_other_origin_allows() {
    let answer = |headers: &'static [(&str, &str)]| {
        move |_: &NetworkRequest| respond_with_body(200, headers, "four")
    };
    let told = &[
        ("content-encoding", "gzip"),
        ("content-type", "text/plain"),
        ("server-timing", "secret"),
    ];
    let (timing, _) = beacon(answer(told), "https://b.test/");
    assert_eq!((timing.encoded_body_size, timing.decoded_body_size), (4, None));
    assert_eq!((timing.content_encoding, timing.server_timing.len()), ("gzip", 1));
    let shown = timing.for_script();
    assert_eq!((shown.start, shown.fetch_start), (timing.start, timing.start));
    assert_eq!(shown.response_end, timing.response_end);
    assert_eq!((shown.request_start, shown.response_start), (None, None));
    assert_eq!((shown.response_status, shown.next_hop_protocol), (None, ""));
    assert_eq!((shown.encoded_body_size, shown.decoded_body_size), (0, Some(0)));
    assert_eq!((&*shown.content_type, shown.content_encoding), ("", ""));
    assert!(shown.server_timing.is_empty());

    let (timing, _) =
        beacon(answer(&[("timing-allow-origin", "https://a.test")]), "https://b.test/");
    let shown = timing.for_script();
    assert!(timing.request_start.is_some());
    assert_eq!(shown.request_start, timing.request_start);
    assert_eq!(
        (shown.response_status, shown.encoded_body_size),
        (None, 0),
        "the response is still opaque"
    );
}

#[test]
fn script_sees_only_the_start_and_the_end_of_a_failed_fetch() {
    let reset = |_: &NetworkRequest| Err(NetworkError::Protocol("reset".into()));
    let (timing, events) = beacon(reset, "/x");
    assert!(timing.request_start.is_some());
    assert_eq!(timing.response_status, None);
    let shown = timing.for_script();
    assert_eq!((shown.start, shown.request_start), (timing.start, None));
    assert_eq!(shown.response_end, events.last().unwrap().at);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_network_reports_the_protocol_and_the_body_size() {
    let server = RecordingServer::start(|_| Behavior::with_body(200, &[], b"four")).await;
    let (sink, events) = ChannelSink::new(100);
    let agent = UserAgent::builder().event_sink(sink).build().unwrap();
    let document = agent.document(client(&server.url("/")));
    assert_eq!(document.send_beacon("/x", None), Ok(true));
    agent.shutdown(LONG).await;
    drop((document, agent));
    let (timing, _) = spawn_blocking(move || timing(&events)).await.unwrap();
    assert_eq!((timing.next_hop_protocol, timing.encoded_body_size), ("http/1.1", 4));
    let connection = timing.connection.unwrap();
    assert!(timing.fetch_start <= connection.domain_lookup_start);
    assert!(connection.connection_end <= timing.response_start.unwrap());
}

#[test]
fn script_sees_the_start_of_the_fetch_instead_of_the_times_of_a_reused_connection() {
    let made = Instant::now();
    let (timing, _) = beacon(
        move |_| {
            let mut answer = respond(204, &[])?;
            let timing = Some(Arc::new(ConnectionTiming::at(made)));
            Arc::make_mut(answer.info.get_or_insert_default()).connection_timing = timing;
            Ok(answer)
        },
        "/x",
    );
    assert_eq!(timing.connection.as_deref(), Some(&ConnectionTiming::at(made)));
    let shown = timing.for_script().connection;
    assert_eq!(shown.as_deref(), Some(&ConnectionTiming::at(timing.fetch_start)));
}

/// Answers every request itself.
struct Worker;

impl ServiceWorkers for Worker {
    fn handle_fetch(&self, _: &Request) -> HostAnswer<ServiceWorkerAnswer> {
        let response = respond_with_body(200, &[("server-timing", "cache")], "body").unwrap();
        HostAnswer::Ready(ServiceWorkerAnswer::Response(ServiceWorkerResponse::new(response)))
    }
}

#[test]
fn the_timing_has_the_start_of_the_service_worker_that_answered() {
    let (builder, events) = builder(|_| unreachable!());
    let agent = builder.service_workers(Arc::new(Worker)).build().unwrap();
    let document = page(&agent);
    assert_eq!(document.send_beacon("/x", None), Ok(true));
    agent.shutdown_blocking(LONG);
    drop((document, agent));
    let (timing, _) = timing(&events);
    assert!(timing.worker_start.is_some_and(|at| timing.fetch_start <= at));
    assert_eq!((timing.request_start, timing.response_start), (None, None));
    assert_eq!(timing.for_script().server_timing[0].name, "cache");
}

#[test]
fn send_beacon_with_id_returns_the_id_that_the_events_have() {
    let (builder, events) = builder(|_| respond(204, &[]));
    let agent = builder.build().unwrap();
    let document = page(&agent);
    let send = |url| document.send_beacon_with_id(url, None).unwrap();
    let (first, second) = (send("/1").unwrap(), send("/2").unwrap());
    assert_ne!(first, second);
    let too_large = "x".repeat(65_537);
    assert_eq!(document.send_beacon_with_id("/", Some((&*too_large).into())), Ok(None));
    document.unload();
    assert_eq!(send("/late"), None);
    agent.shutdown_blocking(LONG);
    drop((document, agent));
    let events: Vec<_> = events.iter().collect();
    for (id, path) in [(first, "/1"), (second, "/2")] {
        assert!(
            events.iter().all(|event| (event.fetch.id == id) == (event.fetch.url.path() == path))
        );
        let is_done = |event: &Event| matches!(event.kind, EventKind::Done { .. });
        assert!(events.iter().any(|event| event.fetch.id == id && is_done(event)));
    }
}

#[test]
fn an_aborted_beacon_has_the_reason_as_its_outcome() {
    let (builder, events) = builder(|_| respond(204, &[]));
    let agent = builder.build().unwrap();
    let document = page(&agent);
    agent.set_online(false);
    assert_eq!(document.send_beacon("/x", None), Ok(true));
    document.fetch_group().abort();
    agent.shutdown_blocking(LONG);
    drop((document, agent));
    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    let [EventKind::Queued, EventKind::Done { outcome, .. }] = &kinds[..] else {
        panic!("{kinds:?}")
    };
    assert_eq!(*outcome, abandoned(AbandonReason::Aborted));
}

#[tokio::test(flavor = "multi_thread")]
async fn beacons_are_delivered_although_nobody_reads_the_events() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    for keeps_receiver in [true, false] {
        let (sink, events) = ChannelSink::new(5);
        let agent = UserAgent::builder().event_sink(Arc::clone(&sink) as _).build().unwrap();
        let document = agent.document(client(&server.url("/")));
        let events = keeps_receiver.then_some(events);
        for n in 0..200 {
            assert_eq!(document.send_beacon(&format!("/{n}"), Some("x".into())), Ok(true));
        }
        let report = spawn_blocking(move || agent.shutdown_blocking(LONG)).await.unwrap();
        assert!(report.completed && report.lost.is_empty());
        // Five events for each beacon: queued, started, request sent, response started, done.
        let kept: Vec<_> = events.iter().flat_map(Events::try_iter).collect();
        let done = kept.iter().filter(|event| matches!(event.kind, EventKind::Done { .. })).count();
        assert_eq!(done, if keeps_receiver { 200 } else { 0 });
        assert!(kept.len() - done <= 5, "{} others", kept.len() - done);
        let dropped = sink.dropped_wire_events() + sink.dropped();
        assert_eq!(dropped, 1000 - kept.len() as u64);
        assert!(sink.dropped_wire_events() >= 400 - 3);
        assert!(!sink.is_work_outstanding());
    }
    assert_eq!(server.requests().len(), 400);
}
