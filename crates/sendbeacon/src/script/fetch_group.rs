//! A fetch group: the requests that script makes, and the group's termination.

use std::{any::Any, fmt, sync::Arc};

use sendbeacon_fetch::{
    AbandonReason, BodyInit, Client, CspViolation, Inflight, Ledger, NetworkError, Request,
    Reservation, TypeError, Weight,
    beacon::{Beacon, send_answered_beacon, send_beacon},
    deferred::{
        DeferredFetching, DeferredRequestInit, FetchLaterError, QueuedDeferredFetch, fetch_later,
    },
    hyperlink_auditing::{Ping, hyperlink_auditing},
};
use url::EncodingOverride;

use super::{
    deferred_fetch::DeferredFetch, keepalive_reservation::KeepaliveReservation,
    pending_response::PendingResponse,
};
use crate::{
    budget::Budget,
    id::{FetchId, FetchIds},
    message::{Deferral, FetchCall, Flag, GroupMessage, GroupState, NetworkSide},
    random::SystemRandom,
};

/// The [fetch group](https://fetch.spec.whatwg.org/#concept-fetch-group) of an environment settings
/// object. Its keepalive requests share one quota, and they are terminated together.
///
/// Each [`Document`](crate::Document) has a fetch group. A worker has no document and uses a fetch group alone.
/// Dropping a group terminates it.
pub struct FetchGroup {
    state: Arc<GroupState>,
    /// Room for keepalive requests.
    ledger: Arc<Ledger>,
    deferred: DeferredFetching,
    /// Where the memory of its requests counts, if it counts in this process.
    budget: Option<Arc<Budget>>,
    network_side: Arc<dyn NetworkSide>,
    ids: Arc<FetchIds>,
}

impl FetchGroup {
    pub(super) fn new(
        state: Arc<GroupState>,
        ledger: Arc<Ledger>,
        deferred: DeferredFetching,
        budget: Option<Arc<Budget>>,
        network_side: Arc<dyn NetworkSide>,
        ids: Arc<FetchIds>,
    ) -> Self {
        Self { state, ledger, deferred, budget, network_side, ids }
    }

    /// Lets the memory of requests of `client` count in the budget. The first call for a client takes a lock.
    pub(super) fn count(&self, client: &Client) {
        if let Some(budget) = &self.budget {
            budget.count(client);
        }
    }

    /// Fetches `request`, whose client belongs to this group.
    ///
    /// A request with `keepalive` shares the quota of the group's beacons and outlives the document. A
    /// request without it is stopped when the group is terminated. Does not block; any thread.
    ///
    /// ```
    /// use sendbeacon::{Client, Nonce, Request, UserAgentBuilder};
    ///
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use sendbeacon_testkit::network::{ScriptedNetwork, respond_with_body};
    /// # let network = ScriptedNetwork::new(|_| respond_with_body(200, &[], "hello"));
    /// # let agent = UserAgentBuilder::new(std::sync::Arc::new(network)).build()?;
    /// let document = agent.document(Client::new("https://a.test/".parse()?, Nonce::random()));
    /// let mut request = Request::new(document.client(), "https://a.test/data".parse()?);
    /// request.keepalive = true;
    /// let mut response = document.fetch_group().fetch(request).await?;
    /// assert_eq!(response.status, 200);
    ///
    /// let mut body = Vec::new();
    /// while let Some(chunk) = response.chunk().await {
    ///     body.extend(chunk?);
    /// }
    /// assert_eq!(body, b"hello");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The response is a network error at once if the request has `keepalive` and there is no room for it
    /// ([`NetworkError::KeepaliveQuota`], which also stands for the [`MemoryLimits`](crate::MemoryLimits)), if the
    /// group was terminated, or if the user agent shuts down.
    pub fn fetch(&self, request: Request) -> PendingResponse {
        self.fetch_guarded(request, ())
    }

    /// Does the same as [`fetch`](Self::fetch). The reservation of a keepalive request owns `guard`, and drops it
    /// when the fetch is done.
    pub(crate) fn fetch_guarded(
        &self,
        request: Request,
        guard: impl Any + Send + Sync,
    ) -> PendingResponse {
        let id = self.ids.next();
        let (responder, response) = PendingResponse::new(id, Arc::clone(&self.network_side));
        if self.is_terminated() {
            responder.fail(AbandonReason::Terminated.into());
            return response;
        }
        if self.ledger.is_closed() {
            responder.fail(AbandonReason::Shutdown.into());
            return response;
        }
        let reservation = if request.keepalive {
            self.count(&request.client);
            let Some(reservation) = self.ledger.reserve_for(&request.client, request.weight())
            else {
                responder.fail(NetworkError::KeepaliveQuota);
                return response;
            };
            Some(reservation.with_guard(guard))
        } else {
            None
        };
        // If the network side has gone, the responder is dropped, and the response is an error.
        let fetch = FetchCall { id, request, reservation, responder };
        self.network_side.send(GroupMessage::Fetch(Box::new(fetch), Arc::clone(&self.state)));
        response
    }

    /// Reserves room for a keepalive request that the engine sends with its own network stack, so that the
    /// request shares the quota. Lengths are in bytes; [`url_length`](crate::url_length) gives the length of
    /// a URL. `None` if there is no room, if the group was terminated, or if the user agent shuts down.
    ///
    /// Drop the reservation when the request is done. A shutdown waits for that until its deadline.
    #[must_use]
    pub fn reserve_keepalive(
        &self,
        body_bytes: u64,
        url_bytes: u64,
    ) -> Option<KeepaliveReservation> {
        if self.is_terminated() {
            return None;
        }
        let weight = Weight { body_bytes, url_bytes, header_bytes: 0 };
        let reservation = self.ledger.reserve(weight)?;
        let network_side = Arc::clone(&self.network_side);
        Some(KeepaliveReservation::new(reservation, self.state.id, network_side))
    }

    /// Aborts a fetch of this group, keepalive or not, as `AbortController` does. Does nothing if the fetch is
    /// done.
    pub fn abort_fetch(&self, id: FetchId) {
        // The answer does not matter: without a network side there is no fetch.
        self.network_side.send(GroupMessage::AbortFetch(id));
    }

    /// Sums up the group's unfinished keepalive requests, as they are at this moment.
    #[must_use]
    pub fn inflight(&self) -> Inflight {
        self.ledger.inflight()
    }

    /// [Terminates](https://fetch.spec.whatwg.org/#concept-fetch-group-terminate) the group: its keepalive
    /// requests go on, its other requests are stopped, its deferred fetches are sent, and new requests are
    /// refused. A second call changes nothing.
    pub fn terminate(&self) {
        if !self.state.set(Flag::Terminated) {
            self.deferred.process_deferred_fetches();
            // The answer does not matter: without a network side there is nothing to terminate.
            self.network_side.send(GroupMessage::Terminated(Arc::clone(&self.state)));
        }
    }

    /// Gives up every unfinished request of the group, keepalive and deferred ones included, and refuses new
    /// requests. In contrast, [`terminate`](Self::terminate) lets keepalive requests go on.
    pub fn abort(&self) {
        self.deferred.abort();
        // This message goes first: at the termination a network process sends the deferred fetches.
        self.network_side.send(GroupMessage::Abort(Arc::clone(&self.state)));
        self.terminate();
    }

    pub(super) fn state(&self) -> &Arc<GroupState> {
        &self.state
    }

    pub(crate) fn is_terminated(&self) -> bool {
        self.state.is(Flag::Terminated)
    }

    /// Sets a flag, and tells the network side, which releases the group's held-back beacons. If the document is
    /// no longer fully active, its deferred fetches are sent.
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
        if self.state.needs_message() {
            self.network_side.send(GroupMessage::Flags(Arc::clone(&self.state)));
        }
    }

    pub(super) fn send_beacon(
        &self,
        client: &Arc<Client>,
        url: &str,
        data: Option<BodyInit<'_>>,
    ) -> Result<Option<FetchId>, TypeError> {
        let beacon = send_beacon(client, &self.ledger, &SystemRandom, url, data)?;
        let Some(beacon) = beacon else { return Ok(None) };
        // NB: the Beacon text does not ask whether the document is fully active. Chromium and WebKit answer
        // false where it is not, after the errors.
        if !self.state.is_fully_active() {
            return Ok(None);
        }
        // NB: unless the network side is in another process, `pass` fails only after the end of the embedder's
        // runtime. Before that, the network side outlives every admitted beacon.
        Ok(self.pass(beacon))
    }

    /// See [`Document::send_answered_beacon`](crate::Document::send_answered_beacon).
    pub(super) fn send_answered_beacon(
        &self,
        client: &Arc<Client>,
        url: &str,
        data: Option<BodyInit<'_>>,
    ) -> Result<Option<FetchId>, TypeError> {
        if self.is_terminated() {
            return Ok(None);
        }
        let beacon = send_answered_beacon(client, &self.ledger, &SystemRandom, url, data)?;
        Ok(beacon.and_then(|beacon| self.pass(beacon)))
    }

    /// Sends an admitted beacon to the network side. `None` if that has gone, or if the channel to it is full.
    pub(crate) fn pass(&self, beacon: Beacon) -> Option<FetchId> {
        let id = self.ids.next();
        let message = GroupMessage::Beacon(id, beacon, Arc::clone(&self.state));
        self.network_side.send(message).then_some(id)
    }

    pub(super) fn ping(
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

    /// Sends an admitted ping to the network side. False if the next ping would not be sent either: this one has
    /// waited for room in a full channel, and the next one would wait again.
    pub(crate) fn pass_ping(&self, ping: Ping) -> bool {
        let (id, state) = (self.ids.next(), Arc::clone(&self.state));
        self.network_side.send(GroupMessage::Ping(id, Box::new(ping), state))
    }

    pub(super) fn fetch_later(
        &self,
        request: Request,
        init: DeferredRequestInit,
    ) -> Result<DeferredFetch, FetchLaterError> {
        self.count(&request.client);
        let is_fully_active = self.state.is_fully_active();
        let queued = fetch_later(&self.deferred, is_fully_active, request, init, &self.ledger)?;
        let Some(hold_open) = self.ledger.hold_open() else {
            queued.record().abort();
            return Err(FetchLaterError::Unavailable);
        };
        self.defer(queued, Some(hold_open))
    }

    /// Sends a deferred fetch to the network side. `hold_open` makes a shutdown wait until the fetch is there.
    pub(crate) fn defer(
        &self,
        queued: QueuedDeferredFetch,
        hold_open: Option<Reservation>,
    ) -> Result<DeferredFetch, FetchLaterError> {
        let id = self.ids.next();
        let record = Arc::clone(queued.record());
        let deferral = Deferral { id, queued, hold_open };
        let message = GroupMessage::Defer(Box::new(deferral), Arc::clone(&self.state));
        if !self.network_side.send(message) {
            record.abort();
            return Err(FetchLaterError::Unavailable);
        }
        Ok(DeferredFetch::new(id, record, Arc::clone(&self.network_side)))
    }

    pub(crate) fn deferred(&self) -> &DeferredFetching {
        &self.deferred
    }

    /// Reports a violation, if there is room for its reports.
    pub(crate) fn report(&self, client: &Arc<Client>, violation: &CspViolation) {
        if let Some(message) = GroupMessage::violation(violation, client, &self.state) {
            // The answer does not matter: a report may be lost.
            self.network_side.send(message);
        }
    }
}

/// Methods for the network process, whose groups stand for those of content processes.
#[cfg(feature = "remote")]
impl FetchGroup {
    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Whether the network side still has a fetch of the group, or a message about the group.
    pub(crate) fn is_under_way(&self) -> bool {
        Arc::strong_count(&self.state) > 1
    }

    /// Sets and clears the flags about the document, as the content process says.
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
