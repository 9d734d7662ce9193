//! The network process's side: what it knows of a content process, and lets it do.

use std::{
    collections::{HashMap, hash_map::Entry},
    io::{self, BufReader, Read, Write},
    ops::RangeInclusive,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
    thread,
};

use bytes::Bytes;
use http::HeaderValue;
use sendbeacon_fetch::{
    AddressSpace, Body, Client, Ledger, Origin, PartitionKey, Site,
    beacon::{Beacon, url_length},
};
use thiserror::Error;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::AbortHandle,
};

use super::{
    frame::{
        self, BeaconFrame, Cost, GroupFrame, MAX_POLICIES, RequestFrame, ToContent, ToNetwork,
        VERSION, WINDOW, received,
    },
    responses::pass_on,
};
use crate::{
    FetchGroup, FetchId,
    driver::{Message, NetworkSide},
    user_agent::Groups,
};

/// How many fetch groups a content process may have at once.
const MAX_GROUPS: usize = 65_536;

/// How many bytes of settings objects a content process may have there at once, as they came.
const MAX_CLIENTS: usize = 16 << 20;

/// How many parts of responses wait to be written to a content process.
const MAX_PARTS: usize = 256;

/// What a content process may say of itself: what it runs documents for, which the engine knows
/// better than the process does.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Pin {
    /// The site of its documents' origins. An opaque origin, which is of no site, may do less and is
    /// let through.
    pub site: Site,
    /// If given, the only origin, and that of the referrer.
    pub origin: Option<Origin>,
    /// The network partition key of its documents.
    pub network_partition_key: PartitionKey,
    /// The address space that its documents came from; `None` if that is not known.
    pub address_space: Option<AddressSpace>,
    /// The embedder's identifier of the webview it belongs to, whatever its clients say.
    pub webview_id: u64,
    /// The embedder's identifiers of its documents: an embedder that passes events on by them sets
    /// this. Default: any.
    pub document_ids: RangeInclusive<u64>,
}

impl Pin {
    /// The pin for a process that may run documents like `client`'s: of its site, in its partition
    /// and its webview.
    #[must_use]
    pub fn of(client: &Client) -> Self {
        Self {
            site: Site::of(&client.origin),
            origin: None,
            network_partition_key: client.network_partition_key.clone(),
            address_space: client.address_space,
            webview_id: client.webview_id,
            document_ids: 0..=u64::MAX,
        }
    }

    /// What is left of what a content process says of a document.
    fn hold(&self, mut client: Client) -> Result<Client, ChannelError> {
        if client.network_partition_key != self.network_partition_key {
            return Err(ChannelError::Pin("network partition key"));
        }
        let is_pinned = match (&self.origin, &client.origin) {
            (Some(origin), of_client) => origin == of_client,
            (None, Origin::Opaque(_)) => true,
            (None, origin @ Origin::Tuple { .. }) => Site::of(origin) == self.site,
        };
        if !is_pinned {
            return Err(ChannelError::Pin("origin"));
        }
        // It is the source of `Referer`, which an opaque origin has not.
        let (origin, url) = (&client.origin, &client.creation_url);
        let is_own = match self.origin {
            Some(_) => origin.is_same_origin_with_url(url),
            None => origin.is_same_site_with_url(url),
        };
        if matches!(origin, Origin::Tuple { .. }) && url.has_host() && !is_own {
            return Err(ChannelError::Pin("creation URL"));
        }
        if !self.document_ids.contains(&client.document_id) {
            return Err(ChannelError::Pin("document identifier"));
        }
        if client.csp_list.serialized_length() > MAX_POLICIES {
            return Err(ChannelError::Quota);
        }
        client.has_cross_site_ancestor |= self.site != self.network_partition_key.top_level_site;
        client.address_space = self.address_space;
        client.webview_id = self.webview_id;
        Ok(client)
    }
}

/// Why a channel ended before the content process did. Whatever it had sent before is not affected.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// It could not be read, or no thread could be started.
    #[error("the channel failed: {0}")]
    Io(#[from] io::Error),
    /// The content process has another version of this library.
    #[error("the content process speaks version {0}, and this one version {VERSION}")]
    Version(u32),
    /// A frame is larger than any there is.
    #[error("a frame of {0} bytes")]
    TooLarge(u32),
    /// Bytes that are no frame, or a frame that cannot come now.
    #[error("a malformed frame: {0}")]
    Malformed(String),
    /// A document that this content process does not run.
    #[error("the {0} of a client is not the one pinned")]
    Pin(&'static str),
    /// More is unfinished than the content process may have, by the quota of a fetch group or the
    /// credits of the channel.
    #[error("more unfinished fetches, or bytes in them, than there is room for")]
    Quota,
    /// A request that no script can have made.
    #[error("a request with a method or a referrer that no script can have given it")]
    Request,
    /// More than 65,536 fetch groups at once, or more than 16 MiB of settings objects.
    #[error("too many fetch groups, or too much in their settings objects")]
    Groups,
}

impl ChannelError {
    #[allow(clippy::needless_pass_by_value)] // for `map_err`
    pub(super) fn malformed(reason: impl ToString) -> Self {
        Self::Malformed(reason.to_string())
    }
}

/// A content process as the network process sees it: see
/// [`UserAgent::content_process`](crate::UserAgent::content_process).
///
/// A shutdown of the user agent waits, up to its deadline, until the process has heard of it and
/// accepts nothing more, or is gone.
#[derive(Debug)]
pub struct ContentProcess {
    groups: Groups,
    runtime: Handle,
    pin: Pin,
    channel: Arc<Channel>,
    outgoing: mpsc::UnboundedReceiver<Outgoing>,
}

impl ContentProcess {
    pub(crate) fn new(groups: Groups, runtime: Handle, pin: Pin) -> Self {
        let (sender, outgoing) = mpsc::unbounded_channel();
        let channel = Arc::new(Channel {
            outgoing: sender,
            unfinished: Mutex::default(),
            parts: Arc::new(Semaphore::new(MAX_PARTS)),
            is_drained: AtomicBool::new(false),
            network_side: groups.network_side.clone(),
        });
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

/// What is shared by whoever has something to tell a content process.
#[derive(Debug)]
pub(crate) struct Channel {
    outgoing: mpsc::UnboundedSender<Outgoing>,
    /// Credits in use, until the content process was told to have them back.
    unfinished: Mutex<Cost>,
    /// Room for parts of responses.
    parts: Arc<Semaphore>,
    /// No beacon comes any more.
    is_drained: AtomicBool,
    network_side: NetworkSide,
}

#[derive(Debug)]
enum Outgoing {
    Frame { bytes: Vec<u8>, credit: Cost, _room: Option<OwnedSemaphorePermit> },
    End,
}

impl Channel {
    /// Asks the process to accept nothing more.
    pub(crate) fn close(&self) {
        self.tell(&ToContent::Close);
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.is_drained.load(Acquire)
    }

    pub(crate) fn set_drained(&self) {
        self.is_drained.store(true, Release);
    }

    /// Tells what comes at most a few times for each fetch.
    pub(super) fn tell(&self, frame: &ToContent) {
        self.put(frame, Cost::default(), None);
    }

    /// Tells a part of a response, when there is room, unless it is too large.
    pub(super) async fn tell_in_turn(&self, frame: &ToContent) -> bool {
        // The semaphore is never closed.
        let room = Arc::clone(&self.parts).acquire_owned().await.ok();
        self.put(frame, Cost::default(), room)
    }

    fn put(&self, frame: &ToContent, credit: Cost, room: Option<OwnedSemaphorePermit>) -> bool {
        let Some(bytes) = frame::encode(frame) else { return false };
        // If nothing is written any more, nobody is there to be told.
        let _ = self.outgoing.send(Outgoing::Frame { bytes, credit, _room: room });
        true
    }

    fn unfinished(&self) -> MutexGuard<'_, Cost> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A shutdown may wait for a channel that was never served.
impl Drop for Channel {
    fn drop(&mut self) {
        self.network_side.send(Message::ReservationReleased);
    }
}

/// The credits of one fetch. When it is dropped the content process gets them back.
#[derive(Debug)]
pub(super) struct Lease {
    id: u64,
    cost: Cost,
    channel: Weak<Channel>,
    /// The fetch is among them, if it is a `fetch()`.
    fetches: Weak<Fetches>,
}

impl Lease {
    fn take(serving: &Serving, id: u64, payload_length: usize) -> Result<Arc<Self>, ChannelError> {
        let cost = Cost::of(payload_length);
        let mut unfinished = serving.channel.unfinished();
        *unfinished = unfinished.plus(cost).ok_or(ChannelError::Quota)?;
        let channel = Arc::downgrade(&serving.channel);
        Ok(Arc::new(Self { id, cost, channel, fetches: Arc::downgrade(&serving.fetches) }))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(fetches) = self.fetches.upgrade() {
            fetches.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
        }
        if let Some(channel) = self.channel.upgrade() {
            channel.put(&ToContent::Done { id: self.id }, self.cost, None);
        }
    }
}

/// Writes to the content process until the end.
fn write(
    mut writer: impl Write,
    mut outgoing: mpsc::UnboundedReceiver<Outgoing>,
    channel: &Channel,
) {
    while let Some(Outgoing::Frame { bytes, credit, _room }) = outgoing.blocking_recv() {
        // Just before it is told, which may have it use them at once. Who reads nothing gets no more
        // back than this.
        let mut unfinished = channel.unfinished();
        *unfinished = unfinished.minus(credit);
        drop(unfinished);
        if writer.write_all(&bytes).and_then(|()| writer.flush()).is_err() {
            return;
        }
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
    is_closed: bool,
}

struct KnownGroup {
    group: FetchGroup,
    /// The settings object that its last fetch had.
    client: Arc<Client>,
    /// How many bytes it came in.
    client_bytes: usize,
}

type Fetches = Mutex<HashMap<u64, Fetching>>;

/// A `fetch()` whose response is passed on.
#[derive(Debug)]
struct Fetching {
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
            ToNetwork::Fetch { id, group, request } => self.fetch(id, group, *request, length),
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
                    self.ending.retain(|(_, group)| group.inflight().requests > 0);
                    self.ending.push((id, group));
                }
                Ok(())
            }
            ToNetwork::Abort { group: id } => {
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
        let lease = Lease::take(self, id, length)?;
        let BeaconFrame { url, data } = beacon;
        let url = received(&url)?;
        let (group, client) = self.group(frame)?;
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

    fn fetch(
        &mut self,
        id: u64,
        frame: GroupFrame,
        request: RequestFrame,
        length: usize,
    ) -> Result<(), ChannelError> {
        let lease = Lease::take(self, id, length)?;
        let runtime = self.runtime.clone();
        let (fetches, channel) = (Arc::clone(&self.fetches), Arc::clone(&self.channel));
        let (group, client) = self.group(frame)?;
        let request = request.into_request(client)?;
        let pending = group.fetch_guarded(request, Arc::clone(&lease));
        let window = Arc::new(Semaphore::new(WINDOW));
        let fetch_id = pending.id();
        let passing = pass_on(id, pending, Arc::clone(&window), channel, lease);
        // Held until it is listed, so that it is not gone before it is there.
        let mut listed = fetches.lock().unwrap_or_else(PoisonError::into_inner);
        let task = runtime.spawn(passing).abort_handle();
        listed.insert(id, Fetching { id: fetch_id, window, task, is_aborted: false });
        Ok(())
    }

    /// The fetch group of a fetch, a new one if it is its first, and the settings object.
    fn group(&mut self, frame: GroupFrame) -> Result<(&FetchGroup, Arc<Client>), ChannelError> {
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
                let group = self.all.open(Ledger::new(self.all.limits));
                self.client_bytes += length;
                entry.insert(KnownGroup { group, client, client_bytes: length })
            }
        };
        if self.client_bytes > MAX_CLIENTS {
            return Err(ChannelError::Groups);
        }
        let KnownGroup { group, client, .. } = known;
        group.set_flags(flags);
        Ok((group, Arc::clone(client)))
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
        let _ = self.channel.outgoing.send(Outgoing::End);
    }
}
