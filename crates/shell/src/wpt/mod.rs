//! The command `wpt`: runs [web platform tests](https://web-platform-tests.org) and judges their results.
//!
//! Each test page is opened in a browser of its own. `testharness.js` in the page gives the results.

mod expectations;
mod page;
mod report;

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    net::{IpAddr, Ipv4Addr},
    num::NonZeroUsize,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use thiserror::Error;
use url::Url;

use self::expectations::Expectations;
pub use self::report::{Report, Status, Subtest, TestResult};
use crate::{browser::Options, lock::lock, progress::Progress};

/// Which tests to run, and how.
#[derive(Debug)]
pub struct Run {
    /// The URLs of the test pages.
    pub urls: Vec<Url>,
    /// The options of the browsers, one of which opens each page.
    pub options: Options,
    /// How long a test page may take.
    pub timeout: Duration,
    /// How many test pages run at the same time.
    pub jobs: NonZeroUsize,
    /// The file of known failures. A line is `test | subtest — [class] reason`, or `test — [class] reason` if the
    /// harness itself fails.
    pub expectations: Option<PathBuf>,
    /// Whether the file of known failures is for more test pages than these.
    pub is_part: bool,
    /// The file for the report, in the format of `wptreport.json`.
    pub report: Option<PathBuf>,
}

/// Why the tests could not be run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WptError {
    /// The file of expectations cannot be read.
    #[error("{path}: {reason}")]
    Expectations {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file of the report cannot be written.
    #[error("{path}: {reason}")]
    Report {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// The results cannot be printed: most likely, nobody reads them any more.
    #[error("the results cannot be printed: {0}")]
    Output(#[from] io::Error),
}

/// The host names of the web platform tests' server, with the loopback address for each.
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
    // Names with a dot at the end are other hosts, of other origins.
    names.flat_map(|name| [(format!("{name}."), loopback), (name, loopback)]).collect()
}

impl Run {
    /// Runs all tests, prints their results and writes the report.
    ///
    /// Returns whether all results are as expected.
    ///
    /// # Errors
    /// If the expectations cannot be read, the results cannot be printed, or the report cannot be written.
    pub fn run(&self) -> Result<bool, WptError> {
        let expectations = self.read_expectations()?;
        let report = self.run_tests()?;
        if let Some(path) = &self.report {
            let write = || report.write(BufWriter::new(File::create(path)?));
            write().map_err(|reason| WptError::Report { path: path.clone(), reason })?;
        }
        let judgement = expectations.judge(&report, self.is_part);
        let mut stdout = io::stdout().lock();
        for surprise in &judgement.surprises {
            writeln!(stdout, "unexpected: {surprise}")?;
        }
        for (class, count) in &judgement.expected {
            writeln!(stdout, "expected: {count} failures of the class {class}")?;
        }
        let subtests = || report.results.iter().flat_map(|result| &result.subtests);
        let passed = subtests().filter(|it| it.status == Status::Pass).count();
        let (files, all) = (report.results.len(), subtests().count());
        writeln!(
            stdout,
            "{passed} of {all} subtests of {files} files pass, {} unexpected",
            judgement.surprises.len()
        )?;
        Ok(judgement.surprises.is_empty())
    }

    fn read_expectations(&self) -> Result<Expectations, WptError> {
        let Some(path) = &self.expectations else { return Ok(Expectations::default()) };
        let failed = |reason: String| WptError::Expectations { path: path.clone(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        Expectations::parse(&text).map_err(failed)
    }

    /// Runs the tests and prints each result. It begins no further test if a result cannot be printed.
    fn run_tests(&self) -> io::Result<Report> {
        let (next, all) = (Arc::new(AtomicUsize::new(0)), self.urls.len());
        let begun = Arc::clone(&next);
        let _progress = Progress::new(move || {
            format!("{} of {all} test pages have begun", begun.load(Relaxed).min(all))
        });
        let results: Vec<_> = self.urls.iter().map(|_| Mutex::new(None)).collect();
        let printed = Mutex::new(Ok(()));
        let work = || {
            loop {
                let index = next.fetch_add(1, Relaxed);
                let Some(url) = self.urls.get(index) else { return };
                let result = page::run(url, &self.options, self.timeout);
                let mut printed = lock(&printed);
                if printed.is_ok() {
                    *printed = write!(io::stdout(), "{result}");
                }
                if printed.is_err() {
                    return;
                }
                drop(printed);
                *lock(&results[index]) = Some(result);
            }
        };
        let start = report::unix_milliseconds();
        thread::scope(|scope| {
            for _ in 0..self.jobs.get().min(self.urls.len()) {
                scope.spawn(work);
            }
        });
        printed.into_inner().unwrap_or_else(PoisonError::into_inner)?;
        let results = results.iter().filter_map(|result| lock(result).take());
        Ok(Report::new(results.collect(), start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_names_of_the_test_server_resolve_to_loopback() {
        let hosts = hosts();
        for name in
            ["web-platform.test", "www1.www.not-web-platform.test", "www.web-platform.test."]
        {
            assert!(hosts.iter().any(|(host, ip)| host == name && ip.is_loopback()), "{name}");
        }
        assert!(!hosts.iter().any(|(host, _)| host.starts_with("nonexistent")));
    }
}
