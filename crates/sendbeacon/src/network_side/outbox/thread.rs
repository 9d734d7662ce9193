//! The thread of the outbox: it seals the records and calls the store, which may block.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use sendbeacon_fetch::{
    ErrorDetail,
    host::{Outbox, OutboxChange, OutboxError, OutboxRecord, RecordId},
};
use tokio::sync::oneshot;

use super::{
    news::News,
    record::{Kept, State},
    seal::{Part, Seal},
};
use crate::id::FetchId;

/// How many jobs the thread makes durable together.
const MAX_BATCH: usize = 256;

/// How many jobs may wait before no record is added any more.
const MAX_PENDING: usize = 2_048;

/// When the thread tries again to remove records after an error.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What the thread is asked to do.
pub(super) enum Job {
    /// Adds a record.
    Put { fetch: FetchId, id: RecordId, state: State, content: Vec<u8> },
    /// Changes the state of a record. The reply comes when that is durable or has failed.
    SetState { id: RecordId, state: State, reply: Option<oneshot::Sender<()>> },
    /// Removes a record.
    Remove(RecordId),
    /// Removes records so that nothing of them can be read. The reply comes when all earlier jobs are done and this is
    /// durable.
    Clear(Vec<RecordId>, oneshot::Sender<Result<(), OutboxError>>),
}

/// The queue of the thread. When it is dropped, the thread does what is in the queue, and ends.
///
/// While many jobs wait, no record is added. The other jobs are small.
#[derive(Clone)]
pub(super) struct Thread {
    jobs: Sender<Job>,
    /// How many jobs are not done.
    pending: Arc<AtomicUsize>,
}

impl Thread {
    /// Starts the thread, which tells its news to `tell`.
    pub(super) fn start(
        store: Box<dyn Outbox>,
        seal: Seal,
        tell: impl Fn(News) + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, jobs) = channel();
        let pending = Arc::<AtomicUsize>::default();
        let mut worker = Worker {
            store,
            seal,
            tell: Box::new(tell),
            owed: BTreeMap::new(),
            pending: Arc::clone(&pending),
            is_failing: false,
            loaded: Ok(()),
        };
        thread::Builder::new().name("sendbeacon outbox".into()).spawn(move || {
            worker.load();
            worker.run(&jobs);
        })?;
        Ok(Self { jobs: sender, pending })
    }

    pub(super) fn ask(&self, job: Job) {
        self.pending.fetch_add(1, SeqCst);
        // NB: the thread ends only when every sender has gone, and catches the panics of the embedder's services.
        let _ = self.jobs.send(job);
    }

    /// Whether so many jobs wait that no record may be added: the disk does not answer.
    pub(super) fn is_behind(&self) -> bool {
        self.pending.load(SeqCst) >= MAX_PENDING
    }

    /// Whether every job is done.
    pub(super) fn is_idle(&self) -> bool {
        self.pending.load(SeqCst) == 0
    }
}

struct Worker {
    store: Box<dyn Outbox>,
    seal: Seal,
    tell: Box<dyn Fn(News) + Send>,
    /// Changes that have failed and are tried again: a removal, or a state.
    owed: BTreeMap<RecordId, OutboxChange>,
    pending: Arc<AtomicUsize>,
    /// Whether the last changes have failed, and the driver was told.
    is_failing: bool,
    /// Why the records could not be read at the start, if they could not.
    loaded: Result<(), OutboxError>,
}

impl Worker {
    /// Reads the records that are there, and removes those that cannot be read.
    fn load(&mut self) {
        let records = match guarded(|| self.store.load()) {
            Ok(records) => records,
            Err(error) => {
                self.loaded = Err(error.clone());
                (self.tell)(News::Loaded(Vec::new()));
                return (self.tell)(News::Failed(error));
            }
        };
        let (mut loaded, mut unreadable) = (Vec::new(), Vec::new());
        for OutboxRecord { id, state, content, .. } in records {
            let state = self.seal.open(id, Part::State, &state);
            let content = self.seal.open(id, Part::Content, &content);
            let state = state.and_then(|state| State::decode(&state));
            let kept = content.and_then(|content| Kept::decode(&content));
            match state.zip(kept) {
                Some((state, kept)) => loaded.push((id, state, kept)),
                None => unreadable.push(id),
            }
        }
        (self.tell)(News::Loaded(loaded));
        if !unreadable.is_empty() {
            let what = format!("{} of its records cannot be read", unreadable.len());
            (self.tell)(News::Failed(OutboxError::Storage(ErrorDetail::new(what))));
            self.owed.extend(unreadable.into_iter().map(|id| (id, OutboxChange::Remove(id))));
            self.commit(Vec::new());
        }
    }

    fn run(&mut self, jobs: &Receiver<Job>) {
        let mut next = VecDeque::new();
        loop {
            let received = if self.owed.is_empty() {
                jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                jobs.recv_timeout(AGAIN_AFTER)
            };
            match received {
                Ok(job) => next.push_back(job),
                Err(RecvTimeoutError::Timeout) => self.commit(Vec::new()),
                Err(RecvTimeoutError::Disconnected) => return self.commit(Vec::new()),
            }
            next.extend(jobs.try_iter().take(MAX_BATCH));
            let count = next.len();
            while !next.is_empty() {
                let until = next.iter().position(|job| matches!(job, Job::Clear(..)));
                let batch = next.drain(..until.unwrap_or(next.len())).collect();
                self.commit(batch);
                if let Some(Job::Clear(ids, reply)) = next.pop_front() {
                    let _ = reply.send(self.clear(ids));
                }
            }
            if self.pending.fetch_sub(count, SeqCst) == count {
                (self.tell)(News::Idle);
            }
        }
    }

    /// Clears these records, and those whose removal has failed before. If that fails, they are removed later. It also
    /// fails if the records of earlier runs could not be read: some of them may be meant.
    fn clear(&mut self, mut ids: Vec<RecordId>) -> Result<(), OutboxError> {
        let is_removal = |change: &OutboxChange| matches!(change, OutboxChange::Remove(_));
        ids.extend(self.owed.iter().filter(|(_, it)| is_removal(it)).map(|(id, _)| *id));
        let cleared = guarded(|| self.store.clear(&ids));
        for id in ids {
            match &cleared {
                Ok(()) => self.owed.remove(&id),
                Err(_) => self.owed.insert(id, OutboxChange::Remove(id)),
            };
        }
        cleared.and_then(|()| self.loaded.clone())
    }

    /// Makes the jobs durable. If that fails, the other changes are tried again later, and each put is tried alone for a
    /// while. A put that fails alone is given up, and so is every put if the store is full.
    fn commit(&mut self, jobs: Vec<Job>) {
        let (mut puts, mut changes) = (BTreeMap::new(), std::mem::take(&mut self.owed));
        let mut replies = Vec::new();
        for job in jobs {
            match job {
                Job::Put { fetch, id, state, content } => {
                    let state = self.seal.seal(id, Part::State, &state.encode());
                    let content = self.seal.seal(id, Part::Content, &content);
                    match state.zip(content) {
                        Some((state, content)) => {
                            puts.insert(id, (fetch, OutboxRecord::new(id, state, content)));
                        }
                        None => (self.tell)(News::Put(fetch, false)),
                    }
                }
                Job::SetState { id, state, reply } => {
                    let state = self.seal.seal(id, Part::State, &state.encode());
                    match (state, puts.get_mut(&id)) {
                        (Some(state), Some((_, record))) => record.state = state,
                        // NB: what is removed stays so.
                        (Some(state), None)
                            if !matches!(changes.get(&id), Some(OutboxChange::Remove(_))) =>
                        {
                            changes.insert(id, OutboxChange::set_state(id, state));
                        }
                        _ => {}
                    }
                    replies.extend(reply);
                }
                Job::Remove(id) => {
                    if puts.remove(&id).is_none() {
                        changes.insert(id, OutboxChange::Remove(id));
                    }
                }
                Job::Clear(..) => {}
            }
        }
        let new = puts.values().map(|(_, record)| OutboxChange::Put(record.clone()));
        let all: Vec<_> = new.chain(changes.values().cloned()).collect();
        let mut result = if all.is_empty() { Ok(()) } else { guarded(|| self.store.commit(&all)) };
        let are_put = result.is_ok();
        // The store may refuse one record, and take the others.
        let mut one_by_one = false;
        if let Err(error) = &result {
            // A disk that fails for hours is told once.
            if !self.is_failing {
                (self.tell)(News::Failed(error.clone()));
            }
            one_by_one = all.len() > 1 && !matches!(error, OutboxError::Full(_));
            let rest: Vec<_> = changes.values().cloned().collect();
            if !rest.is_empty() && !puts.is_empty() {
                result = guarded(|| self.store.commit(&rest));
            }
        }
        self.is_failing = result.is_err() || self.is_failing && !are_put;
        if result.is_err() {
            self.owed = changes;
        }
        // NB: a disk that fails may take long each time, and other jobs wait.
        let until = Instant::now() + AGAIN_AFTER;
        for (fetch, record) in puts.into_values() {
            let put = [OutboxChange::Put(record)];
            let is_tried = !are_put && one_by_one && Instant::now() < until;
            let is_put = are_put || is_tried && guarded(|| self.store.commit(&put)).is_ok();
            (self.tell)(News::Put(fetch, is_put));
        }
        // NB: they come last, because a state may be a part of a put.
        for reply in replies {
            // NB: nobody may be waiting any more.
            let _ = reply.send(());
        }
    }
}

/// Calls the store. A panic of an embedder's store is an error.
fn guarded<T>(call: impl FnOnce() -> Result<T, OutboxError>) -> Result<T, OutboxError> {
    let panicked = |_| Err(OutboxError::Storage(ErrorDetail::new("the store panicked")));
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(panicked)
}

#[cfg(test)]
mod tests {
    use sendbeacon_testkit::outbox::MemoryStorage;

    use super::*;
    use crate::network_side::outbox::record::Timestamp;

    #[test]
    fn a_record_that_the_store_refuses_takes_no_other_with_it() {
        let storage = MemoryStorage::default();
        storage.refuse_longer_than(1_000);
        // All jobs are there before the first commit ends.
        storage.set_stuck(true);
        let (tell, told) = channel();
        let seal = Seal { sealer: None, profile: String::new() };
        let thread = Thread::start(storage.outbox(), seal, move |news| {
            let _ = tell.send(news);
        });
        let thread = thread.unwrap();
        for (number, length) in [(1, 10), (2, 10), (3, 2_000), (4, 10)] {
            let (fetch, id) = (FetchId(number), RecordId::from_u64(number));
            let state = State::new(Timestamp::default(), 0, false);
            thread.ask(Job::Put { fetch, id, state, content: vec![0; length] });
        }
        storage.set_stuck(false);
        let put =
            |news| if let News::Put(fetch, is_put) = news { Some((fetch.0, is_put)) } else { None };
        let puts: Vec<_> = told.iter().filter_map(put).take(4).collect();
        assert_eq!(puts, [(1, true), (2, true), (3, false), (4, true)]);
        assert_eq!(storage.records().len(), 3);
    }
}
