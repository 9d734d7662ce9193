//! The command `collect`: an HTTP server that stores the beacons it receives.

use std::{
    fs::File,
    io::{self, Write},
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_HEADERS, ORIGIN, VARY,
    },
};
use http_body_util::Full;
use serde::Serialize;
use tokio::net::TcpListener;

use crate::{
    live::Live,
    lock::lock,
    server::{empty, serve},
};

/// A request that the collector received.
#[derive(Clone, Debug, Serialize)]
pub struct Received {
    /// When the request had arrived, in milliseconds since 1970.
    pub at_ms: u128,
    /// The method. `OPTIONS` means a CORS preflight.
    pub method: String,
    /// The path and the query of the URL.
    pub target: String,
    /// The headers, in the order in which they arrived.
    pub headers: Vec<(String, String)>,
    /// The length of the body in bytes.
    pub length: usize,
    /// The body, if it is valid UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The body in base64, if it is not valid UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
}

impl From<&Request<Bytes>> for Received {
    fn from(request: &Request<Bytes>) -> Self {
        let bytes = request.body();
        let body = str::from_utf8(bytes).ok().map(ToOwned::to_owned);
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let value = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Self {
            at_ms: since_1970.unwrap_or_default().as_millis(),
            method: request.method().to_string(),
            target: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
            headers: request.headers().iter().map(|(n, v)| (n.to_string(), value(v))).collect(),
            length: bytes.len(),
            body_base64: body.is_none().then(|| BASE64_STANDARD.encode(bytes)),
            body,
        }
    }
}

impl Received {
    /// The value of the first header with this name. The name has to be in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| &**value)
    }
}

/// Serves `listener`: passes each request to `record` when it has arrived, and answers 204 after `hold`.
///
/// The answers allow CORS requests of every origin, with credentials. The future runs until it is dropped.
pub(crate) async fn collect(
    listener: TcpListener,
    hold: Duration,
    record: impl Fn(Received) + Send + Sync + 'static,
) -> io::Result<()> {
    serve(listener, move |request| {
        record(Received::from(&request));
        let response = answer(request.method(), request.headers());
        async move {
            tokio::time::sleep(hold).await;
            response
        }
    })
    .await
}

fn answer(method: &Method, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let mut response = empty(StatusCode::NO_CONTENT);
    let answer = response.headers_mut();
    if let Some(origin) = headers.get(ORIGIN) {
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        answer.insert(VARY, HeaderValue::from_static("origin"));
    }
    if method == Method::OPTIONS
        && let Some(names) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS)
    {
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    response
}

/// Runs the command: writes a line of JSON for each request, until a signal ends the process.
///
/// The lines are appended to the file `output`, or written to stdout if it is `None`. Each answer is sent `hold`
/// after its request has arrived. If `live` is given, a page at this address shows the requests as they come in.
///
/// # Errors
/// If the file cannot be opened or an address cannot be bound.
pub fn run(
    listen: SocketAddr,
    hold: Duration,
    output: Option<&Path>,
    live: Option<SocketAddr>,
) -> io::Result<()> {
    let output: Box<dyn Write + Send> = match output {
        Some(path) => Box::new(File::options().create(true).append(true).open(path)?),
        None => Box::new(io::stdout()),
    };
    let output = Mutex::new(output);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await?;
        eprintln!("collecting at http://{}/", listener.local_addr()?);
        let live = match live {
            Some(address) => Some(serve_live(address).await?),
            None => None,
        };
        collect(listener, hold, move |received| {
            if let Err(error) = keep(&output, live.as_deref(), &received) {
                eprintln!("{} {} could not be stored: {error}", received.method, received.target);
            }
        })
        .await
    })
}

/// Serves the page that shows requests as they come in.
async fn serve_live(address: SocketAddr) -> io::Result<Arc<Live>> {
    let listener = TcpListener::bind(address).await?;
    eprintln!("watch at http://{}/", listener.local_addr()?);
    let live = Arc::new(Live::new());
    let for_page = Arc::clone(&live);
    tokio::spawn(serve(listener, move |request| {
        let live = Arc::clone(&for_page);
        async move { live.answer(&request).await }
    }));
    Ok(live)
}

/// Writes the request as a line, and shows it on the page.
fn keep(
    output: &Mutex<Box<dyn Write + Send>>,
    live: Option<&Live>,
    received: &Received,
) -> io::Result<()> {
    let json = serde_json::to_string(received)?;
    let written = {
        let mut output = lock(output);
        writeln!(output, "{json}").and_then(|()| output.flush())
    };
    if let Some(live) = live {
        live.push(json);
    }
    written
}
