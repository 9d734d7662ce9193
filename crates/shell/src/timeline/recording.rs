//! Everything that a timeline has recorded.

use std::collections::{BTreeMap, HashMap};

use sendbeacon::{FetchId, FetchInfo};
use url::Url;

use super::{
    document::{At, DocumentLine},
    fetch::{FetchLine, Kind, State, shown},
};
use crate::room::Room;

/// How many fetches are kept.
const MAX_FETCHES: usize = 20_000;

/// How many documents are kept.
const MAX_DOCUMENTS: usize = 5_000;

/// How many bytes of headers, bodies and messages are kept, beside the URL and the end of each fetch.
const MAX_BYTES: usize = 32 << 20;

/// The documents and their fetches. All times are in milliseconds since the beginning.
pub(super) struct Recording {
    pub(super) documents: BTreeMap<u64, DocumentLine>,
    pub(super) fetches: Vec<FetchLine>,
    /// The indexes of the unfinished fetches.
    unfinished: HashMap<FetchId, usize>,
    /// The room for further fetches, and for their headers, bodies and messages.
    pub(super) room: Room,
    /// When the shutdown began.
    pub(super) drain: Option<At>,
}

impl Default for Recording {
    fn default() -> Self {
        Self {
            documents: BTreeMap::new(),
            fetches: Vec::new(),
            unfinished: HashMap::new(),
            room: Room::new(MAX_FETCHES, MAX_BYTES),
            drain: None,
        }
    }
}

impl Recording {
    /// Adds a document, if there is room for it.
    pub(super) fn begin_document(&mut self, id: u64, url: &Url, is_worker: bool, at: At) {
        if self.documents.len() < MAX_DOCUMENTS {
            self.documents
                .entry(id)
                .or_insert_with(|| DocumentLine::new(id, shown(url), is_worker, at));
        }
    }

    /// Adds a fetch, if there is room for it.
    pub(super) fn push(&mut self, fetch: FetchLine) -> Option<usize> {
        // Its headers, its body and its messages come later.
        if !self.room.take_item(0) {
            return None;
        }
        self.fetches.push(fetch);
        Some(self.fetches.len() - 1)
    }

    /// A document has called `fetchLater()`.
    pub(super) fn defer(&mut self, id: FetchId, document: u64, url: String, at: At) {
        // It may have been sent before the call has returned.
        let sent = self.fetches.iter_mut().rev().find(|it| it.id == Some(id));
        if let Some(line) = sent {
            line.kind = Kind::Deferred;
            return;
        }
        let mut line = FetchLine::new(document, Kind::Deferred, url, at);
        line.enter(at, State::Deferred, "fetchLater() is called");
        if let Some(index) = self.push(line) {
            self.unfinished.insert(id, index);
        }
    }

    /// A fetch has reached the network side.
    pub(super) fn queue(&mut self, fetch: &FetchInfo, at: At) {
        let (document, client) = (fetch.client.document_id, &fetch.client);
        // The shell tells of a document before the document can fetch. This one is of another embedder's making.
        self.begin_document(document, &client.creation_url, !client.has_document, at);
        if !self.unfinished.contains_key(&fetch.id) {
            let kind = Kind::of(fetch.initiator_type);
            let line = FetchLine::new(document, kind, shown(&fetch.url), at);
            let Some(index) = self.push(line) else { return };
            self.unfinished.insert(fetch.id, index);
        }
        if let Some(line) = self.fetch(fetch.id) {
            (line.keepalive, line.body_length) = (fetch.keepalive, fetch.body_length);
            (line.id, line.queued) = (Some(fetch.id), Some(at));
            line.enter(at, State::Queued, "queued");
        }
    }

    /// An unfinished fetch, if it was kept.
    pub(super) fn fetch(&mut self, id: FetchId) -> Option<&mut FetchLine> {
        let index = *self.unfinished.get(&id)?;
        self.fetches.get_mut(index)
    }

    /// An unfinished fetch, if it was kept, and the room for its headers, its body and its messages.
    pub(super) fn fetch_and_room(&mut self, id: FetchId) -> Option<(&mut FetchLine, &mut Room)> {
        let index = *self.unfinished.get(&id)?;
        Some((self.fetches.get_mut(index)?, &mut self.room))
    }

    /// Like [`fetch`](Self::fetch). The fetch ends now.
    pub(super) fn finish(&mut self, id: FetchId) -> Option<&mut FetchLine> {
        let index = self.unfinished.remove(&id)?;
        self.fetches.get_mut(index)
    }
}
