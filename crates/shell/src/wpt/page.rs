//! Runs the tests of one page.

use std::{
    sync::{Arc, Mutex, OnceLock, mpsc},
    time::{Duration, Instant},
};

use serde::Deserialize;
use url::{Position, Url};

use super::report::{Status, Subtest, TestResult};
use crate::{
    browser::{Browser, BrowserError, Options, Stopped},
    lock::lock,
};

/// How long the shutdown waits for unfinished beacons after the page has given its results.
const DRAIN: Duration = Duration::from_secs(1);

/// The prefix of the line on the console that holds the results.
const MARK: &str = "sendbeacon-shell wpt: ";

/// The path of the script by which a runner of web platform tests takes the results from `testharness.js`.
const HOOK: &str = "/resources/testharnessreport.js";

/// The script that is loaded in place of [`HOOK`]. In frames and opened windows, it gives no results.
const REPORT: &str = "if (self.parent === self && !self.opener) {
  const { log } = console, { stringify } = JSON;
  add_completion_callback((tests, { status, message }) => log(MARK + stringify({
    status, message,
    tests: tests.map(({ name, status, message }) => ({ name, status, message })),
  })));
}";

/// The path of the harness. Frames and opened windows may load it without [`HOOK`].
const HARNESS: &str = "/resources/testharness.js";

/// The end of [`HARNESS`]. Without it, the harness shows its results in the document.
const HARNESS_END: &str = "\nsetup({ output: false });\n";

/// The JSON that [`REPORT`] writes to the console.
#[derive(Deserialize)]
struct Results {
    status: u8,
    message: Option<String>,
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    name: String,
    status: u8,
    message: Option<String>,
}

/// Opens the page at `url` and returns its results. A failure becomes the status of the result.
pub(super) fn run(url: &Url, options: &Options, timeout: Duration) -> TestResult {
    let start = Instant::now();
    let errors = Arc::default();
    let (status, message, tests) = match open(url, options, timeout, &errors) {
        Ok(results) => (harness_status(results.status), results.message, results.tests),
        Err(Failure::Timeout) => (Status::Timeout, last(&errors), Vec::new()),
        Err(Failure::Error(reason)) => (Status::Error, Some(reason), Vec::new()),
    };
    let subtests = tests
        .into_iter()
        .map(|test| Subtest {
            name: test.name,
            status: subtest_status(test.status),
            message: test.message,
        })
        .collect();
    let duration = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    TestResult { test: url[Position::BeforePath..].to_owned(), status, message, subtests, duration }
}

/// Why a page gave no results.
enum Failure {
    Timeout,
    Error(String),
}

impl From<BrowserError> for Failure {
    fn from(error: BrowserError) -> Self {
        Self::Error(error.to_string())
    }
}

/// The last error on the page's console.
type Errors = Arc<Mutex<Option<String>>>;

fn open(
    url: &Url,
    options: &Options,
    timeout: Duration,
    errors: &Errors,
) -> Result<Results, Failure> {
    let (sender, results) = mpsc::channel();
    let close: Arc<OnceLock<Box<dyn Fn() + Send + Sync>>> = Arc::default();
    let (closer, last_error) = (Arc::clone(&close), Arc::clone(errors));
    let browser = Browser::new(options)?
        .with_script(HOOK, REPORT.replace("MARK", &format!("{MARK:?}")))
        .with_script_end(HARNESS, HARNESS_END.to_owned())
        .with_console(move |level, line| {
            if let Some(json) = line.strip_prefix(MARK) {
                // Only the first results count. The receiver may be gone when a page gives more.
                let _ = sender.send(json.to_owned());
                closer.get().inspect(|close| close());
            } else if level == "error" {
                let line = Some(line.to_owned());
                *lock(&last_error) = line;
            }
        });
    let deadline = Instant::now() + timeout;
    let mut tab = browser.open(url)?;
    // NB: it cannot fail: nothing else sets it.
    let _ = close.set(Box::new(tab.closer()));
    let mut given = results.try_recv();
    if given.is_err() {
        let stopped = tab.run(deadline.saturating_duration_since(Instant::now()));
        given = results.try_recv();
        if stopped == Stopped::Idle && given.is_err() {
            let why = last(errors).map_or(String::new(), |error| format!(": {error}"));
            return Err(Failure::Error(format!("the page is idle and has given no results{why}")));
        }
    }
    tab.unload();
    browser.shut_down(DRAIN);
    let json = given.map_err(|_| Failure::Timeout)?;
    serde_json::from_str(&json).map_err(|error| Failure::Error(error.to_string()))
}

fn last(errors: &Errors) -> Option<String> {
    lock(errors).clone()
}

/// The status of the harness, by its number in the `TestsStatus` of `testharness.js`.
fn harness_status(number: u8) -> Status {
    match number {
        0 => Status::Ok,
        2 => Status::Timeout,
        3 => Status::PreconditionFailed,
        _ => Status::Error,
    }
}

/// The status of a subtest, by its number in the `Test` of `testharness.js`.
fn subtest_status(number: u8) -> Status {
    match number {
        0 => Status::Pass,
        2 => Status::Timeout,
        3 => Status::NotRun,
        4 => Status::PreconditionFailed,
        _ => Status::Fail,
    }
}
