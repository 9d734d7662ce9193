//! A content process, as the parent process sees it.

use std::{
    io::{self, BufReader, Write},
    net::Shutdown,
    ops::RangeInclusive,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use bytes::Bytes;
use sendbeacon::{
    Client, Origin, Site,
    remote::{ChannelError, ContentProcess},
};
use url::Url;

use super::{
    FirstDocument, FromContent, ToContent,
    channel::{read, serialize},
    mailbox::{Mailbox, Outgoing},
    tree::ProcessId,
};
use crate::page::{NavigableId, StorageArea};

/// How long a process may take to end after it is closed. A task of a page may take as long.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// How long a process may live after it has closed its end of the channel.
const EXIT: Duration = Duration::from_secs(1);

/// What a content process says.
pub(super) enum Said {
    Message(FromContent),
    /// The process has ended, or it has said something that is no message.
    End(Option<io::Error>),
}

pub(super) struct Process {
    pub(super) client: Client,
    pub(super) site: Site,
    pub(super) document_ids: RangeInclusive<u64>,
    /// The navigable of its first document.
    pub(super) place: NavigableId,
    /// The `sessionStorage` of its first document.
    pub(super) session_storage: StorageArea,
    pub(super) mailbox: Mailbox,
    /// How many messages it had handled when it said that it is idle.
    pub(super) idle: Option<u64>,
    /// How many of its fetches are unfinished.
    pub(super) pending: usize,
    /// When it is killed, because it was closed and has not ended.
    pub(super) kill_at: Option<Instant>,
    /// Whether it was killed by the parent process.
    pub(super) is_killed: bool,
    /// Allows the reader to read the next message.
    next: Sender<()>,
    control: UnixStream,
    child: Child,
    /// The stream of `channel`.
    for_library: UnixStream,
    channel: JoinHandle<Result<(), ChannelError>>,
}

impl Process {
    /// Starts a process. `say` is called on a thread of its own with what the process says; the thread reads the next
    /// message after a call of [`read_next`](Self::read_next).
    pub(super) fn start(
        first: FirstDocument,
        session_storage: StorageArea,
        channel: ContentProcess,
        say: impl Fn(Said) + Send + 'static,
    ) -> io::Result<Self> {
        let (for_library, of_child) = UnixStream::pair()?;
        let (control, control_of_child) = UnixStream::pair()?;
        let child = Command::new(std::env::current_exe()?)
            .arg("content")
            .stdin(Stdio::from(OwnedFd::from(of_child)))
            .stdout(Stdio::from(OwnedFd::from(control_of_child)))
            .spawn()?;
        let of_channel = for_library.try_clone()?;
        let channel = thread::spawn(move || channel.serve_unix(of_channel));
        let (mailbox, outgoing) = Mailbox::new();
        let (next, allowed) = mpsc::channel();
        let client = first.document.client.clone();
        let (document_ids, place) = (first.document_ids.clone(), first.place);
        write_from_a_thread(control.try_clone()?, first, outgoing);
        read_on_a_thread(control.try_clone()?, allowed, say);
        Ok(Self {
            site: Site::of(&client.origin),
            client,
            document_ids,
            place,
            session_storage,
            mailbox,
            idle: None,
            pending: 0,
            kill_at: None,
            is_killed: false,
            next,
            control,
            child,
            for_library,
            channel,
        })
    }

    pub(super) fn read_next(&self) {
        // Sending fails if the reader has ended.
        let _ = self.next.send(());
    }

    /// Whether nothing happens in the process until it gets a message.
    pub(super) fn is_idle(&self) -> bool {
        self.pending == 0 && self.idle == Some(self.mailbox.sent())
    }

    pub(super) fn close(&mut self, after_navigation: bool) {
        if self.kill_at.is_none() {
            self.kill_at = Some(Instant::now() + GRACE);
            self.mailbox.send(ProcessId::PARENT, &ToContent::Close { after_navigation });
        }
    }

    pub(super) fn kill(&mut self) {
        self.is_killed = true;
        self.kill_at = None;
        // This fails if the process has ended already.
        let _ = self.child.kill();
    }

    /// Waits for the end of the process, and kills it if it does not end in time.
    pub(super) fn wait(mut self) -> io::Result<ExitStatus> {
        // The process cannot block on the channel any more, so it ends.
        let _ = self.control.shutdown(Shutdown::Both);
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if start.elapsed() > EXIT {
                self.child.kill()?;
                break self.child.wait()?;
            }
            thread::sleep(Duration::from_millis(5));
        };
        // What the process has written is read. A process that it has started may hold its end of the channel open.
        let _ = self.for_library.shutdown(Shutdown::Read);
        if let Ok(Err(error)) = self.channel.join() {
            eprintln!("the channel of a content process has failed: {error}");
        }
        Ok(status)
    }

    /// The client on whose behalf the process navigates to `url`. `None` stands for the user, as whom a process may navigate
    /// within its own site only.
    pub(super) fn source_of(&self, said: Option<Client>, url: &Url) -> Option<Client> {
        match said {
            None if self.site.is_of_url(url) => None,
            said => Some(said.map_or_else(|| self.client.clone(), |said| self.hold(said))),
        }
    }

    /// Checks a client received from the process.
    ///
    /// Returns the client of the first document if the received origin is of another site or does not belong to the URL.
    /// Otherwise returns the received client, with the fields that a content process does not decide overwritten.
    pub(super) fn hold(&self, mut said: Client) -> Client {
        let client = &self.client;
        let is_own = said.origin.is_same_origin_with_url(&said.creation_url)
            || !said.creation_url.has_host()
            || matches!(said.origin, Origin::Opaque(_));
        let is_of_site =
            matches!(said.origin, Origin::Opaque(_)) || Site::of(&said.origin) == self.site;
        if !is_own || !is_of_site {
            return client.clone();
        }
        said.network_partition_key = client.network_partition_key.clone();
        said.has_cross_site_ancestor |= client.has_cross_site_ancestor;
        said
    }
}

/// Starts a thread that writes the document, and then the messages.
///
/// The thread ends at the first error, and when the mailbox has gone. After an error the process has ended, and the reader
/// sees that as the end of its messages.
fn write_from_a_thread(stream: UnixStream, first: FirstDocument, outgoing: Outgoing) {
    thread::spawn(move || {
        let body: Bytes = first.document.body.clone();
        (&stream).write_all(&serialize(&ToContent::Document(Box::new(first)))?)?;
        (&stream).write_all(&body)?;
        outgoing.try_for_each(|letter| {
            (&stream).write_all(&letter.line)?;
            (&stream).write_all(&letter.body)
        })
    });
}

fn read_on_a_thread(
    stream: UnixStream,
    allowed: Receiver<()>,
    say: impl Fn(Said) + Send + 'static,
) {
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        loop {
            match read(&mut reader) {
                Ok(Some(message)) => say(Said::Message(message)),
                Ok(None) => return say(Said::End(None)),
                Err(error) => return say(Said::End(Some(error))),
            }
            if allowed.recv().is_err() {
                return;
            }
        }
    });
}
