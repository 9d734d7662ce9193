//! An [`Outbox`] in memory that outlives its user agent, as a file outlives an app.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use sendbeacon_fetch::host::{Outbox, OutboxChange, OutboxError, OutboxRecord, RecordId, Sealer};

/// The storage of an outbox. A clone is the same storage. [`outbox`](Self::outbox) opens it.
#[derive(Clone, Default)]
pub struct MemoryStorage {
    disk: Arc<Mutex<Disk>>,
    changed: Arc<Condvar>,
}

#[derive(Default)]
struct Disk {
    records: BTreeMap<RecordId, OutboxRecord>,
    commits: usize,
    failure: Option<OutboxError>,
    is_stuck: bool,
    max_content: Option<usize>,
    is_unreadable: bool,
}

impl MemoryStorage {
    /// Opens the storage.
    #[must_use]
    pub fn outbox(&self) -> Box<dyn Outbox> {
        Box::new(MemoryOutbox(self.clone()))
    }

    /// A copy of the storage as it is now: what a disk has after a crash at this moment.
    #[must_use]
    pub fn image(&self) -> Self {
        let records = self.disk().records.clone();
        let disk = Disk { records, ..Disk::default() };
        Self { disk: Arc::new(Mutex::new(disk)), changed: Arc::default() }
    }

    /// The records that are durable.
    #[must_use]
    pub fn records(&self) -> Vec<OutboxRecord> {
        self.disk().records.values().cloned().collect()
    }

    /// How often something was made durable.
    #[must_use]
    pub fn commits(&self) -> usize {
        self.disk().commits
    }

    /// Changes the records behind the back of the library.
    pub fn tamper(&self, change: impl Fn(&mut OutboxRecord)) {
        self.disk().records.values_mut().for_each(change);
    }

    /// Lets every commit fail with this error. `None`: the next one succeeds.
    pub fn fail(&self, error: Option<OutboxError>) {
        self.disk().failure = error;
    }

    /// Lets the storage fail to read its records.
    pub fn set_unreadable(&self) {
        self.disk().is_unreadable = true;
    }

    /// Lets every commit wait for as long as the disk is stuck.
    pub fn set_stuck(&self, is_stuck: bool) {
        self.disk().is_stuck = is_stuck;
        self.changed.notify_all();
    }

    /// Lets every commit fail in which a record has more content, in bytes.
    pub fn refuse_longer_than(&self, max_content: usize) {
        self.disk().max_content = Some(max_content);
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct MemoryOutbox(MemoryStorage);

impl Outbox for MemoryOutbox {
    fn load(&mut self) -> Result<Vec<OutboxRecord>, OutboxError> {
        if self.0.disk().is_unreadable {
            return Err(OutboxError::Storage("the records cannot be read".into()));
        }
        Ok(self.0.records())
    }

    fn commit(&mut self, changes: &[OutboxChange]) -> Result<(), OutboxError> {
        let disk = self.0.disk();
        let waited = self.0.changed.wait_while(disk, |disk| disk.is_stuck);
        let mut disk = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = &disk.failure {
            return Err(error.clone());
        }
        let is_long = |change: &OutboxChange| {
            let is_longer = |max| matches!(change, OutboxChange::Put(it) if it.content.len() > max);
            disk.max_content.is_some_and(is_longer)
        };
        if changes.iter().any(is_long) {
            return Err(OutboxError::Storage("a record is too long".into()));
        }
        disk.commits += 1;
        for change in changes {
            match change {
                OutboxChange::Put(record) => {
                    disk.records.insert(record.id, record.clone());
                }
                OutboxChange::SetState { id, state, .. } => {
                    if let Some(record) = disk.records.get_mut(id) {
                        record.state.clone_from(state);
                    }
                }
                OutboxChange::Remove(id) => drop(disk.records.remove(id)),
                _ => unreachable!("an unknown change"),
            }
        }
        Ok(())
    }

    fn clear(&mut self, records: &[RecordId]) -> Result<(), OutboxError> {
        let changes: Vec<_> = records.iter().map(|id| OutboxChange::Remove(*id)).collect();
        self.commit(&changes)
    }
}

/// A [`Sealer`] that encrypts nothing, but opens only what was sealed with the same key and associated data.
#[derive(Clone, Debug)]
pub struct LabelSealer(pub &'static str);

impl LabelSealer {
    fn label(&self, associated_data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(associated_data.len()).expect("a short text").to_be_bytes();
        [self.0.as_bytes(), &length, associated_data].concat()
    }
}

impl Sealer for LabelSealer {
    fn seal(&self, associated_data: &[u8], plaintext: &[u8]) -> Option<Vec<u8>> {
        let label = self.label(associated_data);
        let sum: u8 =
            plaintext.iter().fold(0, |sum, byte| sum.wrapping_mul(31).wrapping_add(*byte));
        Some([&label, &[sum][..], plaintext].concat())
    }

    fn open(&self, associated_data: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let plaintext = sealed.strip_prefix(&*self.label(associated_data))?.get(1..)?;
        let is_sealed = self.seal(associated_data, plaintext)? == sealed;
        is_sealed.then(|| plaintext.to_vec())
    }
}
