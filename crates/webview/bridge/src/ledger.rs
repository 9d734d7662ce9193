//! How much the documents of all webviews have unfinished.

use std::collections::HashMap;

use sendbeacon::{FetchId, KeepaliveLimits};

use crate::{
    message::{DocumentKey, MessageError, Sending},
    request::PageRequest,
    webview_id::WebviewId,
};

/// How much memory the unfinished requests of all webviews may take. Scripts admit requests without asking, so they are
/// told at half of it that there is no room.
const MEMORY: u64 = 32 << 20;

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
}

/// A request that is unfinished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnfinishedRequest {
    pub(crate) webview: WebviewId,
    pub(crate) document: DocumentKey,
    pub(crate) weight: Weight,
    /// Whether it is one of `fetchLater()`, which does not count in the mirror of the keepalive quota.
    pub(crate) is_deferred: bool,
}

impl Sums {
    /// Whether this may be unfinished in one document.
    pub(crate) fn fits(&self) -> bool {
        let KeepaliveLimits { body_bytes, requests, url_bytes, .. } = KeepaliveLimits::DEFAULT;
        self.bytes <= body_bytes.into()
            && self.requests <= requests.into()
            && self.url_bytes <= url_bytes.into()
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
        let claimed = Sums { bytes: sending.bytes, requests: 1, url_bytes: sending.url_bytes };
        let (body, content_type) = sending.body_lengths()?;
        let sums = Sums {
            bytes: claimed.bytes.max(body),
            requests: 1,
            url_bytes: claimed.url_bytes.max(sending.url()?.as_str().len() as u64),
        };
        let (headers, header_bytes) = request.map_or((0, 0), PageRequest::header_lengths);
        let memory = OVERHEAD
            .saturating_add(sums.bytes)
            .saturating_add(sums.url_bytes.saturating_mul(2))
            .saturating_add(content_type)
            .saturating_add(headers.saturating_mul(HEADER_OVERHEAD))
            .saturating_add(header_bytes);
        Ok(Self { claimed, sums, memory })
    }
}

impl Unfinished {
    /// Whether scripts have to answer `false`.
    pub(crate) fn is_full(&self) -> bool {
        self.memory >= MEMORY / 2
    }

    /// Whether there is memory for another request.
    pub(crate) fn has_room(&self, request: Weight) -> Result<(), MessageError> {
        let sum = self.memory.saturating_add(request.memory);
        (sum <= MEMORY).then_some(()).ok_or(MessageError::TooMuch)
    }

    pub(crate) fn add(&mut self, id: FetchId, request: UnfinishedRequest) {
        self.memory = self.memory.saturating_add(request.weight.memory);
        self.requests.insert(id, request);
    }

    /// How much memory they take, in bytes.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> u64 {
        self.memory
    }

    pub(crate) fn get(&self, id: FetchId) -> Option<UnfinishedRequest> {
        self.requests.get(&id).copied()
    }

    /// Removes a request that is done. `None` if it is none of a webview.
    pub(crate) fn remove(&mut self, id: FetchId) -> Option<UnfinishedRequest> {
        let removed = self.requests.remove(&id)?;
        self.memory = self.memory.saturating_sub(removed.weight.memory);
        Some(removed)
    }
}
