//! The network side of the outbox: which unfinished requests get a record, and what becomes of the records.

mod clock;
mod gate;
pub(super) mod news;
mod outcome;
mod record;
mod room;
mod seal;
mod services;
mod telling;
mod thread;
mod waiting;

use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use rustc_hash::FxHashMap;
use sendbeacon_fetch::{
    Client, Request,
    fetch::Profile,
    host::{CookieStore, Network, Outbox, Progress, RecordId},
};
use tokio::{sync::oneshot, time::timeout};

use self::{
    clock::Clock,
    news::{Made, News},
    outcome::{cleared, expired, is_for_want_of_time},
    record::{State, Timestamp, random_id},
    room::has_room,
    seal::Seal,
    services::{WaitingNetwork, profile_of, request_of},
    thread::{Job, Thread},
    waiting::{History, Permission, Waiting},
};
pub(super) use self::{
    gate::{Gate, Whose},
    record::{Kept, KeptRequest},
    telling::{ClearReply, Telling},
    waiting::{Look, Question},
};
use super::mailbox::{Mailbox, Message};
use crate::{
    event::Outcome,
    id::{FetchId, GroupId},
    message::{Flag, GroupState},
    outbox::{OutboxSettings, Redelivery, RedeliveryCookies},
    site_data::SiteData,
};

/// How often a record is tried whose end no run of the app has learned.
const MAX_ATTEMPTS: u8 = 3;

/// How long the body and the cookies of a record may take. A shutdown waits for them.
const MADE_WITHIN: Duration = Duration::from_secs(5);

/// Puts unfinished requests into the outbox, and takes them out again.
pub(crate) struct Keeping {
    settings: OutboxSettings,
    thread: Thread,
    mailbox: Mailbox,
    cookies: Arc<dyn CookieStore>,
    /// The requests that get a record if they are unfinished at this time. The delay is constant, so the first is next.
    due: VecDeque<(Instant, FetchId)>,
    /// How many records are being made.
    making: usize,
    /// The records of unfinished requests, and of pending deferred fetches.
    records: FxHashMap<FetchId, Record>,
    /// The records that wait to be sent.
    waiting: Waiting,
    /// What is to be cleared as soon as the records have been read. `None` after that.
    clears: Option<Vec<(SiteData, ClearReply)>>,
    /// The group of the requests that come from the outbox. Their documents have gone.
    group: Arc<GroupState>,
    clock: Clock,
}

/// The record of an unfinished request.
struct Record {
    id: RecordId,
    kept: Kept,
    /// Whether it is durable.
    is_safe: bool,
    /// What was done about it before this request.
    history: History,
    /// The services for the request, if it comes from the outbox.
    profile: Option<Arc<Profile>>,
}

impl Keeping {
    /// Starts the outbox's thread. `profile` is that of the user agent.
    pub(crate) fn start(
        store: Box<dyn Outbox>,
        settings: OutboxSettings,
        profile: &mut Profile,
        mailbox: &Mailbox,
    ) -> io::Result<Self> {
        if !profile.network.waits_before_writing() {
            let network: Arc<dyn Network> = Arc::clone(&profile.network);
            profile.network = Arc::new(WaitingNetwork(network));
        }
        let seal = Seal { sealer: settings.sealer.clone(), profile: settings.profile.clone() };
        let of_thread = mailbox.clone();
        let tell = move |news| {
            of_thread.put(Message::Outbox(news));
        };
        let thread = Thread::start(store, seal, tell)?;
        let group = Arc::new(GroupState::new(GroupId(u64::MAX), None));
        group.set(Flag::Terminated);
        Ok(Self {
            settings,
            thread,
            mailbox: mailbox.clone(),
            cookies: Arc::clone(&profile.cookies),
            due: VecDeque::new(),
            making: 0,
            records: FxHashMap::default(),
            waiting: Waiting::default(),
            clears: Some(Vec::new()),
            group,
            clock: Clock::new(Timestamp::default(), crate::clock::now()),
        })
    }

    /// A request has come, or a deferred fetch. It gets a record if it is unfinished after a while.
    pub(super) fn queued(&mut self, id: FetchId, now: Instant) {
        if !self.has(id) {
            self.due.push_back((now + self.settings.persist_after, id));
        }
    }

    /// The next request that has been unfinished for so long that it gets a record now. It may be finished.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<FetchId> {
        let (at, id) = *self.due.front()?;
        (at <= now).then(|| {
            self.due.pop_front();
            id
        })
    }

    /// Every request gets a record now, if it can, and each that still comes gets one at once.
    pub(super) fn make_all_due(&mut self, ids: impl Iterator<Item = FetchId>, now: Instant) {
        self.settings.persist_after = Duration::ZERO;
        let records = &self.records;
        self.due = ids.filter(|id| !records.contains_key(id)).map(|id| (now, id)).collect();
    }

    /// Begins to make the record of an unfinished request, if it may be kept. A message follows.
    pub(super) fn make(
        &mut self,
        fetch: FetchId,
        client: &Arc<Client>,
        request: KeptRequest,
        now: Instant,
    ) {
        if !request.may_be_kept(client) || self.has(fetch) {
            return;
        }
        self.making += 1;
        let has_cookies = self.settings.sealer.is_some()
            && self.settings.cookies == RedeliveryCookies::IfUnchanged;
        let cookies = has_cookies.then(|| Arc::clone(&self.cookies));
        let (client, created) = (Arc::clone(client), self.clock.now(now));
        // It tells its end even if the embedder's cookie store panics.
        let made = Made { fetch, content: None };
        let telling = Telling::new(self.mailbox.clone(), News::Made(made));
        tokio::spawn(async move {
            let making = Kept::make(client, request, created, cookies);
            let content = timeout(MADE_WITHIN, making).await.ok().flatten().map(Box::new);
            telling.tell(News::Made(Made { fetch, content }));
        });
    }

    /// Puts a record that was made, if there is room.
    pub(super) fn made(&mut self, made: Made, whose: &Whose<'_>, now: Instant) {
        self.making -= 1;
        let Made { fetch, content } = made;
        let Some((kept, content)) = content.map(|it| *it) else { return };
        let gate = match whose {
            Whose::Request(gate) => Some(*gate),
            Whose::Deferred => None,
            Whose::Ended => return,
        };
        if self.has(fetch) {
            // It was due twice: a shutdown has begun while the first record was made.
            return;
        }
        let records = self.records.values().map(|record| &record.kept);
        if self.thread.is_behind()
            || !has_room(&self.settings, &kept, records.chain(self.waiting.all()))
        {
            return;
        }
        let id = random_id();
        let may_be_sent = gate.is_some_and(Gate::has_passed);
        if may_be_sent && self.settings.redelivery == Redelivery::OnlyUnsent {
            return;
        }
        let written_at = self.clock.now(now);
        let put = Job::Put { fetch, id, state: State::new(written_at, 0, may_be_sent), content };
        let is_put = match gate {
            Some(gate) if !may_be_sent => {
                let passed = State::new(written_at, 0, true);
                gate.close(id, self.thread.clone(), passed, Some(put))
            }
            _ => {
                self.thread.ask(put);
                true
            }
        };
        if is_put {
            let (history, profile) = (History::default(), None);
            self.records.insert(fetch, Record { id, kept, is_safe: false, history, profile });
        }
    }

    /// A pending deferred fetch is sent now, and `gate` is that of its request. Returns its record, if that is durable.
    pub(super) fn begun(&mut self, fetch: FetchId, gate: &Gate, now: Instant) -> Option<RecordId> {
        let written_at = self.clock.now(now);
        let record = self.records.get(&fetch)?;
        let passed = State::new(written_at, record.history.attempts, true);
        gate.close(record.id, self.thread.clone(), passed, None);
        record.is_safe.then_some(record.id)
    }

    /// A record was put, or could not be. Returns whether the request is unfinished and the record is durable now.
    pub(super) fn put(&mut self, fetch: FetchId, is_put: bool) -> Option<RecordId> {
        if is_put {
            let record = self.records.get_mut(&fetch)?;
            record.is_safe = true;
            return Some(record.id);
        }
        self.records.remove(&fetch);
        None
    }

    /// A request has ended with this outcome, or a deferred fetch was aborted. Returns the outcome to tell. `has_passed`
    /// says whether a byte of it may have been sent.
    pub(super) fn ended(
        &mut self,
        fetch: FetchId,
        outcome: Outcome,
        has_passed: bool,
        now: Instant,
    ) -> Outcome {
        let Some(record) = self.records.remove(&fetch) else { return outcome };
        let Record { id, kept, is_safe, mut history, profile } = record;
        let is_redelivered = profile.is_some();
        if is_redelivered {
            let is_delivered = matches!(outcome, Outcome::Delivered { .. });
            self.waiting.ended(&kept.client, is_delivered, now);
        }
        let (error, progress) = match outcome {
            Outcome::Failed { error, progress } if is_safe && is_for_want_of_time(&error) => {
                (error, progress)
            }
            outcome => {
                self.thread.ask(Job::Remove(id));
                return outcome;
            }
        };
        let is_unsent = !has_passed && progress == Progress::Unsent;
        let stays = match self.settings.redelivery {
            Redelivery::OnlyUnsent => is_unsent,
            Redelivery::AtLeastOnce => is_unsent || history.attempts < MAX_ATTEMPTS,
        };
        if !stays {
            self.thread.ask(Job::Remove(id));
            return Outcome::Failed { error, progress };
        }
        if is_unsent {
            // An attempt that ended without a byte does not count.
            history.attempts = history.attempts.saturating_sub(1);
        }
        history.failures += 1;
        history.may_be_sent |= !is_unsent;
        if is_redelivered {
            let state = State::new(self.clock.now(now), history.attempts, history.may_be_sent);
            self.thread.ask(Job::SetState { id, state, reply: None });
        }
        self.waiting.add(id, kept, history, now);
        Outcome::Kept { record: id, error, progress }
    }

    /// The records that were there at the start have been read. Returns those that end at once, with their outcomes.
    pub(super) fn loaded(
        &mut self,
        records: Vec<(RecordId, State, Kept)>,
        now: Instant,
    ) -> Vec<(RecordId, Kept, Outcome)> {
        let latest =
            records.iter().map(|(_, state, kept)| state.written_at.max(kept.created)).max();
        self.clock = Clock::new(latest.unwrap_or_default(), now);
        let mut over = Vec::new();
        for (id, state, kept) in records {
            let outcome = if self.is_expired(&kept, now) {
                Some(expired(self.settings.expires_after, state.may_be_sent))
            } else if state.attempts >= MAX_ATTEMPTS
                || state.may_be_sent && self.settings.redelivery == Redelivery::OnlyUnsent
            {
                Some(Outcome::Unknown)
            } else {
                None
            };
            if let Some(outcome) = outcome {
                self.thread.ask(Job::Remove(id));
                over.push((id, kept, outcome));
            } else {
                let State { attempts, may_be_sent, .. } = state;
                let history = History { attempts, failures: 0, may_be_sent };
                self.waiting.add(id, kept, history, now);
            }
        }
        self.waiting.look_at(now);
        for (data, reply) in self.clears.take().into_iter().flatten() {
            over.extend(self.clear(&data, reply));
        }
        over
    }

    fn is_expired(&self, kept: &Kept, now: Instant) -> bool {
        self.clock.now(now).since(kept.created) >= self.settings.expires_after
    }

    /// A document has come or has become fully active: a record that waits may have its turn.
    pub(super) fn look(&mut self, now: Instant) {
        self.waiting.look_soon(now);
    }

    /// There is another network, or one again. Every record that waits may have its turn.
    pub(super) fn network_changed(&mut self, now: Instant) {
        self.waiting.forget_waits(now);
    }

    /// When to call [`next_due`](Self::next_due) or [`next`](Self::next) again.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let due = self.due.front().map(|(at, _)| *at);
        due.into_iter().chain(self.waiting.next_look()).min()
    }

    /// What to do next about a record that waits, if it is time to look. `is_active` says whether a document of a network
    /// partition is fully active.
    pub(super) fn next(
        &mut self,
        now: Instant,
        is_active: impl Fn(&Client) -> bool,
    ) -> Option<Look> {
        let (clock, expires_after) = (self.clock.now(now), self.settings.expires_after);
        self.waiting.next(now, |kept| clock.since(kept.created), expires_after, is_active)
    }

    /// A record that waited too long ends. Returns the outcome to tell.
    pub(super) fn expire(&mut self, id: RecordId) -> Option<(Kept, Outcome)> {
        let entry = self.waiting.take(id)?;
        self.thread.ask(Job::Remove(id));
        Some((entry.kept, expired(self.settings.expires_after, entry.history.may_be_sent)))
    }

    /// The embedder's answer about a record that waits.
    pub(super) fn permitted(&mut self, permission: &Permission, now: Instant) {
        self.waiting.permitted(permission, now);
    }

    /// Notes on the disk that a record is tried, as an attempt. A message follows when that is durable.
    pub(super) fn attempt(&mut self, id: RecordId, now: Instant) {
        let written_at = self.clock.now(now);
        let Some(History { attempts, may_be_sent, .. }) = self.waiting.begin(id) else { return };
        let state = State::new(written_at, attempts, may_be_sent);
        let (reply, noted) = oneshot::channel();
        self.thread.ask(Job::SetState { id, state, reply: Some(reply) });
        let telling = Telling::new(self.mailbox.clone(), News::Attempt(id));
        tokio::spawn(async move {
            let _ = noted.await;
            drop(telling);
        });
    }

    /// The request of a record, which is sent as the fetch `fetch`, with the profile for it.
    pub(super) fn take(
        &mut self,
        id: RecordId,
        fetch: FetchId,
        profile: &Profile,
    ) -> Option<(Box<Request>, Arc<GroupState>)> {
        let entry = self.waiting.take(id)?;
        let is_sealed = self.settings.sealer.is_some();
        let request = request_of(&entry.kept, self.settings.cookies, is_sealed);
        let profile = profile_of(profile, &entry.kept, self.settings.cookies);
        let (kept, history, profile) = (entry.kept, entry.history, Some(Arc::new(profile)));
        self.records.insert(fetch, Record { id, kept, is_safe: true, history, profile });
        Some((request, Arc::clone(&self.group)))
    }

    /// The services for a fetch that comes from the outbox.
    pub(super) fn profile_of(&self, fetch: FetchId) -> Option<Arc<Profile>> {
        self.records.get(&fetch)?.profile.clone()
    }

    /// Whether the fetch has a record.
    pub(super) fn has(&self, fetch: FetchId) -> bool {
        self.records.contains_key(&fetch)
    }

    /// The group of the requests that come from the outbox.
    pub(super) fn group(&self) -> Arc<GroupState> {
        Arc::clone(&self.group)
    }

    /// Removes the records of this data that wait, so that nothing of them or of an earlier record can be read. The reply
    /// comes when that is durable. Returns the records, with their outcomes.
    pub(super) fn clear(
        &mut self,
        data: &SiteData,
        reply: ClearReply,
    ) -> Vec<(RecordId, Kept, Outcome)> {
        if let Some(clears) = &mut self.clears {
            clears.push((data.clone(), reply));
            return Vec::new();
        }
        let taken = self.waiting.take_where(|Kept { client, request, created, .. }| {
            let partition = &client.network_partition_key;
            data.has(&client.origin, request.url(), partition, || created.to_system_time())
        });
        let ids = taken.iter().map(|(id, _)| *id).collect();
        self.thread.ask(Job::Clear(ids, reply));
        let over = taken.into_iter();
        over.map(|(id, entry)| (id, entry.kept, cleared(entry.history.may_be_sent))).collect()
    }

    /// Whether nothing is on its way to the disk.
    pub(super) fn is_idle(&self) -> bool {
        self.making == 0 && self.due.is_empty() && self.thread.is_idle()
    }
}
