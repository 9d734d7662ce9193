//! Tests of beacons in a content process, of a full channel, and of the end of a channel.

use std::{io::Write, os::unix::net::UnixStream, sync::Arc, time::Duration};

use futures_util::FutureExt;
use sendbeacon::{
    Blob, BlobSource, CspDisposition, NetworkError, Outcome, Scheduling, TypeError,
    VisibilityState,
    host::Answer,
    remote::{ChannelError, Pin, RemoteUserAgent},
};
use sendbeacon_testkit::server::{Behavior, RecordingServer};
use tokio::{
    runtime::Handle,
    time::{self, timeout},
};

use super::{PLENTY, open_page_of, page_of, serve, start_content_process, wait_for_quota};
use crate::{
    browser::{Browser, LONG, client, delivered},
    server_that_waits,
};

#[tokio::test]
async fn a_beacon_crosses_the_channel_with_its_documents_policies() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let (browser, content, document) = open_page_of(&server);
    assert_eq!(document.send_beacon("b?x#y", Some("hello".into())), Ok(true));
    let request = &server.wait_for(1).await[0];
    assert_eq!(request.target, "/d/b?x");
    assert_eq!(request.body, b"hello");
    assert_eq!(request.header("content-type"), Some("text/plain;charset=UTF-8"));
    assert_eq!(request.header("referer"), Some(&*server.url("/d/page")));
    wait_for_quota(&document).await;

    let mut page = page_of(&server);
    page.csp_list.push_header("connect-src https:, default-src *", CspDisposition::Enforce);
    let document = content.document(page);
    assert_eq!(document.send_beacon("blocked", None), Ok(true));
    let outcomes = browser.events.wait_for(2).await;
    assert!(
        matches!(outcomes[1].1, Outcome::Failed { error: NetworkError::Csp { .. }, .. }),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn script_is_answered_before_the_network_process_reads() {
    let (_ours, theirs) = UnixStream::pair().unwrap();
    let agent = RemoteUserAgent::over_unix_stream(theirs).unwrap();
    let document = agent.document(client("https://a.test/"));
    let forty = "x".repeat(40_000);
    assert_eq!(document.send_beacon("/", Some((&*forty).into())), Ok(true));
    assert_eq!(document.send_beacon("/", Some((&*forty).into())), Ok(false));
    assert_eq!(document.send_beacon("/", Some("small".into())), Ok(true));
    assert!(matches!(document.send_beacon("data:,", None), Err(TypeError::NotHttp { .. })));
    document.unload();
    assert_eq!(document.send_beacon("/", None), Ok(false));
}

#[tokio::test]
async fn set_client_changes_later_beacons() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let (_browser, _content, document) = open_page_of(&server);
    document.send_beacon("1", None).unwrap();
    server.wait_for(1).await;
    document.set_client(client(&server.url("/other")));
    document.send_beacon("2", None).unwrap();
    let referers: Vec<_> =
        server.wait_for(2).await.iter().map(|it| it.header("referer").map(String::from)).collect();
    assert_eq!(referers, [Some(server.url("/d/page")), Some(server.url("/other"))]);
}

#[tokio::test]
async fn beacons_that_a_full_channel_refuses_are_never_sent() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let browser = Browser::with(|builder| builder.keepalive_limits(PLENTY));
    let page = page_of(&server);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let agent = RemoteUserAgent::over_unix_stream(theirs).unwrap().keepalive_limits(PLENTY);
    let document = agent.document(page.clone());
    let body = "x".repeat(30_000);
    let mut accepted = Vec::new();
    let mut refused = 0;
    for i in 0..60 {
        let target = format!("/{i}");
        if document.send_beacon(&target, Some((&*body).into())).unwrap() {
            accepted.push(target);
        } else {
            refused += 1;
            // A lifecycle message is not lost although the channel is full.
            document.visibility_change(VisibilityState::Hidden);
        }
    }
    assert!(refused > 0 && !accepted.is_empty());
    let ended = serve(&browser, ours, Pin::of(&page));
    server.wait_for(accepted.len()).await;
    wait_for_quota(&document).await;
    assert_eq!(document.send_beacon("/last", None), Ok(true));
    accepted.push("/last".to_owned());
    let mut arrived: Vec<_> =
        server.wait_for(accepted.len()).await.into_iter().map(|it| it.target).collect();
    arrived.sort();
    accepted.sort();
    assert_eq!(arrived, accepted);
    drop((document, agent));
    ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_blob_whose_bytes_come_later_is_refused() {
    /// A blob whose bytes never come.
    struct Later;

    impl BlobSource for Later {
        fn size(&self) -> u64 {
            3
        }

        fn read(&self) -> Answer<Result<bytes::Bytes, String>> {
            Answer::Later(Box::pin(std::future::pending()))
        }
    }

    let (_ours, theirs) = UnixStream::pair().unwrap();
    let agent = RemoteUserAgent::over_unix_stream(theirs).unwrap();
    let document = agent.document(client("https://a.test/"));
    let blob = Blob::from_source(Arc::new(Later), "text/plain");
    assert_eq!(document.send_beacon("/", Some((&blob).into())), Ok(false));
    wait_for_quota(&document).await;
}

#[tokio::test]
async fn the_network_process_hears_of_a_hide_and_of_an_unload() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let scheduling = Scheduling::default().with_max_delay(Duration::MAX);
    let browser = Browser::with(|builder| builder.scheduling(scheduling));
    browser.agent.important_loads(true);
    let page = page_of(&server);
    let content = start_content_process(&browser, &page);
    let (hidden, gone) = (content.document(page.clone()), content.document(page));
    hidden.send_beacon("/hidden", None).unwrap();
    gone.send_beacon("/gone", None).unwrap();
    hidden.visibility_change(VisibilityState::Hidden);
    server.wait_for(1).await;
    gone.unload();
    let targets: Vec<_> = server.wait_for(2).await.into_iter().map(|it| it.target).collect();
    assert_eq!(targets, ["/hidden", "/gone"]);
}

#[tokio::test]
async fn a_shutdown_delivers_accepted_beacons_and_refuses_new_ones() {
    let (server, answer) = server_that_waits().await;
    let browser = Browser::new();
    let page = page_of(&server);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let agent = RemoteUserAgent::over_unix_stream(theirs).unwrap();
    let document = agent.document(page.clone());
    // The network process has not read this beacon when the shutdown begins.
    assert_eq!(document.send_beacon("/1", None), Ok(true));
    let process = browser.agent.content_process(Pin::of(&page));
    let report = browser.agent.shutdown(LONG);
    std::thread::spawn(move || process.serve_unix(ours));
    server.wait_for(1).await;
    answer.notify_one();
    let report = report.await;
    assert_eq!(report.delivered.len(), 1);
    assert_eq!(report.lost.len(), 0);
    // The drain ended after this process had acknowledged it.
    assert_eq!(document.send_beacon("/2", None), Ok(false));
}

#[tokio::test]
async fn a_shutdown_with_a_hung_content_process_keeps_its_deadline() {
    let browser = Browser::new();
    let (ours, _theirs) = UnixStream::pair().unwrap();
    serve(&browser, ours, Pin::of(&client("https://a.test/")));
    let report = browser.agent.shutdown(Duration::from_millis(50)).await;
    assert!(report.delivered.is_empty() && report.lost.is_empty());
}

#[tokio::test]
async fn a_shutdown_waits_two_seconds_for_a_frozen_content_process() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let browser = Browser::with(|builder| builder.runtime(Handle::current()));
    let page = page_of(&server);
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    // The content process writes, and reads nothing.
    let (_silent, unread) = UnixStream::pair().unwrap();
    let agent = RemoteUserAgent::connect(unread, theirs).unwrap();
    let document = agent.document(page.clone());
    assert_eq!(document.send_beacon("/written", None), Ok(true));
    let report = browser.agent.shutdown(Duration::from_secs(3600));
    serve(&browser, ours, Pin::of(&page));
    server.wait_for(1).await;
    browser.events.wait_for(1).await;
    let mut report = Box::pin(timeout(LONG, report));
    assert!((&mut report).now_or_never().is_none());
    time::pause();
    time::advance(Duration::from_secs(2)).await;
    time::resume();
    let report = report.await.unwrap();
    assert!(report.completed);
    assert_eq!((report.delivered.len(), report.lost.len()), (1, 0));
}

#[tokio::test]
async fn a_lost_channel_refuses_beacons_and_gives_their_quota_back() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let agent = RemoteUserAgent::over_unix_stream(theirs).unwrap();
    let document = agent.document(client("https://a.test/"));
    assert_eq!(document.send_beacon("/", Some("x".into())), Ok(true));
    drop(ours);
    wait_for_quota(&document).await;
    assert_eq!(document.send_beacon("/", None), Ok(false));
    document.unload();
}

#[tokio::test]
async fn garbage_ends_only_the_channel_it_came_through() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let (browser, _content, document) = open_page_of(&server);
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let ended = serve(&browser, ours, Pin::of(&page_of(&server)));
    theirs.write_all(&[0xFF; 64]).unwrap();
    assert!(matches!(ended.await.unwrap(), Err(ChannelError::TooLarge(_))));
    assert_eq!(document.send_beacon("/", None), Ok(true));
    assert_eq!(browser.events.wait_for(1).await, [("/".into(), delivered(204))]);
}
