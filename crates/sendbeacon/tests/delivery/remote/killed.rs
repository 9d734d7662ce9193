//! Test of a content process that is killed right after its calls have returned.

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

use super::serve;
use crate::{
    browser::{Browser, client},
    deferred::request_with_body,
};

/// The environment variable with the URL of the page. It makes [`content_process`] a content process.
const PAGE: &str = "SENDBEACON_TEST_PAGE";

/// How many beacons the content process sends.
const BEACONS: usize = 120;

/// How many fetches the content process defers.
const DEFERRED: usize = 60;

/// Not a test: the program that [`nothing_accepted_is_lost_when_the_content_process_is_killed`] starts. Returns
/// at once in a normal test run.
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
        let deferred = request_with_body(&document, &format!("/{i}"), 100);
        drop(document.fetch_later(deferred, DeferredRequestInit::default()).unwrap());
    }
    eprintln!("true");
    loop {
        thread::park();
    }
}

#[tokio::test]
async fn nothing_accepted_is_lost_when_the_content_process_is_killed() {
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
    // This is SIGKILL. The network process has read nothing of the channel yet.
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
