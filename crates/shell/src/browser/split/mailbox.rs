//! What is sent to a content process, and how much of it the process has not handled yet.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, Sender},
    },
};

use bytes::Bytes;

use super::{
    ToContent,
    channel::{MAX_MESSAGE, serialize},
    tree::{Misconduct, ProcessId},
};
use crate::lock::lock;

/// How many bytes may wait for a process to handle them, beside one message.
const MAX_BACKLOG: usize = 64 << 20;
/// How many of these bytes one process may have sent.
const MAX_SHARE: usize = MAX_BACKLOG / 2;
/// How many of these bytes each process may have sent, even when there are more than [`MAX_BACKLOG`].
const FLOOR: usize = 1 << 20;

/// How many bytes of changes of the storage one process may have sent. They have a share of their own, so that a page that
/// stores much can still send messages.
const MAX_STORAGE: usize = 8 << 20;
/// How many messages of one process may wait. A process says only between two tasks what it has handled. A task runs for
/// 10 seconds at most, and asks fewer questions than this.
const MAX_MESSAGES: usize = 1 << 20;

/// About how many bytes a message takes beside its text.
const OVERHEAD: usize = 1024;

/// Sends messages to a content process, from any thread.
#[derive(Clone)]
pub(super) struct Mailbox {
    sender: Sender<Letter>,
    backlog: Arc<Mutex<Backlog>>,
}

/// Takes what a mailbox sends, and counts what is written. It does not keep the mailbox open: its
/// letters end when the last clone of the mailbox has gone.
pub(super) struct Outgoing {
    letters: Receiver<Letter>,
    backlog: Arc<Mutex<Backlog>>,
}

/// A message as it is written.
pub(super) struct Letter {
    pub(super) line: Vec<u8>,
    pub(super) body: Bytes,
}

/// What the process has not handled.
#[derive(Default)]
struct Backlog {
    /// How many messages were sent.
    sent: u64,
    /// How many messages were written.
    written: u64,
    /// The messages that the process has not handled, the oldest first.
    unhandled: VecDeque<Entry>,
    /// How much of these messages each process has sent.
    shares: BTreeMap<ProcessId, Share>,
}

/// What one process has sent.
#[derive(Default)]
struct Share {
    messages: usize,
    /// The bytes of the changes of the storage.
    storage: usize,
    /// The bytes of all other messages.
    bytes: usize,
}

struct Entry {
    sender: ProcessId,
    size: usize,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Its bytes count until it is written. It counts as a message until it is handled.
    Answer,
    Storage,
    Other,
}

impl Mailbox {
    /// Also returns what a thread has to write.
    pub(super) fn new() -> (Self, Outgoing) {
        let (sender, letters) = mpsc::channel();
        let backlog = Arc::<Mutex<Backlog>>::default();
        (Self { sender, backlog: Arc::clone(&backlog) }, Outgoing { letters, backlog })
    }

    /// Sends a message on behalf of a process, unless it is too long. An answer is sent on behalf of the process that gets
    /// it.
    pub(super) fn send(&self, sender: ProcessId, message: &ToContent) {
        // What the parent process says itself is not too long.
        let _ = self.try_send(sender, message);
    }

    /// Like [`send`](Self::send), for a message with text of another process.
    ///
    /// # Errors
    /// If the message is longer than a process reads. An answer is sent nevertheless: the process that waits for it ends
    /// when it reads the answer.
    pub(super) fn try_send(
        &self,
        sender: ProcessId,
        message: &ToContent,
    ) -> Result<(), Misconduct> {
        // NB: this does not fail, because every message has a JSON form.
        let Ok(line) = serialize(message) else { return Ok(()) };
        let (kind, body) = match message {
            ToContent::Fetched { body, .. } => (Kind::Answer, body.clone()),
            ToContent::Cookies(_)
            | ToContent::Script(_)
            | ToContent::Done(_)
            | ToContent::Items(_)
            | ToContent::Stored(_) => (Kind::Answer, Bytes::new()),
            ToContent::Changed(..) => (Kind::Storage, Bytes::new()),
            _ => (Kind::Other, Bytes::new()),
        };
        if kind != Kind::Answer && line.len() > MAX_MESSAGE {
            return Err(Misconduct::Backlog);
        }
        let size = OVERHEAD + line.len() + body.len();
        let mut backlog = lock(&self.backlog);
        backlog.sent += 1;
        backlog.unhandled.push_back(Entry { sender, size, kind });
        let share = backlog.shares.entry(sender).or_default();
        share.messages += 1;
        *share.bytes_of(kind) += size;
        // Sending fails if the process has ended. The parent process learns that from its reader.
        let _ = self.sender.send(Letter { line, body });
        Ok(())
    }

    /// How many messages were sent.
    pub(super) fn sent(&self) -> u64 {
        lock(&self.backlog).sent
    }

    /// The process says that it has handled this many messages.
    pub(super) fn handled(&self, count: u64) {
        let mut backlog = lock(&self.backlog);
        // A process that was taken over may say what is not true.
        let left = backlog.sent - count.min(backlog.written);
        while backlog.unhandled.len() as u64 > left
            && let Some(Entry { sender, size, kind }) = backlog.unhandled.pop_front()
        {
            let Some(share) = backlog.shares.get_mut(&sender) else { continue };
            *share.bytes_of(kind) -= size;
            share.messages -= 1;
            if share.messages == 0 {
                backlog.shares.remove(&sender);
            }
        }
    }

    /// Whether this process may send nothing more until its messages are handled.
    pub(super) fn is_full_for(&self, sender: ProcessId) -> bool {
        let backlog = lock(&self.backlog);
        let Some(share) = backlog.shares.get(&sender) else { return false };
        let is_over = || backlog.bytes() > MAX_BACKLOG;
        share.messages > MAX_MESSAGES || share.bytes > MAX_SHARE || share.bytes > FLOOR && is_over()
    }

    /// Whether this process may send a change of the storage with so many bytes of text. One change of any size may wait.
    pub(super) fn has_room_for_change(&self, sender: ProcessId, text: usize) -> bool {
        let storage = self.storage_of(sender);
        storage == 0 || storage + OVERHEAD + text <= MAX_STORAGE
    }

    /// Whether this process may send no change of the storage at all, not even one that removes an item.
    pub(super) fn is_full_of_changes_of(&self, sender: ProcessId) -> bool {
        self.storage_of(sender) > MAX_SHARE
    }

    fn storage_of(&self, sender: ProcessId) -> usize {
        lock(&self.backlog).shares.get(&sender).map_or(0, |share| share.storage)
    }
}

impl Outgoing {
    /// Writes each message, until the mailbox has gone or until `write` fails.
    pub(super) fn try_for_each(
        &self,
        mut write: impl FnMut(Letter) -> io::Result<()>,
    ) -> io::Result<()> {
        self.letters.iter().try_for_each(|letter| {
            write(letter)?;
            self.written();
            Ok(())
        })
    }

    /// The next message was written.
    fn written(&self) {
        let mut backlog = lock(&self.backlog);
        // The list has no messages that were handled, but `written` counts them.
        let at = backlog.written + backlog.unhandled.len() as u64 - backlog.sent;
        backlog.written += 1;
        let at = usize::try_from(at).ok();
        if let Some(entry) = at.and_then(|at| backlog.unhandled.get_mut(at))
            && entry.kind == Kind::Answer
        {
            let (sender, size) = (entry.sender, std::mem::take(&mut entry.size));
            if let Some(share) = backlog.shares.get_mut(&sender) {
                share.bytes -= size;
            }
        }
    }
}

impl Backlog {
    fn bytes(&self) -> usize {
        self.shares.values().map(|it| it.bytes + it.storage).sum()
    }
}

impl Share {
    fn bytes_of(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Storage => &mut self.storage,
            Kind::Answer | Kind::Other => &mut self.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use sendbeacon::{Nonce, Origin};

    use super::*;
    use crate::page::{NavigableId, StorageChange, WindowMessage};

    const A: ProcessId = ProcessId(1);
    const B: ProcessId = ProcessId(2);

    fn message(length: usize) -> ToContent {
        ToContent::Window(NavigableId(1), WindowMessage::Renamed(" ".repeat(length)))
    }

    #[test]
    fn a_process_that_floods_another_one_stops_no_third_one() {
        let (mailbox, outgoing) = Mailbox::new();
        for _ in 0..4 {
            assert!(!mailbox.is_full_for(A));
            mailbox.send(A, &message(MAX_SHARE / 4));
        }
        assert!(mailbox.is_full_for(A) && !mailbox.is_full_for(B));
        for _ in outgoing.letters.try_iter() {
            outgoing.written();
        }
        assert!(mailbox.is_full_for(A));
        mailbox.handled(1);
        assert!(!mailbox.is_full_for(A));
        mailbox.send(A, &message(MAX_BACKLOG - FLOOR));
        mailbox.send(B, &message(FLOOR / 2));
        assert!(!mailbox.is_full_for(B));
        mailbox.send(B, &message(FLOOR / 2));
        assert!(mailbox.is_full_for(B));
    }

    #[test]
    fn a_process_that_reads_nothing_has_handled_nothing() {
        let (mailbox, outgoing) = Mailbox::new();
        mailbox.send(A, &message(MAX_SHARE));
        mailbox.handled(u64::MAX);
        assert!(mailbox.is_full_for(A));
        outgoing.written();
        mailbox.handled(u64::MAX);
        assert!(!mailbox.is_full_for(A));
    }

    #[test]
    fn an_answer_counts_until_it_is_written() {
        let (mailbox, outgoing) = Mailbox::new();
        mailbox.send(A, &message(MAX_SHARE));
        mailbox.send(B, &ToContent::Cookies(" ".repeat(MAX_SHARE)));
        assert!(mailbox.is_full_for(A) && mailbox.is_full_for(B));
        for _ in outgoing.letters.try_iter() {
            outgoing.written();
        }
        assert!(mailbox.is_full_for(A) && !mailbox.is_full_for(B));
        mailbox.handled(2);
        assert!(!mailbox.is_full_for(A));
        assert_eq!((mailbox.sent(), lock(&mailbox.backlog).shares.len()), (2, 0));
    }

    #[test]
    fn what_a_process_stores_takes_no_room_of_its_messages() {
        let (mailbox, _outgoing) = Mailbox::new();
        let url = url::Url::parse("http://a.test").unwrap();
        let origin = Origin::of(&url, Nonce::random());
        let value = " ".repeat(5 << 20);
        let (key, new_value) = (Some("a".to_owned()), Some(value.clone()));
        let changed = ToContent::Changed(origin, Box::new(StorageChange { key, new_value, url }));
        assert!(mailbox.has_room_for_change(A, usize::MAX - OVERHEAD));
        mailbox.send(A, &changed);
        assert!(mailbox.has_room_for_change(A, 1 << 20));
        assert!(!mailbox.has_room_for_change(A, value.len()));
        assert!(mailbox.has_room_for_change(B, value.len()));
        for _ in 0..6 {
            assert!(!mailbox.is_full_of_changes_of(A));
            mailbox.send(A, &changed);
        }
        assert!(mailbox.is_full_of_changes_of(A) && !mailbox.is_full_for(A));
    }

    #[test]
    fn a_process_that_asks_for_ever_is_full() {
        let (mailbox, outgoing) = Mailbox::new();
        for _ in 0..=MAX_MESSAGES {
            assert!(!mailbox.is_full_for(A));
            mailbox.send(A, &ToContent::Done(1));
            outgoing.written();
        }
        assert!(mailbox.is_full_for(A) && !mailbox.is_full_for(B));
        mailbox.handled(u64::MAX);
        assert!(!mailbox.is_full_for(A));
    }

    #[test]
    fn a_message_that_is_longer_than_a_process_reads_is_not_sent() {
        let (mailbox, outgoing) = Mailbox::new();
        assert!(mailbox.try_send(A, &message(MAX_MESSAGE)).is_err());
        assert!(outgoing.letters.try_recv().is_err());
        assert_eq!(mailbox.sent(), 0);
    }

    #[test]
    fn the_thread_that_writes_ends_with_the_mailbox() {
        let (mailbox, outgoing) = Mailbox::new();
        mailbox.send(A, &ToContent::Done(1));
        drop(mailbox);
        let mut count = 0;
        let write = |_| {
            count += 1;
            Ok(())
        };
        outgoing.try_for_each(write).unwrap();
        assert_eq!(count, 1);
    }
}
