//! The results, in the format of `wptreport.json`.

use std::{
    fmt,
    io::{self, Write},
    time::SystemTime,
};

use serde::Serialize;

/// All results of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// By test.
    pub results: Vec<TestResult>,
    run_info: RunInfo,
    /// In milliseconds since the epoch.
    time_start: u64,
    time_end: u64,
}

#[derive(Debug, Serialize)]
struct RunInfo {
    product: &'static str,
    browser_version: &'static str,
    os: &'static str,
}

/// What became of a file with tests.
#[derive(Debug, Serialize)]
pub struct TestResult {
    /// Its path, with the query.
    pub test: String,
    /// How the harness ended: `OK`, `ERROR`, `TIMEOUT`, `PRECONDITION_FAILED`.
    pub status: Status,
    /// Why, if not well.
    pub message: Option<String>,
    /// The tests in it.
    pub subtests: Vec<Subtest>,
    /// In milliseconds.
    pub duration: u64,
}

/// What became of a test in a file.
#[derive(Debug, Serialize)]
pub struct Subtest {
    /// Its name.
    pub name: String,
    /// `PASS`, `FAIL`, `TIMEOUT`, `NOTRUN`, `PRECONDITION_FAILED`.
    pub status: Status,
    /// Why, if it did not pass.
    pub message: Option<String>,
}

/// How a test or its harness ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// The harness ended well.
    Ok,
    /// The harness did not.
    Error,
    /// The test passed.
    Pass,
    /// The test failed.
    Fail,
    /// It took too long.
    Timeout,
    /// The test did not begin.
    #[serde(rename = "NOTRUN")]
    NotRun,
    /// What it tests is optional and not there.
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
    /// What is to be held against the expectations: the harness and each subtest, by name.
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

pub(super) fn unix_milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
