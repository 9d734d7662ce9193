//! The outbox of `sendbeacon-shell open --outbox FILE`, and `demo --outage`.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output, Stdio},
};

use sendbeacon_testkit::server::{Behavior, RecordingServer};
use tokio::{net::TcpSocket, task::spawn_blocking};

fn shell(arguments: &[&str]) -> Output {
    let mut shell = Command::new(env!("CARGO_BIN_EXE_sendbeacon-shell"));
    shell.args(arguments).stdin(Stdio::null()).output().unwrap()
}

async fn open(outbox: &Path, url: String) -> Output {
    let outbox = outbox.to_str().unwrap().to_owned();
    let open = move || shell(&["open", "--drain", "0.3", "--outbox", &outbox, &url]);
    spawn_blocking(open).await.unwrap()
}

#[tokio::test]
async fn a_beacon_to_a_collector_that_is_down_is_delivered_by_the_next_run() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let collector = format!("http://localhost:{}/c", socket.local_addr().unwrap().port());
    let site = RecordingServer::start(move |request| {
        let script = match &*request.target {
            "/sends" => format!("navigator.sendBeacon('{collector}', 'x')"),
            _ => "setTimeout(() => {}, 1000)".to_owned(),
        };
        let html = format!("<script>{script}</script>");
        Behavior::with_body(200, &[("Content-Type", "text/html")], html.as_bytes())
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let outbox = folder.path().join("outbox");
    let first = open(&outbox, site.url("/sends")).await;
    let stderr = String::from_utf8_lossy(&first.stderr);
    assert!(first.status.success() && stderr.contains("kept: http://localhost"), "{stderr}");
    let key = fs::metadata(folder.path().join("outbox.key")).unwrap();
    assert_eq!((key.permissions().mode() & 0o777, key.len()), (0o600, 32));

    let collector =
        RecordingServer::setup().start_on(socket.listen(8).unwrap(), |_| Behavior::status(204));
    let second = open(&outbox, site.url("/waits")).await;
    let stderr = String::from_utf8_lossy(&second.stderr);
    assert!(second.status.success() && stderr.contains("delivered: http://localhost"), "{stderr}");
    let requests = collector.requests();
    assert_eq!((requests.len(), &requests[0].body[..]), (1, &b"x"[..]));
}

#[test]
fn an_outbox_that_another_process_has_is_an_error_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = folder.path().join("outbox");
    let _other = sendbeacon::outbox::FileOutbox::open(&outbox).unwrap();
    let output = shell(&["open", "--outbox", outbox.to_str().unwrap(), "http://127.0.0.1:9/"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && stderr.contains("another process has"), "{stderr}");
}

#[test]
fn the_demo_of_an_outage_delivers_each_beacon_once() {
    let output = shell(&["demo", "--outage"]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}");
    assert!(stdout.contains("all 3 accepted beacons arrived, each once"), "{stdout}");
}
