//! A [`Network`] that answers from a script, immediately and without sockets.

use std::{
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sendbeacon_fetch::{
    NetworkError,
    host::{BoxFuture, Network, NetworkRequest, NetworkResponse},
};

/// The script's answer to one request.
pub type Answer = Result<NetworkResponse, NetworkError>;

type Script = Box<dyn FnMut(&NetworkRequest) -> Answer + Send>;

/// A network that takes its answers from a script and remembers the requests.
pub struct ScriptedNetwork {
    script: Mutex<Script>,
    sent: Mutex<Vec<NetworkRequest>>,
}

impl ScriptedNetwork {
    /// A network that calls `script` once for each request.
    pub fn new(script: impl FnMut(&NetworkRequest) -> Answer + Send + 'static) -> Self {
        Self { script: Mutex::new(Box::new(script)), sent: Mutex::default() }
    }

    /// The requests so far, in order.
    ///
    /// # Panics
    /// If the script has panicked.
    pub fn sent(&self) -> Vec<NetworkRequest> {
        self.sent.lock().expect("no panic while it was held").clone()
    }

    /// The requests since the last call, in order.
    ///
    /// # Panics
    /// If the script has panicked.
    pub fn take_sent(&self) -> Vec<NetworkRequest> {
        std::mem::take(&mut *self.sent.lock().expect("no panic while it was held"))
    }
}

impl Network for ScriptedNetwork {
    fn http_network_fetch(&self, request: NetworkRequest) -> BoxFuture<'_, Answer> {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = script(&request);
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        Box::pin(std::future::ready(answer))
    }
}

/// A response without a body.
///
/// # Panics
/// If the status, a header's name or a header's value is not valid.
pub fn respond(status: u16, headers: &[(&str, &str)]) -> Answer {
    respond_with_body(status, headers, "")
}

/// A response with a body.
///
/// # Panics
/// If the status, a header's name or a header's value is not valid.
pub fn respond_with_body(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    let header = |(name, value): &(&str, &str)| {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
        (name, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"))
    };
    let headers: HeaderMap = headers.iter().map(header).collect();
    let status = StatusCode::from_u16(status).expect("a status");
    Ok(NetworkResponse::new(status, headers, Box::pin(Some(body.into()))))
}

/// Completes a future that never has to wait, like everything over a [`ScriptedNetwork`].
///
/// # Panics
/// If the future is not ready at the first poll.
pub fn complete<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match Pin::as_mut(&mut future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the future had to wait"),
    }
}
