//! Admission without asking, room in the channel, and its end.

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

use super::{Content, PLENTY, client, page_of, serve, wait_for_quota};
use crate::{
    browser::{Browser, delivered},
    holding_server,
};

#[tokio::test]
async fn a_beacon_crosses_with_its_documents_policies() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let browser = Browser::new();
    let mut page = page_of(&server);
    let content = Content::start(&browser, &page);
    let document = content.agent.document(page.clone());
    assert_eq!(document.send_beacon("b?x#y", Some("hello".into())), Ok(true));
    let request = &server.wait_for(1).await[0];
    assert_eq!(request.target, "/d/b?x");
    assert_eq!(request.body, b"hello");
    assert_eq!(request.header("content-type"), Some("text/plain;charset=UTF-8"));
    assert_eq!(request.header("referer"), Some(&*server.url("/d/page")));
    wait_for_quota(&document).await;

    page.csp_list.push_header("connect-src https:, default-src *", CspDisposition::Enforce);
    let document = content.agent.document(page);
    assert_eq!(document.send_beacon("blocked", None), Ok(true));
    let outcomes = browser.events.wait_for(2).await;
    assert!(matches!(outcomes[1].1, Outcome::Failed(NetworkError::Csp { .. })), "{outcomes:?}");
}

#[tokio::test]
async fn script_is_answered_though_nobody_listens_yet() {
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
async fn a_set_client_is_that_of_the_next_beacon() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let browser = Browser::new();
    let page = page_of(&server);
    let content = Content::start(&browser, &page);
    let document = content.agent.document(page.clone());
    document.send_beacon("1", None).unwrap();
    server.wait_for(1).await;
    document.set_client(client(&server.url("/other")));
    document.send_beacon("2", None).unwrap();
    let referers: Vec<_> =
        server.wait_for(2).await.iter().map(|it| it.header("referer").map(String::from)).collect();
    assert_eq!(referers, [Some(server.url("/d/page")), Some(server.url("/other"))]);
}

#[tokio::test]
async fn a_full_channel_refuses_and_what_it_refused_is_never_sent() {
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
            // What must not be lost goes behind, whether there is room or not.
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
async fn bytes_that_are_not_there_yet_are_refused() {
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
async fn a_document_that_hides_or_goes_does_so_in_the_network_process() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let scheduling = Scheduling::default().with_max_delay(Duration::MAX);
    let browser = Browser::with(|builder| builder.scheduling(scheduling));
    browser.agent.important_loads(true);
    let page = page_of(&server);
    let content = Content::start(&browser, &page);
    let (hidden, gone) = (content.agent.document(page.clone()), content.agent.document(page));
    hidden.send_beacon("/hidden", None).unwrap();
    gone.send_beacon("/gone", None).unwrap();
    hidden.visibility_change(VisibilityState::Hidden);
    server.wait_for(1).await;
    gone.unload();
    let targets: Vec<_> = server.wait_for(2).await.into_iter().map(|it| it.target).collect();
    assert_eq!(targets, ["/hidden", "/gone"]);
}

#[tokio::test]
async fn shutdown_delivers_what_was_accepted_and_then_script_is_refused() {
    let (server, gate) = holding_server().await;
    let browser = Browser::new();
    let page = page_of(&server);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let agent = RemoteUserAgent::over_unix_stream(theirs).unwrap();
    let document = agent.document(page.clone());
    // Still on its way when the shutdown begins.
    assert_eq!(document.send_beacon("/1", None), Ok(true));
    let process = browser.agent.content_process(Pin::of(&page));
    let report = browser.agent.shutdown(Duration::from_secs(20));
    std::thread::spawn(move || process.serve_unix(ours));
    server.wait_for(1).await;
    gate.notify_one();
    let report = report.await;
    assert_eq!(report.delivered.len(), 1);
    assert_eq!(report.lost.len(), 0);
    // The drain had ended only when this process had heard of it.
    assert_eq!(document.send_beacon("/2", None), Ok(false));
}

#[tokio::test]
async fn shutdown_waits_for_no_hung_content_process_longer_than_it_may() {
    let browser = Browser::new();
    let (ours, _theirs) = UnixStream::pair().unwrap();
    serve(&browser, ours, Pin::of(&client("https://a.test/")));
    let report = browser.agent.shutdown(Duration::from_millis(50)).await;
    assert!(report.delivered.is_empty() && report.lost.is_empty());
}

#[tokio::test]
async fn shutdown_waits_two_seconds_for_a_content_process_that_is_frozen() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let browser = Browser::with(|builder| builder.runtime(Handle::current()));
    let page = page_of(&server);
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    // It writes, and then reads nothing of what comes.
    let (_silent, unread) = UnixStream::pair().unwrap();
    let agent = RemoteUserAgent::connect(unread, theirs).unwrap();
    let document = agent.document(page.clone());
    assert_eq!(document.send_beacon("/written", None), Ok(true));
    let report = browser.agent.shutdown(Duration::from_secs(3600));
    serve(&browser, ours, Pin::of(&page));
    server.wait_for(1).await;
    browser.events.wait_for(1).await;
    let mut report = Box::pin(timeout(Duration::from_secs(20), report));
    assert!((&mut report).now_or_never().is_none());
    time::pause();
    time::advance(Duration::from_secs(2)).await;
    time::resume();
    let report = report.await.unwrap();
    assert!(report.completed);
    assert_eq!((report.delivered.len(), report.lost.len()), (1, 0));
}

#[tokio::test]
async fn without_a_network_process_script_is_refused_and_has_its_quota_back() {
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
async fn garbage_ends_its_channel_and_no_other() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let browser = Browser::new();
    let page = page_of(&server);
    let content = Content::start(&browser, &page);
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let ended = serve(&browser, ours, Pin::of(&page));
    theirs.write_all(&[0xFF; 64]).unwrap();
    assert!(matches!(ended.await.unwrap(), Err(ChannelError::TooLarge(_))));
    let document = content.agent.document(page);
    assert_eq!(document.send_beacon("/", None), Ok(true));
    assert_eq!(browser.events.wait_for(1).await, [("/".into(), delivered(204))]);
}
