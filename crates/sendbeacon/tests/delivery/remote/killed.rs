//! A content process that is killed the moment its `sendBeacon()` and `fetchLater()` have returned.

use std::{
    env,
    io::{BufRead, BufReader, stdin},
    os::{fd::AsFd, unix::net::UnixStream},
    process::{Command, Stdio},
    thread,
};

use sendbeacon::{
    DeferredRequestInit,
    remote::{Pin, RemoteUserAgent},
};
use sendbeacon_testkit::server::{Behavior, RecordingServer};

use super::{client, serve};
use crate::{browser::Browser, deferred::request};

/// Names the page of the process that [`content_process`] is to be.
const PAGE: &str = "SENDBEACON_TEST_PAGE";

/// How many it sends.
const BEACONS: usize = 120;

/// How many fetches it defers.
const DEFERRED: usize = 60;

/// Not a test: what [`a_killed_process_loses_nothing_it_was_told_is_on_its_way`] starts.
#[test]
fn content_process() {
    let Ok(page) = env::var(PAGE) else { return };
    let channel = UnixStream::from(stdin().as_fd().try_clone_to_owned().unwrap());
    let agent = RemoteUserAgent::over_unix_stream(channel).unwrap();
    let document = agent.document(client(&page));
    let body = "x".repeat(100);
    for i in 0..BEACONS {
        assert_eq!(document.send_beacon(&format!("/{i}"), Some((&*body).into())), Ok(true));
    }
    for i in BEACONS..BEACONS + DEFERRED {
        let deferred = request(&document, &format!("/{i}"), 100);
        drop(document.fetch_later(deferred, DeferredRequestInit::default()).unwrap());
    }
    eprintln!("true");
    loop {
        thread::park();
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_it_was_told_is_on_its_way() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let browser = Browser::new();
    let page = server.url("/page");
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "remote::killed::content_process", "--nocapture"])
        .env(PAGE, &page)
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "true");
    // SIGKILL; and nobody has read a byte of the channel yet.
    child.kill().unwrap();
    child.wait().unwrap();

    let ended = serve(&browser, ours, Pin::of(&client(&page)));
    let mut targets: Vec<_> = server
        .wait_for(BEACONS + DEFERRED)
        .await
        .into_iter()
        .map(|request| request.target)
        .collect();
    ended.await.unwrap().unwrap();
    targets.sort();
    let mut sent: Vec<_> = (0..BEACONS + DEFERRED).map(|i| format!("/{i}")).collect();
    sent.sort();
    assert_eq!(targets, sent);
}
