//! Tests with nginx as the collector: its access log has each accepted beacon once.

#![cfg(all(unix, feature = "net"))]

use std::{
    collections::HashMap,
    fs,
    net::TcpListener,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::{Arc, mpsc},
    time::Duration,
};

use sendbeacon::{
    Client, Event, EventKind, EventSink, MemoryLimits, Nonce, Outcome, Scheduling, UserAgent,
    net::HttpNetwork,
};
use url::Url;

/// How many documents send beacons.
const DOCUMENTS: usize = 100;

/// How many beacons each document sends.
const BEACONS_OF_EACH: usize = 100;

/// How often nginx is restarted.
const RELOADS: usize = 12;

/// How many beacons are sent for each restart.
const BEACONS_OF_RELOAD: usize = 1_000;

#[test]
fn nginx_logs_each_of_10_000_beacons_once_over_http_1_1() {
    deliver("http", "HTTP/1.1");
}

#[test]
fn nginx_logs_each_of_10_000_beacons_once_over_http_1_1_and_tls() {
    deliver("https", "HTTP/1.1");
}

#[test]
fn nginx_logs_each_of_10_000_beacons_once_over_http_2_and_tls() {
    deliver("https", "HTTP/2.0");
}

/// Passes on how each fetch has ended.
struct Outcomes(mpsc::Sender<Outcome>);

impl EventSink for Outcomes {
    fn event(&self, event: Event) {
        if let EventKind::Done { outcome, .. } = event.kind {
            let _ = self.0.send(outcome);
        }
    }

    fn wants_wire_events(&self) -> bool {
        false
    }
}

#[test]
fn nginx_that_is_restarted_again_and_again_loses_no_beacon() {
    let Some(nginx) = Nginx::start("http", "HTTP/1.1-restarted") else {
        println!("not run: nginx is not installed");
        return;
    };
    let (sender, outcomes) = mpsc::channel();
    let network = HttpNetwork::builder().max_connections_per_origin(16).build().unwrap();
    let agent = UserAgent::builder()
        .network(Arc::new(network))
        .scheduling(Scheduling::default().with_per_origin(16))
        .event_sink(Arc::new(Outcomes(sender)))
        .build()
        .unwrap();
    let client = Client::new(nginx.url.join("/page").unwrap(), Nonce::from_u128(1));
    let page = agent.document(client);
    let wait = || match outcomes.recv_timeout(Duration::from_secs(60)).unwrap() {
        Outcome::Delivered { .. } => {}
        lost => panic!("{lost:?}"),
    };
    for reload in 0..RELOADS {
        for beacon in 0..BEACONS_OF_RELOAD {
            let url = format!("/collect?reload={reload}&beacon={beacon}");
            assert_eq!(page.send_beacon(&url, None), Ok(true), "{url}");
        }
        // The new workers take over while the other beacons are on their way.
        (0..BEACONS_OF_RELOAD / 4).for_each(|_| wait());
        assert!(nginx.signal("reload"));
        (0..BEACONS_OF_RELOAD - BEACONS_OF_RELOAD / 4).for_each(|_| wait());
    }
    let log = nginx.stop();
    let mut times: HashMap<&str, usize> = HashMap::new();
    log.lines().for_each(|line| *times.entry(line).or_default() += 1);
    println!("{} beacons arrived, {} requests", times.len(), log.lines().count());
    assert_eq!(times.len(), RELOADS * BEACONS_OF_RELOAD);
    // A worker that ends may have read the first copy.
    assert!(times.values().all(|count| *count <= 2));
}

/// Sends all beacons to an nginx, and compares its access log with them.
fn deliver(scheme: &str, protocol: &str) {
    let Some(nginx) = Nginx::start(scheme, protocol) else {
        println!("not run: nginx is not installed");
        return;
    };
    let network = HttpNetwork::builder().add_root_certificates_pem(nginx.certificate.as_bytes());
    let network = network.unwrap().build().unwrap();
    // One origin may hold half of a partition's memory.
    let memory = MemoryLimits::default().with_partition(64 << 20);
    let agent = UserAgent::builder().network(Arc::new(network)).memory_limits(memory);
    let agent = agent.build().unwrap();
    let body = "x".repeat(600);
    for document in 0..DOCUMENTS {
        let page =
            agent.document(Client::new(nginx.url.join("/page").unwrap(), Nonce::from_u128(1)));
        for beacon in 0..BEACONS_OF_EACH {
            let url = format!("/collect?document={document}&beacon={beacon}");
            assert_eq!(page.send_beacon(&url, Some((&*body).into())), Ok(true), "{url}");
        }
    }
    let report = agent.shutdown_blocking(Duration::from_secs(60));
    assert!(report.lost.is_empty(), "{:?}", report.lost.first());

    let log = nginx.stop();
    let mut times: HashMap<&str, usize> = HashMap::new();
    for line in log.lines() {
        *times.entry(line).or_default() += 1;
    }
    for document in 0..DOCUMENTS {
        for beacon in 0..BEACONS_OF_EACH {
            let target = format!("/collect?document={document}&beacon={beacon}");
            let line = format!("{protocol} POST {target} 600 204");
            assert_eq!(times.remove(&*line), Some(1), "{line}");
        }
    }
    assert_eq!(times, HashMap::new());
}

/// An nginx process with a directory and a port of its own.
struct Nginx {
    process: Child,
    /// Where its configuration and its logs are.
    directory: PathBuf,
    url: Url,
    certificate: String,
}

impl Nginx {
    /// Starts an nginx that answers 204 to each request. `None` if nginx is not installed.
    fn start(scheme: &str, protocol: &str) -> Option<Self> {
        Command::new("nginx").arg("-v").output().ok()?;
        let name = format!("nginx-{}-{scheme}-{}", process::id(), protocol.replace('/', "-"));
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&directory).unwrap();

        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = certified.cert.pem();
        fs::write(directory.join("certificate.pem"), &certificate).unwrap();
        fs::write(directory.join("key.pem"), certified.signing_key.serialize_pem()).unwrap();

        // nginx inherits the listening socket, as it does when it is upgraded. So no other program can take
        // the port, and the test may send beacons before nginx has started.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let tls = if scheme == "https" { "ssl" } else { "" };
        let http2 = if protocol == "HTTP/2.0" { "http2" } else { "" };
        let configuration = format!(
            "daemon off;
            pid nginx.pid;
            error_log error.log;
            events {{}}
            http {{
                log_format one '$server_protocol $request_method $request_uri \
                    $content_length $status';
                access_log access.log one;
                client_body_temp_path body;
                ssl_certificate certificate.pem;
                ssl_certificate_key key.pem;
                server {{
                    listen 127.0.0.1:{port} {tls} {http2};
                    return 204;
                }}
            }}"
        );
        fs::write(directory.join("nginx.conf"), configuration).unwrap();
        let process = Self::command(&directory)
            .env("NGINX", "0;")
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .spawn()
            .unwrap();
        let url = Url::parse(&format!("{scheme}://localhost:{port}/")).unwrap();
        Some(Self { process, directory, url, certificate })
    }

    /// Lets nginx answer its open requests, stops it, and returns its access log.
    fn stop(mut self) -> String {
        assert!(self.signal("quit"));
        assert!(self.process.wait().unwrap().success());
        let log = fs::read_to_string(self.directory.join("access.log")).unwrap();
        fs::remove_dir_all(&self.directory).unwrap();
        log
    }

    /// Sends a signal to the master process, and says whether that succeeded.
    fn signal(&self, signal: &str) -> bool {
        Self::command(&self.directory).args(["-s", signal]).status().unwrap().success()
    }

    /// A command that runs nginx with the configuration in `directory`.
    fn command(directory: &Path) -> Command {
        let mut command = Command::new("nginx");
        command.arg("-p").arg(directory).args(["-e", "error.log", "-c", "nginx.conf"]);
        command
    }
}

impl Drop for Nginx {
    /// Stops nginx where a failed test has not done so.
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            // To kill the process would leave its workers running.
            let _ = Self::command(&self.directory).args(["-s", "stop"]).status();
            let _ = self.process.wait();
        }
    }
}
