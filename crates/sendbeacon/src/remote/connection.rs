//! The content process's side.

use std::{
    fmt,
    io::{self, Read, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::FutureExt;
use sendbeacon_fetch::{
    AbandonReason, Body, Client, CspViolation, NetworkError, Reservation, beacon::Beacon,
    hyperlink_auditing::Ping,
};

use super::{
    clients::{Clients, payload_of},
    frame::{
        self, BeaconFrame, Cost, GroupFrame, PingFrame, RequestFrame, ToContent, ToNetwork,
        VERSION, sendable,
    },
    in_hand::{DeferredInHand, InHand, Unfinished},
    outbox::{INTERVAL, Outbox},
    responses::Incoming,
};
use crate::{
    FetchId,
    deferred_fetch::Deferred,
    dispatcher::FetchIds,
    driver::{Message, PlainFetch},
    fetch_group::{Flag, GroupState},
    response::Piece,
};

/// How often what is owed to a full channel is tried again.
const SETTLE_INTERVAL: Duration = Duration::from_millis(2);

/// What the fetch groups of a content process share.
pub(crate) struct Connection {
    ids: Arc<FetchIds>,
    outgoing: Mutex<Outgoing>,
    unfinished: Mutex<Unfinished>,
}

struct Outgoing {
    outbox: Outbox,
    clients: Clients,
    /// Nothing is accepted any more.
    is_closed: bool,
    /// Whether a thread is writing what is owed.
    is_settling: bool,
}

impl Connection {
    pub(super) fn open(writer: Box<dyn Write + Send>, ids: Arc<FetchIds>) -> io::Result<Arc<Self>> {
        let mut outbox = Outbox::new(writer);
        let hello = frame::encode(&ToNetwork::Hello { version: VERSION }).unwrap_or_default();
        if !outbox.send(hello, Outbox::deadline()) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let clients = Clients::default();
        let outgoing = Outgoing { outbox, clients, is_closed: false, is_settling: false };
        let (outgoing, unfinished) = (Mutex::new(outgoing), Mutex::default());
        Ok(Arc::new(Self { ids, outgoing, unfinished }))
    }

    /// Sends what a fetch group has to say. False means that it is not sent and will not be.
    pub(crate) fn send(self: &Arc<Self>, message: Message) -> bool {
        match message {
            Message::Beacon(beacon, group) => self.send_beacon(beacon, &group),
            Message::Ping(ping, group) => self.send_ping(*ping, &group),
            Message::Fetch(fetch, group) => self.send_fetch(*fetch, &group),
            Message::AbortFetch(id) => {
                if let Some(incoming) = self.take_incoming(id.0) {
                    incoming.fail(AbandonReason::Aborted.into());
                }
                // Its head may be on its way to it just now; the network process says so then.
                if self.unfinished().fetches.contains_key(&id.0) {
                    self.tell(ToNetwork::AbortFetch { id: id.0 });
                }
                true
            }
            Message::Defer(deferred, group) => self.send_deferred(*deferred, &group),
            Message::AbortDeferred(id) => {
                self.tell(ToNetwork::AbortDeferred { id: id.0 });
                true
            }
            Message::Flags(group) => {
                self.tell_if(|outgoing| {
                    group.look();
                    let frame = ToNetwork::Flags { group: group.id.0, flags: group.flags() };
                    outgoing.clients.get(group.id.0).map(|_| frame)
                });
                true
            }
            Message::GroupTerminated(group) => {
                self.tell_if(|outgoing| {
                    let was_known = outgoing.clients.remove(group.id.0);
                    was_known.then_some(ToNetwork::Terminated { group: group.id.0 })
                });
                true
            }
            Message::Abort(group) => {
                self.tell_if(|outgoing| {
                    outgoing.clients.remove(group.id.0);
                    Some(ToNetwork::Abort { group: group.id.0 })
                });
                true
            }
            // No shutdown waits here.
            Message::ReservationReleased => true,
            // These are said only in the other process, by the user agent most of them.
            Message::Report(..)
            | Message::ChannelDrained(_)
            | Message::ClearSiteData(_)
            | Message::ImportantLoads(_)
            | Message::Online(_)
            | Message::NetworkChanged
            | Message::ShutDown { .. } => false,
        }
    }

    fn send_beacon(self: &Arc<Self>, beacon: Beacon, group: &GroupState) -> bool {
        let Beacon { url, data, client, reservation } = beacon;
        let Some(url) = sendable(&url) else { return false };
        let data = match data {
            None => None,
            Some((body, content_type)) => {
                let Some(bytes) = bytes_of(&body) else { return false };
                Some((bytes, content_type.map(|it| Bytes::copy_from_slice(it.as_bytes()))))
            }
        };
        let in_hand = InHand::new(Some(reservation), None);
        self.send_group_frame(self.ids.next().0, in_hand, group, &client, |id, group| {
            ToNetwork::Beacon { id, group, beacon: BeaconFrame { url, data } }
        })
    }

    fn send_ping(self: &Arc<Self>, ping: Ping, group: &GroupState) -> bool {
        let Ping { url, target_url, client, reservation } = ping;
        let (Some(url), Some(target_url)) = (sendable(&url), sendable(&target_url)) else {
            // The fault is its own: others may be sent.
            return true;
        };
        let in_hand = InHand::new(Some(reservation), None);
        self.send_group_frame(self.ids.next().0, in_hand, group, &client, |id, group| {
            ToNetwork::Ping { id, group, ping: PingFrame { url, target_url } }
        })
    }

    pub(crate) fn send_violation(
        self: &Arc<Self>,
        violation: &CspViolation,
        client: &Arc<Client>,
        group: &GroupState,
        reservation: Reservation,
    ) {
        let id = self.ids.next().0;
        let in_hand = InHand::new(Some(reservation), None);
        let violation = Box::new(violation.clone());
        // It may be lost: script does not wait until there is room for it.
        let deadline = Instant::now();
        let is_sent = self.try_to_send(id, in_hand, group, client, deadline, |id, group| {
            ToNetwork::Violation { id, group, violation }
        });
        if !is_sent {
            self.put_down(id);
        }
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
        let Some(frame) = RequestFrame::new(&request, body).map(Box::new) else {
            let reason = "the network process would not take its URL or all of its headers";
            responder.fail(NetworkError::Unsendable(reason.to_owned()));
            return false;
        };
        let in_hand = InHand::new(reservation, Some(Incoming::Head(responder)));
        self.send_group_frame(id.0, in_hand, group, &request.client, |id, group| ToNetwork::Fetch {
            id,
            group,
            request: frame,
        })
    }

    fn send_deferred(self: &Arc<Self>, deferred: Deferred, group: &GroupState) -> bool {
        let lengths = deferred.lengths();
        let Deferred { id, request, record, activate_after, ledger, .. } = deferred;
        let body = request.body.as_ref().map(bytes_of);
        let Some(body) = body.map_or(Some(None), |body| body.map(Some)) else { return false };
        let Some(frame) = RequestFrame::new(&request, body).map(Box::new) else { return false };
        let mut in_hand = InHand::new(None, None);
        in_hand.deferred = Some(DeferredInHand { record, ledger, lengths });
        self.send_group_frame(id.0, in_hand, group, &request.client, |id, group| ToNetwork::Defer {
            id,
            group,
            request: frame,
            activate_after,
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
        let is_sent = self.try_to_send(id, in_hand, group, client, Outbox::deadline(), frame);
        if !is_sent && let Some(incoming) = self.put_down(id).and_then(|in_hand| in_hand.incoming) {
            let reason = "there is no room in the channel to the network process, or no process";
            incoming.fail(NetworkError::Unsendable(reason.to_owned()));
        }
        is_sent
    }

    fn try_to_send(
        self: &Arc<Self>,
        id: u64,
        mut in_hand: InHand,
        group: &GroupState,
        client: &Arc<Client>,
        deadline: Instant,
        frame: impl FnOnce(u64, GroupFrame) -> ToNetwork,
    ) -> bool {
        let Some(mut outgoing) = self.outgoing_before(deadline) else {
            self.unfinished().fetches.insert(id, in_hand);
            return false;
        };
        let known = outgoing.clients.get(group.id.0);
        // Another thread may just have terminated the group, and said so.
        let is_over = outgoing.is_closed || known.is_none() && group.is(Flag::Terminated);
        let is_known = known.is_some_and(|known| Arc::ptr_eq(known, client));
        let payload = if is_known { None } else { payload_of(client) };
        let client_bytes = payload.as_ref().map_or(0, Bytes::len);
        let is_taken = payload.is_some() && outgoing.clients.has_room(group.id.0, client_bytes);
        let group_frame = GroupFrame { id: group.id.0, flags: group.flags(), client: payload };
        let frame = (!is_over && (is_known || is_taken))
            .then(|| frame::encode(&frame(id, group_frame)))
            .flatten();
        in_hand.cost =
            frame.as_ref().map_or(Cost::default(), |frame| Cost::of(frame::payload_length(frame)));
        // Before it is sent: its end may come at once.
        let has_credit = self.unfinished().take(id, in_hand);
        let is_sent =
            has_credit && frame.is_some_and(|frame| outgoing.outbox.send(frame, deadline));
        if is_sent && !is_known {
            outgoing.clients.insert(group.id.0, Arc::clone(client), client_bytes);
        }
        self.settle(&mut outgoing);
        is_sent
    }

    /// Nobody waits for the response any more.
    pub(crate) fn unwanted(self: &Arc<Self>, id: FetchId) {
        self.tell(ToNetwork::Unwanted { id: id.0 });
    }

    /// Sends a frame that must not be lost.
    pub(super) fn tell(self: &Arc<Self>, frame: ToNetwork) {
        self.tell_if(|_| Some(frame));
    }

    fn tell_if(self: &Arc<Self>, frame: impl FnOnce(&mut Outgoing) -> Option<ToNetwork>) {
        let mut outgoing = self.outgoing();
        if let Some(frame) = frame(&mut outgoing).as_ref().and_then(frame::encode) {
            outgoing.outbox.send_surely(&frame, Instant::now());
            self.settle(&mut outgoing);
        }
    }

    /// Sees to it that what is owed is written, whoever else writes or not.
    fn settle(self: &Arc<Self>, outgoing: &mut Outgoing) {
        if !outgoing.outbox.owes() || outgoing.is_settling {
            return;
        }
        // The channel does not end before.
        let connection = Arc::clone(self);
        let thread = thread::Builder::new().name("sendbeacon".into()).spawn(move || {
            loop {
                let mut outgoing = connection.outgoing();
                outgoing.outbox.settle(Instant::now());
                if !outgoing.outbox.owes() {
                    outgoing.is_settling = false;
                    return;
                }
                drop(outgoing);
                thread::sleep(SETTLE_INTERVAL);
            }
        });
        // If there is no thread, the next frame settles it.
        outgoing.is_settling = thread.is_ok();
    }

    /// The lock is not held any more when what it held is dropped.
    fn put_down(&self, id: u64) -> Option<InHand> {
        self.unfinished().put_down(id)
    }

    fn take_incoming(&self, id: u64) -> Option<Incoming> {
        self.unfinished().fetches.get_mut(&id)?.incoming.take()
    }

    fn receive(self: &Arc<Self>, frame: ToContent) {
        match frame {
            ToContent::Close => {
                self.tell_if(|outgoing| {
                    let was_closed = std::mem::replace(&mut outgoing.is_closed, true);
                    (!was_closed).then_some(ToNetwork::Closed)
                });
            }
            ToContent::Done { id } => {
                if let Some(InHand { deferred: Some(deferred), .. }) = self.put_down(id) {
                    // It is over without having been sent.
                    deferred.record.abort();
                }
            }
            ToContent::Activated { id } => {
                self.unfinished().fetches.get_mut(&id).map(InHand::activated);
            }
            ToContent::Response { id, response } => {
                if let Some(incoming) = self.take_incoming(id) {
                    let incoming = incoming.response(id, response, self);
                    if let Some(in_hand) = self.unfinished().fetches.get_mut(&id) {
                        in_hand.incoming = incoming;
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
        let fetches = self.unfinished().lose();
        for mut in_hand in fetches.into_values() {
            // The end of the channel is that of its documents.
            in_hand.activated();
            if let Some(incoming) = in_hand.incoming {
                incoming.fail(AbandonReason::Dropped.into());
            }
        }
    }

    fn outgoing_before(&self, deadline: Instant) -> Option<MutexGuard<'_, Outgoing>> {
        loop {
            match self.outgoing.try_lock() {
                Ok(outgoing) => return Some(outgoing),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return None,
                Err(TryLockError::WouldBlock) => thread::sleep(INTERVAL),
            }
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
pub(super) fn receive(reader: &mut impl Read, connection: &Weak<Connection>) {
    loop {
        let frame = frame::read(reader);
        let Some(connection) = connection.upgrade() else { return };
        match frame {
            Ok(Some((frame, _))) => connection.receive(frame),
            // The network process is trusted; if it makes no sense, there is no channel any more.
            Ok(None) | Err(_) => return connection.lose(),
        }
    }
}

/// The bytes of a body that is there.
fn bytes_of(body: &Body) -> Option<Bytes> {
    body.read().now_or_never()?.ok()
}
