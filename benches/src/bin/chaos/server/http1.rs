//! The server's HTTP/1.1.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::sleep,
};

use super::{End, IDLE_ENDS, drain, hops, idle, send, send_in_single_bytes};
use crate::{cell::Cell, faults::Fault, sightings::DIGITS};

const NO_CONTENT: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
const LAST: &[u8] = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
const TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
const REDIRECTS: [&[u8]; 2] = [
    b"HTTP/1.1 307 Temporary Redirect\r\nLocation: elsewhere\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 308 Permanent Redirect\r\nLocation: elsewhere\r\nContent-Length: 0\r\n\r\n",
];

/// Answers the requests of a connection until it ends. Returns how the server ends it.
pub(super) async fn serve<S>(cell: &Cell, stream: &mut S) -> io::Result<End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = Connection { stream, buffer: Vec::new(), is_slow: false };
    if cell.strike_by(Fault::HalfClosedAtOnce).is_some() {
        connection.stream.shutdown().await?;
        while let Some(length) = connection.head().await? {
            let body = connection.take(length).await?;
            cell.sightings.got(&body);
        }
        return Ok(End::Drop);
    }
    let mut is_reused = false;
    while let Some(length) = connection.head().await? {
        if let Some(end) = connection.serve_one(cell, length, is_reused).await? {
            return Ok(end);
        }
        is_reused = true;
    }
    Ok(End::Drop)
}

struct Connection<'a, S> {
    stream: &'a mut S,
    /// The bytes that were read and not used.
    buffer: Vec<u8>,
    /// Whether the server reads single bytes.
    is_slow: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
    /// Serves the request with this length of body, whose head was read.
    async fn serve_one(
        &mut self,
        cell: &Cell,
        length: usize,
        is_reused: bool,
    ) -> io::Result<Option<End>> {
        let fault = cell.fault();
        match fault {
            Fault::PartOnFresh | Fault::PartOnReused
                if fault.is_for(is_reused) && cell.strike().is_some() =>
            {
                let part = self.take(DIGITS + (length - DIGITS) / 2).await?;
                cell.sightings.got(&part);
                return Ok(Some(End::Reset));
            }
            Fault::TimeoutOnReused if is_reused && cell.strike().is_some() => {
                send(self.stream, TIMEOUT).await?;
                return Ok(Some(End::Finish));
            }
            Fault::EarlyAnswer if cell.strike().is_some() => {
                send(self.stream, NO_CONTENT).await?;
                let body = self.take(length).await?;
                cell.sightings.got(&body);
                return Ok(None);
            }
            _ => {}
        }
        let body = self.take(length).await?;
        if fault == Fault::Redirects
            && let Some(strike) = cell.strike_beacon(&body, hops(length))
        {
            send(self.stream, REDIRECTS[strike % 2]).await?;
            return Ok(None);
        }
        cell.sightings.got(&body);
        self.answer(cell, is_reused).await
    }

    /// Answers a request that was read.
    async fn answer(&mut self, cell: &Cell, is_reused: bool) -> io::Result<Option<End>> {
        let fault = cell.fault();
        self.is_slow = false;
        let Some(strike) = cell.strike_answer(is_reused) else {
            let is_last = fault.renews_connections();
            cell.strike_by(Fault::AnnouncedClose);
            send(self.stream, if is_last { LAST } else { NO_CONTENT }).await?;
            return Ok(is_last.then_some(End::Finish));
        };
        self.strike(cell, strike).await
    }

    /// Does what the fault says to a request that was read.
    async fn strike(&mut self, cell: &Cell, strike: usize) -> io::Result<Option<End>> {
        let fault = cell.fault();
        match fault {
            Fault::Slow => sleep(Duration::from_millis(20)).await,
            // From the next request on.
            Fault::SlowReader => self.is_slow = true,
            Fault::SingleBytes => {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                send_in_single_bytes(self.stream, answer).await?;
                return Ok(None);
            }
            Fault::Interim => {
                let early =
                    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n";
                send(self.stream, early).await?;
                send(self.stream, b"HTTP/1.1 102 Processing\r\n\r\n").await?;
            }
            Fault::EndlessBody => {
                let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                send(self.stream, head).await?;
                let chunk = [&b"1000\r\n"[..], &[b'x'; 0x1000], b"\r\n"].concat();
                // The loop ends with an error when the client has closed the connection.
                loop {
                    send(self.stream, &chunk).await?;
                }
            }
            Fault::ShortBody => {
                send(self.stream, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort").await?;
                return Ok(Some(End::Drop));
            }
            Fault::TwoAnswers => {
                send(self.stream, &[NO_CONTENT, NO_CONTENT].concat()).await?;
                return Ok(None);
            }
            Fault::Garbage => {
                let garbage: [&[u8]; 3] =
                    [b"\0\x01\x02\x03\r\n\r\n", b"SSH-2.0-x\r\n", b"204\r\n\r\n"];
                send(self.stream, garbage[strike % 3]).await?;
                return Ok(Some(End::Finish));
            }
            Fault::HalfHead => {
                send(self.stream, b"HTTP/1.1 204 No Con").await?;
                return Ok(Some([End::Drop, End::Finish][strike % 2]));
            }
            Fault::InterimThenEnd => {
                send(self.stream, b"HTTP/1.1 103 Early Hints\r\n\r\n").await?;
                return Ok(Some([End::Drop, End::Finish][strike % 2]));
            }
            Fault::HalfHeadThenSilence => {
                send(self.stream, b"HTTP/1.1 204 No Con").await?;
                drain(self.stream).await?;
                return Ok(Some(End::Drop));
            }
            Fault::Silence => {
                drain(self.stream).await?;
                return Ok(Some(End::Drop));
            }
            Fault::IdleClose | Fault::IdleReset => {
                send(self.stream, NO_CONTENT).await?;
                idle(strike).await;
                let ends = if fault == Fault::IdleClose { IDLE_ENDS } else { [End::Reset; 2] };
                return Ok(Some(ends[strike / 4 % 2]));
            }
            Fault::HalfClosed => {
                send(self.stream, NO_CONTENT).await?;
                idle(strike).await;
                self.stream.shutdown().await?;
                while let Some(length) = self.head().await? {
                    let body = self.take(length).await?;
                    cell.sightings.got(&body);
                }
                return Ok(Some(End::Drop));
            }
            Fault::TimeoutOnIdle => {
                send(self.stream, NO_CONTENT).await?;
                idle(strike).await;
                send(self.stream, TIMEOUT).await?;
                return Ok(Some(End::Drop));
            }
            Fault::EndOnFresh | Fault::EndOnReused => {
                return Ok(Some([End::Drop, End::Finish][strike % 2]));
            }
            _ => return Ok(Some(End::Reset)),
        }
        send(self.stream, NO_CONTENT).await?;
        Ok(None)
    }

    /// Reads the head of a request, and returns the length of its body. `None` if the client has ended its side.
    async fn head(&mut self) -> io::Result<Option<usize>> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head = self.buffer.drain(..end + 4).collect::<Vec<_>>();
                return content_length(&head).map(Some);
            }
            if self.read().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Takes so many bytes of a body.
    async fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            if self.read().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.buffer.drain(..length).collect())
    }

    async fn read(&mut self) -> io::Result<usize> {
        if !self.is_slow {
            return self.stream.read_buf(&mut self.buffer).await;
        }
        tokio::task::yield_now().await;
        let mut byte = [0];
        let length = self.stream.read(&mut byte).await?;
        self.buffer.extend(&byte[..length]);
        Ok(length)
    }
}

fn content_length(head: &[u8]) -> io::Result<usize> {
    let text = str::from_utf8(head).map_err(io::Error::other)?;
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let field = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let (_, value) = field.ok_or_else(|| io::Error::other("no length"))?;
    value.trim().parse().map_err(io::Error::other)
}
