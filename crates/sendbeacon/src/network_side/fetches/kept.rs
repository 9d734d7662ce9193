//! The fetches and the outbox: which of them are kept, and which come from it.

use std::{sync::Arc, time::Instant};

use sendbeacon_fetch::{
    Client,
    deferred::{DeferredQueue, QueuedDeferredFetch},
    fetch::Profile,
    host::RecordId,
};

use super::{Fetches, Record, Running, Unstarted, Work};
use crate::{
    background_send::BackgroundAttempt,
    event::{EventKind, FetchInfo, Outcome},
    id::{FetchId, FetchIds, GroupId},
    message::GroupState,
    network_side::{
        outbox::{
            ClearReply, Keeping, Kept, KeptRequest, Look, Question, Telling, Whose, news::News,
        },
        teller::Teller,
    },
    site_data::SiteData,
};

/// The pending deferred fetches, each with its group.
type Deferred = DeferredQueue<(QueuedDeferredFetch, Arc<GroupState>)>;

impl Work {
    /// The parts that the outbox keeps.
    pub(super) fn kept(&self, info: &FetchInfo) -> KeptRequest {
        match self {
            Self::Beacon(data, _) => {
                KeptRequest::Beacon { url: Arc::clone(&info.url), data: data.clone() }
            }
            Self::Ping(ping) => {
                let (url, target_url) = (Arc::clone(ping.url()), ping.target_url().clone());
                KeptRequest::Ping { url, target_url }
            }
            Self::Request(request, _) => KeptRequest::Request(request.clone()),
        }
    }
}

impl Fetches {
    pub(in crate::network_side) fn keep(&mut self, keeping: Keeping) {
        self.keeping = Some(Box::new(keeping));
    }

    /// From now on nothing is kept, and nothing is taken out.
    pub(in crate::network_side) fn leave_outbox(&mut self) {
        self.keeping = None;
    }

    pub(in crate::network_side) fn has_outbox(&self) -> bool {
        self.keeping.is_some()
    }

    /// What the outbox may keep of a fetch that starts.
    pub(super) fn kept(&self, record: &Record, work: &Work) -> Option<KeptRequest> {
        let info = &record.teller.info;
        let may_need = info.keepalive && info.record.is_none();
        self.keeping.as_ref().filter(|_| may_need).map(|_| work.kept(info))
    }

    /// Whether nothing is on its way to the outbox.
    pub(in crate::network_side) fn is_outbox_idle(&self) -> bool {
        self.keeping.as_ref().is_none_or(|keeping| keeping.is_idle())
    }

    pub(super) fn next_timeout_of_outbox(&self) -> Option<Instant> {
        self.keeping.as_ref().and_then(|keeping| keeping.next_timeout())
    }

    /// A fetch has come. It is kept if it is unfinished after a while. If it comes from the outbox, or was a deferred
    /// fetch that is in it, its record is there.
    pub(super) fn keep_later(&mut self, id: FetchId, teller: &Teller, now: Instant) {
        let Some(keeping) = &mut self.keeping else { return };
        if let Some(record) = keeping.begun(id, &teller.gate, now) {
            teller.tell_at(now, || EventKind::Safe { record });
        }
        if teller.info.keepalive {
            keeping.queued(id, now);
        }
    }

    /// A fetch waits, or a deferred fetch is pending. It is kept if it still does after a while.
    pub(in crate::network_side) fn keep_soon(&mut self, id: FetchId, now: Instant) {
        if let Some(keeping) = &mut self.keeping {
            keeping.queued(id, now);
        }
    }

    pub(in crate::network_side) fn deferred_aborted(&mut self, id: FetchId, now: Instant) {
        if let Some(keeping) = &mut self.keeping {
            // It has no outcome to tell. This one removes its record.
            keeping.ended(id, Outcome::Unknown, false, now);
        }
    }

    /// A shutdown begins: everything that is unfinished is kept now.
    pub(in crate::network_side) fn keep_everything(&mut self, deferred: &Deferred, now: Instant) {
        if let Some(keeping) = &mut self.keeping {
            let fetches = self.queued.keys().chain(self.running.keys()).copied();
            keeping.make_all_due(fetches.chain(deferred.ids().map(FetchId)), now);
        }
    }

    /// The document of a group has gone. Nobody waits any more for the keepalive `fetch()` calls of the group.
    pub(in crate::network_side) fn keep_fetches_of(&mut self, group: GroupId, now: Instant) {
        let Some(keeping) = &mut self.keeping else { return };
        for id in self.dispatcher.members(group) {
            let queued = self.queued.get(&id).map(|queued| &queued.record);
            let record = queued.or_else(|| Some(&self.running.get(&id)?.record));
            if record.is_some_and(|record| record.teller.is_awaited) {
                keeping.queued(id, now);
            }
        }
    }

    /// Something has happened because of which a record may be sent.
    pub(in crate::network_side) fn look_into_outbox(&mut self, now: Instant) {
        if let Some(keeping) = &mut self.keeping {
            keeping.look(now);
        }
    }

    /// There is another network, or one again.
    pub(super) fn try_outbox_again(&mut self, now: Instant) {
        if let Some(keeping) = &mut self.keeping {
            keeping.network_changed(now);
        }
    }

    /// Makes the records that are due, and begins to send those that wait. `is_over`: a shutdown has begun, and nothing
    /// is taken out of the outbox.
    pub(in crate::network_side) fn act_on_outbox(
        &mut self,
        deferred: &Deferred,
        ids: &FetchIds,
        is_over: bool,
        now: Instant,
    ) {
        while let Some(id) = self.keeping.as_mut().and_then(|keeping| keeping.next_due(now)) {
            self.make_record(id, deferred, now);
        }
        if is_over {
            return;
        }
        let documents = Arc::clone(&self.listeners.retries.documents);
        let is_active =
            |client: &Client| documents.is_any_fully_active(&client.network_partition_key);
        while let Some(look) = self.keeping.as_mut().and_then(|it| it.next(now, is_active)) {
            match look {
                Look::Expired(records) => {
                    for record in records {
                        let over = self.keeping.as_mut().and_then(|keeping| keeping.expire(record));
                        if let Some((kept, outcome)) = over {
                            self.tell_over(record, ids.next(), &kept, outcome, now);
                        }
                    }
                }
                Look::Try(record) => {
                    if let Some(keeping) = &mut self.keeping {
                        keeping.attempt(record, now);
                    }
                }
                Look::Ask(questions) => questions.into_iter().for_each(|it| self.ask_about(it)),
            }
        }
    }

    fn make_record(&mut self, id: FetchId, deferred: &Deferred, now: Instant) {
        let Some(keeping) = &mut self.keeping else { return };
        if let Some(Running { record, kept, .. }) = self.running.get(&id) {
            if let Some(kept) = kept.as_ref().filter(|_| record.teller.outlives_its_reader()) {
                keeping.make(id, &record.teller.info.client, kept.clone(), now);
            }
        } else if let Some(Unstarted { work, record, .. }) = self.queued.get(&id) {
            if record.teller.outlives_its_reader() {
                let info = &record.teller.info;
                keeping.make(id, &info.client, work.kept(info), now);
            }
        } else if let Some((queued, _)) = deferred.get(id.0) {
            let request = Box::new(queued.request().clone());
            let client = Arc::clone(&request.client);
            keeping.make(id, &client, KeptRequest::Request(request), now);
        }
    }

    /// Hears what has become of a record.
    pub(in crate::network_side) fn hear_of_outbox(
        &mut self,
        news: News,
        deferred: &Deferred,
        ids: &FetchIds,
        now: Instant,
    ) {
        let Some(keeping) = &mut self.keeping else { return };
        match news {
            News::Loaded(records) => {
                for (record, kept, outcome) in keeping.loaded(records, now) {
                    self.tell_over(record, ids.next(), &kept, outcome, now);
                }
            }
            News::Made(made) => {
                let queued = self.queued.get(&made.fetch).map(|queued| &queued.record);
                let record = queued.or_else(|| Some(&self.running.get(&made.fetch)?.record));
                let whose = match record {
                    Some(record) => Whose::Request(&record.teller.gate),
                    None if deferred.get(made.fetch.0).is_some() => Whose::Deferred,
                    None => Whose::Ended,
                };
                keeping.made(made, &whose, now);
            }
            News::Put(fetch, is_put) => {
                let queued = self.queued.get(&fetch).map(|queued| &queued.record);
                let owner = queued.or_else(|| Some(&self.running.get(&fetch)?.record));
                if let (Some(record), Some(owner)) = (keeping.put(fetch, is_put), owner) {
                    owner.teller.tell_at(now, || EventKind::Safe { record });
                }
            }
            News::Attempt(record) => {
                let id = ids.next();
                let taken = keeping.take(record, id, &self.profile);
                if let Some((request, group)) = taken {
                    let (info, work) = Work::of_request(id, request, None);
                    let info = FetchInfo { record: Some(record), ..info };
                    self.queue((info, work), None, group, now);
                }
            }
            News::Permitted(permission) => keeping.permitted(&permission, now),
            // The message has woken the loop, which sees whether a shutdown has drained.
            News::Idle => {}
            News::Failed(error) => self.listeners.tell_outbox_failed(&error),
        }
    }

    /// Asks the embedder whether a record may be sent without a document. A message follows.
    fn ask_about(&self, question: Question) {
        let background_send = Arc::clone(&self.listeners.retries.background_send);
        let telling = Telling::about(question.record, self.listeners.mailbox.clone());
        tokio::spawn(async move {
            let (site, destination) = question.site_and_destination();
            let (age, network_changes) = (question.age, 0);
            let attempt = BackgroundAttempt { site, destination, age, network_changes };
            let answer = background_send.permits(attempt);
            telling.answer(answer.get().await);
        });
    }

    /// Tells the sink of a record that ends without a fetch.
    fn tell_over(
        &self,
        record: RecordId,
        id: FetchId,
        kept: &Kept,
        outcome: Outcome,
        now: Instant,
    ) {
        if let Some(keeping) = &self.keeping {
            self.tell_over_without_fetch(kept.info(id, record), keeping.group(), outcome, now);
        }
    }

    /// The services and settings for a fetch: those of the profile, or those for a request of the outbox.
    pub(super) fn profile_of(&self, id: FetchId) -> Arc<Profile> {
        let own = self.keeping.as_ref().and_then(|keeping| keeping.profile_of(id));
        own.unwrap_or_else(|| Arc::clone(&self.profile))
    }

    /// The outcome of a fetch, which may stay in the outbox.
    pub(super) fn outcome_with_outbox(
        &mut self,
        record: &Record,
        outcome: Outcome,
        now: Instant,
    ) -> Outcome {
        let Some(keeping) = &mut self.keeping else { return outcome };
        let teller = &record.teller;
        keeping.ended(teller.info.id, outcome, teller.gate.has_passed(), now)
    }

    /// Removes the records of this data that wait, and replies when that is durable. Returns the reply if there is no
    /// outbox.
    pub(in crate::network_side) fn clear_outbox(
        &mut self,
        data: &SiteData,
        reply: ClearReply,
        ids: &FetchIds,
        now: Instant,
    ) -> Option<ClearReply> {
        let Some(keeping) = &mut self.keeping else { return Some(reply) };
        for (record, kept, outcome) in keeping.clear(data, reply) {
            self.tell_over(record, ids.next(), &kept, outcome, now);
        }
        None
    }
}
