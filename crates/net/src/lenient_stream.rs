//! The stream of an HTTP/1.1 connection, on which hyper reads heads as browsers do.

use std::{
    io,
    pin::Pin,
    sync::{Arc, atomic::Ordering::SeqCst},
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    exchange::Exchange,
    response_head::{
        MAX_RESPONSE_HEAD, ReadHead, end_of_head, is_interim, may_begin_head, read_head,
    },
    surplus::SplitHead,
    usual_head::begins_with_usual_head,
};

/// A stream that rewrites the heads of responses before hyper reads them, where hyper would read them
/// otherwise than browsers do.
///
/// The stream does not search for heads. [`Exchange::begin`] tells it of each request, and hyper takes a
/// request only when it has read the last response to its end. So a head begins with the first byte that
/// is read after the first byte of the request is written. Behind the head, every byte passes unchanged
/// until the next request.
pub(crate) struct LenientStream<S> {
    stream: S,
    /// Whether a head that the end of the connection cuts short is an error. Behind TLS, it may be the
    /// work of an attacker.
    refuses_cut_heads: bool,
    exchange: Arc<Exchange>,
    /// What was received of a head that is not complete. `None` outside of heads.
    incomplete: Option<Incomplete>,
    /// What hyper reads before anything else.
    ready: Bytes,
}

impl<S> LenientStream<S> {
    pub(crate) fn new(stream: S, refuses_cut_heads: bool) -> Self {
        let exchange = Arc::default();
        Self { stream, refuses_cut_heads, exchange, incomplete: None, ready: Bytes::new() }
    }

    /// Where the user of the connection tells the stream of its requests.
    pub(crate) fn exchange(&self) -> Arc<Exchange> {
        Arc::clone(&self.exchange)
    }

    /// Expects a head if a request begins.
    fn before_write(&mut self, bytes: &[u8]) {
        if self.exchange.is_new.swap(false, SeqCst) {
            self.incomplete = Some(Incomplete::default());
            self.exchange.keep_head(bytes);
        }
    }

    /// Gives hyper every complete head, and the bytes behind the last one.
    fn release(&mut self, mut incomplete: Incomplete) -> io::Result<()> {
        let mut ready = BytesMut::new();
        loop {
            match incomplete.next() {
                Next::Head(head) => {
                    let is_interim = is_interim(&head);
                    let (head, content_lengths) = match read_head(&head) {
                        ReadHead::AsItIs => (head, None),
                        ReadHead::Rewritten { head, content_lengths } => {
                            (BytesMut::from(&*head), content_lengths)
                        }
                        ReadHead::Refused(refusal) => {
                            return Err(io::Error::new(io::ErrorKind::InvalidData, refusal));
                        }
                    };
                    let mut messages = self.exchange.messages();
                    messages.received.content_lengths = content_lengths;
                    messages.received.surplus = Vec::new();
                    if let Some(SplitHead { head, surplus }) = SplitHead::of(&head) {
                        ready.extend(head);
                        messages.received.surplus = surplus;
                    } else {
                        ready.unsplit(head);
                    }
                    if is_interim {
                        messages.received.first_interim.get_or_insert_with(Instant::now);
                    } else {
                        ready.unsplit(incomplete.received);
                        break;
                    }
                }
                Next::NoHead => {
                    // hyper finds out what is wrong.
                    ready.unsplit(incomplete.received);
                    break;
                }
                Next::Unknown => {
                    self.incomplete = Some(incomplete);
                    break;
                }
            }
        }
        self.ready = ready.freeze();
        Ok(())
    }
}

/// What was received of a head that is not complete.
#[derive(Default)]
struct Incomplete {
    received: BytesMut,
    /// How many of these bytes contain no end of a head, nor its beginning.
    scanned: usize,
}

/// What an [`Incomplete`] head turns out to be.
enum Next {
    /// A complete head.
    Head(BytesMut),
    /// No head that hyper would read.
    NoHead,
    /// More bytes have to come first.
    Unknown,
}

impl Incomplete {
    fn next(&mut self) -> Next {
        // Empty lines may precede a head.
        let blank = self.received.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.received.advance(blank);
        if !may_begin_head(&self.received) {
            return Next::NoHead;
        }
        match end_of_head(&self.received, self.scanned) {
            Some(end) => {
                self.scanned = 0;
                Next::Head(self.received.split_to(end))
            }
            None if self.received.len() > MAX_RESPONSE_HEAD => Next::NoHead,
            None => {
                self.scanned = self.received.len().saturating_sub(2);
                Next::Unknown
            }
        }
    }

    /// Ends a head that the end of the connection has cut short.
    fn complete(&mut self) {
        let end: &[u8] = if self.received.ends_with(b"\n") { b"\r\n" } else { b"\r\n\r\n" };
        self.received.extend_from_slice(end);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LenientStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !this.ready.is_empty() {
                let length = this.ready.len().min(buffer.remaining());
                buffer.put_slice(&this.ready.split_to(length));
                return Poll::Ready(Ok(()));
            }
            if this.incomplete.is_none() || buffer.remaining() == 0 {
                return Pin::new(&mut this.stream).poll_read(cx, buffer);
            }
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
            let Some(mut incomplete) = this.incomplete.take() else { continue };
            let received = &buffer.filled()[before..];
            if received.is_empty() {
                if incomplete.received.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                if this.refuses_cut_heads {
                    // hyper finds out that the head is cut short.
                    this.ready = incomplete.received.freeze();
                    continue;
                }
                incomplete.complete();
            } else {
                this.exchange.is_answered.store(true, SeqCst);
                if incomplete.received.is_empty() && begins_with_usual_head(received) {
                    return Poll::Ready(Ok(()));
                }
                incomplete.received.extend_from_slice(received);
                buffer.set_filled(before);
            }
            this.release(incomplete)?;
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for LenientStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.before_write(bytes);
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, bytes))?;
        this.exchange.wrote(written);
        Poll::Ready(Ok(written))
    }

    // NB: hyper is set not to use it, so that the head of a request is in one piece.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.before_write(bytes.first().map_or(&[], |bytes| &**bytes));
        let written = ready!(Pin::new(&mut this.stream).poll_write_vectored(cx, bytes))?;
        this.exchange.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.exchange.is_flushed.store(true, SeqCst);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use futures_util::FutureExt;
    use proptest::{collection::vec, prelude::*, sample::Index};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A server that has sent these pieces, whatever it receives.
    struct Pieces(VecDeque<Vec<u8>>);

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if let Some(piece) = self.0.front_mut() {
                let rest = piece.split_off(piece.len().min(buffer.remaining()));
                buffer.put_slice(&std::mem::replace(piece, rest));
                if piece.is_empty() {
                    self.0.pop_front();
                }
            }
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Pieces {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// What hyper reads after a request if the answer comes in these pieces.
    fn read(pieces: impl IntoIterator<Item = Vec<u8>>, refuses_cut_heads: bool) -> Option<Vec<u8>> {
        let pieces = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        let mut stream = LenientStream::new(Pieces(pieces), refuses_cut_heads);
        stream.exchange().begin(None);
        stream.write_all(b"request").now_or_never().unwrap().unwrap();
        let mut read = Vec::new();
        stream.read_to_end(&mut read).now_or_never().unwrap().ok().map(|_| read)
    }

    fn parts() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            "HTTP/1\\.[0-9] (103|200|302) [a-z\x01]?\r?\n",
            "content-length: [5a](, 5)?\r?\n",
            "location: [/\x01]{0,3}\r\n",
            "\r?\n",
            "[\0-\x7f]{1,3}",
        ];
        vec(part, 0..12).prop_map(|parts| parts.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn what_is_read_does_not_depend_on_the_pieces(
            answer in parts(),
            cuts in vec(any::<Index>(), 0..6),
            refuses_cut_heads: bool,
        ) {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(answer.len() + 1)).collect();
            cuts.extend([0, answer.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| answer[cut[0]..cut[1]].to_vec());
            let read_in_pieces = read(pieces, refuses_cut_heads);
            prop_assert_eq!(read_in_pieces, read([answer], refuses_cut_heads));
        }

        #[test]
        fn bytes_behind_the_head_are_not_changed(body in parts()) {
            let head = b"HTTP/1.1 103\n\nHTTP/1.7 200 OK\nLocation: \x01\n\n";
            let expected = b"HTTP/1.1 103\n\nHTTP/1.1 200 OK\nLocation:  \n\n";
            let answer = [&head[..], &body].concat();
            prop_assert_eq!(read([answer], false), Some([&expected[..], &body].concat()));
        }
    }

    #[test]
    fn bytes_that_no_request_asked_for_are_not_changed() {
        let answer = b"HTTP/1.7 200 OK\nLocation: \x01\n\n";
        let mut stream = LenientStream::new(Pieces([answer.to_vec()].into()), false);
        stream.exchange().begin(None);
        let mut read = Vec::new();
        stream.read_to_end(&mut read).now_or_never().unwrap().unwrap();
        assert_eq!(read, answer);
    }
}
