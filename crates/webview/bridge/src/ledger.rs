//! How much the documents of all webviews have unfinished.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use sendbeacon::{FetchId, KeepaliveLimits};

use crate::{
    message::{DocumentKey, MessageError, Sending},
    request::PageRequest,
    webview_id::WebviewId,
};

/// How much memory the unfinished requests of all webviews may take, in bytes.
///
/// Scripts admit requests without asking, and hear only after a while that there is no room. So they are told early: a
/// document that hears nothing may admit [`DOCUMENT`] and [`DEFERRED`], and there is still room for that.
const MEMORY: u64 = 32 << 20;

/// From here on all scripts are told that there is no room.
const FULL: u64 = MEMORY - DOCUMENT - DEFERRED;

/// How much memory the unfinished requests of one webview may take. The rest is for other webviews.
const SHARE: u64 = MEMORY / 2;

/// From here on the scripts of a webview are told that there is no room.
const FULL_SHARE: u64 = SHARE - DOCUMENT - DEFERRED;

/// How much memory a document's script may admit at a time, as the script counts it. The script has the same number.
const DOCUMENT: u64 = 8 << 20;

/// How much memory the deferred fetches of a document may take, as its script counts it. The script has the same number.
const DEFERRED: u64 = 4 << 20;

/// What the library keeps about a request, beside its body, its URL and its headers.
const OVERHEAD: u64 = 2_048;

/// What the library keeps about a header, beside its name and its value.
const HEADER_OVERHEAD: u64 = 128;

/// Sums over requests of one document. The script's mirror has the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) bytes: u64,
    pub(crate) requests: u64,
    pub(crate) url_bytes: u64,
}

/// How much a request counts. A script may say of it what it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weight {
    /// In the script's mirror, as the script says.
    pub(crate) claimed: Sums,
    /// In the quota of its document: what the script says, if that is not too little.
    pub(crate) sums: Sums,
    /// How much memory it takes, in bytes.
    memory: u64,
}

/// The unfinished requests of all webviews.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Unfinished {
    requests: HashMap<FetchId, UnfinishedRequest>,
    memory: u64,
    /// The memory of each webview that has any.
    of_webviews: HashMap<WebviewId, u64>,
    /// How many requests each settings object has, by its address.
    of_settings: HashMap<usize, u64>,
}

/// How much memory a settings object takes, in bytes. It counts once while requests of it are unfinished. Each settings
/// object has its own `Arc`.
pub(crate) type SettingsMemory = Arc<u64>;

/// A request that is unfinished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnfinishedRequest {
    pub(crate) webview: WebviewId,
    pub(crate) document: DocumentKey,
    pub(crate) weight: Weight,
    pub(crate) settings: SettingsMemory,
    /// Whether it is one of `fetchLater()`, which does not count in the mirror of the keepalive quota.
    pub(crate) is_deferred: bool,
}

impl Sums {
    /// What a request counts in the script's mirror, as the script says.
    pub(crate) fn claimed(sending: &Sending) -> Self {
        Self { bytes: sending.bytes, requests: 1, url_bytes: sending.url_bytes }
    }

    /// Whether this may be unfinished in one document.
    pub(crate) fn fits(&self) -> bool {
        let KeepaliveLimits { body_bytes, requests, url_bytes, .. } = KeepaliveLimits::DEFAULT;
        self.bytes <= body_bytes.into()
            && self.requests <= requests.into()
            && self.url_bytes <= url_bytes.into()
            && self.memory() <= DOCUMENT
    }

    /// How much memory the script counts.
    fn memory(self) -> u64 {
        let bytes = self.bytes.saturating_add(self.url_bytes.saturating_mul(2));
        bytes.saturating_add(self.requests.saturating_mul(OVERHEAD))
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            requests: self.requests.saturating_add(other.requests),
            url_bytes: self.url_bytes.saturating_add(other.url_bytes),
        }
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            requests: self.requests.saturating_sub(other.requests),
            url_bytes: self.url_bytes.saturating_sub(other.url_bytes),
        }
    }
}

impl Weight {
    /// The weight of a request. `request` is what a `fetch()` or a `fetchLater()` has beside its URL and its body.
    pub(crate) fn of(
        sending: &Sending,
        request: Option<&PageRequest>,
    ) -> Result<Self, MessageError> {
        let claimed = Sums::claimed(sending);
        let (body, content_type) = sending.body_lengths()?;
        let sums = Sums {
            bytes: claimed.bytes.max(body),
            requests: 1,
            url_bytes: claimed.url_bytes.max(sending.url()?.as_str().len() as u64),
        };
        let (headers, header_bytes) = request.map_or((0, 0), PageRequest::header_lengths);
        let memory = sums
            .memory()
            .saturating_add(content_type)
            .saturating_add(headers.saturating_mul(HEADER_OVERHEAD))
            .saturating_add(header_bytes);
        Ok(Self { claimed, sums, memory })
    }
}

impl Unfinished {
    /// Whether the scripts of this webview have to answer `false`.
    pub(crate) fn is_full(&self, webview: WebviewId) -> bool {
        self.memory >= FULL || self.memory_of(webview) >= FULL_SHARE
    }

    /// Whether all scripts have to answer `false`.
    pub(crate) fn is_full_for_all(&self) -> bool {
        self.memory >= FULL
    }

    /// Whether there is memory for another request of this webview, with this settings object.
    pub(crate) fn has_room(
        &self,
        webview: WebviewId,
        request: Weight,
        settings: &SettingsMemory,
    ) -> Result<(), MessageError> {
        let is_counted = self.of_settings.contains_key(&address(settings));
        let settings = if is_counted { 0 } else { **settings };
        let more = request.memory.saturating_add(settings);
        let sum = self.memory.saturating_add(more);
        let sum_of_webview = self.memory_of(webview).saturating_add(more);
        (sum <= MEMORY && sum_of_webview <= SHARE).then_some(()).ok_or(MessageError::NoMemory)
    }

    pub(crate) fn add(&mut self, id: FetchId, request: UnfinishedRequest) {
        let UnfinishedRequest { webview, weight, settings, .. } = &request;
        let requests = self.of_settings.entry(address(settings)).or_default();
        *requests += 1;
        let settings = if *requests == 1 { **settings } else { 0 };
        let more = weight.memory.saturating_add(settings);
        self.memory = self.memory.saturating_add(more);
        let of_webview = self.of_webviews.entry(*webview).or_default();
        *of_webview = of_webview.saturating_add(more);
        self.requests.insert(id, request);
    }

    pub(crate) fn get(&self, id: FetchId) -> Option<&UnfinishedRequest> {
        self.requests.get(&id)
    }

    /// Removes a request that is done. `None` if it is none of a webview.
    pub(crate) fn remove(&mut self, id: FetchId) -> Option<UnfinishedRequest> {
        let removed = self.requests.remove(&id)?;
        let UnfinishedRequest { webview, weight, settings, .. } = &removed;
        let mut less = weight.memory;
        if let Entry::Occupied(mut requests) = self.of_settings.entry(address(settings)) {
            *requests.get_mut() -= 1;
            if *requests.get() == 0 {
                requests.remove();
                less = less.saturating_add(**settings);
            }
        }
        self.memory = self.memory.saturating_sub(less);
        match self.memory_of(*webview).saturating_sub(less) {
            0 => self.of_webviews.remove(webview),
            of_webview => self.of_webviews.insert(*webview, of_webview),
        };
        Some(removed)
    }

    /// Whether there are any of this webview.
    pub(crate) fn has_any_of(&self, webview: WebviewId) -> bool {
        self.of_webviews.contains_key(&webview)
    }

    /// How much memory they take, in bytes.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> u64 {
        self.memory
    }

    fn memory_of(&self, webview: WebviewId) -> u64 {
        self.of_webviews.get(&webview).copied().unwrap_or_default()
    }
}

/// NB: an unfinished request keeps its `Arc`, so no other one has this address meanwhile.
fn address(settings: &SettingsMemory) -> usize {
    Arc::as_ptr(settings).addr()
}
