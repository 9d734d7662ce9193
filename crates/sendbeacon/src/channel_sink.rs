use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    mpsc::{Receiver, SyncSender, sync_channel},
};

use crate::event::{Event, EventSink};

/// An [`EventSink`] for a receiver that takes its time: a bounded channel.
///
/// The embedder reads the other end on a thread of its own. Where that is too slow, or has stopped to
/// read, events are lost and counted; no fetch waits for it.
#[derive(Debug)]
pub struct ChannelSink {
    sender: SyncSender<Event>,
    lost: AtomicU64,
    is_work_outstanding: AtomicBool,
}

impl ChannelSink {
    /// A sink, for [`event_sink`](crate::UserAgentBuilder::event_sink), and the end to read.
    ///
    /// `capacity` is a number of events. One holds the headers of its request and shares its body, of at
    /// most 64 KiB for a beacon.
    #[must_use]
    pub fn new(capacity: usize) -> (Arc<Self>, Receiver<Event>) {
        // With no room at all an event would be lost whenever nobody just waits for it.
        let (sender, receiver) = sync_channel(capacity.max(1));
        let (lost, is_work_outstanding) = (AtomicU64::default(), AtomicBool::default());
        (Arc::new(Self { sender, lost, is_work_outstanding }), receiver)
    }

    /// How many events were lost so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Whether anything is unfinished, lost events or not.
    #[must_use]
    pub fn is_work_outstanding(&self) -> bool {
        self.is_work_outstanding.load(Relaxed)
    }
}

impl EventSink for ChannelSink {
    fn event(&self, event: Event) {
        if self.sender.try_send(event).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }

    fn work_outstanding(&self, outstanding: bool) {
        self.is_work_outstanding.store(outstanding, Relaxed);
    }
}
