//! The queue of frames to a content process, and the credits of its requests.

use std::{
    io::Write,
    sync::{
        Arc, Weak,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{
    fetches::Fetches,
    lent::{Lent, Spent},
};
use crate::{
    ledgers::Intake,
    message::{GroupMessage, NetworkSide, RemoteRoom},
    remote::{error::ChannelError, frame, protocol::ToContent},
};

/// How many parts of responses may wait to be written to a content process.
const MAX_PARTS: usize = 256;

/// How many answers to a process that asks for credits may wait to be written to it. An honest process asks again only
/// when it has its answer.
const MAX_LOANS: usize = 64;

/// The queue of frames to a content process, and the credits that its requests use. Its fetches share it.
///
/// A thread of its own [writes](write) the queued frames.
#[derive(Debug)]
pub(super) struct Channel {
    outgoing: mpsc::UnboundedSender<Outgoing>,
    /// The credits. Those of a fetch are spent until the frame that gives them back is written.
    pub(super) lent: Arc<Lent>,
    /// A permit for each part of a response that may still be queued.
    parts: Arc<Semaphore>,
    /// A permit for each answer with credits that may still be queued.
    loans: Arc<Semaphore>,
    /// Whether no further request comes from the content process.
    is_drained: AtomicBool,
    network_side: Arc<dyn NetworkSide>,
}

/// An entry of the queue of frames.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// A frame, the credits that it gives back, and its room among the parts of responses or the loans.
    Frame { bytes: Vec<u8>, spent: Option<Spent>, _room: Option<OwnedSemaphorePermit> },
    /// The writing thread ends here.
    End,
}

impl Channel {
    pub(super) fn new(
        network_side: Arc<dyn NetworkSide>,
        lent: Arc<Lent>,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Outgoing>) {
        let (sender, outgoing) = mpsc::unbounded_channel();
        let channel = Arc::new(Self {
            outgoing: sender,
            lent,
            parts: Arc::new(Semaphore::new(MAX_PARTS)),
            loans: Arc::new(Semaphore::new(MAX_LOANS)),
            is_drained: AtomicBool::new(false),
            network_side,
        });
        (channel, outgoing)
    }

    /// Notes that no further request comes from the process. Call it after the last message was passed on.
    pub(super) fn set_drained(&self) {
        self.is_drained.store(true, Release);
        // A shutdown may wait for this.
        self.network_side.send(GroupMessage::Wake);
    }

    /// Queues a frame of a kind that comes only a few times for each fetch.
    pub(super) fn tell(&self, frame: &ToContent) {
        self.put(frame, None, None);
    }

    /// Queues a part of a response once there is room for it. False if the frame is too large.
    pub(super) async fn tell_in_turn(&self, frame: &ToContent) -> bool {
        // NB: `ok`, because the semaphore is never closed.
        let room = Arc::clone(&self.parts).acquire_owned().await.ok();
        self.put(frame, None, room)
    }

    /// Lends credits to the process, as far as there are some, and queues the answer that says how many.
    ///
    /// # Errors
    /// [`ChannelError::Malformed`], if the process goes on to ask and does not read the answers.
    pub(super) fn lend(&self) -> Result<(), ChannelError> {
        let Ok(room) = Arc::clone(&self.loans).try_acquire_owned() else {
            return Err(ChannelError::malformed("credits are asked for and no answer is read"));
        };
        self.put(&ToContent::Lend { bytes: self.lent.lend() }, None, Some(room));
        Ok(())
    }

    /// Ends the writing, after the frames that are queued.
    pub(super) fn end(&self) {
        let _ = self.outgoing.send(Outgoing::End);
    }

    /// Queues a frame. False if it is too large.
    fn put(
        &self,
        frame: &ToContent,
        spent: Option<Spent>,
        room: Option<OwnedSemaphorePermit>,
    ) -> bool {
        let Some(bytes) = frame::encode(frame) else { return false };
        // If the writing has ended, the content process has gone.
        let _ = self.outgoing.send(Outgoing::Frame { bytes, spent, _room: room });
        true
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

/// A shutdown may wait for a channel that was never served. This wakes it.
impl Drop for Channel {
    fn drop(&mut self) {
        self.lent.end();
        self.network_side.send(GroupMessage::Wake);
    }
}

/// The credits of one fetch. Dropping it gives them back to the content process.
#[derive(Debug)]
pub(super) struct Credit {
    id: u64,
    /// `Some` until it is dropped.
    spent: Option<Spent>,
    channel: Weak<Channel>,
    /// The list from which a `fetch()` is removed in the end. For other requests it is no list.
    fetches: Weak<Fetches>,
}

impl Credit {
    /// Spends the credits for a request of this cost. `fetches` is the list that has it, if it is a `fetch()`.
    pub(super) fn take(
        channel: &Arc<Channel>,
        id: u64,
        cost: u64,
        fetches: Weak<Fetches>,
    ) -> Result<Arc<Self>, ChannelError> {
        let spent = Some(channel.lent.spend(cost).ok_or(ChannelError::Quota)?);
        Ok(Arc::new(Self { id, spent, channel: Arc::downgrade(channel), fetches }))
    }

    /// Tells the content process that the deferred fetch was sent.
    pub(super) fn tell_activated(&self) {
        if let Some(channel) = self.channel.upgrade() {
            channel.tell(&ToContent::Activated { id: self.id });
        }
    }
}

impl RemoteRoom for Credit {
    fn give_back(&self) {
        if let Some(channel) = self.channel.upgrade() {
            channel.tell(&ToContent::Waiting { id: self.id });
        }
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        if let Some(fetches) = self.fetches.upgrade() {
            fetches.remove(self.id);
        }
        if let Some(channel) = self.channel.upgrade() {
            channel.put(&ToContent::Done { id: self.id }, self.spent.take(), None);
        }
    }
}

/// Writes the queued frames to the content process, until the end of the queue or an error.
pub(super) fn write(mut writer: impl Write, mut outgoing: mpsc::UnboundedReceiver<Outgoing>) {
    while let Some(Outgoing::Frame { bytes, spent, _room }) = outgoing.blocking_recv() {
        // The credits are given back just before the frame is written, because the content process may use them
        // as soon as it has read the frame. A process that stops reading gets no further credits back.
        drop(spent);
        if writer.write_all(&bytes).and_then(|()| writer.flush()).is_err() {
            return;
        }
    }
}
