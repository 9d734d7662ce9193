//! What the user of an HTTP/1.1 connection and its stream tell each other.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Instant,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use crate::response_head::end_of_head;

/// How long the memory for the head of a request may be, in bytes, to be kept for the connection's next request.
const LONG_HEAD: usize = 4096;

/// What the user of a connection and its stream tell each other of one request and its response.
#[derive(Default)]
pub(crate) struct Exchange {
    /// Whether the next byte that is written begins a request.
    pub(crate) is_new: AtomicBool,
    /// Whether a byte of the response was received.
    pub(crate) is_answered: AtomicBool,
    /// How many bytes of the request were written.
    written: AtomicUsize,
    /// Whether these were given to the system.
    pub(crate) is_flushed: AtomicBool,
    messages: Mutex<Messages>,
}

/// What is known of the request and its response.
#[derive(Default)]
pub(crate) struct Messages {
    /// The body of the request, if the request is kept.
    body: Option<Bytes>,
    /// The head of that request as it was written. Empty before that. The connection's next request uses the memory
    /// again.
    head: Vec<u8>,
    pub(crate) received: Received,
}

/// What hyper does not tell of a response.
#[derive(Default)]
pub(crate) struct Received {
    /// The values of the `Content-Length` headers, if hyper was told another length.
    pub(crate) content_lengths: Option<Vec<HeaderValue>>,
    /// The headers that were taken out of the response's head, because hyper does not read so many.
    pub(crate) surplus: Vec<(HeaderName, HeaderValue)>,
    /// When the first interim response had come.
    pub(crate) first_interim: Option<Instant>,
}

impl Exchange {
    /// Begins the exchange of a request that hyper is about to get. `kept` is the body of a request that is kept, because
    /// it may have to be sent again, or because its progress has to be known.
    pub(crate) fn begin(&self, kept: Option<Bytes>) {
        self.is_answered.store(false, SeqCst);
        let mut messages = self.messages();
        messages.body = kept;
        messages.head.clear();
        messages.received = Received::default();
        drop(messages);
        self.written.store(0, SeqCst);
        self.is_flushed.store(false, SeqCst);
        self.is_new.store(true, SeqCst);
    }

    /// Whether the whole request was given to the system, if it is kept.
    pub(crate) fn is_written(&self) -> bool {
        let messages = self.messages();
        let length = messages.body.as_ref().map(|body| messages.head.len() + body.len());
        length.is_some_and(|length| self.written.load(SeqCst) >= length)
            && !messages.head.is_empty()
            && self.is_flushed.load(SeqCst)
    }

    /// Takes the head, as it was written, and the body of the request. `None` if it was not kept or nothing was
    /// written.
    pub(crate) fn take_request(&self) -> Option<(Vec<u8>, Bytes)> {
        let mut messages = self.messages();
        let body = messages.body.take()?;
        Some((std::mem::take(&mut messages.head), body)).filter(|(head, _)| !head.is_empty())
    }

    /// Whether a byte of the response was received.
    pub(crate) fn is_answered(&self) -> bool {
        self.is_answered.load(SeqCst)
    }

    /// Takes what hyper does not tell of the response, whose head has come. The request is no longer kept.
    pub(crate) fn answered(&self) -> Received {
        let mut messages = self.messages();
        messages.body = None;
        if messages.head.capacity() > LONG_HEAD {
            messages.head = Vec::new();
        }
        std::mem::take(&mut messages.received)
    }

    /// Keeps the head of the request if the request is kept. `written` begins with the head: hyper writes nothing before
    /// it has the whole head, and a short body with it.
    pub(crate) fn keep_head(&self, written: &[u8]) {
        let messages = &mut *self.messages();
        if let Some(body) = &messages.body {
            let before_body = written.len().checked_sub(body.len()).map(|end| &written[..end]);
            let head = before_body.filter(|before| before.ends_with(b"\r\n\r\n"));
            let head = head.or_else(|| end_of_head(written, 0).map(|end| &written[..end]));
            messages.head.extend_from_slice(head.unwrap_or_default());
        }
    }

    pub(crate) fn wrote(&self, count: usize) {
        self.is_flushed.store(false, SeqCst);
        self.written.fetch_add(count, SeqCst);
    }

    pub(crate) fn messages(&self) -> MutexGuard<'_, Messages> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
