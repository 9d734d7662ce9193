//! The command `wpt`, with test pages that use a small replacement of `testharness.js`.

use std::{net::Ipv4Addr, num::NonZeroUsize, path::PathBuf, time::Duration};

use sendbeacon_shell::{
    browser::Options,
    wpt::{self, Run},
};
use sendbeacon_testkit::server::{Behavior, RecordedRequest, RecordingServer};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use url::Url;

/// The part of `testharness.js` that the runner uses. `finish(tests, status)` gives the results.
const HARNESS: &str = "var finish, output = true;
    function setup(properties) { output = properties.output; }
    function add_completion_callback(steps) {
        finish = (tests, status = { status: 0, message: null }) => steps(tests, status);
    }";

const REPORT_SCRIPT: &str = "throw new Error('the runner replaces this script')";

/// The server of the test pages.
fn serve(request: &RecordedRequest) -> Behavior {
    let page = |script: &str| {
        let html = format!(
            "<script src=/resources/testharness.js></script>
             <script src=/resources/testharnessreport.js></script><script>{script}</script>"
        );
        Behavior::with_body(200, &[("Content-Type", "text/html")], html.as_bytes())
    };
    match &*request.target {
        "/resources/testharness.js" => Behavior::with_body(200, &[], HARNESS.as_bytes()),
        "/resources/testharnessreport.js" => {
            Behavior::with_body(200, &[], REPORT_SCRIPT.as_bytes())
        }
        "/passes?v" => page(
            "onload = () => fetch('/x').then(() => finish([
                { name: 'one', status: 0, message: null }, { name: `${output}`, status: 0 }]))",
        ),
        "/fails" => page(
            "finish([{ name: 'wrong', status: 1, message: 'is not' }, { name: 'late', status: 2 },
                { name: 'never', status: 3 }, { name: 'optional', status: 4 }])",
        ),
        "/breaks" => page("finish([], { status: 1, message: 'broken' })"),
        "/rests" => page("console.error('no more to do')"),
        "/hangs" => page("setInterval(() => {}, 10)"),
        _ => Behavior::status(204),
    }
}

/// Runs the pages with these expectations. Returns whether all results are as expected, and the report.
async fn run(name: &str, pages: &[&str], expectations: &str) -> (bool, Value) {
    let server = RecordingServer::start(serve).await;
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (expected, report) =
        (folder.join(format!("{name}.txt")), folder.join(format!("{name}.json")));
    std::fs::write(&expected, expectations).unwrap();
    let url = |page: &&str| {
        Url::parse(&format!("http://www.web-platform.test:{}{page}", server.port())).unwrap()
    };
    let run = Run {
        urls: pages.iter().map(url).collect(),
        options: Options { host_map: wpt::hosts(), ..Options::default() },
        timeout: Duration::from_secs(if name == "timeout" { 1 } else { 20 }),
        jobs: NonZeroUsize::new(2).unwrap(),
        expectations: Some(expected),
        is_part: false,
        report: Some(report.clone()),
    };
    let as_expected = spawn_blocking(move || run.run().unwrap()).await.unwrap();
    let report = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert!(wpt::hosts().iter().all(|(_, ip)| *ip == Ipv4Addr::LOCALHOST));
    (as_expected, report)
}

/// `[test, status, message, [[name, status, message]...]]` of each result.
fn results(report: &Value) -> Value {
    let results = report["results"].as_array().unwrap().iter().map(|result| {
        let subtests = result["subtests"].as_array().unwrap().iter();
        let subtests: Vec<_> =
            subtests.map(|it| json!([it["name"], it["status"], it["message"]])).collect();
        json!([result["test"], result["status"], result["message"], subtests])
    });
    results.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_has_the_results_of_the_harness() {
    let (as_expected, report) = run("results", &["/passes?v", "/fails", "/breaks"], "").await;
    assert!(!as_expected);
    assert_eq!(
        results(&report),
        json!([
            ["/passes?v", "OK", null, [["one", "PASS", null], ["false", "PASS", null]]],
            [
                "/fails",
                "OK",
                null,
                [
                    ["wrong", "FAIL", "is not"],
                    ["late", "TIMEOUT", null],
                    ["never", "NOTRUN", null],
                    ["optional", "PRECONDITION_FAILED", null]
                ]
            ],
            ["/breaks", "ERROR", "broken", []]
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn known_failures_are_expected() {
    let known = "/fails | wrong — [binding] a bug\n/fails | late — [slow] slow\n\
                 /fails | never — [slow] late\n/fails | optional — [Image] not here\n\
                 /breaks — [binding] broken\n";
    let pages = ["/passes?v", "/fails", "/breaks"];
    assert!(run("known", &pages, known).await.0);
    assert!(!run("passes", &pages, &format!("{known}/passes?v | one — [binding] a bug\n")).await.0);
    assert!(!run("stale", &pages, &format!("{known}/gone | one — [binding] a bug\n")).await.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_without_results_is_an_error_with_a_reason() {
    let (as_expected, report) = run("rests", &["/rests", "/nothing"], "").await;
    assert!(!as_expected);
    for (index, part) in [(0, "no more to do"), (1, "there is no document")] {
        let result = &report["results"][index];
        assert_eq!(result["status"], "ERROR");
        assert!(result["message"].as_str().unwrap().contains(part), "{result}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_never_finishes_times_out() {
    let (as_expected, report) = run("timeout", &["/hangs"], "").await;
    assert!(!as_expected);
    assert_eq!(results(&report), json!([["/hangs", "TIMEOUT", null, []]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pipe_ends_the_run_quietly() {
    let server = RecordingServer::start(serve).await;
    let url = |page| format!("http://www.web-platform.test:{}{page}", server.port());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sendbeacon-shell"));
    command.args(["wpt", "--jobs", "1", &url("/passes?v"), &url("/fails")]).stdout(writer);
    let output = spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert_eq!((output.status.code(), &*output.stderr), (Some(1), &b""[..]));
    let targets: Vec<_> = server.requests().into_iter().map(|it| it.target).collect();
    assert!(!targets.contains(&"/fails".to_owned()), "{targets:?}");
}
