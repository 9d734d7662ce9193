//! Judges the library by the [web platform tests](https://web-platform-tests.org): opens the page of each
//! test in a browser of its own and takes the results that `testharness.js` gives.

mod page;
mod report;

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufWriter},
    net::{IpAddr, Ipv4Addr},
    num::NonZeroUsize,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use spec_tests::Expectations;
use thiserror::Error;
use url::Url;

pub use self::report::{Report, Status, Subtest, TestResult};
use crate::browser::Options;

/// What is to be run, and how.
#[derive(Debug)]
pub struct Run {
    /// The pages of the tests.
    pub urls: Vec<Url>,
    /// The browser of each.
    pub options: Options,
    /// How long a page may take.
    pub timeout: Duration,
    /// How many are run at a time.
    pub jobs: NonZeroUsize,
    /// What is known to fail: lines of `test | subtest — reason`, or of `test — reason` for a harness
    /// that does not end well.
    pub expectations: Option<PathBuf>,
    /// Where the report goes, in the format of `wptreport.json`.
    pub report: Option<PathBuf>,
}

/// Why the tests could not be run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WptError {
    /// The expectations cannot be read.
    #[error("{path}: {reason}")]
    Expectations {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The report cannot be written.
    #[error("{path}: {reason}")]
    Report {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
}

/// The names a server of the web platform tests goes by, all on this machine.
#[must_use]
pub fn hosts() -> Vec<(String, IpAddr)> {
    const SUBDOMAINS: [&str; 5] =
        ["www", "www1", "www2", "xn--n8j6ds53lwwkrqhv28a", "xn--lve-6lad"];
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let names = |host: &str| {
        let mut names = vec![host.to_owned()];
        for outer in SUBDOMAINS {
            names.push(format!("{outer}.{host}"));
            names.extend(SUBDOMAINS.map(|inner| format!("{inner}.{outer}.{host}")));
        }
        names
    };
    let names = ["web-platform.test", "not-web-platform.test"].into_iter().flat_map(names);
    names.map(|name| (name, loopback)).collect()
}

impl Run {
    /// Runs all tests, prints what became of them, and writes the report. Whether everything is as
    /// expected.
    pub fn run(&self) -> Result<bool, WptError> {
        let expectations = self.read_expectations()?;
        let report = self.run_tests();
        if let Some(path) = &self.report {
            let write = || report.write(BufWriter::new(File::create(path)?));
            write().map_err(|reason| WptError::Report { path: path.clone(), reason })?;
        }
        let surprises = surprises(&report, &expectations);
        for surprise in &surprises {
            println!("unexpected: {surprise}");
        }
        let subtests = || report.results.iter().flat_map(|result| &result.subtests);
        let passed = subtests().filter(|it| it.status == Status::Pass).count();
        let (files, all) = (report.results.len(), subtests().count());
        println!(
            "{passed} of {all} subtests of {files} files pass, {} unexpected",
            surprises.len()
        );
        Ok(surprises.is_empty())
    }

    fn read_expectations(&self) -> Result<Expectations, WptError> {
        let Some(path) = &self.expectations else { return Ok(Expectations::default()) };
        let failed = |reason: String| WptError::Expectations { path: path.clone(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        Expectations::parse(&text).map_err(failed)
    }

    fn run_tests(&self) -> Report {
        let next = AtomicUsize::new(0);
        let results: Vec<_> = self.urls.iter().map(|_| Mutex::new(None)).collect();
        let printing = Mutex::new(());
        let work = || {
            loop {
                let index = next.fetch_add(1, Relaxed);
                let Some(url) = self.urls.get(index) else { return };
                let result = page::run(url, &self.options, self.timeout);
                {
                    let _printing = printing.lock().unwrap_or_else(PoisonError::into_inner);
                    print!("{result}");
                }
                *results[index].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            }
        };
        let start = report::unix_milliseconds();
        thread::scope(|scope| {
            for _ in 0..self.jobs.get().min(self.urls.len()) {
                scope.spawn(work);
            }
        });
        let results = results
            .into_iter()
            .filter_map(|result| result.into_inner().unwrap_or_else(PoisonError::into_inner));
        Report::new(results.collect(), start)
    }
}

/// What is not as expected: a failure, a pass, or an entry that names nothing.
fn surprises(report: &Report, expectations: &Expectations) -> Vec<String> {
    let outcomes: Vec<_> = report.results.iter().flat_map(TestResult::outcomes).collect();
    let names: BTreeSet<&str> = outcomes.iter().map(|(name, _)| name.as_str()).collect();
    let stale = expectations.stale(&names);
    let stale =
        stale.into_iter().map(|name| format!("{name}: the entry names nothing that was run"));
    let judged = outcomes.iter().filter_map(|(name, outcome)| {
        let result = expectations.judge(name, outcome.clone()).into_result();
        result.err().map(|failure| format!("{name}: {failure}"))
    });
    judged.chain(stale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(status: Status, subtests: &[(&str, Status)]) -> Report {
        let subtests = subtests
            .iter()
            .map(|&(name, status)| Subtest { name: name.to_owned(), status, message: None })
            .collect();
        let test = "/a.html".to_owned();
        Report::new(vec![TestResult { test, status, message: None, subtests, duration: 1 }], 0)
    }

    fn unexpected(report: &Report, expectations: &str) -> Vec<String> {
        surprises(report, &Expectations::parse(expectations).unwrap())
    }

    #[test]
    fn a_failure_is_a_surprise_unless_there_is_a_reason() {
        let report = report(Status::Ok, &[("x", Status::Pass), ("y", Status::Timeout)]);
        assert_eq!(unexpected(&report, ""), ["/a.html | y: TIMEOUT"]);
        assert!(unexpected(&report, "/a.html | y — not yet").is_empty());
    }

    #[test]
    fn a_pass_that_was_expected_to_fail_is_a_surprise() {
        let report = report(Status::Ok, &[("x", Status::Pass)]);
        assert_eq!(unexpected(&report, "/a.html | x — not yet").len(), 1);
    }

    #[test]
    fn an_entry_that_names_nothing_is_a_surprise() {
        let report = report(Status::Ok, &[("x", Status::Pass)]);
        let surprises = unexpected(&report, "/a.html | z — not yet\n/b.html — gone");
        assert_eq!(surprises.len(), 2);
    }

    #[test]
    fn a_harness_that_does_not_end_well_is_a_failure_of_its_own() {
        let report = report(Status::Error, &[("x", Status::Pass)]);
        assert_eq!(unexpected(&report, ""), ["/a.html: ERROR"]);
        assert!(unexpected(&report, "/a.html — not yet").is_empty());
    }

    #[test]
    fn the_names_of_the_server_are_on_this_machine() {
        let hosts = hosts();
        for name in ["web-platform.test", "www1.www.not-web-platform.test"] {
            assert!(hosts.iter().any(|(host, ip)| host == name && ip.is_loopback()), "{name}");
        }
        assert!(!hosts.iter().any(|(host, _)| host.starts_with("nonexistent")));
    }
}
