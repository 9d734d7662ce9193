//! What stands for the network process in a content process: it sends messages as frames, and receives answers.

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
    AbandonReason, Body, Client, NetworkError, beacon::Beacon, hyperlink_auditing::Ping,
};

use super::{
    clients::{Clients, payload_of},
    frame_writer::{FrameWriter, INTERVAL},
    incoming::Incoming,
    unfinished::{Spending, Unfinished, UnfinishedRequest, UnsentDeferredFetch},
};
use crate::{
    id::{FetchId, FetchIds},
    message::{
        Deferral, FetchCall, Flag, GroupMessage, GroupState, NetworkSide, Piece,
        UnreportedViolation,
    },
    remote::{
        frame,
        limits::VERSION,
        protocol::{GroupFrame, ToContent, ToNetwork},
    },
    request_frame::{BeaconFrame, PingFrame, RequestFrame, sendable},
};

/// The pause between two attempts to write the owed bytes to a full channel.
const SETTLE_INTERVAL: Duration = Duration::from_millis(2);

/// The channel to the network process, which the fetch groups of a content process share.
pub(super) struct NetworkProcess {
    ids: Arc<FetchIds>,
    /// Locked while a frame is written. A script waits for it 10 ms at most.
    sending: Mutex<Sending>,
    /// Locked for a moment only, also while `sending` is locked, and never the other way round.
    unfinished: Mutex<Unfinished>,
}

/// The sending half of the channel.
struct Sending {
    writer: FrameWriter,
    clients: Clients,
    /// Whether the network process has asked to accept nothing more.
    is_closed: bool,
    /// Whether a thread is writing the owed bytes.
    is_settling: bool,
}

impl NetworkProcess {
    /// Opens the channel with the first frame.
    pub(super) fn open(writer: Box<dyn Write + Send>, ids: Arc<FetchIds>) -> io::Result<Arc<Self>> {
        let mut frame_writer = FrameWriter::new(writer);
        let hello = frame::encode(&ToNetwork::Hello { version: VERSION }).unwrap_or_default();
        if !frame_writer.send(hello, FrameWriter::deadline()) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let clients = Clients::default();
        let sending =
            Sending { writer: frame_writer, clients, is_closed: false, is_settling: false };
        let (sending, unfinished) = (Mutex::new(sending), Mutex::default());
        Ok(Arc::new(Self { ids, sending, unfinished }))
    }

    fn send_beacon(self: &Arc<Self>, id: FetchId, beacon: Beacon, group: &GroupState) -> bool {
        let Some(url) = sendable(beacon.url()) else { return false };
        let data = match beacon.data() {
            None => None,
            Some((body, content_type)) => {
                let Some(bytes) = bytes_of(body) else { return false };
                let content_type = content_type.as_ref();
                Some((bytes, content_type.map(|it| Bytes::copy_from_slice(it.as_bytes()))))
            }
        };
        let client = Arc::clone(beacon.client());
        let unfinished = UnfinishedRequest::new(Some(beacon.into_reservation()), None);
        self.send_group_frame(id.0, unfinished, group, &client, |id, group| ToNetwork::Beacon {
            id,
            group,
            beacon: BeaconFrame { url, data },
        })
    }

    fn send_ping(self: &Arc<Self>, id: FetchId, ping: Ping, group: &GroupState) -> bool {
        let urls = sendable(ping.url()).zip(sendable(ping.target_url()));
        // True, because the next ping may have URLs that can be sent.
        let Some((url, target_url)) = urls else { return true };
        let client = Arc::clone(ping.client());
        let unfinished = UnfinishedRequest::new(Some(ping.into_reservation()), None);
        self.send_group_frame(id.0, unfinished, group, &client, |id, group| ToNetwork::Ping {
            id,
            group,
            ping: PingFrame { url, target_url },
        })
    }

    fn send_violation(
        self: &Arc<Self>,
        violation: UnreportedViolation,
        group: &GroupState,
    ) -> bool {
        let UnreportedViolation { violation, client, reservation } = violation;
        let id = self.ids.next().0;
        let unfinished = UnfinishedRequest::new(Some(reservation), None);
        let violation = Box::new(violation);
        // A violation may be lost, so script does not wait for room.
        let deadline = Instant::now();
        let is_sent = self.try_to_send(id, unfinished, group, &client, deadline, |id, group| {
            ToNetwork::Violation { id, group, violation }
        });
        if !is_sent {
            self.remove(id);
        }
        is_sent
    }

    fn abort_fetch(self: &Arc<Self>, id: FetchId) {
        if let Some(incoming) = self.take_incoming(id.0) {
            incoming.fail(AbandonReason::Aborted.into());
        }
        // NB: even if there was no receiver: the receiving thread takes it out for a moment while it handles the
        // head of the response. The network process then ends the fetch.
        if self.unfinished().requests.contains_key(&id.0) {
            self.tell(ToNetwork::AbortFetch { id: id.0 });
        }
    }

    fn send_fetch(self: &Arc<Self>, fetch: FetchCall, group: &GroupState) -> bool {
        let FetchCall { id, request, reservation, responder } = fetch;
        let body = match &request.body {
            None => None,
            Some(body) => {
                let Some(bytes) = bytes_of(body) else {
                    let reason = "the bytes of its body are not known yet".to_owned();
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
        let unfinished = UnfinishedRequest::new(reservation, Some(Incoming::Head(responder)));
        self.send_group_frame(id.0, unfinished, group, &request.client, |id, group| {
            ToNetwork::Fetch { id, group, request: frame }
        })
    }

    fn send_deferred(self: &Arc<Self>, deferral: &Deferral, group: &GroupState) -> bool {
        let Deferral { id, queued, .. } = deferral;
        let (request, activate_after) = (queued.request(), queued.activate_after());
        let body = request.body.as_ref().map(bytes_of);
        let Some(body) = body.map_or(Some(None), |body| body.map(Some)) else { return false };
        let Some(frame) = RequestFrame::new(request, body).map(Box::new) else { return false };
        let mut unfinished = UnfinishedRequest::new(None, None);
        unfinished.deferred = Some(UnsentDeferredFetch {
            record: Arc::clone(queued.record()),
            ledger: Arc::clone(queued.ledger()),
            weight: request.weight(),
        });
        self.send_group_frame(id.0, unfinished, group, &request.client, |id, group| {
            ToNetwork::Defer { id, group, request: frame, activate_after }
        })
    }

    /// Sends a request of a group, or fails it.
    fn send_group_frame(
        self: &Arc<Self>,
        id: u64,
        unfinished: UnfinishedRequest,
        group: &GroupState,
        client: &Arc<Client>,
        frame: impl FnOnce(u64, GroupFrame) -> ToNetwork,
    ) -> bool {
        let is_sent =
            self.try_to_send(id, unfinished, group, client, FrameWriter::deadline(), frame);
        if !is_sent && let Some(incoming) = self.remove(id).and_then(|it| it.incoming) {
            let reason = "the channel to the network process has no room or has ended";
            incoming.fail(NetworkError::Unsendable(reason.to_owned()));
        }
        is_sent
    }

    /// Sends a request of a group before `deadline`, or says that it was not sent. Either way it is then one of
    /// the unfinished requests.
    fn try_to_send(
        self: &Arc<Self>,
        id: u64,
        unfinished: UnfinishedRequest,
        group: &GroupState,
        client: &Arc<Client>,
        deadline: Instant,
        frame: impl FnOnce(u64, GroupFrame) -> ToNetwork,
    ) -> bool {
        self.unfinished().add(id, unfinished);
        let Some(mut sending) = self.sending_before(deadline) else { return false };
        let known = sending.clients.get(group.id.0);
        // NB: another thread may have terminated the group since the call began, and have sent that.
        let is_over = sending.is_closed || known.is_none() && group.is(Flag::Terminated);
        let is_known = known.is_some_and(|known| Arc::ptr_eq(known, client));
        let payload = if is_known { None } else { payload_of(client) };
        let client_bytes = payload.as_ref().map_or(0, |_| client.held_bytes());
        let is_taken = payload.is_some() && sending.clients.has_room(group.id.0, client_bytes);
        let group_frame = GroupFrame { id: group.id.0, flags: group.flags(), client: payload };
        let frame = (!is_over && (is_known || is_taken)).then(|| frame(id, group_frame));
        let encoded = frame.as_ref().and_then(frame::encode);
        let is_sent = frame.zip(encoded).is_some_and(|(frame, encoded)| {
            // This comes before the frame is sent, because the answer may come at once.
            self.spend(id, frame.cost(frame::payload_length(&encoded)), &mut sending, deadline)
                && sending.writer.send(encoded, deadline)
        });
        if is_sent && !is_known {
            sending.clients.insert(group.id.0, Arc::clone(client), client_bytes);
        }
        self.settle(&mut sending);
        is_sent
    }

    /// Spends credits for a request. If there are too few, it asks for more and waits for them, until `deadline`.
    fn spend(&self, id: u64, cost: u64, sending: &mut Sending, deadline: Instant) -> bool {
        if self.unfinished().asks_for_credits(cost) {
            let want = frame::encode(&ToNetwork::Want).unwrap_or_default();
            sending.writer.send_surely(&want, deadline);
        }
        loop {
            let result = self.unfinished().spend(id, cost);
            if result != Spending::Waiting || Instant::now() >= deadline {
                return result == Spending::Done;
            }
            thread::sleep(INTERVAL);
        }
    }

    /// Sends a frame that must not be lost.
    fn tell(self: &Arc<Self>, frame: ToNetwork) {
        self.tell_if(|_| Some(frame));
    }

    /// Sends the frame that `frame` returns under the lock, if it returns one. The frame must not be lost.
    fn tell_if(self: &Arc<Self>, frame: impl FnOnce(&mut Sending) -> Option<ToNetwork>) {
        let mut sending = self.sending();
        if let Some(frame) = frame(&mut sending).as_ref().and_then(frame::encode) {
            sending.writer.send_surely(&frame, Instant::now());
            self.settle(&mut sending);
        }
    }

    /// Starts a thread that writes the owed bytes, if there are any and no such thread runs.
    fn settle(self: &Arc<Self>, sending: &mut Sending) {
        if !sending.writer.owes() || sending.is_settling {
            return;
        }
        // The thread keeps the channel open until the bytes are written.
        let connection = Arc::clone(self);
        let thread = thread::Builder::new().name("sendbeacon".into()).spawn(move || {
            loop {
                let mut sending = connection.sending();
                sending.writer.settle(Instant::now());
                if !sending.writer.owes() {
                    sending.is_settling = false;
                    return;
                }
                drop(sending);
                thread::sleep(SETTLE_INTERVAL);
            }
        });
        // Without a thread, the next frame writes the owed bytes first.
        sending.is_settling = thread.is_ok();
    }

    /// Removes an unfinished request. NB: the caller drops it, after the lock was released here.
    fn remove(&self, id: u64) -> Option<UnfinishedRequest> {
        self.unfinished().remove(id)
    }

    fn take_incoming(&self, id: u64) -> Option<Incoming> {
        self.unfinished().requests.get_mut(&id)?.incoming.take()
    }

    /// Handles a frame from the network process.
    fn receive(self: &Arc<Self>, frame: ToContent) {
        match frame {
            ToContent::Close => {
                self.tell_if(|sending| {
                    let was_closed = std::mem::replace(&mut sending.is_closed, true);
                    (!was_closed).then_some(ToNetwork::Closed)
                });
            }
            ToContent::Done { id } => {
                if let Some(UnfinishedRequest { deferred: Some(deferred), .. }) = self.remove(id) {
                    // The deferred fetch is over and was not sent.
                    deferred.record.abort();
                }
                let surplus = self.unfinished().give_back();
                surplus.inspect(|&bytes| self.tell(ToNetwork::Return { bytes }));
            }
            ToContent::Lend { bytes } => self.unfinished().lent(bytes),
            ToContent::Activated { id } => {
                self.unfinished().requests.get_mut(&id).map(UnfinishedRequest::activated);
            }
            ToContent::Waiting { id } => {
                self.unfinished().requests.get_mut(&id).map(UnfinishedRequest::give_back_early);
            }
            ToContent::Response { id, response } => {
                if let Some(incoming) = self.take_incoming(id) {
                    let this = Arc::clone(self);
                    let incoming = incoming.response(id, response, move |frame| this.tell(frame));
                    if let Some(request) = self.unfinished().requests.get_mut(&id) {
                        request.incoming = incoming;
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

    /// Passes a piece of a body to its receiver.
    fn pass(&self, id: u64, piece: Piece) {
        let unfinished = self.unfinished();
        let request = unfinished.requests.get(&id);
        if let Some(incoming) = request.and_then(|it| it.incoming.as_ref()) {
            incoming.piece(piece);
        }
    }

    /// Gives the channel up: nothing more is sent, and nothing more is received.
    fn lose(&self) {
        self.sending().writer.break_off();
        let requests = self.unfinished().lose();
        for mut request in requests.into_values() {
            // To the network process, the end of the channel is the end of the documents: it sends their deferred
            // fetches.
            request.activated();
            if let Some(incoming) = request.incoming {
                incoming.fail(AbandonReason::Dropped.into());
            }
        }
    }

    /// Locks the sending half before `deadline`.
    fn sending_before(&self, deadline: Instant) -> Option<MutexGuard<'_, Sending>> {
        loop {
            match self.sending.try_lock() {
                Ok(sending) => return Some(sending),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return None,
                Err(TryLockError::WouldBlock) => thread::sleep(INTERVAL),
            }
        }
    }

    fn sending(&self) -> MutexGuard<'_, Sending> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unfinished(&self) -> MutexGuard<'_, Unfinished> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NetworkSide for Arc<NetworkProcess> {
    fn send(&self, message: GroupMessage) -> bool {
        match message {
            GroupMessage::Beacon(id, beacon, group) => self.send_beacon(id, beacon, &group),
            GroupMessage::Ping(id, ping, group) => self.send_ping(id, *ping, &group),
            GroupMessage::Fetch(fetch, group) => self.send_fetch(*fetch, &group),
            GroupMessage::Defer(deferral, group) => self.send_deferred(&deferral, &group),
            GroupMessage::Violation(violation, group) => self.send_violation(*violation, &group),
            GroupMessage::AbortFetch(id) => {
                self.abort_fetch(id);
                true
            }
            GroupMessage::AbortDeferred(id) => {
                self.tell(ToNetwork::AbortDeferred { id: id.0 });
                true
            }
            GroupMessage::Unwanted(id) => {
                self.tell(ToNetwork::Unwanted { id: id.0 });
                true
            }
            GroupMessage::Flags(group) => {
                self.tell_if(|sending| {
                    group.flags_seen();
                    let frame = ToNetwork::Flags { group: group.id.0, flags: group.flags() };
                    sending.clients.get(group.id.0).map(|_| frame)
                });
                true
            }
            GroupMessage::Terminated(group) => {
                self.tell_if(|sending| {
                    let was_known = sending.clients.remove(group.id.0);
                    was_known.then_some(ToNetwork::Terminated { group: group.id.0 })
                });
                true
            }
            GroupMessage::Abort(group) => {
                self.tell_if(|sending| {
                    sending.clients.remove(group.id.0);
                    Some(ToNetwork::Abort { group: group.id.0 })
                });
                true
            }
            // No shutdown and no deferred fetch waits in this process.
            GroupMessage::ReservationReleased(_) | GroupMessage::Wake => true,
        }
    }
}

impl fmt::Debug for NetworkProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkProcess").finish_non_exhaustive()
    }
}

/// Receives frames until the channel ends, or until nothing in this process uses it any more.
pub(super) fn receive(reader: &mut impl Read, connection: &Weak<NetworkProcess>) {
    loop {
        let frame = frame::read(reader);
        let Some(connection) = connection.upgrade() else { return };
        match frame {
            Ok(Some((frame, _))) => connection.receive(frame),
            // The content process trusts the network process, so it takes an error for the end of the channel.
            Ok(None) | Err(_) => return connection.lose(),
        }
    }
}

/// The bytes of a body. `None` if they are not known at once.
fn bytes_of(body: &Body) -> Option<Bytes> {
    body.read().now_or_never()?.ok()
}
