//! What is sent to a content process, and how much of it the process has not handled yet.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, Sender},
    },
};

use bytes::Bytes;

use super::{ToContent, channel::serialize, tree::ProcessId};
use crate::lock::lock;

/// How many bytes may wait for a process to handle them, beside one message.
const MAX_BACKLOG: usize = 64 << 20;
/// How many of these bytes one process may have sent.
const MAX_SHARE: usize = MAX_BACKLOG / 2;
/// How many of these bytes each process may have sent, even when there are more than [`MAX_BACKLOG`].
const FLOOR: usize = 1 << 20;

/// About how many bytes a message takes beside its text.
const OVERHEAD: usize = 1024;

/// Sends messages to a content process, from any thread.
#[derive(Clone)]
pub(super) struct Mailbox {
    sender: Sender<Letter>,
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
    /// The bytes of these messages, by the process that has sent them.
    shares: BTreeMap<ProcessId, usize>,
}

struct Entry {
    sender: ProcessId,
    size: usize,
    /// Whether it counts as handled as soon as it is written.
    is_answer: bool,
}

impl Mailbox {
    /// Also returns what a thread has to write.
    pub(super) fn new() -> (Self, Receiver<Letter>) {
        let (sender, letters) = mpsc::channel();
        (Self { sender, backlog: Arc::default() }, letters)
    }

    /// Sends a message on behalf of a process. An answer is sent on behalf of the process that gets it.
    pub(super) fn send(&self, sender: ProcessId, message: &ToContent) {
        // NB: this does not fail, because every message has a JSON form.
        let Ok(line) = serialize(message) else { return };
        let body = match message {
            ToContent::Fetched { body, .. } => body.clone(),
            _ => Bytes::new(),
        };
        let is_answer = matches!(
            message,
            ToContent::Cookies(_)
                | ToContent::Script(_)
                | ToContent::Fetched { .. }
                | ToContent::Done(_)
                | ToContent::Items(_)
                | ToContent::Stored(_)
        );
        let size = OVERHEAD + line.len() + body.len();
        let mut backlog = lock(&self.backlog);
        backlog.sent += 1;
        backlog.unhandled.push_back(Entry { sender, size, is_answer });
        *backlog.shares.entry(sender).or_default() += size;
        // Sending fails if the process has ended. The parent process learns that from its reader.
        let _ = self.sender.send(Letter { line, body });
    }

    /// How many messages were sent.
    pub(super) fn sent(&self) -> u64 {
        lock(&self.backlog).sent
    }

    /// The next message was written.
    pub(super) fn written(&self) {
        let mut backlog = lock(&self.backlog);
        // Those that were handled are not in the list any more. They were written, too.
        let at = backlog.written + backlog.unhandled.len() as u64 - backlog.sent;
        backlog.written += 1;
        if let Some(entry) = usize::try_from(at).ok().and_then(|at| backlog.unhandled.get_mut(at))
            && entry.is_answer
        {
            let (sender, size) = (entry.sender, std::mem::take(&mut entry.size));
            backlog.release(sender, size);
        }
    }

    /// The process says that it has handled this many messages.
    pub(super) fn handled(&self, count: u64) {
        let mut backlog = lock(&self.backlog);
        // A process that was taken over may say what is not true.
        let left = backlog.sent - count.min(backlog.written);
        while backlog.unhandled.len() as u64 > left
            && let Some(Entry { sender, size, .. }) = backlog.unhandled.pop_front()
        {
            backlog.release(sender, size);
        }
    }

    /// Whether this process may send nothing more until its messages are handled.
    pub(super) fn is_full_for(&self, sender: ProcessId) -> bool {
        let backlog = lock(&self.backlog);
        let share = backlog.shares.get(&sender).copied().unwrap_or_default();
        let is_over = || backlog.shares.values().sum::<usize>() > MAX_BACKLOG;
        share > MAX_SHARE || share > FLOOR && is_over()
    }
}

impl Backlog {
    fn release(&mut self, sender: ProcessId, size: usize) {
        if let Some(share) = self.shares.get_mut(&sender) {
            *share -= size;
            if *share == 0 {
                self.shares.remove(&sender);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{NavigableId, WindowMessage};

    const A: ProcessId = ProcessId(1);
    const B: ProcessId = ProcessId(2);

    fn message(length: usize) -> ToContent {
        ToContent::Window(NavigableId(1), WindowMessage::Renamed(" ".repeat(length)))
    }

    #[test]
    fn a_process_that_floods_another_one_stops_no_third_one() {
        let (mailbox, letters) = Mailbox::new();
        for _ in 0..4 {
            assert!(!mailbox.is_full_for(A));
            mailbox.send(A, &message(MAX_SHARE / 4));
        }
        assert!(mailbox.is_full_for(A) && !mailbox.is_full_for(B));
        for _ in letters.try_iter() {
            mailbox.written();
        }
        assert!(mailbox.is_full_for(A));
        mailbox.handled(1);
        assert!(!mailbox.is_full_for(A));
        mailbox.send(A, &message(MAX_BACKLOG));
        mailbox.send(B, &message(FLOOR / 2));
        assert!(!mailbox.is_full_for(B));
        mailbox.send(B, &message(FLOOR / 2));
        assert!(mailbox.is_full_for(B));
    }

    #[test]
    fn a_process_that_reads_nothing_has_handled_nothing() {
        let (mailbox, letters) = Mailbox::new();
        mailbox.send(A, &message(MAX_SHARE));
        mailbox.handled(u64::MAX);
        assert!(mailbox.is_full_for(A));
        drop(letters);
        mailbox.written();
        mailbox.handled(u64::MAX);
        assert!(!mailbox.is_full_for(A));
    }

    #[test]
    fn an_answer_counts_until_it_is_written() {
        let (mailbox, letters) = Mailbox::new();
        mailbox.send(A, &message(MAX_SHARE));
        mailbox.send(B, &ToContent::Cookies(" ".repeat(MAX_SHARE)));
        assert!(mailbox.is_full_for(A) && mailbox.is_full_for(B));
        for _ in letters.try_iter() {
            mailbox.written();
        }
        assert!(mailbox.is_full_for(A) && !mailbox.is_full_for(B));
        mailbox.handled(2);
        assert!(!mailbox.is_full_for(A));
        assert_eq!((mailbox.sent(), lock(&mailbox.backlog).shares.len()), (2, 0));
    }
}
