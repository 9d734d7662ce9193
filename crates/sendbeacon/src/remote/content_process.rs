//! The network process's side: what it knows of a content process, and lets it do.

use std::{
    collections::{HashMap, hash_map::Entry},
    io::{BufReader, Read, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{AbortHandle, Abortable};
use http::HeaderValue;
use sendbeacon_fetch::{
    Body, Client, KeepaliveLimits, Ledger,
    beacon::{Beacon, url_length},
    deferred::DeferredFetching,
    hyperlink_auditing::Ping,
};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, mpsc},
};

use super::{
    ChannelError, Pin,
    channel::{Channel, Lease, Outgoing, write},
    frame::{
        self, BeaconFrame, GroupFrame, MAX_CLIENTS, MAX_GROUPS, PingFrame, RequestFrame, ToNetwork,
        VERSION, WINDOW, received,
    },
    responses::pass_on,
};
use crate::{
    DeferredFetch, DeferredRequestInit, FetchGroup, FetchId, FetchLaterError, driver::Message,
    user_agent::Groups,
};

/// How much of its reports of violations a content process may have unfinished: no credits are taken by them,
/// as they are made of what a fetch leaves behind.
const REPORT_LIMITS: KeepaliveLimits =
    KeepaliveLimits::DEFAULT.with_body_bytes(1 << 20).with_requests(1_024).with_url_bytes(1 << 20);

/// A content process as the network process sees it: see
/// [`UserAgent::content_process`](crate::UserAgent::content_process).
///
/// A shutdown of the user agent waits, 2 seconds at most, until the process has heard of it and accepts
/// nothing more, or is gone. What a process that is frozen all the while had written before is still
/// delivered; what it writes once it is thawed is not, though its script was told that it would be.
#[derive(Debug)]
pub struct ContentProcess {
    groups: Groups,
    runtime: Handle,
    pin: Pin,
    channel: Arc<Channel>,
    outgoing: mpsc::UnboundedReceiver<Outgoing>,
}

impl ContentProcess {
    pub(crate) fn new(mut groups: Groups, runtime: Handle, pin: Pin) -> Self {
        groups.reports = Some(Ledger::new(REPORT_LIMITS));
        let (channel, outgoing) = Channel::new(groups.network_side.clone());
        groups.ledgers.watch(&channel);
        Self { groups, runtime, pin, channel, outgoing }
    }

    /// Serves the process at the other end of a byte channel until that has gone; blocks, so give it a
    /// thread. Writes from another.
    ///
    /// The channel's end, however it comes, is the end of the process's documents: their fetch groups
    /// are terminated.
    ///
    /// # Errors
    /// Why the channel was ended from this side.
    pub fn serve(
        self,
        reader: impl Read,
        writer: impl Write + Send + 'static,
    ) -> Result<(), ChannelError> {
        let Self { groups, runtime, pin, channel, outgoing } = self;
        let for_writing = Arc::clone(&channel);
        let serving = Serving {
            all: groups,
            runtime,
            pin,
            channel,
            groups: HashMap::new(),
            client_bytes: 0,
            ending: Vec::new(),
            fetches: Arc::default(),
            deferred: HashMap::new(),
            is_closed: false,
        };
        thread::Builder::new()
            .name("sendbeacon".into())
            .spawn(move || write(writer, outgoing, &for_writing))?;
        serving.run(&mut BufReader::new(reader))
    }

    /// [`serve`](Self::serve) over a Unix stream socket.
    ///
    /// # Errors
    /// As that.
    #[cfg(unix)]
    #[allow(clippy::needless_pass_by_value)] // its end is the channel's
    pub fn serve_unix(self, stream: std::os::unix::net::UnixStream) -> Result<(), ChannelError> {
        stream.set_nonblocking(false)?;
        let writer = stream.try_clone()?;
        let result = self.serve(&stream, writer);
        // It unblocks a write to a process that reads nothing.
        let _ = stream.shutdown(std::net::Shutdown::Both);
        result
    }
}

struct Serving {
    all: Groups,
    runtime: Handle,
    pin: Pin,
    channel: Arc<Channel>,
    groups: HashMap<u64, KnownGroup>,
    /// The sum of theirs.
    client_bytes: usize,
    /// Terminated groups that may still be aborted.
    ending: Vec<(u64, FetchGroup)>,
    fetches: Arc<Fetches>,
    /// Those that are deferred, and some that were sent since.
    deferred: HashMap<u64, DeferredFetch>,
    is_closed: bool,
}

struct KnownGroup {
    group: FetchGroup,
    /// Where deferred fetches are counted that were sent. The content process counts them with the others
    /// when it hears of it, and may have used that room before.
    activated: Arc<Ledger>,
    /// The settings object that its last fetch had.
    client: Arc<Client>,
    /// How many bytes it came in.
    client_bytes: usize,
}

pub(super) type Fetches = Mutex<HashMap<u64, Fetching>>;

/// A `fetch()` whose response is passed on.
#[derive(Debug)]
pub(super) struct Fetching {
    id: FetchId,
    window: Arc<Semaphore>,
    task: AbortHandle,
    is_aborted: bool,
}

impl Serving {
    fn run(mut self, reader: &mut impl Read) -> Result<(), ChannelError> {
        match frame::read(reader)? {
            None => return Ok(()),
            Some((ToNetwork::Hello { version: VERSION }, _)) => {}
            Some((ToNetwork::Hello { version }, _)) => return Err(ChannelError::Version(version)),
            Some(_) => return Err(ChannelError::malformed("the first")),
        }
        while let Some((frame, length)) = frame::read(reader)? {
            self.receive(frame, length)?;
        }
        Ok(())
    }

    fn receive(&mut self, frame: ToNetwork, length: usize) -> Result<(), ChannelError> {
        match frame {
            ToNetwork::Hello { .. } => Err(ChannelError::malformed("a second hello")),
            ToNetwork::Beacon { id, group, beacon } => self.beacon(id, group, beacon, length),
            ToNetwork::Ping { id, group, ping } => self.ping(id, group, &ping, length),
            ToNetwork::Violation { id, group, violation } => {
                let _lease = Lease::take(&self.channel, &self.fetches, id, length)?;
                let (KnownGroup { group, .. }, client) = self.group(group)?;
                group.report(&client, &violation);
                Ok(())
            }
            ToNetwork::Fetch { id, group, request } => self.fetch(id, group, *request, length),
            ToNetwork::Defer { id, group, request, activate_after } => {
                self.defer(id, group, *request, activate_after, length)
            }
            ToNetwork::AbortDeferred { id } => {
                self.deferred.remove(&id).inspect(DeferredFetch::abort);
                Ok(())
            }
            ToNetwork::Taken { id } => {
                if let Some(fetching) = self.fetches().get(&id) {
                    // One that says more than it took makes only its own line longer.
                    let is_sane = fetching.window.available_permits() < WINDOW;
                    fetching.window.add_permits(usize::from(is_sane));
                }
                Ok(())
            }
            ToNetwork::Unwanted { id } => {
                // What its task has of the response is dropped, which says it all.
                self.fetches().get(&id).inspect(|fetching| fetching.task.abort());
                Ok(())
            }
            ToNetwork::AbortFetch { id } => {
                let mut fetches = self.fetches();
                let fetching = fetches.get_mut(&id).filter(|fetching| !fetching.is_aborted);
                if let Some(fetching) = fetching {
                    fetching.is_aborted = true;
                    self.all.network_side.send(Message::AbortFetch(fetching.id));
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
            ToNetwork::Closed if self.is_closed => Err(ChannelError::malformed("a second close")),
            ToNetwork::Closed => {
                self.is_closed = true;
                self.drained();
                Ok(())
            }
        }
    }

    /// Admits a beacon once more, by the same rules.
    fn beacon(
        &mut self,
        id: u64,
        frame: GroupFrame,
        beacon: BeaconFrame,
        length: usize,
    ) -> Result<(), ChannelError> {
        let lease = Lease::take(&self.channel, &self.fetches, id, length)?;
        let BeaconFrame { url, data } = beacon;
        let url = received(&url)?;
        let (KnownGroup { group, .. }, client) = self.group(frame)?;
        let url_length = url_length(&url);
        let data = match data {
            None => None,
            Some((bytes, content_type)) => {
                let content_type = content_type.map(HeaderValue::from_maybe_shared);
                let content_type = content_type.transpose().map_err(ChannelError::malformed)?;
                Some((Body::from(bytes), content_type))
            }
        };
        let body_length = data.as_ref().map_or(0, |(body, _)| body.length());
        let reservation = group.reserve(body_length, url_length as u64);
        let reservation = reservation.ok_or(ChannelError::Quota)?;
        let reservation = reservation.with_guard(lease);
        // If the network side has gone, it was past its shutdown's deadline.
        group.pass(Beacon { url, data, client, reservation });
        Ok(())
    }

    /// Admits a ping once more, by the same rules.
    fn ping(
        &mut self,
        id: u64,
        frame: GroupFrame,
        ping: &PingFrame,
        length: usize,
    ) -> Result<(), ChannelError> {
        let lease = Lease::take(&self.channel, &self.fetches, id, length)?;
        let (url, target_url) = (received(&ping.url)?, received(&ping.target_url)?);
        let (KnownGroup { group, .. }, client) = self.group(frame)?;
        let reservation = group.reserve_ping(&client, &url, &target_url);
        let reservation = reservation.ok_or(ChannelError::Quota)?;
        let reservation = reservation.with_guard(lease);
        group.pass_ping(Ping { url, target_url, client, reservation });
        Ok(())
    }

    fn fetch(
        &mut self,
        id: u64,
        frame: GroupFrame,
        request: RequestFrame,
        length: usize,
    ) -> Result<(), ChannelError> {
        let lease = Lease::take(&self.channel, &self.fetches, id, length)?;
        let channel = Arc::clone(&self.channel);
        let (KnownGroup { group, .. }, client) = self.group(frame)?;
        let request = request.into_request(client)?;
        let pending = group.fetch_guarded(request, Arc::clone(&lease));
        let window = Arc::new(Semaphore::new(WINDOW));
        let fetch_id = pending.id();
        let passing = pass_on(id, pending, Arc::clone(&window), channel, lease);
        let (task, registration) = AbortHandle::new_pair();
        // Listed first, so that it is not gone before it is there.
        self.fetches().insert(id, Fetching { id: fetch_id, window, task, is_aborted: false });
        self.runtime.spawn(Abortable::new(passing, registration));
        Ok(())
    }

    /// Admits a deferred fetch once more, by the same rules; of the quota the most that any document has.
    fn defer(
        &mut self,
        id: u64,
        frame: GroupFrame,
        request: RequestFrame,
        activate_after: Option<Duration>,
        length: usize,
    ) -> Result<(), ChannelError> {
        let lease = Lease::take(&self.channel, &self.fetches, id, length)?;
        let (group, client) = self.group(frame)?;
        let request = request.into_request(client)?;
        let init = activate_after.map(DeferredRequestInit::activate_after).unwrap_or_default();
        let KnownGroup { group, activated, .. } = group;
        let deferred = group.fetch_later_for(request, init, lease, activated);
        let deferred = match deferred {
            Ok(deferred) => deferred,
            // The network side has gone: it was past its shutdown's deadline.
            Err(FetchLaterError::Unavailable) => return Ok(()),
            Err(FetchLaterError::QuotaExceeded { .. }) => return Err(ChannelError::Quota),
            Err(_) => return Err(ChannelError::Request),
        };
        if self.deferred.len() >= self.deferred.capacity() {
            self.deferred.retain(|_, deferred| deferred.is_pending());
        }
        self.deferred.insert(id, deferred);
        Ok(())
    }

    /// The fetch group of a fetch, a new one if it is its first, and the settings object.
    fn group(&mut self, frame: GroupFrame) -> Result<(&KnownGroup, Arc<Client>), ChannelError> {
        if self.is_closed {
            return Err(ChannelError::malformed("a fetch after the last"));
        }
        let GroupFrame { id, flags, client } = frame;
        let length = client.as_ref().map_or(0, Bytes::len);
        let client = client.map(|bytes| frame::decode(&bytes).and_then(|it| self.pin.hold(it)));
        let client = client.transpose()?.map(Arc::new);
        let count = self.groups.len();
        let known = match (self.groups.entry(id), client) {
            (Entry::Occupied(entry), None) => entry.into_mut(),
            (Entry::Occupied(entry), Some(client)) => {
                let known = entry.into_mut();
                self.client_bytes = self.client_bytes - known.client_bytes + length;
                (known.client, known.client_bytes) = (client, length);
                known
            }
            (Entry::Vacant(_), None) => {
                return Err(ChannelError::malformed("a fetch group without a client"));
            }
            (Entry::Vacant(_), _) if count >= MAX_GROUPS => return Err(ChannelError::Groups),
            (Entry::Vacant(entry), Some(client)) => {
                let ledger = || Ledger::new(self.all.limits);
                let group = self.all.open(ledger(), DeferredFetching::unshared());
                self.client_bytes += length;
                let activated = ledger();
                entry.insert(KnownGroup { group, activated, client, client_bytes: length })
            }
        };
        if self.client_bytes > MAX_CLIENTS {
            return Err(ChannelError::Groups);
        }
        known.group.set_flags(flags);
        Ok((known, Arc::clone(&known.client)))
    }

    fn drained(&self) {
        let message = Message::ChannelDrained(Arc::clone(&self.channel));
        self.all.network_side.send(message);
    }

    fn fetches(&self) -> MutexGuard<'_, HashMap<u64, Fetching>> {
        self.fetches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// However it ends, its documents have gone, and no shutdown need wait for it.
impl Drop for Serving {
    fn drop(&mut self) {
        for (_, fetching) in self.fetches().drain() {
            fetching.task.abort();
        }
        self.groups.clear();
        self.drained();
        self.channel.end();
    }
}
