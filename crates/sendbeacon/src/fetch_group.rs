use std::{
    any::Any,
    fmt,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU8,
            Ordering::{AcqRel, Acquire},
        },
    },
};

use sendbeacon_fetch::{
    AbandonReason, Body, CspViolation, Inflight, KeepaliveLimits, Ledger, NetworkError, Request,
    Reservation, TypeError,
    beacon::{Beacon, send_beacon},
    deferred::{DeferredFetching, DeferredRequestInit, FetchLaterError, fetch_later},
    hyperlink_auditing::{Ping, hyperlink_auditing},
    report_violation,
};
use tokio::sync::Notify;
#[cfg(feature = "remote")]
use url::Url;
use url::{EncodingOverride, Position};

use crate::{
    BodyInit, Client, DeferredFetch, FetchId,
    deferred_fetch::Deferred,
    dispatcher::{FetchIds, GroupId},
    driver::{Message, NetworkSide, PlainFetch},
    random::SystemRandom,
    response::{PendingResponse, Responder},
};

/// The [fetch group](https://fetch.spec.whatwg.org/#concept-fetch-group) of an environment settings
/// object: the unit that shares a keepalive quota and is terminated as one.
///
/// A [`Document`](crate::Document) has one. A worker uses a bare one for its keepalive `fetch()`.
/// Dropping it terminates it.
pub struct FetchGroup {
    state: Arc<GroupState>,
    ledger: Arc<Ledger>,
    deferred: DeferredFetching,
    ids: Arc<FetchIds>,
}

/// What the network side knows of a group.
pub(crate) struct GroupState {
    pub(crate) id: GroupId,
    flags: AtomicU8,
    /// Whether the network side was told of a change and has not looked at the flags since.
    is_told: AtomicBool,
    /// Told after a flag has changed.
    changed: Notify,
    network_side: NetworkSide,
    /// Room for reports of violations. They are made on the network side, after script was told what fits,
    /// so they have a ledger of their own. In a content process it is that of violations on their way there.
    reports: Arc<Ledger>,
    /// Room for those of all groups of its content process, which may have groups without end.
    reports_of_process: Option<Arc<Ledger>>,
}

/// How much of its reports a group may have unfinished. What is beyond it is not reported.
const REPORT_LIMITS: KeepaliveLimits =
    KeepaliveLimits::DEFAULT.with_requests(64).with_url_bytes(65_536);

/// Why a document's beacons must not be held back, or no more be made.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Flag {
    Hidden = 1,
    Frozen = 2,
    /// In the back/forward cache: not fully active.
    Cached = 4,
    Terminated = 8,
}

impl GroupState {
    fn new(
        id: GroupId,
        network_side: NetworkSide,
        reports_of_process: Option<Arc<Ledger>>,
    ) -> Self {
        Self {
            id,
            flags: AtomicU8::new(0),
            is_told: AtomicBool::new(false),
            changed: Notify::new(),
            network_side,
            reports: Ledger::new(REPORT_LIMITS),
            reports_of_process,
        }
    }

    /// Sets the flag, and says whether it was set before.
    pub(crate) fn set(&self, flag: Flag) -> bool {
        let was_set = self.flags.fetch_or(flag as u8, AcqRel) & flag as u8 != 0;
        self.changed.notify_waiters();
        was_set
    }

    /// Takes the flag back, and says whether it was set.
    pub(crate) fn unset(&self, flag: Flag) -> bool {
        let was_set = self.flags.fetch_and(!(flag as u8), AcqRel) & flag as u8 != 0;
        self.changed.notify_waiters();
        was_set
    }

    pub(crate) fn is(&self, flag: Flag) -> bool {
        self.flags.load(Acquire) & flag as u8 != 0
    }

    #[cfg(feature = "remote")]
    pub(crate) fn flags(&self) -> u8 {
        self.flags.load(Acquire)
    }

    /// To be called before the flags are looked at because of a message.
    pub(crate) fn look(&self) {
        // Not a mere store: what it takes back has to bring the flags along that were set before it.
        self.is_told.swap(false, AcqRel);
    }

    /// Whether nothing of the document may be held back.
    pub(crate) fn is_urgent(&self) -> bool {
        self.flags.load(Acquire) != 0
    }

    /// Whether its document is in the back/forward cache, from which it may come back.
    pub(crate) fn is_cached(&self) -> bool {
        self.is(Flag::Cached) && !self.is(Flag::Terminated)
    }

    pub(crate) fn is_fully_active(&self) -> bool {
        !self.is(Flag::Cached) && !self.is(Flag::Terminated)
    }

    /// Reports a violation, if its policy says where to.
    pub(crate) fn report(self: &Arc<Self>, client: &Arc<Client>, violation: &CspViolation) {
        #[cfg(feature = "remote")]
        if let NetworkSide::There(connection) = &self.network_side {
            // Only until it is there, where there is room for what is made of it, or not.
            let length = violation.original_policy.len() as u64;
            if let Some(reservation) = self.reports.reserve(length, 0) {
                connection.send_violation(violation, client, self, reservation);
            }
            return;
        }
        for request in report_violation(violation, client) {
            let Some(mut reservation) = reserve(&self.reports, &request) else { return };
            if let Some(of_process) = &self.reports_of_process {
                let Some(room) = reserve(of_process, &request) else { return };
                reservation = reservation.with_guard(room);
            }
            // If the network side has gone, nobody is there to report to.
            let report = Message::Report(Box::new(request), reservation, Arc::clone(self));
            self.network_side.send(report);
        }
    }

    /// Waits until its flags are such.
    pub(crate) async fn until(&self, condition: impl Fn(&Self) -> bool) {
        loop {
            // Made before the look, so that no change after it is missed.
            let changed = self.changed.notified();
            if condition(self) {
                return;
            }
            changed.await;
        }
    }
}

impl FetchGroup {
    pub(crate) fn new(
        id: GroupId,
        ledger: Arc<Ledger>,
        deferred: DeferredFetching,
        network_side: NetworkSide,
        reports_of_process: Option<Arc<Ledger>>,
        ids: Arc<FetchIds>,
    ) -> Self {
        let state = GroupState::new(id, network_side, reports_of_process);
        Self { state: Arc::new(state), ledger, deferred, ids }
    }

    /// Fetches `request`, whose client belongs to this group.
    ///
    /// With `keepalive` the request shares the quota of the group's beacons and outlives the
    /// document; without it, it is stopped when the group is terminated. Does not block; any thread.
    ///
    /// # Errors
    /// The response is a network error at once if the request has `keepalive` and there is no room
    /// for it ([`NetworkError::KeepaliveQuota`]), the group was terminated, or the user agent shuts down.
    pub fn fetch(&self, request: Request) -> PendingResponse {
        self.fetch_guarded(request, ())
    }

    /// [`fetch`](Self::fetch), with a guard for the reservation of a keepalive request.
    pub(crate) fn fetch_guarded(
        &self,
        request: Request,
        guard: impl Any + Send + Sync,
    ) -> PendingResponse {
        let id = self.ids.next();
        let (responder, response) = Responder::new(id, &self.state.network_side);
        if self.is_terminated() {
            responder.fail(AbandonReason::Terminated.into());
            return response;
        }
        if self.ledger.is_closed() {
            responder.fail(AbandonReason::Shutdown.into());
            return response;
        }
        let reservation = if request.keepalive {
            let Some(reservation) = reserve(&self.ledger, &request) else {
                responder.fail(NetworkError::KeepaliveQuota);
                return response;
            };
            Some(reservation.with_guard(guard))
        } else {
            None
        };
        let group = Arc::clone(&self.state);
        // If the network side has gone, the response says so.
        let fetch = PlainFetch { id, request, reservation, responder };
        self.state.network_side.send(Message::Fetch(Box::new(fetch), group));
        response
    }

    /// Reserves room for a keepalive request that the engine sends with its own network stack, so that
    /// it shares the quota; lengths in bytes. `None` if there is no room, or the group is terminated.
    ///
    /// Give it back by dropping it when the request is done. A shutdown waits for it up to its
    /// deadline.
    #[must_use]
    pub fn reserve_keepalive(
        &self,
        body_bytes: u64,
        url_bytes: u64,
    ) -> Option<KeepaliveReservation> {
        if self.is_terminated() {
            return None;
        }
        let reservation = self.ledger.reserve(body_bytes, url_bytes)?;
        let network_side = self.state.network_side.clone();
        Some(KeepaliveReservation { reservation: Some(reservation), network_side })
    }

    /// Aborts a fetch of this group, keepalive or not, as `AbortController` does. Nothing happens if it
    /// is over.
    pub fn abort_fetch(&self, id: FetchId) {
        // If the network side has gone, so has the fetch.
        self.state.network_side.send(Message::AbortFetch(id));
    }

    /// What the group's keepalive ledger holds at this moment.
    #[must_use]
    pub fn inflight(&self) -> Inflight {
        self.ledger.inflight()
    }

    /// [Terminates](https://fetch.spec.whatwg.org/#concept-fetch-group-terminate) the group, once:
    /// keepalive requests go on, others are stopped, deferred ones are sent, and new ones are refused.
    pub fn terminate(&self) {
        if !self.state.set(Flag::Terminated) {
            self.deferred.process_deferred_fetches();
            // If the network side has gone there is nothing left to terminate.
            self.state.network_side.send(Message::GroupTerminated(Arc::clone(&self.state)));
        }
    }

    /// Gives up everything that is unfinished, keepalive, deferred or not, and refuses new requests: what
    /// [termination](Self::terminate) is not.
    pub fn abort(&self) {
        self.deferred.abort();
        // First, as another process does not know yet what is not to be sent.
        self.state.network_side.send(Message::Abort(Arc::clone(&self.state)));
        self.terminate();
    }

    pub(crate) fn is_terminated(&self) -> bool {
        self.state.is(Flag::Terminated)
    }

    /// Sets a flag that lets nothing be held back any more, and what is goes out.
    pub(crate) fn set(&self, flag: Flag) {
        if !self.state.set(flag) {
            if !self.state.is_fully_active() {
                self.deferred.process_deferred_fetches();
            }
            self.tell_flags();
        }
    }

    pub(crate) fn unset(&self, flag: Flag) {
        if self.state.unset(flag) {
            self.tell_flags();
        }
    }

    fn tell_flags(&self) {
        // Once is enough until the network side has looked.
        if !self.state.is_told.swap(true, AcqRel) {
            self.state.network_side.send(Message::Flags(Arc::clone(&self.state)));
        }
    }

    pub(crate) fn send_beacon(
        &self,
        client: &Arc<Client>,
        url: &str,
        data: Option<BodyInit<'_>>,
    ) -> Result<bool, TypeError> {
        let beacon = send_beacon(client, &self.ledger, &SystemRandom, url, data)?;
        // NB: the Beacon text does not ask whether the document is fully active; Chromium and WebKit
        // answer false where it is not, after the errors.
        let Some(beacon) = beacon.filter(|_| self.state.is_fully_active()) else {
            return Ok(false);
        };
        // The network side ends only after every ledger was closed and empty, or with the runtime it
        // was given.
        Ok(self.pass(beacon))
    }

    pub(crate) fn fetch_later(
        &self,
        request: Request,
        init: DeferredRequestInit,
    ) -> Result<DeferredFetch, FetchLaterError> {
        let queued = fetch_later(&self.deferred, self.state.is_fully_active(), request, init)?;
        let mut deferred = Deferred::new(self.ids.next(), queued, Arc::clone(&self.ledger));
        // So that a shutdown which has not heard of it waits for it.
        deferred.hand_over = self.ledger.hand_over();
        let may_be_sent = deferred.hand_over.is_some();
        self.defer(deferred, may_be_sent)
    }

    /// [`fetch_later`](Self::fetch_later), for what another process has admitted.
    #[cfg(feature = "remote")]
    pub(crate) fn fetch_later_for(
        &self,
        request: Request,
        init: DeferredRequestInit,
        lease: Arc<crate::remote::Lease>,
        activated: &Arc<Ledger>,
    ) -> Result<DeferredFetch, FetchLaterError> {
        let queued = fetch_later(&self.deferred, true, request, init)?;
        let mut deferred = Deferred::new(self.ids.next(), queued, Arc::clone(activated));
        deferred.lease = Some(lease);
        self.defer(deferred, true)
    }

    /// Passes a deferred fetch on, if it may be.
    fn defer(
        &self,
        deferred: Deferred,
        may_be_sent: bool,
    ) -> Result<DeferredFetch, FetchLaterError> {
        let (id, record) = (deferred.id, Arc::clone(&deferred.record));
        let message = Message::Defer(Box::new(deferred), Arc::clone(&self.state));
        if !may_be_sent || !self.state.network_side.send(message) {
            record.abort();
            return Err(FetchLaterError::Unavailable);
        }
        Ok(DeferredFetch::new(id, record, self.state.network_side.clone()))
    }

    pub(crate) fn deferred(&self) -> &DeferredFetching {
        &self.deferred
    }

    pub(crate) fn ping(
        &self,
        client: &Arc<Client>,
        ping: &str,
        href: &str,
        encoding: EncodingOverride<'_>,
    ) {
        if !self.state.is_fully_active() {
            return;
        }
        for ping in hyperlink_auditing(client, &self.ledger, ping, href, encoding) {
            if !self.pass_ping(ping) {
                return;
            }
        }
    }

    pub(crate) fn report(&self, client: &Arc<Client>, violation: &CspViolation) {
        self.state.report(client, violation);
    }

    /// Passes an admitted ping on. False if another would not be, either: it may have waited for room in a
    /// channel, and each of those behind it would.
    pub(crate) fn pass_ping(&self, ping: Ping) -> bool {
        self.state.network_side.send(Message::Ping(Box::new(ping), Arc::clone(&self.state)))
    }

    /// Passes an admitted beacon on.
    pub(crate) fn pass(&self, beacon: Beacon) -> bool {
        self.state.network_side.send(Message::Beacon(beacon, Arc::clone(&self.state)))
    }

    /// The [`ledger`](Ledger)'s room, for what another process has admitted.
    #[cfg(feature = "remote")]
    pub(crate) fn reserve(&self, body_bytes: u64, url_bytes: u64) -> Option<Reservation> {
        self.ledger.reserve(body_bytes, url_bytes)
    }

    /// The same for a ping.
    #[cfg(feature = "remote")]
    pub(crate) fn reserve_ping(
        &self,
        client: &Client,
        url: &Url,
        target_url: &Url,
    ) -> Option<Reservation> {
        sendbeacon_fetch::hyperlink_auditing::reserve(&self.ledger, client, url, target_url)
    }

    /// Whether the network side has anything of it, or will have.
    #[cfg(feature = "remote")]
    pub(crate) fn is_under_way(&self) -> bool {
        Arc::strong_count(&self.state) > 1
    }

    /// Sets the flags of a document's state, as another process says they are.
    #[cfg(feature = "remote")]
    pub(crate) fn set_flags(&self, flags: u8) {
        for flag in [Flag::Hidden, Flag::Frozen, Flag::Cached] {
            if flags & flag as u8 == 0 {
                self.unset(flag);
            } else {
                self.set(flag);
            }
        }
    }
}

fn reserve(ledger: &Arc<Ledger>, request: &Request) -> Option<Reservation> {
    let body_length = request.body.as_ref().map_or(0, Body::length);
    let url_length = request.url()[..Position::AfterQuery].len() as u64;
    ledger.reserve(body_length, url_length)
}

/// Room for a keepalive request that is sent elsewhere: see [`FetchGroup::reserve_keepalive`].
#[derive(Debug)]
#[must_use = "dropping it gives the room back"]
pub struct KeepaliveReservation {
    reservation: Option<Reservation>,
    network_side: NetworkSide,
}

impl Drop for KeepaliveReservation {
    fn drop(&mut self) {
        drop(self.reservation.take());
        // A deferred fetch may wait for its room, or a shutdown for its end. If the network side has gone,
        // none does.
        self.network_side.send(Message::ReservationReleased);
    }
}

impl Drop for FetchGroup {
    fn drop(&mut self) {
        self.terminate();
    }
}

impl fmt::Debug for FetchGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchGroup")
            .field("id", &self.state.id)
            .field("is_terminated", &self.is_terminated())
            .field("inflight", &self.inflight())
            .finish_non_exhaustive()
    }
}
