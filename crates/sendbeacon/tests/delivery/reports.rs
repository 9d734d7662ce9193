//! Tests of the reports of Content Security Policy violations that go to the endpoints of `report-uri`.

use std::time::Duration;

use sendbeacon::{
    Client, CspDisposition, CspViolation, Inflight, NetworkError, Outcome, RedirectFailure,
    host::Progress,
};
use sendbeacon_testkit::server::{Behavior, RecordedRequest, RecordingServer};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::{
    browser::{Browser, LONG, client, delivered},
    request_lines,
};

/// The settings object of a page of the server with this policy.
fn page(server: &RecordingServer, policy: &str, disposition: CspDisposition) -> Client {
    let mut client = client(&server.url("/d/page?q#f"));
    client.csp_list.push_header(policy, disposition);
    client
}

/// The `csp-report` in the body of a request.
fn body(request: &RecordedRequest) -> Value {
    let mut body: Value = serde_json::from_slice(&request.body).unwrap();
    body["csp-report"].take()
}

#[tokio::test]
async fn a_blocked_beacon_is_reported_although_its_document_is_gone() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let browser = Browser::new();
    let policy = "connect-src 'none'; report-uri report?x";
    let document = browser.agent.document(page(&server, policy, CspDisposition::Enforce));
    assert_eq!(document.send_beacon("/b?secret#f", None), Ok(true));
    document.unload();
    // The drain waits for the report that the beacon causes.
    assert!(browser.agent.shutdown(LONG).await.completed);
    let requests = server.requests();
    assert_eq!(request_lines(&requests), ["POST /d/report?x"]);
    let port = server.port();
    let length = requests[0].body.len();
    assert_eq!(
        String::from_utf8_lossy(&requests[0].head).trim_end(),
        format!(
            "POST /d/report?x HTTP/1.1\r\n\
             Host: 127.0.0.1:{port}\r\n\
             Content-Type: application/csp-report\r\n\
             Accept: */*\r\n\
             Content-Length: {length}\r\n\
             Referer: http://127.0.0.1:{port}/d/page?q\r\n\
             Origin: http://127.0.0.1:{port}\r\n\
             Sec-Fetch-Dest: report\r\n\
             Sec-Fetch-Mode: no-cors\r\n\
             Sec-Fetch-Site: same-origin\r\n\
             User-Agent: sendbeacon/0.1.0\r\n\
             Accept-Encoding: gzip, deflate, br, zstd"
        )
    );
    assert_eq!(
        body(&requests[0]),
        json!({
            "document-uri": server.url("/d/page?q"),
            "referrer": "",
            "blocked-uri": server.url("/b?secret"),
            "effective-directive": "connect-src",
            "violated-directive": "connect-src",
            "original-policy": policy,
            "disposition": "enforce",
            "status-code": 200,
            "script-sample": "",
        })
    );
}

#[tokio::test]
async fn a_report_only_policy_is_checked_before_and_after_the_fetch() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let browser = Browser::new();
    let policy = "default-src 'none'; report-uri /r";
    let document = browser.agent.document(page(&server, policy, CspDisposition::Report));
    assert_eq!(document.send_beacon("/b", None), Ok(true));
    browser.events.wait_for(3).await;
    let mut lines = request_lines(&server.requests());
    lines.sort_unstable();
    assert_eq!(lines, ["POST /b", "POST /r", "POST /r"]);
}

#[tokio::test]
async fn a_report_to_another_origin_has_no_credentials_and_follows_no_redirect() {
    let site = RecordingServer::start(|_| Behavior::status(404)).await;
    let collector = RecordingServer::start(|request| match &*request.target {
        "/moved" => Behavior::with_headers(307, &[("Location", "/elsewhere")]),
        _ => Behavior::with_headers(204, &[("Set-Cookie", "a=1")]),
    })
    .await;
    let jar = std::sync::Arc::new(sendbeacon::MemoryCookieStore::new(
        sendbeacon::ThirdPartyCookies::Allow,
    ));
    let browser = Browser::with(|builder| builder.cookies(jar));
    let endpoints = format!("{} {}", collector.url("/r"), collector.url("/moved"));
    let policy = format!("connect-src 'none'; report-uri {endpoints}");
    let document = browser.agent.document(page(&site, &policy, CspDisposition::Enforce));
    for sent in [3, 6] {
        assert_eq!(document.send_beacon("/b", None), Ok(true));
        browser.events.wait_for(sent).await;
    }
    let outcomes = browser.events.outcomes();
    let error = NetworkError::Redirect(RedirectFailure::Forbidden);
    let forbidden = Outcome::Failed { error, progress: Progress::Sent };
    assert_eq!(
        outcomes.iter().filter(|it| **it == ("/moved".into(), forbidden.clone())).count(),
        2
    );
    assert_eq!(outcomes.iter().filter(|it| **it == ("/r".into(), delivered(204))).count(), 2);
    for request in collector.requests() {
        assert!(matches!(&*request.target, "/r" | "/moved"), "{}", request.target);
        assert_eq!(request.method, "POST");
        assert_eq!(request.header("cookie"), None);
        assert_eq!(request.header("sec-fetch-site"), Some("same-site"));
    }
}

#[tokio::test]
async fn reports_take_no_document_quota_and_at_most_64_are_unfinished() {
    let site = RecordingServer::start(|_| Behavior::status(404)).await;
    let collector = RecordingServer::start(|_| Behavior::Hang).await;
    let browser = Browser::new();
    let policy = format!("connect-src 'none'; report-uri {}", collector.url("/r"));
    let document = browser.agent.document(page(&site, &policy, CspDisposition::Enforce));
    for n in 0..1_000 {
        // The beacons need an origin of their own: the reports hang and may take the room of theirs.
        assert_eq!(document.send_beacon(&format!("https://b.test/{n}"), None), Ok(true));
    }
    browser.events.wait_for(1_000).await;
    assert_eq!(document.fetch_group().inflight(), Inflight::default());
    let report = browser.agent.shutdown(Duration::ZERO).await;
    let reports = report.lost.iter().filter(|it| it.fetch.url.path() == "/r");
    assert_eq!(reports.count(), 64);
}

#[tokio::test]
async fn no_report_is_sent_where_the_engine_reports_violations_itself() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let browser = Browser::with(|builder| builder.report_violations(false));
    let policy = "connect-src 'none'; report-uri /r";
    let document = browser.agent.document(page(&server, policy, CspDisposition::Enforce));
    assert_eq!(document.send_beacon("/b", None), Ok(true));
    browser.agent.shutdown(LONG).await;
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_policy_with_report_to_is_not_reported_to_its_report_uri() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let browser = Browser::new();
    let policy = "connect-src 'none'; report-uri /r; report-to group";
    let document = browser.agent.document(page(&server, policy, CspDisposition::Enforce));
    assert_eq!(document.send_beacon("/b", None), Ok(true));
    browser.agent.shutdown(LONG).await;
    assert!(server.requests().is_empty());
}

/// A violation by an inline script.
fn inline_script() -> CspViolation {
    let policy = "script-src 'self' 'report-sample'; report-uri /r";
    let disposition = CspDisposition::Enforce;
    let mut violation = CspViolation::new(policy, disposition, "script-src-elem", "inline");
    violation.sample = "alert(1)".into();
    violation.source_file = Some("https://a.test/x.html#f".parse().unwrap());
    violation.line_number = 7;
    violation
}

/// Checks that the request reports the violation of [`inline_script`].
fn assert_reports_the_inline_script(request: &RecordedRequest) {
    assert_eq!(request.target, "/r");
    let body = body(request);
    assert_eq!(body["blocked-uri"], "inline");
    assert_eq!(body["effective-directive"], "script-src-elem");
    assert_eq!(body["script-sample"], "alert(1)");
    assert_eq!(body["source-file"], "https://a.test/x.html");
    assert_eq!((&body["line-number"], &body["column-number"]), (&json!(7), &json!(0)));
}

#[tokio::test]
async fn a_violation_that_the_engine_found_is_reported() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let browser = Browser::new();
    let document = browser.open(&server.url("/"));
    document.report_violation(&inline_script());
    assert_reports_the_inline_script(&server.wait_for(1).await[0]);
}

#[tokio::test]
async fn at_most_64_violations_that_the_engine_found_are_unfinished() {
    for (found, reported) in [(64, 64), (200, 64)] {
        let server = RecordingServer::start(|_| Behavior::status(204)).await;
        // The network side runs on this thread, so it does nothing before the first await.
        let browser = Browser::with(|builder| builder.runtime(Handle::current()));
        let document = browser.open(&server.url("/"));
        for _ in 0..found {
            document.report_violation(&inline_script());
        }
        let report = browser.agent.shutdown(LONG).await;
        assert_eq!((report.delivered.len(), report.lost.len()), (reported, 0));
        assert_eq!(request_lines(&server.requests()), vec!["POST /r"; reported]);
    }
}

#[cfg(all(unix, feature = "remote"))]
#[tokio::test]
async fn the_network_process_reports_the_violations_of_a_content_process() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let browser = Browser::new();
    let page = page(&server, "connect-src 'none'; report-uri /r", CspDisposition::Enforce);
    let content = crate::remote::start_content_process(&browser, &page);
    let document = content.document(page);
    document.report_violation(&inline_script());
    assert_reports_the_inline_script(&server.wait_for(1).await[0]);
    assert_eq!(document.send_beacon("/b", None), Ok(true));
    let requests = server.wait_for(2).await;
    assert_eq!(body(&requests[1])["blocked-uri"], server.url("/b"));
}
