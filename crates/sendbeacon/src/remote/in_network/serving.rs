//! Serving a content process: each of its frames is checked and then carried out.

use std::{
    collections::{HashMap, hash_map::Entry},
    io::Read,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::future::{AbortHandle, Abortable};
use http::HeaderValue;
use sendbeacon_fetch::{
    Body, Client, KeepaliveLimits, Ledger,
    beacon::Beacon,
    deferred::{DeferredFetching, DeferredRequestInit, FetchLaterError, fetch_later},
    hyperlink_auditing::Ping,
};
use tokio::{runtime::Handle, sync::Semaphore};

use super::{
    channel::{Channel, Credit},
    fetches::{Fetches, Fetching},
    pass_on::pass_on,
    pin::Pin,
};
use crate::{
    message::{GroupMessage, RemoteRoom},
    remote::{
        error::ChannelError,
        frame,
        limits::{MAX_CLIENTS, MAX_GROUPS, VERSION, WINDOW},
        protocol::{GroupFrame, ToNetwork},
    },
    request_frame::{BeaconFrame, PingFrame, RequestFrame, received},
    script::{DeferredFetch, FetchGroup, Groups},
};

/// The state of a content process, as the network process knows it.
///
/// NB: the ledgers of its groups are not among the user agent's [`Ledgers`](crate::ledgers::Ledgers), which a shutdown
/// closes: a request that the content process has accepted must be admitted even if it is read after the shutdown has
/// begun. A shutdown waits for the process as an [`Intake`](crate::ledgers::Intake). Once that is drained, every
/// request is in the driver's mailbox or in the dispatcher, and a shutdown waits for both.
pub(super) struct Serving {
    /// Makes the fetch groups.
    all: Groups,
    limits: KeepaliveLimits,
    runtime: Handle,
    pin: Pin,
    channel: Arc<Channel>,
    /// The fetch groups that are not terminated, by the identifiers of the content process.
    groups: HashMap<u64, KnownGroup>,
    /// The sum of the `client_bytes` of these groups.
    client_bytes: usize,
    /// Terminated groups with unfinished requests: they may still be aborted.
    ending: Vec<(u64, FetchGroup)>,
    /// The `fetch()` calls whose responses are passed on.
    fetches: Arc<Fetches>,
    /// The deferred fetches that are pending, and some that were sent.
    deferred: HashMap<u64, DeferredFetch>,
    /// Whether the content process has said that no request follows.
    is_closed: bool,
}

/// A fetch group that is not terminated.
struct KnownGroup {
    group: FetchGroup,
    /// The ledger of the deferred fetches that were sent. It is apart from the group's ledger: the content process
    /// counts such a fetch only when it hears that the fetch was sent, and may have given the room to others.
    activated: Arc<Ledger>,
    /// The settings object of its last request.
    client: Arc<Client>,
    /// About how many bytes of memory the settings object takes.
    client_bytes: usize,
}

impl Serving {
    pub(super) fn new(
        all: Groups,
        limits: KeepaliveLimits,
        runtime: Handle,
        pin: Pin,
        channel: Arc<Channel>,
    ) -> Self {
        Self {
            all,
            limits,
            runtime,
            pin,
            channel,
            groups: HashMap::new(),
            client_bytes: 0,
            ending: Vec::new(),
            fetches: Arc::default(),
            deferred: HashMap::new(),
            is_closed: false,
        }
    }

    /// Reads and carries out frames until the channel ends.
    pub(super) fn run(mut self, reader: &mut impl Read) -> Result<(), ChannelError> {
        match frame::read(reader)? {
            None => return Ok(()),
            Some((ToNetwork::Hello { version: VERSION }, _)) => {}
            Some((ToNetwork::Hello { version }, _)) => return Err(ChannelError::Version(version)),
            Some(_) => return Err(ChannelError::malformed("the first frame is not a hello")),
        }
        while let Some((frame, length)) = frame::read::<ToNetwork>(reader)? {
            let cost = frame.cost(length);
            self.receive(frame, cost)?;
        }
        Ok(())
    }

    /// Carries out a frame, which costs this much if it is a request.
    fn receive(&mut self, frame: ToNetwork, cost: u64) -> Result<(), ChannelError> {
        match frame {
            ToNetwork::Hello { .. } => Err(ChannelError::malformed("a second hello")),
            ToNetwork::Beacon { id, group, beacon } => self.beacon(id, group, beacon, cost),
            ToNetwork::Ping { id, group, ping } => self.ping(id, group, &ping, cost),
            ToNetwork::Violation { id, group, violation } => {
                let _credit = Credit::take(&self.channel, id, cost, Weak::new())?;
                let (KnownGroup { group, .. }, client) = self.group(group)?;
                group.report(&client, &violation);
                Ok(())
            }
            ToNetwork::Fetch { id, group, request } => self.fetch(id, group, *request, cost),
            ToNetwork::Defer { id, group, request, activate_after } => {
                self.defer(id, group, *request, activate_after, cost)
            }
            ToNetwork::AbortDeferred { id } => {
                self.deferred.remove(&id).inspect(DeferredFetch::abort);
                Ok(())
            }
            ToNetwork::Taken { id } => {
                self.fetches.taken(id);
                Ok(())
            }
            ToNetwork::Unwanted { id } => {
                self.fetches.unwanted(id);
                Ok(())
            }
            ToNetwork::AbortFetch { id } => {
                if let Some(id) = self.fetches.abort(id) {
                    self.all.network_side.send(GroupMessage::AbortFetch(id));
                }
                Ok(())
            }
            ToNetwork::Flags { group, flags } => {
                if let Some(KnownGroup { group, .. }) = self.groups.get(&group) {
                    group.set_flags(flags);
                }
                Ok(())
            }
            ToNetwork::Terminated { group: id } => {
                if let Some(KnownGroup { group, client_bytes, .. }) = self.groups.remove(&id) {
                    self.client_bytes -= client_bytes;
                    group.terminate();
                    self.ending.retain(|(_, group)| group.is_under_way());
                    self.ending.push((id, group));
                }
                Ok(())
            }
            ToNetwork::Abort { group: id } => {
                if let Some(KnownGroup { group, client_bytes, .. }) = self.groups.remove(&id) {
                    self.client_bytes -= client_bytes;
                    group.abort();
                }
                let ending = self.ending.iter().position(|(ending, _)| *ending == id);
                ending.inspect(|&at| self.ending.swap_remove(at).1.abort());
                Ok(())
            }
            ToNetwork::Want => self.channel.lend(),
            ToNetwork::Return { bytes } => {
                let is_taken = self.channel.lent.take_back(bytes);
                is_taken.then_some(()).ok_or(ChannelError::Quota)
            }
            ToNetwork::Closed if self.is_closed => Err(ChannelError::malformed("a second close")),
            ToNetwork::Closed => {
                self.is_closed = true;
                self.channel.set_drained();
                Ok(())
            }
        }
    }

    /// Admits a beacon again, by the rules that the content process had to follow.
    fn beacon(
        &mut self,
        id: u64,
        frame: GroupFrame,
        beacon: BeaconFrame,
        cost: u64,
    ) -> Result<(), ChannelError> {
        let credit = Credit::take(&self.channel, id, cost, Weak::new())?;
        let BeaconFrame { url, data } = beacon;
        let url = received(&url)?;
        let (KnownGroup { group, .. }, client) = self.group(frame)?;
        let data = match data {
            None => None,
            Some((bytes, content_type)) => {
                let content_type = content_type.map(HeaderValue::from_maybe_shared);
                let content_type = content_type.transpose().map_err(ChannelError::malformed)?;
                Some((Body::from(bytes), content_type))
            }
        };
        let body_length = data.as_ref().map_or(0, |(body, _)| body.length());
        let beacon = Beacon::admit(&client, group.ledger(), url, body_length, || data);
        // NB: if the network side has gone, the deadline of its shutdown has passed.
        group.pass(beacon.ok_or(ChannelError::Quota)?.with_guard(credit as Arc<dyn RemoteRoom>));
        Ok(())
    }

    /// Admits a ping again, by the rules that the content process had to follow.
    fn ping(
        &mut self,
        id: u64,
        frame: GroupFrame,
        ping: &PingFrame,
        cost: u64,
    ) -> Result<(), ChannelError> {
        let credit = Credit::take(&self.channel, id, cost, Weak::new())?;
        let (url, target_url) = (received(&ping.url)?, received(&ping.target_url)?);
        let (KnownGroup { group, .. }, client) = self.group(frame)?;
        let ping = Ping::admit(&client, group.ledger(), url, target_url);
        group.pass_ping(ping.ok_or(ChannelError::Quota)?.with_guard(credit as Arc<dyn RemoteRoom>));
        Ok(())
    }

    /// Starts a `fetch()`, and a task that passes its response on.
    fn fetch(
        &mut self,
        id: u64,
        frame: GroupFrame,
        request: RequestFrame,
        cost: u64,
    ) -> Result<(), ChannelError> {
        // NB: the task of the fetch that it would replace could never be ended.
        if self.fetches.has(id) {
            return Err(ChannelError::malformed("a fetch has the identifier of another one"));
        }
        let credit = Credit::take(&self.channel, id, cost, Arc::downgrade(&self.fetches))?;
        let channel = Arc::clone(&self.channel);
        let (KnownGroup { group, .. }, client) = self.group(frame)?;
        let request = request.into_request(client)?;
        let pending = group.fetch_guarded(request, Arc::clone(&credit) as Arc<dyn RemoteRoom>);
        let window = Arc::new(Semaphore::new(WINDOW));
        let fetch_id = pending.id();
        let passing = pass_on(id, pending, Arc::clone(&window), channel, credit);
        let (task, registration) = AbortHandle::new_pair();
        // It is listed before the task runs, because the end of the task removes it.
        self.fetches.insert(id, Fetching { id: fetch_id, window, task, is_aborted: false });
        self.runtime.spawn(Abortable::new(passing, registration));
        Ok(())
    }

    /// Admits a deferred fetch again, by the rules that the content process had to follow. NB: its quota is
    /// counted as if it came from a top-level document, because this process does not know its place in the tree.
    fn defer(
        &mut self,
        id: u64,
        frame: GroupFrame,
        request: RequestFrame,
        activate_after: Option<Duration>,
        cost: u64,
    ) -> Result<(), ChannelError> {
        let credit = Credit::take(&self.channel, id, cost, Weak::new())?;
        let (group, client) = self.group(frame)?;
        let request = request.into_request(client)?;
        let init = activate_after.map(DeferredRequestInit::after).unwrap_or_default();
        let KnownGroup { group, activated, .. } = group;
        let queued = fetch_later(group.deferred(), true, request, init, activated);
        let queued = queued.map_err(|error| match error {
            FetchLaterError::QuotaExceeded { .. } => ChannelError::Quota,
            _ => ChannelError::Request,
        })?;
        let queued = queued.when_sent(|reservation| {
            credit.tell_activated();
            reservation.with_guard(credit as Arc<dyn RemoteRoom>)
        });
        // NB: if the network side has gone, the deadline of its shutdown has passed.
        let Ok(deferred) = group.defer(queued, None) else { return Ok(()) };
        if self.deferred.len() >= self.deferred.capacity() {
            self.deferred.retain(|_, deferred| deferred.is_pending());
        }
        self.deferred.insert(id, deferred);
        Ok(())
    }

    /// Finds the fetch group and the settings object of a request. The first request of a group opens it.
    fn group(&mut self, frame: GroupFrame) -> Result<(&KnownGroup, Arc<Client>), ChannelError> {
        if self.is_closed {
            return Err(ChannelError::malformed("a request after the last one"));
        }
        let GroupFrame { id, flags, client } = frame;
        let client = client.map(|bytes| frame::decode(&bytes).and_then(|it| self.pin.hold(it)));
        let client = client.transpose()?.map(Arc::new);
        let bytes = client.as_ref().map_or(0, |client| client.held_bytes());
        let count = self.groups.len();
        let known = match (self.groups.entry(id), client) {
            (Entry::Occupied(entry), None) => entry.into_mut(),
            (Entry::Occupied(entry), Some(client)) => {
                let known = entry.into_mut();
                self.client_bytes = self.client_bytes - known.client_bytes + bytes;
                (known.client, known.client_bytes) = (client, bytes);
                known
            }
            (Entry::Vacant(_), None) => {
                return Err(ChannelError::malformed("a new fetch group has no client"));
            }
            (Entry::Vacant(_), _) if count >= MAX_GROUPS => return Err(ChannelError::Groups),
            (Entry::Vacant(entry), Some(client)) => {
                let ledger = || Ledger::new(self.limits);
                let partition = &client.network_partition_key;
                let deferred = DeferredFetching::unshared();
                let group = self.all.open_for_document(partition, ledger(), deferred);
                self.client_bytes += bytes;
                let activated = ledger();
                entry.insert(KnownGroup { group, activated, client, client_bytes: bytes })
            }
        };
        if self.client_bytes > MAX_CLIENTS {
            return Err(ChannelError::Groups);
        }
        known.group.set_flags(flags);
        Ok((known, Arc::clone(&known.client)))
    }
}

/// The channel has ended, and the documents of the process with it. No shutdown has to wait for it any more.
impl Drop for Serving {
    fn drop(&mut self) {
        self.fetches.clear();
        self.groups.clear();
        self.channel.lent.end();
        self.channel.set_drained();
        self.channel.end();
    }
}
