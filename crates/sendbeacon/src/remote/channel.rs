//! The network process's end of the channel: what is told, and the credits.

use std::{
    io::Write,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{error::ChannelError, fetches::Fetches, frame, limits::Cost, protocol::ToContent};
use crate::{
    ledgers::Intake,
    message::{GroupMessage, NetworkSide},
};

/// How many parts of responses wait to be written to a content process.
const MAX_PARTS: usize = 256;

/// The network process's end of a channel. The fetches of the content process share it.
#[derive(Debug)]
pub(super) struct Channel {
    outgoing: mpsc::UnboundedSender<Outgoing>,
    /// Credits in use, until the content process was told to have them back.
    unfinished: Mutex<Cost>,
    /// Room for parts of responses.
    parts: Arc<Semaphore>,
    /// No beacon comes any more.
    is_drained: AtomicBool,
    network_side: Arc<dyn NetworkSide>,
}

#[derive(Debug)]
pub(super) enum Outgoing {
    Frame { bytes: Vec<u8>, credit: Cost, _room: Option<OwnedSemaphorePermit> },
    End,
}

impl Channel {
    pub(super) fn new(
        network_side: Arc<dyn NetworkSide>,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Outgoing>) {
        let (sender, outgoing) = mpsc::unbounded_channel();
        let channel = Arc::new(Self {
            outgoing: sender,
            unfinished: Mutex::default(),
            parts: Arc::new(Semaphore::new(MAX_PARTS)),
            is_drained: AtomicBool::new(false),
            network_side,
        });
        (channel, outgoing)
    }

    /// No more requests come from the process. Call it after its last message was passed on.
    pub(super) fn set_drained(&self) {
        self.is_drained.store(true, Release);
        // A shutdown may wait for it.
        self.network_side.send(GroupMessage::ReservationReleased);
    }

    /// Tells what comes at most a few times for each fetch.
    pub(super) fn tell(&self, frame: &ToContent) {
        self.put(frame, Cost::default(), None);
    }

    /// Tells a part of a response, when there is room, unless it is too large.
    pub(super) async fn tell_in_turn(&self, frame: &ToContent) -> bool {
        // The semaphore is never closed.
        let room = Arc::clone(&self.parts).acquire_owned().await.ok();
        self.put(frame, Cost::default(), room)
    }

    /// Nothing more is told.
    pub(super) fn end(&self) {
        let _ = self.outgoing.send(Outgoing::End);
    }

    fn put(&self, frame: &ToContent, credit: Cost, room: Option<OwnedSemaphorePermit>) -> bool {
        let Some(bytes) = frame::encode(frame) else { return false };
        // If nothing is written any more, nobody is there to be told.
        let _ = self.outgoing.send(Outgoing::Frame { bytes, credit, _room: room });
        true
    }

    fn unfinished(&self) -> MutexGuard<'_, Cost> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intake for Channel {
    fn close(&self) {
        self.tell(&ToContent::Close);
    }

    fn is_drained(&self) -> bool {
        self.is_drained.load(Acquire)
    }
}

/// Wakes a shutdown that may wait for a channel that was never served.
impl Drop for Channel {
    fn drop(&mut self) {
        self.network_side.send(GroupMessage::ReservationReleased);
    }
}

/// The credits of one fetch. When it is dropped the content process gets them back.
#[derive(Debug)]
pub(super) struct Credit {
    id: u64,
    cost: Cost,
    channel: Weak<Channel>,
    /// The fetch is among them, if it is a `fetch()`.
    fetches: Weak<Fetches>,
}

impl Credit {
    pub(super) fn take(
        channel: &Arc<Channel>,
        fetches: &Arc<Fetches>,
        id: u64,
        payload_length: usize,
    ) -> Result<Arc<Self>, ChannelError> {
        let cost = Cost::of(payload_length);
        let mut unfinished = channel.unfinished();
        *unfinished = unfinished.plus(cost).ok_or(ChannelError::Quota)?;
        let (channel, fetches) = (Arc::downgrade(channel), Arc::downgrade(fetches));
        Ok(Arc::new(Self { id, cost, channel, fetches }))
    }

    /// The deferred fetch was sent.
    pub(super) fn tell_activated(&self) {
        if let Some(channel) = self.channel.upgrade() {
            channel.tell(&ToContent::Activated { id: self.id });
        }
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        if let Some(fetches) = self.fetches.upgrade() {
            fetches.remove(self.id);
        }
        if let Some(channel) = self.channel.upgrade() {
            channel.put(&ToContent::Done { id: self.id }, self.cost, None);
        }
    }
}

/// Writes to the content process until the end.
pub(super) fn write(
    mut writer: impl Write,
    mut outgoing: mpsc::UnboundedReceiver<Outgoing>,
    channel: &Channel,
) {
    while let Some(Outgoing::Frame { bytes, credit, _room }) = outgoing.blocking_recv() {
        // Just before it is told, which may have it use them at once. Who reads nothing gets no more
        // back than this.
        let mut unfinished = channel.unfinished();
        *unfinished = unfinished.minus(credit);
        drop(unfinished);
        if writer.write_all(&bytes).and_then(|()| writer.flush()).is_err() {
            return;
        }
    }
}
