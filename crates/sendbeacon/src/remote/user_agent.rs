//! The user agent of a content process.

use std::{
    io::{self, BufReader, Read, Write},
    sync::Arc,
    thread,
};

use sendbeacon_fetch::{
    Client, KeepaliveLimits, Ledger,
    deferred::{DeferredFetching, NavigableContainer},
};

use super::network_process::{NetworkProcess, receive};
use crate::{
    id::FetchIds,
    script::{Document, FetchGroup, Groups},
};

/// A [`UserAgent`](crate::UserAgent) in another process: what a content process has in its place.
///
/// Its documents and fetch groups are those of the real one, with these differences:
/// * [`Document::send_beacon`] takes a lock and makes one system call, waits 10 ms at most for both and
///   for room in the channel, and answers `false` if there is none, or if the network process has gone
///   or shuts down; what else is told the network process may wait for that lock as long;
/// * [`Document::fetch_later`] does the same, and is
///   [`Unavailable`](crate::FetchLaterError::Unavailable) then;
/// * the bytes of a body are needed before it returns: a [`BlobSource`](crate::BlobSource) has to
///   answer [`Ready`](crate::host::Answer::Ready), or the answer is `false`;
/// * a request may have 1 MiB with its body, 1,000 headers, and policies of 64 KiB, and all that are
///   unfinished 64 MiB, plain `fetch()` included; the settings objects of the 65,536 documents at most that
///   have sent something and are still there may have 16 MiB; a URL whose host the parser would not take again, as
///   it makes labels longer than it reads, is refused;
/// * [`FetchGroup::reserve_keepalive`] counts in this process only;
/// * events go to the network process's sink.
///
/// Dropping it and all its documents, and what they have deferred, ends the channel, behind what was not
/// to be lost and had found no room.
#[derive(Debug)]
pub struct RemoteUserAgent {
    groups: Groups,
    limits: KeepaliveLimits,
}

impl RemoteUserAgent {
    /// Connects to a [`ContentProcess`](super::ContentProcess) through any byte channel.
    ///
    /// A `writer` that has no room says [`WouldBlock`](io::ErrorKind::WouldBlock) at once; what it has
    /// taken must not be lost with this process, and dropping it tells the other end. `reader` blocks,
    /// on a thread of its own.
    ///
    /// # Errors
    /// If that thread cannot be started, or the channel takes nothing.
    pub fn connect(
        reader: impl Read + Send + 'static,
        writer: impl Write + Send + 'static,
    ) -> io::Result<Self> {
        let ids = Arc::new(FetchIds::default());
        let network_process = NetworkProcess::open(Box::new(writer), Arc::clone(&ids))?;
        let weak = Arc::downgrade(&network_process);
        thread::Builder::new()
            .name("sendbeacon".into())
            .spawn(move || receive(&mut BufReader::new(reader), &weak))?;
        let groups = Groups::new(Arc::new(network_process), ids);
        Ok(Self { groups, limits: KeepaliveLimits::default() })
    }

    /// [`connect`](Self::connect) over a Unix stream socket.
    ///
    /// # Errors
    /// As that.
    #[cfg(unix)]
    pub fn over_unix_stream(stream: std::os::unix::net::UnixStream) -> io::Result<Self> {
        // For the reader. The writer does not wait in any case.
        stream.set_nonblocking(false)?;
        Self::connect(stream.try_clone()?, UnixWriter(stream))
    }

    /// How much each fetch group may have unfinished: what
    /// [`UserAgentBuilder::keepalive_limits`](crate::UserAgentBuilder::keepalive_limits) says in the
    /// network process, where whatever goes beyond ends the channel.
    #[must_use]
    pub fn keepalive_limits(mut self, limits: KeepaliveLimits) -> Self {
        self.limits = limits;
        self
    }

    /// A new document in a top-level traversable, with `client` as its settings object: see
    /// [`UserAgent::document`](crate::UserAgent::document).
    #[must_use]
    pub fn document(&self, client: Client) -> Document {
        let deferred = DeferredFetching::top_level(&client);
        Document::new(client, self.open(deferred))
    }

    /// A new document in `container`, with `client` as its settings object: see
    /// [`UserAgent::nested_document`](crate::UserAgent::nested_document).
    #[must_use]
    pub fn nested_document(&self, client: Client, container: &NavigableContainer) -> Document {
        let deferred = DeferredFetching::nested(&client, container);
        Document::new(client, self.open(deferred))
    }

    /// A new fetch group, for a settings object that is not a document's.
    #[must_use]
    pub fn fetch_group(&self) -> FetchGroup {
        self.open(DeferredFetching::unshared())
    }

    fn open(&self, deferred: DeferredFetching) -> FetchGroup {
        self.groups.open(Ledger::new(self.limits), deferred)
    }
}

/// Never waits, and ends the stream with itself, though the reading thread still has it.
#[cfg(unix)]
struct UnixWriter(std::os::unix::net::UnixStream);

#[cfg(unix)]
impl Write for UnixWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        use rustix::net::{SendFlags, send};
        // An engine's process may not ignore SIGPIPE.
        #[cfg(not(target_vendor = "apple"))]
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        #[cfg(target_vendor = "apple")]
        let flags = SendFlags::DONTWAIT;
        Ok(send(&self.0, bytes, flags)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(unix)]
impl Drop for UnixWriter {
    fn drop(&mut self) {
        // If it has ended already, all the better.
        let _ = self.0.shutdown(std::net::Shutdown::Write);
    }
}
