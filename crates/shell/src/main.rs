//! The command line of `sendbeacon-shell`.

use std::{
    error::Error,
    io::{ErrorKind, stdin, stdout},
    mem,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    os::{fd::AsFd, unix::net::UnixStream},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand};
use sendbeacon::{Drain, ThirdPartyCookies};
use sendbeacon_shell::{
    bench,
    browser::{Browser, LeftOut, Options, Split, run_content},
    collector, demo, outage,
    wpt::{self, WptError},
};
use url::Url;

/// Open web pages without a screen, run their scripts and deliver their beacons.
///
/// The shell shows how a browser embeds the sendbeacon library. Start with `sendbeacon-shell demo`.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Open a page, run its scripts, close it and deliver its beacons.
    ///
    /// The page is closed when it is idle: no script, timer or fetch is left, and no `fetchLater()` waits for its time.
    /// SIGTERM and SIGINT (Ctrl-C) close it earlier. The page sees its usual events (pagehide, visibilitychange,
    /// unload). Then the shell waits for the beacons that are under way, and prints what became of each.
    Open {
        /// The URL of the page, http or https.
        url: Url,
        /// Trust the certificates in this PEM file, in addition to the platform's.
        #[arg(long, value_name = "FILE")]
        cacert: Option<PathBuf>,
        /// Use this address for a host instead of asking DNS. May be given more than once.
        #[arg(long, value_name = "HOST=IP", value_parser = host_map)]
        host_map: Vec<(String, IpAddr)>,
        /// How long to wait for unfinished beacons after the page has been closed.
        #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
        drain: f64,
        /// Wait for the answers only until everything is sent.
        #[arg(long)]
        until_sent: bool,
        /// Close the page after this time, even if it is not idle.
        #[arg(long, value_name = "SECONDS")]
        limit: Option<f64>,
        /// Run each page in a process of its own. If that process dies, its beacons are still delivered.
        #[arg(long)]
        split: bool,
        /// Write the page's beacons and fetches to this HAR 1.2 file, with their cookies.
        #[arg(long, value_name = "FILE")]
        har: Option<PathBuf>,
        /// Keep the beacons that could not be sent in this file, and send them when a page of their site is open again.
        ///
        /// The file is made if it is not there, and so is the file FILE.key with the key that the beacons are encrypted
        /// with. Beacons to http URLs are not kept, except those to this machine.
        #[arg(long, value_name = "FILE")]
        outbox: Option<PathBuf>,
        /// Write a page that draws what happened to this HTML file. It holds the beacons and fetches, with their cookies.
        #[arg(long, value_name = "FILE")]
        timeline: Option<PathBuf>,
    },
    /// Run the process of a document. Only `open --split` starts it.
    #[command(hide = true)]
    Content,
    /// Receive beacons and write each as a line of JSON.
    ///
    /// The collector answers every request with 204 and allows requests of every origin (CORS). It runs until a
    /// signal ends it.
    Collect {
        /// The address and port to listen on. Port 0 takes a free port.
        #[arg(long, default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
        /// How long to wait before answering a request.
        #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
        hold: u64,
        /// Append the lines to this file instead of writing them to stdout.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Also serve a page that shows the requests as they come in, at this address or at 127.0.0.1:8081.
        ///
        /// The page shows the last requests with their headers, cookies included, to everybody who can reach the address.
        #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:8081")]
        live: Option<SocketAddr>,
    },
    /// Measure how long `navigator.sendBeacon()` takes in a page's script.
    ///
    /// Prints the median, the 90th and the 99th percentile of the calls' times.
    Bench {
        /// Measure another browser instead, started with this command. `{url}` in it stands for the page's URL.
        #[arg(long, value_name = "COMMAND")]
        browser: Option<String>,
        /// How many calls to make one by one, and how many in bursts of 20.
        #[arg(long, value_name = "COUNT", default_value_t = 1000)]
        calls: usize,
    },
    /// Run web platform tests. See spec-tests/wpt/README.md.
    ///
    /// Fails if a result differs from the expectations.
    Wpt {
        /// The URLs of the test pages.
        #[arg(required = true)]
        urls: Vec<Url>,
        /// Trust the certificates in this PEM file, in addition to the platform's.
        #[arg(long, value_name = "FILE")]
        cacert: Option<PathBuf>,
        /// The address of a host, in addition to the test server's hosts, which are on this machine. May be given
        /// more than once.
        #[arg(long, value_name = "HOST=IP", value_parser = host_map)]
        host_map: Vec<(String, IpAddr)>,
        /// How long a test page may take.
        #[arg(long, value_name = "SECONDS", default_value_t = 70.0)]
        timeout: f64,
        /// How many test pages to run at the same time.
        #[arg(long, short, default_value = "2")]
        jobs: NonZeroUsize,
        /// A file that lists the known failures, each with its reason.
        #[arg(long, value_name = "FILE")]
        expectations: Option<PathBuf>,
        /// The list of known failures is for more test pages than these.
        #[arg(long)]
        part: bool,
        /// The file for the results, in the format of wptreport.json.
        #[arg(long, value_name = "FILE", default_value = "wptreport.json")]
        report: PathBuf,
    },
    /// Show that a page's beacons reach a real server after the page has gone.
    ///
    /// Starts a site and a collector on this machine, opens the site's page, closes it, and prints when each beacon
    /// was sent, received and answered. Nothing leaves this machine.
    Demo {
        /// How long the servers wait before they answer a request.
        #[arg(long, value_name = "MILLISECONDS", default_value_t = 3000)]
        hold: u64,
        /// Let the collector be down when the page closes and the browser quits, and start both again.
        ///
        /// The beacons wait in an outbox. The second browser delivers them when a page of the same site is open.
        #[arg(long, conflicts_with_all = ["hold", "timeline"])]
        outage: bool,
        /// Write a page that draws what happened to this HTML file.
        #[arg(long, value_name = "FILE")]
        timeline: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Open {
            url,
            cacert,
            host_map,
            drain,
            until_sent,
            limit,
            split,
            har,
            outbox,
            timeline,
        } => {
            let options = Options {
                ca_certificates: cacert,
                host_map,
                har,
                outbox,
                timeline,
                ..Options::default()
            };
            Duration::try_from_secs_f64(drain).map_err(Into::into).and_then(|deadline| {
                let drain = if until_sent {
                    Drain::until_sent(deadline)
                } else {
                    Drain::until_answered(deadline)
                };
                open(&url, &options, drain, limit, split)
            })
        }
        Command::Wpt { urls, cacert, host_map, timeout, jobs, expectations, part, report } => {
            let host_map = wpt::hosts().into_iter().chain(host_map).collect();
            let options = Options {
                ca_certificates: cacert,
                host_map,
                // The tests expect it.
                third_party_cookies: ThirdPartyCookies::Allow,
                ..Options::default()
            };
            Duration::try_from_secs_f64(timeout).map_err(Into::into).and_then(|timeout| {
                let report = Some(report);
                let run =
                    wpt::Run { urls, options, timeout, jobs, expectations, is_part: part, report };
                if run.run()? { Ok(()) } else { Err("some results are not as expected".into()) }
            })
        }
        Command::Content => content(),
        Command::Collect { listen, hold, output, live } => {
            let hold = Duration::from_millis(hold);
            collector::run(listen, hold, output.as_deref(), live).map_err(Into::into)
        }
        Command::Bench { browser, calls } => bench::run(browser.as_deref(), calls)
            .map(|table| println!("{table}"))
            .map_err(Into::into),
        Command::Demo { outage: true, .. } => outage::run().map_err(Into::into),
        Command::Demo { hold, timeline, .. } => {
            demo::run(Duration::from_millis(hold), timeline).map_err(Into::into)
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the results has enough of them.
        Err(error) if is_broken_pipe(&*error) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sendbeacon-shell: {error}");
            ExitCode::FAILURE
        }
    }
}

fn open(
    url: &Url,
    options: &Options,
    drain: Drain,
    limit: Option<f64>,
    split: bool,
) -> Result<(), Box<dyn Error>> {
    let limit = limit.map_or(Ok(Duration::MAX), Duration::try_from_secs_f64)?;
    let browser = Browser::new(options)?;
    let signals = browser.listen_for_signals()?;
    let progress = browser.progress("the page");
    let ran = if split {
        let split = Split::default();
        browser.on_signal(signals, split.closer());
        split.run(&browser, url, limit)
    } else {
        let mut tab = browser.open(url)?;
        browser.on_signal(signals, tab.closer());
        tab.run_for_user(limit);
        tab.unload();
        // The process ends soon: freeing each object of the heap takes longer than an empty page.
        mem::forget(tab);
        Ok(())
    };
    // Even if the page has failed, its beacons are delivered.
    drop(progress);
    let progress = browser.progress("the last answers");
    browser.shut_down(drain);
    drop(progress);
    for finished in browser.log().finished() {
        eprintln!("{finished}");
    }
    let left_out = browser.log().left_out();
    if left_out != LeftOut::default() {
        eprintln!("{left_out}");
    }
    let left_out = browser.write_har()?;
    if left_out > 0 {
        eprintln!("requests that are not in the HAR file, as it is full: {left_out}");
    }
    browser.write_timeline()?;
    ran.map_err(Into::into)
}

/// Runs a content process, whose channels are stdin and stdout.
fn content() -> Result<(), Box<dyn Error>> {
    let channel = UnixStream::from(stdin().as_fd().try_clone_to_owned()?);
    let control = UnixStream::from(stdout().as_fd().try_clone_to_owned()?);
    Ok(run_content(channel, control)?)
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(WptError::Output(it)) if it.kind() == ErrorKind::BrokenPipe)
}

/// Parses `HOST=IP`.
fn host_map(text: &str) -> Result<(String, IpAddr), String> {
    let (host, address) = text.split_once('=').ok_or("not of the form HOST=IP")?;
    let address = address.parse().map_err(|error| format!("{address:?}: {error}"))?;
    Ok((host.to_owned(), address))
}
