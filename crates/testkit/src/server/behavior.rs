//! What the server does with a request.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::sync::Notify;

/// What the server does with one request.
///
/// Answers are raw bytes, so a test may send anything. On HTTP/2 an answer has to be a well-formed HTTP/1.1 response;
/// the server sends the same status, headers and body as HTTP/2 frames.
#[derive(Clone, Debug)]
pub enum Behavior {
    /// Sends the answer and waits for the connection's next request.
    Respond(Vec<u8>),
    /// Like [`Respond`](Self::Respond), after this delay.
    RespondAfter(Duration, Vec<u8>),
    /// Like [`Respond`](Self::Respond), when the test calls [`Notify::notify_one`]. It may do so before the request
    /// arrives.
    RespondWhen(Arc<Notify>, Vec<u8>),
    /// Reads the body in parts and then answers.
    ///
    /// Each [`Notify::notify_one`] of the test lets the server read this many bytes more. Only for a server that
    /// [answers early](super::Setup::answers_early).
    ReadInTurns(Arc<Notify>, usize, Vec<u8>),
    /// Sends the answer and closes the connection.
    RespondThenClose(Vec<u8>),
    /// Like [`RespondThenClose`](Self::RespondThenClose), but without TLS's `close_notify`.
    RespondThenHangUp(Vec<u8>),
    /// Sends the first bytes, and then the second bytes again and again.
    RespondForever(Vec<u8>, Vec<u8>),
    /// Sends the answer and stops reading. The connection stays open. On HTTP/2 only the request's body is not read.
    RespondAndReadNoMore(Vec<u8>),
    /// HTTP/2 only: writes these bytes between two frames, and does not answer the request. Any bytes are possible.
    Frames(Vec<u8>),
    /// Like [`Frames`](Self::Frames), and then closes the connection.
    FramesThenClose(Vec<u8>),
    /// Like [`Frames`](Self::Frames), and then stops reading and writing for all requests. The connection stays open.
    FramesThenFreeze(Vec<u8>),
    /// Acts as a proxy: answers 200, and then passes all bytes to this address and back.
    Tunnel(SocketAddr),
    /// Closes the connection without an answer.
    Close,
    /// Resets the connection (TCP RST) without an answer.
    Reset,
    /// Never answers. The connection stays open until the client closes it. On HTTP/2 the stream stays open until
    /// the client resets it.
    Hang,
}

impl Behavior {
    /// Answers with this status, without headers and without a body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::with_headers(status, &[])
    }

    /// Answers with this status and these headers, without a body.
    #[must_use]
    pub fn with_headers(status: u16, headers: &[(&str, &str)]) -> Self {
        Self::with_body(status, headers, b"")
    }

    /// Answers with this status, these headers and this body.
    #[must_use]
    pub fn with_body(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Self {
        Self::Respond(Self::response(status, headers, body))
    }

    /// The bytes of a response, for the variants that take bytes.
    ///
    /// A `Content-Length` is added if the status allows a body.
    #[must_use]
    pub fn response(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {status} Status\r\n");
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        if !matches!(status, 100..=199 | 204 | 304) {
            head.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
        }
        head += "\r\n";
        [head.as_bytes(), body].concat()
    }
}
