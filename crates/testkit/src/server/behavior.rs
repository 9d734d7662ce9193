use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::sync::Notify;

/// What the server does with one request. Answers are raw bytes: a test may send anything. On HTTP/2
/// they have to be a well-formed response of HTTP/1.1, and are sent as what that would be there.
#[derive(Clone, Debug)]
pub enum Behavior {
    /// Answers, and waits for the connection's next request.
    Respond(Vec<u8>),
    /// The same, after a while.
    RespondAfter(Duration, Vec<u8>),
    /// The same, once the test says so with [`Notify::notify_one`], before or after the request.
    RespondWhen(Arc<Notify>, Vec<u8>),
    /// Of a server that [answers early](super::Setup::answers_early): reads that many bytes of the body,
    /// or what is left of them, each time the test says so, and answers when it has all.
    ReadInTurns(Arc<Notify>, usize, Vec<u8>),
    /// Answers and closes the connection at once.
    RespondThenClose(Vec<u8>),
    /// The same, without saying so where that could be said: no `close_notify` of TLS.
    RespondThenHangUp(Vec<u8>),
    /// Answers with the first bytes, and then goes on with the second again and again.
    RespondForever(Vec<u8>, Vec<u8>),
    /// Answers, and reads nothing more, of the request's body alone on HTTP/2. The connection stays open.
    RespondAndReadNoMore(Vec<u8>),
    /// HTTP/2: writes these bytes between two frames, whatever they are, and nothing else for the
    /// request.
    Frames(Vec<u8>),
    /// The same, and closes the connection.
    FramesThenClose(Vec<u8>),
    /// The same, and then neither reads nor writes anything, for any request. The connection stays open.
    FramesThenFreeze(Vec<u8>),
    /// Of a proxy: answers 200, and passes all that follows to this address and back.
    Tunnel(SocketAddr),
    /// Closes the connection without an answer.
    Close,
    /// Resets the connection (TCP RST) without an answer.
    Reset,
    /// Never answers. The connection stays open until the client closes it, or on HTTP/2 the stream
    /// until the client resets it.
    Hang,
}

impl Behavior {
    /// Answers with a status and no headers or body of its own.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::with_headers(status, &[])
    }

    /// Answers with a status and headers, and no body.
    #[must_use]
    pub fn with_headers(status: u16, headers: &[(&str, &str)]) -> Self {
        Self::with_body(status, headers, b"")
    }

    /// Answers with a status, headers and a body.
    #[must_use]
    pub fn with_body(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Self {
        Self::Respond(Self::response(status, headers, body))
    }

    /// The bytes of a response, for the variants that take bytes. `Content-Length` is added where
    /// the status allows a body.
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
