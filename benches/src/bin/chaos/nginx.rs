//! Sends beacons to an nginx that is reloaded meanwhile, as administrators do after a change of its configuration.

use std::{
    env, fs,
    net::TcpListener,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{self, Child, Command, ExitCode, Stdio},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use sendbeacon::net::HttpNetwork;
use url::Url;

use crate::{
    BoxError,
    pages::{self, Work},
    sightings::{Sightings, Sums},
};

const RELOADS: usize = 12;
const IN_FLIGHT: usize = 16;

/// Sends the beacons and prints what happened to them. The exit status is 1 if one was lost that had a connection, or if
/// one was logged more than twice.
pub(crate) fn reload(count: usize) -> Result<ExitCode, BoxError> {
    let Some(nginx) = Nginx::start()? else {
        println!("not run: nginx is not installed");
        return Ok(ExitCode::SUCCESS);
    };
    let sightings = Arc::new(Sightings::new(count));
    let work = Work {
        page: nginx.url.join("/page")?,
        network: HttpNetwork::builder().max_connections_per_origin(IN_FLIGHT).build()?,
        in_flight: IN_FLIGHT,
        sightings: Arc::clone(&sightings),
    };
    let part = count / (RELOADS + 1);
    let start = Instant::now();
    pages::send(work, |number| {
        let is_time = number > 0 && number % part.max(1) == 0 && number / part.max(1) <= RELOADS;
        if is_time { nginx.signal("reload") } else { Ok(()) }
    })?;
    let time = start.elapsed().as_secs_f64();
    for line in nginx.stop()?.lines() {
        let number = line.rsplit('=').next().and_then(|number| number.parse().ok());
        sightings.got_whole(number.ok_or("a line of the access log without a number")?);
    }
    let Sums { sent, delivered, failed, lost, twice, more_often, .. } = sightings.sums();
    let unconnected = sightings.unconnected.load(Relaxed);
    let written = failed - unconnected;
    println!(
        "nginx reloaded {RELOADS} times, {sent} beacons, {IN_FLIGHT} in flight, {time:.2} s: {delivered} delivered\n\
         lost on a connection: {written}\n\
         without a connection: {unconnected}\n\
         not in nginx's log: {lost}; twice: {twice}; more often: {more_often}"
    );
    if let Some(failure) = sightings.failure.get() {
        println!("the first failure: {failure}");
    }
    let is_good = written == 0 && more_often == 0 && delivered + failed == sent;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// An nginx process with a directory and a port of its own.
struct Nginx {
    process: Child,
    /// Where its configuration and its logs are.
    directory: PathBuf,
    url: Url,
}

impl Nginx {
    /// Starts an nginx that answers 204 to each request. `None` if nginx is not installed.
    fn start() -> Result<Option<Self>, BoxError> {
        if Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_err() {
            return Ok(None);
        }
        let directory = env::temp_dir().join(format!("sendbeacon-chaos-{}", process::id()));
        fs::create_dir_all(&directory)?;
        // nginx inherits the listening socket, as it does when it is upgraded. So no other program can take the port.
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let configuration = format!(
            "daemon off;
            worker_processes 2;
            pid nginx.pid;
            error_log error.log;
            events {{}}
            http {{
                log_format one '$request_uri';
                access_log access.log one;
                client_body_temp_path body;
                server {{
                    listen 127.0.0.1:{port};
                    return 204;
                }}
            }}"
        );
        fs::write(directory.join("nginx.conf"), configuration)?;
        let process = command(&directory)
            .env("NGINX", "0;")
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .spawn()?;
        let url = Url::parse(&format!("http://127.0.0.1:{port}/"))?;
        Ok(Some(Self { process, directory, url }))
    }

    /// Sends a signal to the master process, by its name in nginx: `reload` is SIGHUP.
    fn signal(&self, name: &str) -> Result<(), BoxError> {
        let status = command(&self.directory).args(["-s", name]).status()?;
        if status.success() { Ok(()) } else { Err(format!("nginx -s {name}: {status}").into()) }
    }

    /// Lets nginx answer its open requests, stops it, and returns its access log.
    fn stop(mut self) -> Result<String, BoxError> {
        self.signal("quit")?;
        self.process.wait()?;
        Ok(fs::read_to_string(self.directory.join("access.log"))?)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            // To kill the process would leave its workers running.
            let _ = self.signal("stop");
            let _ = self.process.wait();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A command that runs nginx with the configuration in `directory`.
fn command(directory: &Path) -> Command {
    let mut command = Command::new("nginx");
    command.arg("-p").arg(directory).args(["-e", "error.log", "-c", "nginx.conf"]);
    command
}
