//! An event sink that passes events to another thread.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    mpsc::{Receiver, SyncSender, sync_channel},
};

use crate::event::{Event, EventSink};

/// An [`EventSink`] that puts events into a bounded channel, for a receiver that may be slow.
///
/// The embedder reads the other end on a thread of its own. If the channel is full or nothing reads it, events
/// are lost and counted. No fetch waits for the receiver.
///
/// ```
/// use std::thread;
///
/// use sendbeacon::{ChannelSink, UserAgentBuilder};
///
/// # let network = sendbeacon_testkit::network::ScriptedNetwork::new(|_| unreachable!());
/// # let network = std::sync::Arc::new(network);
/// let (sink, events) = ChannelSink::new(10_000);
/// let agent = UserAgentBuilder::new(network).event_sink(sink).build()?;
/// // The iteration ends when the user agent and its network side have gone.
/// let reader = thread::spawn(move || {
///     for event in events {
///         println!("{}: {:?}", event.fetch.url, event.kind);
///     }
/// });
/// drop(agent);
/// reader.join().unwrap();
/// # Ok::<(), sendbeacon::BuildError>(())
/// ```
#[derive(Debug)]
pub struct ChannelSink {
    sender: SyncSender<Event>,
    lost: AtomicU64,
    is_work_outstanding: AtomicBool,
}

impl ChannelSink {
    /// Makes a sink, for [`event_sink`](crate::UserAgentBuilder::event_sink), and the end to read.
    ///
    /// `capacity` is the number of events that the channel holds, at least 1. An event owns a copy of the headers
    /// and shares the request's body, which has at most 64 KiB in a beacon.
    #[must_use]
    pub fn new(capacity: usize) -> (Arc<Self>, Receiver<Event>) {
        // A channel of capacity 0 takes an event only while the receiver waits for one.
        let (sender, receiver) = sync_channel(capacity.max(1));
        let (lost, is_work_outstanding) = (AtomicU64::default(), AtomicBool::default());
        (Arc::new(Self { sender, lost, is_work_outstanding }), receiver)
    }

    /// How many events were lost until now.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Whether fetches are unfinished. The answer is right even if events were lost.
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
