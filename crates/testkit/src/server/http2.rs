//! The server's HTTP/2 side, over the `h2` crate.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use h2::{RecvStream, server::SendResponse};
use http::{HeaderName, HeaderValue, Request, Response};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::sleep,
};

use super::{Behavior, End, RecordedRequest, Server, request::isomorphic_decode};

/// Answers the requests of a connection until it ends, and returns how the server leaves it.
pub(super) async fn serve<S>(server: &Server, stream: &mut S, id: usize) -> io::Result<End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let script = Script::default();
    let mut builder = h2::server::Builder::new();
    if let Some(max) = server.options.max_streams {
        builder.max_concurrent_streams(max);
    }
    let tap = Tap { stream, script: script.clone() };
    let mut connection = builder.handshake::<_, Bytes>(tap).await.map_err(io::Error::other)?;
    let mut requests = FuturesUnordered::new();
    loop {
        tokio::select! {
            request = connection.accept() => match request {
                Some(Ok((request, respond))) => {
                    requests.push(answer(server, id, request, respond, &script));
                }
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => return Ok(End::Closed),
            },
            Some(end) = requests.next() => {
                if let Ok(Some(end)) = end {
                    return Ok(end);
                }
            }
        }
    }
}

/// Reads and answers one request. Returns how the server leaves the connection; `None` if it stays.
async fn answer(
    server: &Server,
    connection: usize,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    script: &Script,
) -> Result<Option<End>, h2::Error> {
    let (head, mut body) = request.into_parts();
    let mut recorded = record(connection, respond.stream_id().into(), &head);
    if !server.options.answers_early {
        recorded.body = read(&mut body).await?;
    }
    server.log.send_modify(|log| log.add(&mut recorded));
    let (answer, more) = match (server.handler)(&recorded) {
        Behavior::Respond(answer) => (answer, None),
        Behavior::RespondAfter(delay, answer) => {
            sleep(delay).await;
            (answer, None)
        }
        Behavior::RespondWhen(gate, answer) => {
            gate.notified().await;
            (answer, None)
        }
        Behavior::ReadInTurns(gate, turn, answer) => {
            let mut owed = 0;
            while !body.is_end_stream() {
                if owed == 0 {
                    gate.notified().await;
                    owed = turn;
                }
                let Some(part) = body.data().await.transpose()? else { break };
                body.flow_control().release_capacity(part.len())?;
                owed = owed.saturating_sub(part.len());
                server.log.send_modify(|log| log.requests[recorded.index].body.extend(part));
            }
            send(&mut respond, &answer)?.send_data(Bytes::new(), true)?;
            return Ok(None);
        }
        Behavior::RespondForever(answer, more) => (answer, Some(Bytes::from(more))),
        Behavior::Hang => {
            poll_fn(|cx| respond.poll_reset(cx)).await?;
            server.log.send_modify(|log| log.reset_streams += 1);
            return Ok(None);
        }
        Behavior::Frames(frames) => {
            script.run(frames, Then::GoOn).await;
            return std::future::pending().await;
        }
        Behavior::FramesThenFreeze(frames) => {
            script.run(frames, Then::Freeze).await;
            return std::future::pending().await;
        }
        Behavior::FramesThenClose(frames) => {
            script.run(frames, Then::Close).await;
            return std::future::pending().await;
        }
        Behavior::RespondAndReadNoMore(answer) => {
            let mut stream = send(&mut respond, &answer)?;
            stream.send_data(Bytes::new(), true)?;
            poll_fn(|cx| stream.poll_reset(cx)).await?;
            server.log.send_modify(|log| log.reset_streams += 1);
            return Ok(None);
        }
        Behavior::RespondThenClose(answer) | Behavior::RespondThenHangUp(answer) => {
            send(&mut respond, &answer)?.send_data(Bytes::new(), true)?;
            script.run(Vec::new(), Then::Close).await;
            return std::future::pending().await;
        }
        Behavior::Close | Behavior::Tunnel(_) => return Ok(Some(End::Closed)),
        Behavior::Reset => return Ok(Some(End::Reset)),
    };
    let mut stream = send(&mut respond, &answer)?;
    if let Some(more) = more {
        loop {
            stream.reserve_capacity(more.len());
            let is_reset = poll_fn(|cx| match stream.poll_reset(cx) {
                Poll::Ready(reset) => Poll::Ready(reset.map(|_| true)),
                Poll::Pending => stream.poll_capacity(cx).map(|_| Ok(false)),
            });
            if is_reset.await? {
                server.log.send_modify(|log| log.reset_streams += 1);
                return Ok(None);
            }
            stream.send_data(more.clone(), false)?;
        }
    }
    stream.send_data(Bytes::new(), true)?;
    if server.options.answers_early {
        let body = read(&mut body).await?;
        server.log.send_modify(|log| log.requests[recorded.index].body = body);
    }
    Ok(None)
}

/// The record of a request, without its body.
fn record(connection: usize, stream: u32, head: &http::request::Parts) -> RecordedRequest {
    let pseudo = [
        (":method", head.method.as_str()),
        (":scheme", head.uri.scheme_str().unwrap_or_default()),
        (":authority", head.uri.authority().map_or("", |authority| authority.as_str())),
        (":path", head.uri.path_and_query().map_or("", |path| path.as_str())),
    ];
    let pseudo = pseudo.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), isomorphic_decode(value.as_bytes())));
    RecordedRequest {
        connection,
        stream,
        index: 0,
        method: head.method.to_string(),
        target: pseudo[3].1.clone(),
        version: "HTTP/2".to_owned(),
        head: Vec::new(),
        headers: pseudo.into_iter().chain(headers).collect(),
        body: Vec::new(),
    }
}

async fn read(body: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        bytes.extend(chunk);
    }
    Ok(bytes)
}

/// Sends the HTTP/1.1 response `answer` as HTTP/2 frames, without ending the stream.
fn send(
    respond: &mut SendResponse<Bytes>,
    answer: &[u8],
) -> Result<h2::SendStream<Bytes>, h2::Error> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head");
    let text = isomorphic_decode(&answer[..end]);
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
    let mut response = Response::builder().status(status);
    for line in lines {
        let (name, value) = line.split_once(':').expect("a header");
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
        let value: Vec<u8> =
            value.trim().chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect();
        response = response.header(name, HeaderValue::from_bytes(&value).expect("a value"));
    }
    let mut stream = respond.send_response(response.body(()).expect("a response"), false)?;
    stream.send_data(Bytes::copy_from_slice(&answer[end + 4..]), false)?;
    Ok(stream)
}

/// Bytes to be written to a connection without the knowledge of `h2`.
#[derive(Clone, Debug, Default)]
struct Script(Arc<Mutex<Scripted>>);

#[derive(Debug, Default)]
struct Scripted {
    bytes: VecDeque<u8>,
    then: Then,
}

/// What happens to the connection after the script was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Then {
    #[default]
    GoOn,
    Close,
    Freeze,
}

impl Script {
    /// Adds `bytes` to the script.
    async fn run(&self, bytes: Vec<u8>, then: Then) {
        {
            let mut scripted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            scripted.bytes.extend(bytes);
            scripted.then = then;
        }
        // The connection is polled and flushed once more while this task waits.
        tokio::task::yield_now().await;
    }
}

/// A stream that writes the script when it is flushed, because `h2` has written whole frames then.
struct Tap<'a, S> {
    stream: &'a mut S,
    script: Script,
}

impl<S: AsyncWrite + Unpin> Tap<'_, S> {
    /// Writes the script, and returns what happens after it.
    fn poll_script(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Then>> {
        let mut scripted = self.script.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !scripted.bytes.is_empty() {
            let (bytes, _) = scripted.bytes.as_slices();
            let written = ready!(Pin::new(&mut *self.stream).poll_write(cx, bytes))?;
            scripted.bytes.drain(..written);
        }
        Poll::Ready(Ok(scripted.then))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let scripted = self.script.0.lock().unwrap_or_else(PoisonError::into_inner);
        if scripted.then == Then::Freeze {
            return Poll::Pending;
        }
        drop(scripted);
        Pin::new(&mut *self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // A script of which a part was written has to be completed first.
        if ready!(self.poll_script(cx))? == Then::Freeze {
            return Poll::Pending;
        }
        Pin::new(&mut *self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let then = ready!(self.poll_script(cx))?;
        ready!(Pin::new(&mut *self.stream).poll_flush(cx))?;
        if then == Then::Close {
            Pin::new(&mut *self.stream).poll_shutdown(cx)
        } else {
            Poll::Ready(Ok(()))
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(cx)
    }
}
