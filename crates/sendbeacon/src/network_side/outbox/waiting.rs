//! The records that wait to be sent: which one is next, and when.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use sendbeacon_fetch::{Client, PartitionKey, Site, host::RecordId};
use url::Url;

use super::record::Kept;

/// The first wait after an attempt that did not reach its server. Each further wait is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(60);

/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// How many requests of the outbox run at once, when the last ones were delivered. It begins with one.
const MAX_RUNNING: usize = 8;

/// How often the records are looked through at most because of what pages do.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The records that wait.
pub(super) struct Waiting {
    entries: BTreeMap<RecordId, Entry>,
    /// When to look through them.
    look: Option<Instant>,
    /// When they were looked through.
    looked: Option<Instant>,
    /// The partitions of the records that are tried at the moment, each as often as it has one.
    running: HashMap<PartitionKey, usize>,
    /// How many may be tried at once: twice as many after each success, and one after a failure.
    may_run: usize,
}

/// A record that waits.
pub(super) struct Entry {
    pub(super) kept: Kept,
    pub(super) history: History,
    /// It is not tried before.
    next: Instant,
    /// What is being done about it.
    phase: Phase,
}

/// What has been done about a record.
#[derive(Clone, Copy, Default)]
pub(super) struct History {
    /// How often runs of the app have begun to send the request and have not learned whether it arrived.
    pub(super) attempts: u8,
    /// How often this run has tried it in vain.
    pub(super) failures: u32,
    /// Whether a byte of it may have been given to the network.
    pub(super) may_be_sent: bool,
}

enum Phase {
    Waits,
    /// The embedder is asked whether it may be sent without a document.
    Asked,
    /// The embedder permits it.
    Permitted,
    /// The embedder does not permit it, and is not asked again before this time.
    Refused(Instant),
    /// The attempt is being noted on the disk.
    Begins,
}

/// What to do about records that wait.
pub(crate) enum Look {
    /// They have waited too long.
    Expired(Vec<RecordId>),
    /// It is its turn.
    Try(RecordId),
    /// The embedder is to be asked about them.
    Ask(Vec<Question>),
}

/// A question to the embedder: whether a record may be sent without a document of its partition.
pub(crate) struct Question {
    pub(in crate::network_side) record: RecordId,
    pub(in crate::network_side) kept: Kept,
    pub(in crate::network_side) age: Duration,
}

impl Question {
    /// The top-level site of the record, and where it goes.
    pub(in crate::network_side) fn site_and_destination(&self) -> (&Site, &Url) {
        (&self.kept.client.network_partition_key.top_level_site, self.kept.request.url())
    }
}

/// The embedder's answer.
pub(crate) struct Permission {
    pub(in crate::network_side) record: RecordId,
    pub(in crate::network_side) is_permitted: bool,
}

impl Default for Waiting {
    fn default() -> Self {
        let (entries, running) = (BTreeMap::new(), HashMap::new());
        Self { entries, look: None, looked: None, running, may_run: 1 }
    }
}

impl Waiting {
    pub(super) fn add(&mut self, id: RecordId, kept: Kept, history: History, now: Instant) {
        let failures = history.failures;
        let wait = FIRST_WAIT.saturating_mul(1 << failures.saturating_sub(1).min(10));
        let wait = if failures == 0 { Duration::ZERO } else { wait.min(LONGEST_WAIT) };
        let (next, phase) = (now + wait, Phase::Waits);
        self.entries.insert(id, Entry { kept, history, next, phase });
        self.look_at(next);
    }

    /// Looks through the records at this time, or earlier.
    pub(super) fn look_at(&mut self, at: Instant) {
        self.look = Some(self.look.map_or(at, |look| look.min(at)));
    }

    /// Looks through the records soon. Pages may ask for it as often as they like.
    pub(super) fn look_soon(&mut self, now: Instant) {
        self.look_at(self.looked.map_or(now, |looked| now.max(looked + LOOK_EVERY)));
    }

    /// No record waits because of an attempt or an answer that came before.
    pub(super) fn forget_waits(&mut self, now: Instant) {
        for entry in self.entries.values_mut() {
            entry.next = now;
            if matches!(entry.phase, Phase::Refused(_)) {
                entry.phase = Phase::Waits;
            }
        }
        self.look_at(now);
    }

    pub(super) fn next_look(&self) -> Option<Instant> {
        self.look.filter(|_| !self.entries.is_empty())
    }

    /// What to do next, if it is time to look. The partition with the fewest running requests is first, and its oldest
    /// record.
    pub(super) fn next(
        &mut self,
        now: Instant,
        age: impl Fn(&Kept) -> Duration,
        expires_after: Duration,
        is_active: impl Fn(&Client) -> bool,
    ) -> Option<Look> {
        if self.look.is_none_or(|look| look > now) {
            return None;
        }
        // NB: what concerns many records is returned for all of them at once, because there may be thousands.
        let begins = |entry: &Entry| matches!(entry.phase, Phase::Begins);
        let is_over = |entry: &Entry| !begins(entry) && age(&entry.kept) >= expires_after;
        let expired = self.entries.iter().filter(|(_, entry)| is_over(entry));
        let expired: Vec<_> = expired.map(|(id, _)| *id).collect();
        if !expired.is_empty() {
            return Some(Look::Expired(expired));
        }
        let mut questions = Vec::new();
        let may_run = self.running.values().sum::<usize>() < self.may_run;
        let mut active = HashMap::new();
        let mut best: Option<(usize, Duration, RecordId)> = None;
        let mut again: Option<Instant> = None;
        for (id, entry) in &mut self.entries {
            if begins(entry) {
                continue;
            }
            let age = age(&entry.kept);
            let left = expires_after.saturating_sub(age);
            let mut wait_until = |at: Instant| again = Some(again.map_or(at, |it| it.min(at)));
            wait_until(now + left);
            if entry.next > now {
                wait_until(entry.next);
                continue;
            }
            let partition = &entry.kept.client.network_partition_key;
            let is_active = match active.get(partition) {
                Some(is_active) => *is_active,
                None => *active.entry(partition.clone()).or_insert(is_active(&entry.kept.client)),
            };
            match entry.phase {
                Phase::Asked if !is_active => continue,
                Phase::Waits if !is_active => {
                    entry.phase = Phase::Asked;
                    questions.push(Question { record: *id, kept: entry.kept.clone(), age });
                    continue;
                }
                Phase::Refused(until) if !is_active => {
                    if until <= now {
                        entry.phase = Phase::Waits;
                    }
                    wait_until(until);
                    continue;
                }
                _ => {}
            }
            if may_run {
                let running = self.running.get(partition).copied().unwrap_or(0);
                let is_better = best.is_none_or(|(fewest, oldest, _)| {
                    running < fewest || running == fewest && age > oldest
                });
                if is_better {
                    best = Some((running, age, *id));
                }
            }
        }
        if !questions.is_empty() {
            return Some(Look::Ask(questions));
        }
        if let Some((_, _, id)) = best {
            return Some(Look::Try(id));
        }
        self.looked = Some(now);
        self.look = again;
        None
    }

    pub(super) fn permitted(&mut self, permission: &Permission, now: Instant) {
        // NB: a document may have come before the answer.
        if let Some(entry) = self.entries.get_mut(&permission.record)
            && matches!(entry.phase, Phase::Asked)
        {
            entry.phase = if permission.is_permitted {
                Phase::Permitted
            } else {
                Phase::Refused(now + LONGEST_WAIT)
            };
            self.look_at(now);
        }
    }

    /// Begins an attempt, and returns the history of which it is a part.
    pub(super) fn begin(&mut self, id: RecordId) -> Option<History> {
        let entry = self.entries.get_mut(&id)?;
        entry.phase = Phase::Begins;
        entry.history.attempts = entry.history.attempts.saturating_add(1);
        let partition = entry.kept.client.network_partition_key.clone();
        *self.running.entry(partition).or_default() += 1;
        Some(entry.history)
    }

    /// The attempt of a record of this client has ended.
    pub(super) fn ended(&mut self, client: &Client, is_delivered: bool, now: Instant) {
        self.stopped(&client.network_partition_key);
        self.may_run = if is_delivered { (self.may_run * 2).min(MAX_RUNNING) } else { 1 };
        self.look_at(now);
    }

    fn stopped(&mut self, partition: &PartitionKey) {
        if let Some(running) = self.running.get_mut(partition) {
            *running -= 1;
            if *running == 0 {
                self.running.remove(partition);
            }
        }
    }

    /// Takes a record out. Its attempt, if it has begun, goes on.
    pub(super) fn take(&mut self, id: RecordId) -> Option<Entry> {
        self.entries.remove(&id)
    }

    /// Takes out the records for which `matches` is true. An attempt that was being noted does not begin.
    pub(super) fn take_where(&mut self, matches: impl Fn(&Kept) -> bool) -> Vec<(RecordId, Entry)> {
        let ids = self.entries.iter().filter(|(_, entry)| matches(&entry.kept));
        let ids: Vec<_> = ids.map(|(id, _)| *id).collect();
        let mut taken = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(entry) = self.entries.remove(&id) else { continue };
            if matches!(entry.phase, Phase::Begins) {
                self.stopped(&entry.kept.client.network_partition_key);
            }
            taken.push((id, entry));
        }
        taken
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Kept> {
        self.entries.values().map(|entry| &entry.kept)
    }
}

#[cfg(test)]
mod tests;
