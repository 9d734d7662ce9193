//! The network process's end of a content process: what embedders use.

use std::{
    io::{BufReader, Read, Write},
    sync::{Arc, Weak},
    thread,
};

use sendbeacon_fetch::{KeepaliveLimits, Ledger};
use tokio::{runtime::Handle, sync::mpsc};

use super::{
    channel::{Channel, Outgoing, write},
    error::ChannelError,
    pin::Pin,
    serving::Serving,
};
use crate::{
    ledgers::{Intake, Ledgers},
    script::Groups,
};

/// How much of its reports of violations a content process may have unfinished: no credits are taken by them,
/// as they are made of what a fetch leaves behind.
const REPORT_LIMITS: KeepaliveLimits =
    KeepaliveLimits { body_bytes: 1 << 20, requests: 1_024, url_bytes: 1 << 20 };

/// A content process as the network process sees it: see
/// [`UserAgent::content_process`](crate::UserAgent::content_process).
///
/// A shutdown of the user agent waits, 2 seconds at most, until the process has heard of it and accepts
/// nothing more, or is gone. What a process that is frozen all the while had written before is still
/// delivered; what it writes once it is thawed is not, though its script was told that it would be.
#[derive(Debug)]
pub struct ContentProcess {
    groups: Groups,
    limits: KeepaliveLimits,
    runtime: Handle,
    pin: Pin,
    channel: Arc<Channel>,
    outgoing: mpsc::UnboundedReceiver<Outgoing>,
}

impl ContentProcess {
    pub(crate) fn new(
        mut groups: Groups,
        ledgers: &Ledgers,
        limits: KeepaliveLimits,
        runtime: Handle,
        pin: Pin,
    ) -> Self {
        groups.reports = Some(Ledger::new(REPORT_LIMITS));
        let (channel, outgoing) = Channel::new(Arc::clone(&groups.network_side));
        let intake: Weak<dyn Intake> = Arc::downgrade(&(Arc::clone(&channel) as Arc<dyn Intake>));
        ledgers.watch(intake);
        Self { groups, limits, runtime, pin, channel, outgoing }
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
        let Self { groups, limits, runtime, pin, channel, outgoing } = self;
        let for_writing = Arc::clone(&channel);
        let serving = Serving::new(groups, limits, runtime, pin, channel);
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
