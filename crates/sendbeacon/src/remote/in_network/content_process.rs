//! `ContentProcess`, by which the embedder serves a content process.

use std::{
    io::{BufReader, Read, Write},
    sync::{Arc, Weak},
    thread,
};

use sendbeacon_fetch::{KeepaliveLimits, Ledger};
use tokio::{runtime::Handle, sync::mpsc};

use super::{
    channel::{Channel, Outgoing, write},
    lent::Lent,
    pin::Pin,
    serving::Serving,
};
use crate::{
    budget::Budget,
    ledgers::{Intake, Ledgers},
    remote::error::ChannelError,
    script::Groups,
};

/// How many reports of violations a content process may have unfinished, and how large. Reports take no credits,
/// because the network process makes them.
const REPORT_LIMITS: KeepaliveLimits =
    KeepaliveLimits::DEFAULT.with_body_bytes(1 << 20).with_requests(1_024).with_url_bytes(1 << 20);

/// A content process, as the network process serves it. Made by
/// [`UserAgent::content_process`](crate::UserAgent::content_process).
///
/// A shutdown of the user agent waits until the content process acknowledges that it accepts nothing more, or has
/// gone, but not longer than 2 seconds. The requests that a frozen process had written before are delivered. The
/// requests that it writes after it is thawed are lost, although its scripts were told `true`.
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
        groups: &Groups,
        budget: &Budget,
        ledgers: &Ledgers,
        limits: KeepaliveLimits,
        runtime: Handle,
        pin: Pin,
    ) -> Self {
        let groups = groups.for_content_process(Ledger::new(REPORT_LIMITS));
        let share = budget.share_of(&pin.network_partition_key, &pin.site, &pin.url_site);
        let (channel, outgoing) = Channel::new(Arc::clone(&groups.network_side), Lent::new(share));
        let intake: Weak<dyn Intake> = Arc::downgrade(&(Arc::clone(&channel) as Arc<dyn Intake>));
        ledgers.watch(intake);
        Self { groups, limits, runtime, pin, channel, outgoing }
    }

    /// Serves the process at the other end of a byte channel, until that process has gone. It blocks, so call it
    /// on a thread of its own. It starts a second thread, which writes.
    ///
    /// When it returns, the channel has ended, and so have the documents of the process: their fetch groups are
    /// terminated.
    ///
    /// # Errors
    /// [`ChannelError`], if the channel was ended from this side.
    pub fn serve(
        self,
        reader: impl Read,
        writer: impl Write + Send + 'static,
    ) -> Result<(), ChannelError> {
        let Self { groups, limits, runtime, pin, channel, outgoing } = self;
        let serving = Serving::new(groups, limits, runtime, pin, channel);
        thread::Builder::new().name("sendbeacon".into()).spawn(move || write(writer, outgoing))?;
        serving.run(&mut BufReader::new(reader))
    }

    /// Does the same as [`serve`](Self::serve), over a Unix stream socket.
    ///
    /// # Errors
    /// Those of [`serve`](Self::serve).
    #[cfg(unix)]
    #[allow(clippy::needless_pass_by_value)] // The end of the channel closes the socket.
    pub fn serve_unix(self, stream: std::os::unix::net::UnixStream) -> Result<(), ChannelError> {
        stream.set_nonblocking(false)?;
        let writer = stream.try_clone()?;
        let result = self.serve(&stream, writer);
        // A write to a process that reads nothing blocks until this.
        let _ = stream.shutdown(std::net::Shutdown::Both);
        result
    }
}
