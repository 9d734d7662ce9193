//! `sendbeacon-shell`, the headless page shell.

use std::{
    error::Error,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand};
use sendbeacon_shell::{
    bench,
    browser::{Browser, Options, Split, run_content},
    collector, demo, wpt,
};
use url::Url;

/// A headless page shell that embeds the `sendbeacon` library.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Open a page, run it until it is idle or a signal closes it, unload it, and deliver its beacons. A page that
    /// has deferred fetches is not idle before they are sent, which is when it is closed.
    Open {
        /// An http or https URL.
        url: Url,
        /// A file of PEM certificates to trust beside the platform's.
        #[arg(long, value_name = "FILE")]
        cacert: Option<PathBuf>,
        /// The address of a host, without asking DNS. May be given more than once.
        #[arg(long, value_name = "HOST=IP", value_parser = host_map)]
        host_map: Vec<(String, IpAddr)>,
        /// How long to wait for beacons under way when the page has been closed.
        #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
        drain: f64,
        /// Close the page after this time, idle or not.
        #[arg(long, value_name = "SECONDS")]
        limit: Option<f64>,
        /// Run each document in a process of its own, which may die without its beacons.
        #[arg(long)]
        split: bool,
        /// Write an archive (HAR 1.2) of the page's beacons and fetches, cookies and all.
        #[arg(long, value_name = "FILE")]
        har: Option<PathBuf>,
    },
    /// The process of a document, which `open --split` starts.
    #[command(hide = true)]
    Content,
    /// Collect beacons: store each as a line of JSON.
    Collect {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
        /// How long to hold each answer back.
        #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
        hold: u64,
        /// The file to append to, in place of stdout.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Time the calls of a page's script, and print their median, 90th and 99th percentile.
    Bench {
        /// Another browser, by the command that opens a page in it, to be compared with: `{url}` in it stands
        /// for the page.
        #[arg(long, value_name = "COMMAND")]
        browser: Option<String>,
        /// How many calls one by one, and how many in bursts.
        #[arg(long, value_name = "COUNT", default_value_t = 1000)]
        calls: usize,
    },
    /// Run web platform tests: see spec-tests/wpt/README.md.
    Wpt {
        /// The pages of the tests.
        #[arg(required = true)]
        urls: Vec<Url>,
        /// A file of PEM certificates to trust beside the platform's.
        #[arg(long, value_name = "FILE")]
        cacert: Option<PathBuf>,
        /// The address of a host, beside those of the tests' server, which are on this machine.
        #[arg(long, value_name = "HOST=IP", value_parser = host_map)]
        host_map: Vec<(String, IpAddr)>,
        /// How long a page may take.
        #[arg(long, value_name = "SECONDS", default_value_t = 70.0)]
        timeout: f64,
        /// How many pages to run at a time.
        #[arg(long, short, default_value = "2")]
        jobs: NonZeroUsize,
        /// What is known to fail, and why.
        #[arg(long, value_name = "FILE")]
        expectations: Option<PathBuf>,
        /// Where the results go.
        #[arg(long, value_name = "FILE", default_value = "wptreport.json")]
        report: PathBuf,
    },
    /// See a page's beacons reach a real server after the page is gone.
    Demo {
        /// How long the servers hold their answers back.
        #[arg(long, value_name = "MILLISECONDS", default_value_t = 3000)]
        hold: u64,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Open { url, cacert, host_map, drain, limit, split, har } => {
            let options = Options { ca_certificates: cacert, host_map, har };
            open(&url, &options, drain, limit, split)
        }
        Command::Wpt { urls, cacert, host_map, timeout, jobs, expectations, report } => {
            let host_map = wpt::hosts().into_iter().chain(host_map).collect();
            let options = Options { ca_certificates: cacert, host_map, har: None };
            Duration::try_from_secs_f64(timeout).map_err(Into::into).and_then(|timeout| {
                let report = Some(report);
                let run = wpt::Run { urls, options, timeout, jobs, expectations, report };
                if run.run()? { Ok(()) } else { Err("not everything is as expected".into()) }
            })
        }
        Command::Content => run_content().map_err(Into::into),
        Command::Collect { listen, hold, output } => {
            let hold = Duration::from_millis(hold);
            collector::run(listen, hold, output.as_deref()).map_err(Into::into)
        }
        Command::Bench { browser, calls } => bench::run(browser.as_deref(), calls)
            .map(|table| println!("{table}"))
            .map_err(Into::into),
        Command::Demo { hold } => demo::run(Duration::from_millis(hold)).map_err(Into::into),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sendbeacon-shell: {error}");
            ExitCode::FAILURE
        }
    }
}

fn open(
    url: &Url,
    options: &Options,
    drain: f64,
    limit: Option<f64>,
    split: bool,
) -> Result<(), Box<dyn Error>> {
    let drain = Duration::try_from_secs_f64(drain)?;
    let limit = limit.map_or(Ok(Duration::MAX), Duration::try_from_secs_f64)?;
    let browser = Browser::new(options)?;
    let signals = browser.listen_for_signals()?;
    let ran = if split {
        let split = Split::default();
        browser.on_signal(signals, split.closer());
        split.run(&browser, url, limit)
    } else {
        let mut tab = browser.open(url)?;
        browser.on_signal(signals, tab.closer());
        tab.run_for_user(limit);
        tab.unload();
        Ok(())
    };
    // Whatever became of the page, what it has sent is delivered.
    browser.shut_down(drain);
    for finished in browser.log().finished() {
        eprintln!("{finished}");
    }
    browser.write_har()?;
    ran.map_err(Into::into)
}

fn host_map(text: &str) -> Result<(String, IpAddr), String> {
    let (host, address) = text.split_once('=').ok_or("not of the form HOST=IP")?;
    let address = address.parse().map_err(|error| format!("{address:?}: {error}"))?;
    Ok((host.to_owned(), address))
}
