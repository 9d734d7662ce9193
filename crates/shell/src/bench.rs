//! The command `bench`: measures what a call of `navigator.sendBeacon` costs the script of a page.
//!
//! The time includes the JavaScript engine's part. Any browser can open the same page, so the figures of this shell
//! and of another browser can be compared.

use std::{
    io,
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use serde::Deserialize;
use thiserror::Error;
use tokio::net::TcpListener;
use url::Url;

use crate::{
    browser::{Browser, BrowserError, Options},
    progress::Progress,
    server::{empty, serve},
};

const PAGE: &str = include_str!("../bench/index.html");

/// How long the browser may take to run the page.
const PATIENCE: Duration = Duration::from_secs(120);

/// Why the measurement failed.
#[derive(Debug, Error)]
pub enum BenchError {
    /// The page's server or the other browser's process could not be started.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The shell's own browser could not open the page.
    #[error(transparent)]
    Browser(#[from] BrowserError),
    /// The page sent no report in time.
    #[error("the page sent no report within {} s", PATIENCE.as_secs())]
    Silent(#[from] mpsc::RecvTimeoutError),
    /// The page's report is not what the page should send.
    #[error("the page's report cannot be read: {0}")]
    Report(#[from] serde_json::Error),
}

/// How long each accepted call took, in milliseconds.
#[derive(Deserialize)]
struct Report {
    /// Calls with a pause of 4 milliseconds between them.
    paced: Vec<f64>,
    /// Calls 20 in a row, with a pause after each 20.
    bursts: Vec<f64>,
}

/// Times `calls` calls one by one and `calls` calls in bursts, and returns a table of the percentiles.
///
/// The page runs in this shell, or in another browser if `browser` is given: the command that starts it, in which
/// `{url}` stands for the page's URL. The call blocks until the page has sent its report, 2 minutes at most.
///
/// # Errors
/// [`BenchError`], if the server, the browser or the page fails.
pub fn run(browser: Option<&str>, calls: usize) -> Result<String, BenchError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
    let url = format!("http://{}/", listener.local_addr()?);
    let page = Bytes::from(PAGE.replace("{{calls}}", &calls.to_string()));
    let (sender, reports) = mpsc::channel();
    std::thread::spawn(move || {
        runtime.block_on(serve(listener, move |request| {
            if request.uri().path() == "/results" {
                // This fails if the receiver has stopped waiting. Nobody needs the report then.
                let _ = sender.send(request.body().clone());
            }
            let response = answer(&request, &page);
            async { response }
        }))
    });
    let _progress = Progress::new(|| "measuring".to_owned());
    let report = match browser {
        None => {
            let browser = Browser::new(&Options::default())?;
            let mut tab = browser.open(&Url::parse(&url).map_err(io::Error::other)?)?;
            tab.run(PATIENCE);
            tab.unload();
            browser.shut_down(PATIENCE);
            reports.recv_timeout(Duration::ZERO)
        }
        Some(command) => {
            let mut words = command.split_whitespace().map(|word| word.replace("{url}", &url));
            let program = words.next().unwrap_or_default();
            let output = || Stdio::null();
            let mut process =
                Command::new(program).args(words).stdout(output()).stderr(output()).spawn()?;
            let report = reports.recv_timeout(PATIENCE);
            process.kill()?;
            process.wait()?;
            report
        }
    };
    let Report { paced, bursts } = serde_json::from_slice(&report?)?;
    Ok(format!(
        "{:<8} {:>6} {:>10} {:>10} {:>10}\n{}\n{}",
        "",
        "calls",
        "median",
        "p90",
        "p99",
        line("paced", paced),
        line("bursts", bursts),
    ))
}

/// Answers with the page, cross-origin isolated: browsers give isolated pages their most precise clock.
fn answer(request: &Request<Bytes>, page: &Bytes) -> Response<Full<Bytes>> {
    if request.method() != Method::GET || request.uri().path() != "/" {
        return empty(StatusCode::NO_CONTENT);
    }
    let mut response = Response::new(Full::new(page.clone()));
    for (name, value) in [
        (header::CONTENT_TYPE.as_str(), "text/html; charset=utf-8"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-embedder-policy", "require-corp"),
    ] {
        response.headers_mut().insert(name, http::HeaderValue::from_static(value));
    }
    response
}

/// A line of the table: the median, the 90th and the 99th percentile.
fn line(name: &str, mut times: Vec<f64>) -> String {
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| {
        let milliseconds = times.get(times.len() * percent / 100);
        milliseconds.map_or("-".to_owned(), |time| format!("{:.1} µs", time * 1e3))
    };
    format!("{name:<8} {:>6} {:>10} {:>10} {:>10}", times.len(), at(50), at(90), at(99))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_timed() {
        let table = run(None, 20).expect("the page reports");
        let counts: Vec<_> =
            table.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
        assert_eq!(counts, ["20", "20"], "{table}");
    }
}
