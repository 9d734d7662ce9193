//! What a bridge knows of its webviews.

use std::collections::{HashMap, VecDeque, hash_map::Entry};

use http::HeaderValue;
use sendbeacon::FetchInfo;

#[cfg(all(unix, feature = "remote"))]
use crate::pages::Pages;
use crate::{
    document::{Open, PageDocument, Source, Surroundings},
    ledger::{Sums, Unfinished},
    message::{DocumentKey, MessageError, Sending},
    secret::Secret,
    settings::{Beginning, Head},
    webview_id::WebviewId,
};

/// How many documents of a webview are kept: the one that is shown, and those in the back/forward cache.
const MAX_DOCUMENTS: usize = 8;

/// The webviews, and what is unfinished.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) webviews: HashMap<WebviewId, Webview>,
    pub(crate) unfinished: Unfinished,
    /// How many requests of each webview are with the network side, those of web processes with the extension included.
    under_way: HashMap<WebviewId, u64>,
    /// Whether all pages were told that there is no room.
    is_full: bool,
    #[cfg(all(unix, feature = "remote"))]
    pub(crate) pages: Pages,
    /// How many requests that scripts have admitted were not sent.
    pub(crate) lost: u64,
}

/// A webview.
pub(crate) struct Webview {
    pub(crate) secret: Secret,
    pub(crate) token: Secret,
    pub(crate) user_agent: Option<HeaderValue>,
    pub(crate) head: Option<Head>,
    /// Its documents, the newest at the end.
    pub(crate) documents: VecDeque<PageDocument>,
    /// Whether the shown document has to be told about its ledger.
    pub(crate) is_untold: bool,
    /// Whether the shown document was told that there is no room.
    is_full: bool,
}

impl State {
    /// A request is done. Says whether a page may have to be told.
    pub(crate) fn finished(&mut self, fetch: &FetchInfo) -> bool {
        if let Entry::Occupied(mut count) = self.under_way.entry(WebviewId(fetch.client.webview_id))
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        let Some(request) = self.unfinished.remove(fetch.id) else { return false };
        if let Some(page) = self.webviews.get_mut(&request.webview)
            && let Some(document) = page.find(request.document)
            && !request.is_deferred
        {
            document.finished(request.weight);
            page.is_untold = true;
        }
        true
    }

    /// A request is on its way. Returns whether a page has to be told, as it has to be of a deferred one.
    pub(crate) fn queued(&mut self, fetch: &FetchInfo) -> bool {
        *self.under_way.entry(WebviewId(fetch.client.webview_id)).or_default() += 1;
        let request = self.unfinished.get(fetch.id).filter(|request| request.is_deferred);
        let page = request.and_then(|request| self.webviews.get_mut(&request.webview));
        page.map(|page| page.is_untold = true).is_some()
    }

    /// Whether requests of the webview are unfinished.
    pub(crate) fn is_busy(&self, webview: WebviewId) -> bool {
        self.under_way.contains_key(&webview) || self.unfinished.has_any_of(webview)
    }

    /// A request is not sent, for this reason. If its script may have admitted it, the script gets the room back. `deferred`
    /// is the script's identifier of a deferred fetch.
    pub(crate) fn lost(
        &mut self,
        (webview, key): (WebviewId, DocumentKey),
        sending: &Sending,
        deferred: Option<u64>,
        reason: &MessageError,
    ) {
        self.lost += 1;
        if let Some(page) = self.webviews.get_mut(&webview)
            && let Some(document) = page.find(key)
            && !matches!(reason, MessageError::TooMuch)
        {
            match deferred {
                None => document.lost(Sums::claimed(sending)),
                Some(id) => document.lost_deferred(id),
            }
            page.is_untold = true;
        }
    }

    /// Whether there is something to tell after a message of this webview.
    pub(crate) fn has_news(&self, webview: WebviewId) -> bool {
        let page = self.webviews.get(&webview);
        self.unfinished.is_full_for_all() != self.is_full
            || page.is_some_and(|it| it.is_untold || self.unfinished.is_full(webview) != it.is_full)
    }

    /// What to tell the pages since the last call.
    pub(crate) fn tellings(&mut self) -> Vec<(WebviewId, String)> {
        let Self { webviews, unfinished, is_full, .. } = self;
        *is_full = unfinished.is_full_for_all();
        let webviews = webviews.iter_mut();
        webviews
            .filter_map(|(&webview, page)| {
                Some((webview, page.telling(unfinished.is_full(webview))?))
            })
            .collect()
    }
}

impl Webview {
    pub(crate) fn new(user_agent: Option<HeaderValue>) -> Self {
        Self {
            secret: Secret::random(),
            token: Secret::random(),
            user_agent,
            head: None,
            documents: VecDeque::new(),
            is_untold: false,
            is_full: false,
        }
    }

    /// A document begins. Its script assumes that there is room. The oldest document goes if there are too many.
    pub(crate) fn begin(&mut self, key: DocumentKey, beginning: Beginning) {
        self.documents.iter_mut().for_each(PageDocument::settle);
        self.documents.retain(|document| document.key != key);
        if self.documents.len() == MAX_DOCUMENTS {
            self.documents.pop_front();
        }
        self.documents.push_back(PageDocument::new(key, beginning));
        (self.is_untold, self.is_full) = (false, false);
    }

    /// A document is shown again.
    pub(crate) fn show(&mut self, key: DocumentKey) {
        if let Some(at) = self.documents.iter().position(|document| document.key == key)
            && let Some(document) = self.documents.remove(at)
        {
            self.documents.iter_mut().for_each(PageDocument::settle);
            self.documents.push_back(document);
            self.is_untold = true;
        }
    }

    pub(crate) fn find(&mut self, key: DocumentKey) -> Option<&mut PageDocument> {
        self.documents.iter_mut().find(|document| document.key == key)
    }

    pub(crate) fn document<'a>(
        &'a mut self,
        open: Open<'a>,
        webview: WebviewId,
        key: DocumentKey,
    ) -> Result<(&'a mut PageDocument, Surroundings<'a>), MessageError> {
        let Self { documents, head, user_agent, .. } = self;
        let document = documents.iter_mut().find(|document| document.key == key);
        let document = document.ok_or(MessageError::NoDocument)?;
        let surroundings = Surroundings {
            open,
            webview_id: webview.0,
            source: Source::Response(head.as_ref()),
            is_source_needed: false,
            top_level_site: None,
            user_agent: user_agent.as_ref(),
        };
        Ok((document, surroundings))
    }

    /// The script that tells the shown document about its ledger, if there is news.
    fn telling(&mut self, is_full: bool) -> Option<String> {
        let is_known = !std::mem::take(&mut self.is_untold) && self.is_full == is_full;
        let document = self.documents.back_mut().filter(|_| !is_known)?;
        self.is_full = is_full;
        let (waiting, last) = document.waiting();
        let PageDocument { key, done: Sums { bytes, requests, url_bytes }, .. } = document;
        Some(format!(
            "window.__sendbeacon?.({:?},\"{:016x}\",{bytes},{requests},{url_bytes},{is_full},{waiting:?},{last})",
            self.token.as_str(),
            key.0
        ))
    }
}
