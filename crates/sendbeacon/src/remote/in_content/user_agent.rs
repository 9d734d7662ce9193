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

/// Stands for the [`UserAgent`](crate::UserAgent) in a content process.
///
/// Its documents and fetch groups are like those of a `UserAgent`, with these differences:
/// * [`Document::send_beacon`] takes a lock and makes one system call. It waits 10 ms at most for the lock and for
///   room in the channel. It returns `false` if there is no room, or if the network process has gone or shuts
///   down. The other methods may wait for the lock as well.
/// * [`Document::fetch_later`] waits likewise. Instead of returning `false` it fails with
///   [`Unavailable`](crate::FetchLaterError::Unavailable).
/// * The bytes of a body have to be known at the call: if a [`BlobSource`](crate::BlobSource) does not answer
///   [`Ready`](crate::host::Answer::Ready), the request is refused.
/// * A request may have at most 1 MiB (its body and its settings object included), 1,000 headers, and policies of
///   64 KiB.
/// * The network process lends **credits**, in bytes. An unfinished request of any kind uses them: its frame, its
///   URL once more, and 2 KiB. A process has 1 MiB from the beginning. When it has less than 256 KiB left, it asks
///   for 1 MiB more. When nothing is unfinished, it keeps 256 KiB and gives the rest back. A request that finds too
///   few credits waits for more, 10 ms at most, and is refused then. The network process takes the credits out of
///   its [`MemoryLimits`](crate::MemoryLimits) before it lends them.
/// * At most 65,536 documents that have sent a request may exist. Their settings objects may take 64 MiB of
///   memory together.
/// * A request is refused if the URL parser would not accept its URL a second time, because a label of the host
///   is too long.
/// * [`FetchGroup::reserve_keepalive`] counts in this process only.
/// * Events go to the sink of the network process.
///
/// The channel ends when the `RemoteUserAgent`, all its documents and all their
/// [`DeferredFetch`](crate::DeferredFetch)es have been dropped, and the frames that must not be lost are written.
#[derive(Debug)]
pub struct RemoteUserAgent {
    groups: Groups,
    limits: KeepaliveLimits,
}

impl RemoteUserAgent {
    /// Connects to a [`ContentProcess`](crate::remote::ContentProcess) through any byte channel.
    ///
    /// A `writer` without room returns [`WouldBlock`](io::ErrorKind::WouldBlock) at once. The bytes that it has
    /// accepted must reach the other end even if this process is killed, and the other end must notice when it
    /// is dropped. `reader` blocks; it is read on a thread of its own.
    ///
    /// # Errors
    /// The thread cannot be started, or the channel does not accept the first bytes.
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
        let groups = Groups::new(Arc::new(network_process), ids, Arc::default());
        Ok(Self { groups, limits: KeepaliveLimits::default() })
    }

    /// Does the same as [`connect`](Self::connect), over a Unix stream socket.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect).
    #[cfg(unix)]
    pub fn over_unix_stream(stream: std::os::unix::net::UnixStream) -> io::Result<Self> {
        // The reader has to block. The writer does not block in either mode of the socket.
        stream.set_nonblocking(false)?;
        Self::connect(stream.try_clone()?, UnixWriter(stream))
    }

    /// Sets how much each fetch group may have unfinished. Default: [`KeepaliveLimits::default`].
    ///
    /// Pass the limits of [`UserAgentBuilder::keepalive_limits`](crate::UserAgentBuilder::keepalive_limits) in the
    /// network process. A request that exceeds the limits there ends the channel.
    #[must_use]
    pub fn keepalive_limits(mut self, limits: KeepaliveLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Makes a document in a top-level traversable, with `client` as its settings object: see
    /// [`UserAgent::document`](crate::UserAgent::document).
    #[must_use]
    pub fn document(&self, client: Client) -> Document {
        let deferred = DeferredFetching::top_level(&client);
        Document::new(client, self.open(deferred))
    }

    /// Makes a document in `container`, with `client` as its settings object: see
    /// [`UserAgent::nested_document`](crate::UserAgent::nested_document).
    #[must_use]
    pub fn nested_document(&self, client: Client, container: &NavigableContainer) -> Document {
        let deferred = DeferredFetching::nested(&client, container);
        Document::new(client, self.open(deferred))
    }

    /// Makes a fetch group for a settings object that does not belong to a document.
    #[must_use]
    pub fn fetch_group(&self) -> FetchGroup {
        self.open(DeferredFetching::unshared())
    }

    fn open(&self, deferred: DeferredFetching) -> FetchGroup {
        self.groups.open(Ledger::new(self.limits), deferred)
    }
}

/// A writer that never blocks. Dropping it ends the stream, although the reading thread still has the socket.
#[cfg(unix)]
struct UnixWriter(std::os::unix::net::UnixStream);

#[cfg(unix)]
impl Write for UnixWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        use rustix::net::{SendFlags, send};
        // The process may not ignore SIGPIPE, which would kill it.
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
        // An error means that the stream has ended already.
        let _ = self.0.shutdown(std::net::Shutdown::Write);
    }
}
