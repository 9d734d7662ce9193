//! The content process's side.

use std::{
    collections::HashMap,
    fmt,
    io::{self, BufReader, Read, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::FutureExt;
use sendbeacon_fetch::{
    AbandonReason, Body, Client, KeepaliveLimits, Ledger, NetworkError, Reservation, beacon::Beacon,
};

use super::{
    ChannelError,
    frame::{self, BeaconFrame, Cost, GroupFrame, RequestFrame, ToContent, ToNetwork, VERSION},
    outbox::Outbox,
    responses::Incoming,
};
use crate::{
    Document, FetchGroup,
    dispatcher::FetchIds,
    driver::{Message, NetworkSide, PlainFetch},
    fetch_group::{Flag, GroupState},
    response::Piece,
    user_agent::Groups,
};

/// How often what is owed to a full channel is tried again.
const SETTLE_INTERVAL: Duration = Duration::from_millis(2);

/// A [`UserAgent`](crate::UserAgent) in another process: what a content process has in its place.
///
/// Its documents and fetch groups are those of the real one, with these differences:
/// * [`Document::send_beacon`] makes one system call, waits 10 ms at most for room in the channel, and
///   answers `false` if there is none, or if the network process has gone or shuts down;
/// * the bytes of a body are needed before it returns: a [`BlobSource`](crate::BlobSource) has to
///   answer [`Ready`](crate::host::Answer::Ready), or the answer is `false`;
/// * [`FetchGroup::reserve_keepalive`] counts in this process only;
/// * events go to the network process's sink.
///
/// Dropping it and all its documents ends the channel.
#[derive(Debug)]
pub struct RemoteUserAgent {
    groups: Groups,
}

impl RemoteUserAgent {
    /// Connects to a [`ContentProcess`](super::ContentProcess) through any byte channel.
    ///
    /// A `writer` that has no room says [`WouldBlock`](io::ErrorKind::WouldBlock) or
    /// [`TimedOut`](io::ErrorKind::TimedOut), at once or after 2 ms at most; what it has taken must not
    /// be lost with this process. `reader` blocks, on a thread of its own.
    ///
    /// # Errors
    /// If that thread cannot be started, or the channel takes nothing.
    pub fn connect(
        reader: impl Read + Send + 'static,
        writer: impl Write + Send + 'static,
    ) -> io::Result<Self> {
        let ids = Arc::new(FetchIds::default());
        let connection = Connection::open(Box::new(writer), Arc::clone(&ids))?;
        let weak = Arc::downgrade(&connection);
        thread::Builder::new()
            .name("sendbeacon".into())
            .spawn(move || receive(&mut BufReader::new(reader), &weak))?;
        let network_side = NetworkSide::There(connection);
        Ok(Self { groups: Groups::new(network_side, KeepaliveLimits::default(), ids) })
    }

    /// [`connect`](Self::connect) over a Unix stream socket.
    ///
    /// # Errors
    /// As that.
    #[cfg(unix)]
    pub fn over_unix_stream(stream: std::os::unix::net::UnixStream) -> io::Result<Self> {
        stream.set_write_timeout(Some(Duration::from_millis(2)))?;
        Self::connect(stream.try_clone()?, UnixWriter(stream))
    }

    /// How much each fetch group may have unfinished: what
    /// [`UserAgentBuilder::keepalive_limits`](crate::UserAgentBuilder::keepalive_limits) says in the
    /// network process, where whatever goes beyond ends the channel.
    #[must_use]
    pub fn keepalive_limits(mut self, limits: KeepaliveLimits) -> Self {
        self.groups.limits = limits;
        self
    }

    /// A new document with `client` as its settings object: see
    /// [`UserAgent::document`](crate::UserAgent::document).
    #[must_use]
    pub fn document(&self, client: Client) -> Document {
        Document::new(Arc::new(client), self.fetch_group())
    }

    /// A new fetch group, for a settings object that is not a document's.
    #[must_use]
    pub fn fetch_group(&self) -> FetchGroup {
        self.groups.open(Ledger::new(self.groups.limits))
    }
}

/// Ends the stream with itself, though the reading thread still has it.
#[cfg(unix)]
struct UnixWriter(std::os::unix::net::UnixStream);

#[cfg(unix)]
impl Write for UnixWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(unix)]
impl Drop for UnixWriter {
    fn drop(&mut self) {
        // If it has ended already, all the better.
        let _ = self.0.shutdown(std::net::Shutdown::Write);
    }
}

/// What the fetch groups of a content process share.
pub(crate) struct Connection {
    ids: Arc<FetchIds>,
    outgoing: Mutex<Outgoing>,
    unfinished: Mutex<Unfinished>,
}

struct Outgoing {
    outbox: Outbox,
    /// The settings object that the network process has of each group it knows.
    clients: HashMap<u64, Arc<Client>>,
    /// Nothing is accepted any more.
    is_closed: bool,
    /// Whether a thread is writing what is owed.
    is_settling: bool,
}

#[derive(Default)]
struct Unfinished {
    cost: Cost,
    fetches: HashMap<u64, InHand>,
    /// The channel has ended.
    is_lost: bool,
}

/// What is held until the network process says that a fetch is over.
struct InHand {
    cost: Cost,
    _reservation: Option<Reservation>,
    incoming: Option<Incoming>,
}

impl Connection {
    fn open(writer: Box<dyn Write + Send>, ids: Arc<FetchIds>) -> io::Result<Arc<Self>> {
        let mut outbox = Outbox::new(writer);
        let hello = frame::encode(&ToNetwork::Hello { version: VERSION }).unwrap_or_default();
        if !outbox.send(hello, Outbox::deadline()) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let clients = HashMap::new();
        let outgoing = Outgoing { outbox, clients, is_closed: false, is_settling: false };
        let (outgoing, unfinished) = (Mutex::new(outgoing), Mutex::default());
        Ok(Arc::new(Self { ids, outgoing, unfinished }))
    }

    /// Sends what a fetch group has to say. False means that it is not sent and will not be.
    pub(crate) fn send(self: &Arc<Self>, message: Message) -> bool {
        match message {
            Message::Beacon(beacon, group) => self.send_beacon(beacon, &group),
            Message::Fetch(fetch, group) => self.send_fetch(*fetch, &group),
            Message::AbortFetch(id) => {
                if let Some(incoming) = self.take_incoming(id.0) {
                    incoming.fail(AbandonReason::Aborted.into());
                    self.tell(&ToNetwork::AbortFetch { id: id.0 });
                }
                true
            }
            Message::Flags(group) => {
                let frame = ToNetwork::Flags { group: group.id.0, flags: group.flags() };
                self.tell_if(&frame, |outgoing| outgoing.clients.contains_key(&group.id.0));
                true
            }
            Message::GroupTerminated(group) => {
                let frame = ToNetwork::Terminated { group: group.id.0 };
                self.tell_if(&frame, |outgoing| outgoing.clients.remove(&group.id.0).is_some());
                true
            }
            Message::Abort(group) => {
                self.tell(&ToNetwork::Abort { group: group.id.0 });
                true
            }
            // No shutdown waits here.
            Message::ReservationReleased => true,
            // A user agent says these, and that is in the other process.
            Message::ChannelDrained(_)
            | Message::ClearSiteData(_)
            | Message::ImportantLoads(_)
            | Message::Online(_)
            | Message::NetworkChanged
            | Message::ShutDown { .. } => false,
        }
    }

    fn send_beacon(self: &Arc<Self>, beacon: Beacon, group: &GroupState) -> bool {
        let Beacon { url, data, client, reservation } = beacon;
        let data = match data {
            None => None,
            Some((body, content_type)) => {
                let Some(bytes) = bytes_of(&body) else { return false };
                Some((bytes, content_type.map(|it| Bytes::copy_from_slice(it.as_bytes()))))
            }
        };
        let cost = Cost::of(data.as_ref().map_or(0, |(bytes, _)| bytes.len() as u64), &url);
        let in_hand = InHand { cost, _reservation: Some(reservation), incoming: None };
        self.send_group_frame(self.ids.next().0, in_hand, group, &client, |id, group| {
            ToNetwork::Beacon { id, group, beacon: BeaconFrame { url, data } }
        })
    }

    fn send_fetch(self: &Arc<Self>, fetch: PlainFetch, group: &GroupState) -> bool {
        let PlainFetch { id, request, reservation, responder } = fetch;
        let body = match &request.body {
            None => None,
            Some(body) => {
                let Some(bytes) = bytes_of(body) else {
                    let reason = "its body is not there yet".to_owned();
                    responder.fail(NetworkError::Unsendable(reason));
                    return false;
                };
                Some(bytes)
            }
        };
        let cost = Cost::of(body.as_ref().map_or(0, |bytes| bytes.len() as u64), request.url());
        let frame = Box::new(RequestFrame::new(&request, body));
        let incoming = Some(Incoming::Head(responder));
        let in_hand = InHand { cost, _reservation: reservation, incoming };
        self.send_group_frame(id.0, in_hand, group, &request.client, |id, group| ToNetwork::Fetch {
            id,
            group,
            request: frame,
        })
    }

    /// Sends a fetch of a group, now or never.
    fn send_group_frame(
        self: &Arc<Self>,
        id: u64,
        in_hand: InHand,
        group: &GroupState,
        client: &Arc<Client>,
        frame: impl FnOnce(u64, GroupFrame) -> ToNetwork,
    ) -> bool {
        let deadline = Outbox::deadline();
        // Before it is sent: its end may come at once.
        if !self.take_in_hand(id, in_hand) {
            return false;
        }
        let mut outgoing = self.outgoing();
        let known = outgoing.clients.get(&group.id.0);
        // Another thread may just have terminated the group, and said so.
        let is_over = outgoing.is_closed || known.is_none() && group.is(Flag::Terminated);
        let is_sent = !is_over && {
            let is_known = known.is_some_and(|known| Arc::ptr_eq(known, client));
            let client = (!is_known).then(|| Box::new(Client::clone(client)));
            let group = GroupFrame { id: group.id.0, flags: group.flags(), client };
            let frame = frame::encode(&frame(id, group));
            frame.is_some_and(|frame| outgoing.outbox.send(frame, deadline))
        };
        if is_sent {
            outgoing.clients.insert(group.id.0, Arc::clone(client));
        }
        self.settle(&mut outgoing);
        drop(outgoing);
        if !is_sent {
            let in_hand = self.put_down(id);
            if let Some(incoming) = in_hand.and_then(|in_hand| in_hand.incoming) {
                incoming.fail(AbandonReason::Dropped.into());
            }
        }
        is_sent
    }

    /// Sends a frame that must not be lost.
    pub(super) fn tell(self: &Arc<Self>, frame: &ToNetwork) {
        self.tell_if(frame, |_| true);
    }

    fn tell_if(self: &Arc<Self>, frame: &ToNetwork, condition: impl FnOnce(&mut Outgoing) -> bool) {
        let mut outgoing = self.outgoing();
        if condition(&mut outgoing)
            && let Some(frame) = frame::encode(frame)
        {
            outgoing.outbox.send_surely(&frame, Instant::now());
            self.settle(&mut outgoing);
        }
    }

    /// Sees to it that what is owed is written, whoever else writes or not.
    fn settle(self: &Arc<Self>, outgoing: &mut Outgoing) {
        if !outgoing.outbox.owes() || outgoing.is_settling {
            return;
        }
        let connection = Arc::downgrade(self);
        let thread = thread::Builder::new().name("sendbeacon".into()).spawn(move || {
            while let Some(connection) = connection.upgrade() {
                let mut outgoing = connection.outgoing();
                outgoing.outbox.settle(Instant::now());
                if !outgoing.outbox.owes() {
                    outgoing.is_settling = false;
                    return;
                }
                drop(outgoing);
                drop(connection);
                thread::sleep(SETTLE_INTERVAL);
            }
        });
        // If there is no thread, the next frame settles it.
        outgoing.is_settling = thread.is_ok();
    }

    fn take_in_hand(&self, id: u64, in_hand: InHand) -> bool {
        let mut unfinished = self.unfinished();
        let cost = unfinished.cost.plus(in_hand.cost).filter(|_| !unfinished.is_lost);
        let Some(cost) = cost else { return false };
        unfinished.cost = cost;
        unfinished.fetches.insert(id, in_hand);
        true
    }

    fn put_down(&self, id: u64) -> Option<InHand> {
        let mut unfinished = self.unfinished();
        let in_hand = unfinished.fetches.remove(&id)?;
        unfinished.cost = unfinished.cost.minus(in_hand.cost);
        Some(in_hand)
    }

    fn take_incoming(&self, id: u64) -> Option<Incoming> {
        self.unfinished().fetches.get_mut(&id)?.incoming.take()
    }

    fn receive(self: &Arc<Self>, frame: ToContent) -> Result<(), ChannelError> {
        match frame {
            ToContent::Close => {
                self.tell_if(&ToNetwork::Closed, |outgoing| {
                    !std::mem::replace(&mut outgoing.is_closed, true)
                });
            }
            ToContent::Done { id } => drop(self.put_down(id)),
            ToContent::Response { id, response } => {
                if let Some(incoming) = self.take_incoming(id) {
                    let incoming = incoming.response(id, response, self)?;
                    if let Some(in_hand) = self.unfinished().fetches.get_mut(&id) {
                        in_hand.incoming = Some(incoming);
                    }
                }
            }
            ToContent::Piece { id, bytes } => self.pass(id, Piece::Chunk(Ok(bytes))),
            ToContent::End { id } => self.pass(id, Piece::End),
            ToContent::Failed { id } => {
                if let Some(incoming) = self.take_incoming(id) {
                    incoming.fail(NetworkError::OtherProcess);
                }
            }
        }
        Ok(())
    }

    fn pass(&self, id: u64, piece: Piece) {
        let unfinished = self.unfinished();
        let in_hand = unfinished.fetches.get(&id);
        if let Some(incoming) = in_hand.and_then(|in_hand| in_hand.incoming.as_ref()) {
            incoming.piece(piece);
        }
    }

    /// The channel has ended: nothing is sent, and nothing will come back.
    fn lose(&self) {
        self.outgoing().outbox.break_off();
        let mut unfinished = self.unfinished();
        unfinished.is_lost = true;
        unfinished.cost = Cost::default();
        let fetches = std::mem::take(&mut unfinished.fetches);
        drop(unfinished);
        for incoming in fetches.into_values().filter_map(|in_hand| in_hand.incoming) {
            incoming.fail(AbandonReason::Dropped.into());
        }
    }

    fn outgoing(&self) -> MutexGuard<'_, Outgoing> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unfinished(&self) -> MutexGuard<'_, Unfinished> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// Reads what the network process says, until it says no more or nobody wants to know.
fn receive(reader: &mut impl Read, connection: &Weak<Connection>) {
    loop {
        let frame = frame::read(reader);
        let Some(connection) = connection.upgrade() else { return };
        let received = frame.and_then(|frame| frame.map(|it| connection.receive(it)).transpose());
        // The network process is trusted; if it makes no sense, there is no channel any more.
        if !matches!(received, Ok(Some(()))) {
            return connection.lose();
        }
    }
}

/// The bytes of a body that is there.
fn bytes_of(body: &Body) -> Option<Bytes> {
    body.read().now_or_never()?.ok()
}
