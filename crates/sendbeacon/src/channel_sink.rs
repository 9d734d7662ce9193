//! An event sink that passes events to another thread.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    mpsc::{Receiver, Sender, channel},
};

use sendbeacon_fetch::fetch::Observation;

use crate::event::{Event, EventKind, EventSink};

/// An [`EventSink`] that puts events into a channel, for a receiver that may be slow.
///
/// The embedder reads the other end on a thread of its own. If it reads too slowly, events are dropped and counted:
/// first the heads of requests and responses, which take the most memory, then all others but
/// [`Done`](EventKind::Done). No fetch waits for the receiver.
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
    sender: Sender<Event>,
    capacity: usize,
    /// How many events are in the channel.
    queued: Arc<AtomicUsize>,
    dropped_wire_events: AtomicU64,
    dropped: AtomicU64,
    is_work_outstanding: AtomicBool,
}

/// The events of a [`ChannelSink`], to be read on a thread that may be slow.
#[derive(Debug)]
pub struct Events {
    receiver: Receiver<Event>,
    queued: Arc<AtomicUsize>,
}

impl ChannelSink {
    /// Makes a sink, for [`event_sink`](crate::UserAgentBuilder::event_sink), and the end to read.
    ///
    /// `capacity` is the number of events that the channel holds, at least 1. Events about the heads of requests
    /// and responses fill at most half of it, rounded up. Each of them owns a copy of the headers, and shares the
    /// request's body, which has at most 64 KiB in a beacon. The event [`Done`](EventKind::Done) of a fetch is put
    /// into the channel even when it is full. So the embedder has to read the other end for as long as it keeps it.
    #[must_use]
    pub fn new(capacity: usize) -> (Arc<Self>, Events) {
        let (sender, receiver) = channel();
        let queued = Arc::<AtomicUsize>::default();
        let events = Events { receiver, queued: Arc::clone(&queued) };
        let (dropped_wire_events, dropped, is_work_outstanding) = Default::default();
        let capacity = capacity.max(1);
        let sink =
            Self { sender, capacity, queued, dropped_wire_events, dropped, is_work_outstanding };
        (Arc::new(sink), events)
    }

    /// How many events about the heads of requests and responses were dropped until now.
    #[must_use]
    pub fn dropped_wire_events(&self) -> u64 {
        self.dropped_wire_events.load(Relaxed)
    }

    /// How many other events were dropped until now. If the other end exists, no [`Done`](EventKind::Done) is among
    /// them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Whether fetches are unfinished. The answer is right even if events were dropped.
    #[must_use]
    pub fn is_work_outstanding(&self) -> bool {
        self.is_work_outstanding.load(Relaxed)
    }
}

impl EventSink for ChannelSink {
    fn event(&self, event: Event) {
        let (most, dropped) = match &event.kind {
            EventKind::Done { .. } => (usize::MAX, &self.dropped),
            EventKind::Observed(
                Observation::RequestSent { .. } | Observation::ResponseStarted { .. },
            ) => (self.capacity.div_ceil(2), &self.dropped_wire_events),
            EventKind::Queued
            | EventKind::Started
            | EventKind::Observed(_)
            | EventKind::Safe { .. }
            | EventKind::Unreached { .. } => (self.capacity, &self.dropped),
        };
        // It is counted first, because the receiver may take it at once.
        let is_sent = self.queued.fetch_add(1, Relaxed) < most && self.sender.send(event).is_ok();
        if !is_sent {
            self.queued.fetch_sub(1, Relaxed);
            dropped.fetch_add(1, Relaxed);
        }
    }

    fn work_outstanding(&self, outstanding: bool) {
        self.is_work_outstanding.store(outstanding, Relaxed);
    }
}

impl Events {
    /// The events in order. The iteration waits for each event, and ends when the user agent and its network side have
    /// gone.
    pub fn iter(&self) -> impl Iterator<Item = Event> {
        self.receiver.iter().inspect(|_| self.taken())
    }

    /// The events that are there, in order. The iteration does not wait.
    pub fn try_iter(&self) -> impl Iterator<Item = Event> {
        self.receiver.try_iter().inspect(|_| self.taken())
    }

    fn taken(&self) {
        self.queued.fetch_sub(1, Relaxed);
    }
}

/// Does the same as [`Events::iter`].
impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.iter().next()
    }
}
