//! The results of a run, in the format of `wptreport.json`.

use std::{
    fmt,
    io::{self, Write},
    time::SystemTime,
};

use serde::Serialize;

/// All results of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The result of each test page, in the order of the run.
    pub results: Vec<TestResult>,
    run_info: RunInfo,
    /// In milliseconds since 1970.
    time_start: u64,
    /// In milliseconds since 1970.
    time_end: u64,
}

#[derive(Debug, Serialize)]
struct RunInfo {
    product: &'static str,
    browser_version: &'static str,
    os: &'static str,
}

/// The result of a test page.
#[derive(Debug, Serialize)]
pub struct TestResult {
    /// The path of the page, with its query.
    pub test: String,
    /// How the harness ended: `OK`, `ERROR`, `TIMEOUT`, `PRECONDITION_FAILED`.
    pub status: Status,
    /// Why the harness failed, if it did.
    pub message: Option<String>,
    /// The results of the page's subtests.
    pub subtests: Vec<Subtest>,
    /// How long the page took, in milliseconds.
    pub duration: u64,
}

/// The result of a subtest, one of the tests in a page.
#[derive(Debug, Serialize)]
pub struct Subtest {
    /// The subtest's name.
    pub name: String,
    /// How the subtest ended: `PASS`, `FAIL`, `TIMEOUT`, `NOTRUN`, `PRECONDITION_FAILED`.
    pub status: Status,
    /// Why the subtest did not pass.
    pub message: Option<String>,
}

/// How a subtest or the harness ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// The harness completed.
    Ok,
    /// The harness failed, or the page gave no results.
    Error,
    /// The subtest passed.
    Pass,
    /// The subtest failed.
    Fail,
    /// The subtest or the harness took too long.
    Timeout,
    /// The subtest did not begin.
    #[serde(rename = "NOTRUN")]
    NotRun,
    /// The subtest is about an optional feature that this browser does not have.
    PreconditionFailed,
}

impl Report {
    pub(super) fn new(results: Vec<TestResult>, time_start: u64) -> Self {
        let run_info = RunInfo {
            product: "sendbeacon-shell",
            browser_version: env!("CARGO_PKG_VERSION"),
            os: std::env::consts::OS,
        };
        Self { results, run_info, time_start, time_end: unix_milliseconds() }
    }

    pub(super) fn write(&self, mut to: impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut to, self)?;
        to.flush()
    }
}

impl TestResult {
    /// What the expectations are compared with: the name and the outcome of the harness and of each subtest.
    pub(super) fn outcomes(&self) -> Vec<(String, Result<(), String>)> {
        let outcome = |status: Status, message: &Option<String>| match (status, message) {
            (Status::Ok | Status::Pass, _) => Ok(()),
            (status, Some(message)) => Err(format!("{status}: {message}")),
            (status, None) => Err(status.to_string()),
        };
        let mut outcomes = vec![(self.test.clone(), outcome(self.status, &self.message))];
        outcomes.extend(self.subtests.iter().map(|subtest| {
            let name = format!("{} | {}", self.test, subtest.name);
            (name, outcome(subtest.status, &subtest.message))
        }));
        outcomes
    }
}

impl fmt::Display for TestResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed = self.subtests.iter().filter(|it| it.status == Status::Pass).count();
        let (all, duration) = (self.subtests.len(), self.duration);
        writeln!(f, "{} {} {passed}/{all} ({duration} ms)", self.status, self.test)?;
        write_message(f, self.message.as_ref())?;
        for Subtest { name, status, message } in &self.subtests {
            writeln!(f, "  {status} {name}")?;
            write_message(f, message.as_ref())?;
        }
        Ok(())
    }
}

fn write_message(f: &mut fmt::Formatter<'_>, message: Option<&String>) -> fmt::Result {
    message.into_iter().flat_map(|it| it.lines()).try_for_each(|line| writeln!(f, "      {line}"))
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The time now, in milliseconds since 1970.
pub(super) fn unix_milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
