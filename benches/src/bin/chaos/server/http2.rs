//! The server's HTTP/2.

use std::{collections::HashMap, io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    time::sleep,
};

use super::{
    End, IDLE_ENDS, drain,
    frames::{
        ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, Head, INITIAL_WINDOW_SIZE,
        MAX_CONCURRENT_STREAMS, PADDED, PING, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, block,
        frame, go_away, no_content, reset_stream, response, setting, window_update,
    },
    hops, idle, send, send_in_single_bytes,
};
use crate::{cell::Cell, faults::Fault, sightings::DIGITS};

const PREFACE: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();
/// The window that the server opens for the bodies on a connection, once and for all.
const WINDOW: u32 = 1 << 30;
/// The largest stream identifier, for a GOAWAY that leaves no request out.
const ALL: u32 = 0x7FFF_FFFF;
const REFUSED_STREAM: u32 = 7;
const HTTP_1_1_REQUIRED: u32 = 13;
/// The codes of `RST_STREAM` by which the server does not say that it left the request alone; the last is unknown.
const OTHER_CODES: [u32; 13] = [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 0xFFFF_FFFF];
/// The codes of a GOAWAY.
const GO_AWAY_CODES: [u32; 3] = [0, 2, 11];
/// How many frames a flood has.
const FLOOD: usize = 300;

/// Answers the requests of a connection until it ends. Returns how the server ends it.
pub(super) async fn serve<S>(cell: &Cell, stream: &mut S) -> io::Result<End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = Connection {
        cell,
        stream: BufReader::new(stream),
        bodies: HashMap::new(),
        answered: Vec::new(),
        answers: 0,
    };
    connection.stream.read_exact(&mut [0; PREFACE]).await?;
    if let Some(end) = connection.open().await? {
        return Ok(end);
    }
    while let Some(head) = Head::read(&mut connection.stream).await? {
        if let Some(end) = connection.take(head).await? {
            return Ok(end);
        }
    }
    Ok(End::Drop)
}

struct Connection<'a, S> {
    cell: &'a Cell,
    stream: BufReader<&'a mut S>,
    /// The bodies of the requests that were not answered, as far as they were read.
    bodies: HashMap<u32, Vec<u8>>,
    /// The streams that were answered and are still open: before the end of the request, or without an end.
    answered: Vec<u32>,
    /// How many requests were answered.
    answers: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
    /// Sends the server's preface.
    async fn open(&mut self) -> io::Result<Option<End>> {
        let cell = self.cell;
        let has_no_streams = cell.strike_by(Fault::NoStreams).is_some();
        let mut frames = match cell.fault() {
            Fault::NoWindow => setting(INITIAL_WINDOW_SIZE, 0),
            _ if has_no_streams => setting(MAX_CONCURRENT_STREAMS, 0),
            _ => frame(SETTINGS, 0, 0, &[]),
        };
        frames.extend(window_update(0, WINDOW));
        if cell.strike_by(Fault::GoAwayAtOnce).is_some() {
            frames.extend(go_away(0, 0));
            send(&mut self.stream, &frames).await?;
            drain(&mut self.stream).await?;
            return Ok(Some(End::Drop));
        }
        send(&mut self.stream, &frames).await?;
        if has_no_streams {
            sleep(Duration::from_millis(5)).await;
            send(&mut self.stream, &setting(MAX_CONCURRENT_STREAMS, 1)).await?;
        }
        if cell.strike_by(Fault::HalfClosedAtOnce).is_some() {
            self.half_close().await?;
            return Ok(Some(End::Drop));
        }
        Ok(None)
    }

    /// Takes a frame whose head was read.
    async fn take(&mut self, head: Head) -> io::Result<Option<End>> {
        let fault = self.cell.fault();
        if head.kind == DATA
            && matches!(fault, Fault::PartOnFresh | Fault::PartOnReused)
            && fault.is_for(self.answers > 0)
            && self.cell.strike().is_some()
        {
            let mut part = vec![0; DIGITS + head.length.saturating_sub(DIGITS) / 2];
            self.stream.read_exact(&mut part).await?;
            self.cell.sightings.got(&part);
            return Ok(Some(End::Reset));
        }
        let mut payload = vec![0; head.length];
        self.stream.read_exact(&mut payload).await?;
        match head.kind {
            SETTINGS if !head.has(ACK) => self.send(&frame(SETTINGS, ACK, 0, &[])).await?,
            PING if !head.has(ACK) => self.send(&frame(PING, ACK, 0, &payload)).await?,
            HEADERS => {
                self.bodies.insert(head.stream, Vec::new());
                if fault == Fault::NoWindow && self.cell.strike().is_some() {
                    self.send(&window_update(head.stream, 1)).await?;
                }
                if fault == Fault::EarlyAnswer && self.cell.strike().is_some() {
                    self.send(&no_content(head.stream)).await?;
                    self.answered.push(head.stream);
                }
            }
            RST_STREAM => {
                self.bodies.remove(&head.stream);
                self.answered.retain(|stream| *stream != head.stream);
            }
            WINDOW_UPDATE
                if fault == Fault::EndlessBody && self.answered.contains(&head.stream) =>
            {
                let [a, b, c, d] = payload[..] else { return Ok(Some(End::Drop)) };
                self.fill(head.stream, u32::from_be_bytes([a, b, c, d]) as usize).await?;
            }
            DATA => {
                let Some(body) = self.bodies.get_mut(&head.stream) else { return Ok(None) };
                body.extend(payload);
                if !head.has(END_STREAM) {
                    if fault == Fault::NoWindow {
                        let grant = if body.len() < 4 { 1 } else { 1 << 16 };
                        self.send(&window_update(head.stream, grant)).await?;
                    }
                    return Ok(None);
                }
                let body = std::mem::take(body);
                self.bodies.remove(&head.stream);
                if self.answered.contains(&head.stream) {
                    self.answered.retain(|stream| *stream != head.stream);
                    self.cell.sightings.got(&body);
                    return Ok(None);
                }
                return self.answer(head.stream, &body).await;
            }
            _ => {}
        }
        Ok(None)
    }

    /// Answers a request that was read.
    async fn answer(&mut self, stream: u32, body: &[u8]) -> io::Result<Option<End>> {
        let cell = self.cell;
        match cell.fault() {
            // The server answers these in a way that says that it left the request alone. It does not count them.
            Fault::Redirects => {
                if let Some(strike) = cell.strike_beacon(body, hops(body.len())) {
                    let status = ["307", "308"][strike % 2];
                    let headers = [(":status", status), ("location", "elsewhere")];
                    self.send(&response(stream, END_STREAM, &headers)).await?;
                    return Ok(None);
                }
            }
            Fault::RefusedStream | Fault::Http1Required => {
                let is_refused = cell.fault() == Fault::RefusedStream;
                let code = if is_refused { REFUSED_STREAM } else { HTTP_1_1_REQUIRED };
                if cell.strike_beacon(body, 1).is_some() {
                    self.send(&reset_stream(stream, code)).await?;
                    return Ok(None);
                }
            }
            Fault::GoAwayThenReset if self.answers == 0 => {}
            Fault::GoAwayBefore | Fault::GoAwayTwice | Fault::GoAwayThenReset => {
                if let Some(strike) = cell.strike_beacon(body, 1) {
                    let mut frames = go_away(stream.saturating_sub(2), GO_AWAY_CODES[strike % 3]);
                    if cell.fault() == Fault::GoAwayTwice {
                        frames = [go_away(ALL, 0), frame(PING, 0, 0, &[0; 8]), frames].concat();
                    }
                    self.send(&frames).await?;
                    let is_reset = cell.fault() == Fault::GoAwayThenReset;
                    return Ok(Some(if is_reset { End::Reset } else { End::Finish }));
                }
            }
            _ => {}
        }
        cell.sightings.got(body);
        if let Some(strike) = cell.strike_answer(self.answers > 0) {
            return self.strike(stream, strike).await;
        }
        self.send_answer(stream).await?;
        if cell.fault().renews_connections() && self.answers == 1 {
            cell.strike_by(Fault::AnnouncedClose);
            // The client ends the connection when all requests on it are answered.
            self.send(&go_away(ALL, 0)).await?;
        }
        Ok(None)
    }

    /// Does what the fault says to a request that was counted.
    async fn strike(&mut self, stream: u32, strike: usize) -> io::Result<Option<End>> {
        match self.cell.fault() {
            Fault::Slow => sleep(Duration::from_millis(20)).await,
            Fault::SingleBytes => {
                send_in_single_bytes(&mut self.stream, &no_content(stream)).await?;
                self.answers += 1;
                return Ok(None);
            }
            Fault::Interim => {
                self.send(&response(stream, 0, &[(":status", "103"), ("link", "<x>")])).await?;
                self.send(&response(stream, 0, &[(":status", "102")])).await?;
            }
            Fault::EndlessBody => {
                self.send(&response(stream, 0, &[(":status", "200")])).await?;
                self.answered.push(stream);
                self.fill(stream, 65_535).await?;
                return Ok(None);
            }
            Fault::ShortBody => {
                let head = response(stream, 0, &[(":status", "200"), ("content-length", "9")]);
                let body = frame(DATA, END_STREAM, stream, b"short");
                self.send(&[head, body].concat()).await?;
                return Ok(None);
            }
            Fault::Garbage => {
                self.send(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?;
                return Ok(Some(End::Finish));
            }
            Fault::HalfHead => {
                let whole = no_content(stream);
                self.send(&whole[..12]).await?;
                return Ok(Some([End::Drop, End::Finish][strike % 2]));
            }
            Fault::InterimThenEnd => {
                self.send(&response(stream, 0, &[(":status", "103")])).await?;
                return Ok(Some([End::Drop, End::Finish][strike % 2]));
            }
            Fault::Silence => return Ok(None),
            Fault::IdleClose | Fault::IdleReset => {
                self.send_answer(stream).await?;
                idle(strike).await;
                let is_close = self.cell.fault() == Fault::IdleClose;
                return Ok(Some(if is_close { IDLE_ENDS[strike / 4 % 2] } else { End::Reset }));
            }
            Fault::HalfClosed => {
                self.send_answer(stream).await?;
                idle(strike).await;
                self.half_close().await?;
                return Ok(Some(End::Drop));
            }
            Fault::EndOnFresh | Fault::EndOnReused => {
                return Ok(Some([End::Drop, End::Finish][strike % 2]));
            }
            Fault::GoAwayThenAnswer => {
                let code = GO_AWAY_CODES[strike % 3];
                self.send(&[go_away(stream, code), no_content(stream)].concat()).await?;
                return Ok(Some(End::Finish));
            }
            Fault::GoAwayInAnswer => {
                let head = response(stream, 0, &[(":status", "200")]);
                let end = frame(DATA, END_STREAM, stream, b"ok");
                self.send(&[head, go_away(stream, GO_AWAY_CODES[strike % 3]), end].concat())
                    .await?;
                return Ok(Some(End::Finish));
            }
            Fault::GoAwayThenEnd => {
                self.send(&go_away(stream, GO_AWAY_CODES[strike % 3])).await?;
                return Ok(Some(End::Finish));
            }
            Fault::ResetStream => {
                self.send(&reset_stream(stream, OTHER_CODES[strike % OTHER_CODES.len()])).await?;
                return Ok(None);
            }
            Fault::SettingsFlood => {
                self.send(&setting(INITIAL_WINDOW_SIZE, 1 << 20).repeat(FLOOD)).await?;
            }
            Fault::PingFlood => self.send(&frame(PING, 0, 0, &[7; 8]).repeat(FLOOD)).await?,
            Fault::OddFrames => {
                self.send(&odd_answer(stream)).await?;
                self.answers += 1;
                return Ok(None);
            }
            Fault::BrokenFrames => {
                self.send(&broken_frame(stream, strike)).await?;
                return Ok(Some(End::Finish));
            }
            _ => return Ok(Some(End::Reset)),
        }
        self.send_answer(stream).await?;
        Ok(None)
    }

    async fn send_answer(&mut self, stream: u32) -> io::Result<()> {
        self.answers += 1;
        self.send(&no_content(stream)).await
    }

    /// Sends so many bytes of an endless body.
    async fn fill(&mut self, stream: u32, mut length: usize) -> io::Result<()> {
        while length > 0 {
            let part = length.min(16_384);
            length -= part;
            self.send(&frame(DATA, 0, stream, &vec![b'x'; part])).await?;
        }
        Ok(())
    }

    /// Ends the server's side, and counts what still comes.
    async fn half_close(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        while let Some(head) = Head::read(&mut self.stream).await? {
            let mut payload = vec![0; head.length];
            self.stream.read_exact(&mut payload).await?;
            if head.kind == DATA {
                self.cell.sightings.got(&payload);
            }
        }
        Ok(())
    }

    async fn send(&mut self, frames: &[u8]) -> io::Result<()> {
        send(&mut self.stream, frames).await
    }
}

/// An answer between frames that a client has to ignore or to put together.
fn odd_answer(stream: u32) -> Vec<u8> {
    let unknown = frame(0xFA, 0xFF, stream, b"?");
    let priority = frame(PRIORITY, 0, stream, &[0, 0, 0, 0, 1]);
    let status = block(&[(":status", "200"), ("x", "y")]);
    let (one, two) = status.split_at(5);
    let head = frame(HEADERS, 0, stream, one);
    let rest = frame(CONTINUATION, END_HEADERS, stream, two);
    let body = frame(DATA, PADDED, stream, b"\x03abc\0\0\0");
    let end = frame(DATA, END_STREAM, stream, b"");
    [unknown, priority, head, rest, body, end].concat()
}

/// A frame that a client must not accept.
fn broken_frame(stream: u32, strike: usize) -> Vec<u8> {
    match strike % 5 {
        0 => frame(DATA, 0, 0, b"x"),
        1 => window_update(0, 0),
        2 => response(stream + 1, END_STREAM, &[(":status", "204")]),
        3 => frame(SETTINGS, 0, 0, b"x"),
        _ => frame(PING, 0, 0, b"x"),
    }
}
