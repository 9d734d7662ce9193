//! A document of a webview: its settings, its library `Document` and its ledger.

use std::{collections::BTreeMap, sync::Arc};

use http::HeaderValue;
use sendbeacon::{
    Client, DeferredFetch, DeferredRequestInit, Document, FetchId, PendingResponse, Site,
    VisibilityState,
};

use crate::{
    ledger::{SettingsMemory, Sums, Weight},
    message::{DocumentKey, MessageError, Sending, Visibility},
    request::PageRequest,
    settings::{Beginning, Head, Settings},
};

/// A document of a webview.
#[derive(Debug)]
pub(crate) struct PageDocument {
    pub(crate) key: DocumentKey,
    beginning: Beginning,
    pub(crate) settings: Option<Settings>,
    /// The head of its response. `None` before it is known, and if there was no response.
    head: Option<Head>,
    /// The settings object of its creator, as it was when this document began, if it inherits from it.
    creator: Option<Client>,
    client: Option<Client>,
    /// How much memory `client` takes.
    pub(crate) memory: SettingsMemory,
    /// `None` before the settings are known, and after the document was unloaded.
    document: Option<Document>,
    /// Whether the document is hidden.
    is_hidden: bool,
    /// Whether the page was hidden, and whether it may come back.
    left: Option<Left>,
    /// What is unfinished.
    unfinished: Sums,
    /// What is done, since the beginning of the document, as the script has counted it.
    pub(crate) done: Sums,
    /// The deferred fetches that may not be sent yet, by the script's identifiers.
    deferred: BTreeMap<u64, DeferredFetch>,
    /// The identifier of the last deferred fetch.
    last_deferred: u64,
}

#[derive(Clone, Copy, Debug)]
struct Left {
    is_cached: bool,
}

impl PageDocument {
    pub(crate) fn new(key: DocumentKey, beginning: Beginning) -> Self {
        Self {
            key,
            beginning,
            settings: None,
            head: None,
            creator: None,
            client: None,
            memory: SettingsMemory::default(),
            document: None,
            is_hidden: false,
            left: None,
            unfinished: Sums::default(),
            done: Sums::default(),
            deferred: BTreeMap::new(),
            last_deferred: 0,
        }
    }

    /// Replaces the settings.
    pub(crate) fn set(
        &mut self,
        settings: Settings,
        page: &Surroundings<'_>,
    ) -> Result<(), MessageError> {
        self.settings = Some(settings);
        self.refresh(page)
    }

    /// Makes the settings object again, because the head of the response has become known for example.
    pub(crate) fn refresh(&mut self, page: &Surroundings<'_>) -> Result<(), MessageError> {
        let Some(settings) = &self.settings else { return Ok(()) };
        // NB: a script may change the URL of its document later, and the head stays.
        match page.source {
            Source::Response(head) if self.head.is_none() => {
                self.head = head.filter(|head| settings.is_of(head)).cloned();
            }
            Source::Creator(creator) if self.creator.is_none() => self.creator = creator.cloned(),
            Source::Response(_) | Source::Creator(_) => {}
        }
        if page.is_source_needed && self.head.is_none() && self.creator.is_none() {
            return Ok(());
        }
        let client = match &self.creator {
            Some(creator) => settings.inheriting_client(&self.beginning, creator),
            None => settings.client(&self.beginning, self.head.as_ref(), page.user_agent),
        };
        if client.is_err() {
            (self.client, self.document) = (None, None);
        }
        let mut client = client?;
        client.webview_id = page.webview_id;
        if let Some(site) = page.top_level_site {
            client.network_partition_key.top_level_site = site.clone();
        }
        match &self.document {
            Some(document) => document.set_client(client.clone()),
            // NB: it is made before it sends, so that a user agent that quits waits for it.
            None if self.client.is_none() => self.document = (page.open)(client.clone()),
            None => {}
        }
        self.client = Some(client);
        let head = self.head.as_ref().map_or(0, Head::length);
        self.memory = Arc::new(settings.length() + self.beginning.length() + head);
        Ok(())
    }

    /// The library's document, if it is open.
    #[cfg(all(unix, feature = "remote"))]
    pub(crate) fn opened(&self) -> Option<&Document> {
        self.document.as_ref()
    }

    pub(crate) fn visibility(&mut self, state: Visibility) {
        self.is_hidden = state == Visibility::Hidden;
        if let Some(document) = &self.document {
            document.visibility_change(match state {
                Visibility::Visible => VisibilityState::Visible,
                Visibility::Hidden => VisibilityState::Hidden,
            });
        }
    }

    /// The page is being hidden. Its own handlers come after this message, so the document is told in
    /// [`settle`](Self::settle).
    pub(crate) fn pagehide(&mut self, persisted: bool) {
        self.left = Some(Left { is_cached: persisted });
    }

    pub(crate) fn pageshow(&mut self, persisted: bool) {
        self.left = None;
        if let Some(document) = &self.document {
            document.pageshow(persisted);
        }
    }

    /// The settings object, if it is known.
    #[cfg(all(unix, feature = "remote"))]
    pub(crate) fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    /// Whether the page was hidden, and will not come back.
    #[cfg(all(unix, feature = "remote"))]
    pub(crate) fn has_left(&self) -> bool {
        self.left.is_some_and(|left| !left.is_cached)
    }

    /// Another document has followed this one. Beacons of this one may still come, if the two have different processes.
    pub(crate) fn settle(&mut self) {
        match (self.left, &self.document) {
            (Some(Left { is_cached: true }), Some(document)) => document.pagehide(true),
            (Some(Left { is_cached: false }), _) => self.document = None,
            _ => {}
        }
    }

    /// The app has lost a request that the script has admitted. The script gets its room back.
    pub(crate) fn lost(&mut self, claimed: Sums) {
        self.done = self.done.plus(claimed);
    }

    /// The app has lost a deferred fetch. The script takes it for one that was sent.
    pub(crate) fn lost_deferred(&mut self, id: u64) {
        self.last_deferred = self.last_deferred.max(id);
    }

    /// Checks that the script may have admitted this: it gets room back only after the app has.
    pub(crate) fn check(&self, weight: Weight) -> Result<(), MessageError> {
        let fits = self.unfinished.plus(weight.sums).fits();
        fits.then_some(()).ok_or(MessageError::TooMuch)
    }

    /// Sends a beacon that the script has answered with `true`.
    pub(crate) fn send_beacon(
        &mut self,
        open: Open<'_>,
        sending: &Sending,
        weight: Weight,
    ) -> Result<FetchId, MessageError> {
        let document = self.document(open)?;
        let url = sending.url()?;
        let sent = match &sending.body {
            None => document.send_answered_beacon(url.as_str(), None),
            Some(body) => {
                body.with(|body| document.send_answered_beacon(url.as_str(), Some(body)))?
            }
        };
        let id = sent.map_err(|_| MessageError::Field("url"))?.ok_or(MessageError::Refused)?;
        self.admitted(weight);
        Ok(id)
    }

    /// A request is unfinished from now on.
    pub(crate) fn admitted(&mut self, weight: Weight) {
        self.unfinished = self.unfinished.plus(weight.sums);
    }

    /// Sends a `fetch()` whose response nobody reads. The caller says whether it was [admitted](Self::admitted).
    pub(crate) fn fetch(
        &mut self,
        open: Open<'_>,
        sending: &Sending,
        request: &PageRequest,
    ) -> Result<PendingResponse, MessageError> {
        let document = self.document(open)?;
        Ok(document.fetch_group().fetch(request.request(document, sending)?))
    }

    /// Queues a deferred fetch.
    pub(crate) fn defer(
        &mut self,
        open: Open<'_>,
        id: u64,
        sending: &Sending,
        request: &PageRequest,
        activate_after: Option<f64>,
    ) -> Result<FetchId, MessageError> {
        if id <= self.last_deferred {
            return Err(MessageError::Field("id"));
        }
        let document = self.document(open)?;
        let request = request.request(document, sending)?;
        let mut init = DeferredRequestInit::default();
        init.activate_after = activate_after;
        let fetch = document.fetch_later(request, init)?;
        let fetch_id = fetch.id();
        self.last_deferred = id;
        self.deferred.insert(id, fetch);
        Ok(fetch_id)
    }

    /// Aborts a deferred fetch. Returns its identifier if it is not sent.
    pub(crate) fn abort(&mut self, id: u64) -> Option<FetchId> {
        let fetch = self.deferred.remove(&id)?;
        fetch.abort();
        (!fetch.is_activated()).then(|| fetch.id())
    }

    /// Whether a deferred fetch was sent.
    #[cfg(all(unix, feature = "remote"))]
    pub(crate) fn is_activated(&self, id: u64) -> bool {
        self.deferred.get(&id).is_none_or(DeferredFetch::is_activated)
    }

    /// The deferred fetches that are not sent, and the last one that there was.
    pub(crate) fn waiting(&mut self) -> (Vec<u64>, u64) {
        self.deferred.retain(|_, fetch| !fetch.is_activated());
        (self.deferred.keys().copied().collect(), self.last_deferred)
    }

    /// A request is done.
    pub(crate) fn finished(&mut self, weight: Weight) {
        self.unfinished = self.unfinished.minus(weight.sums);
        self.done = self.done.plus(weight.claimed);
    }

    /// The library's document, or a new one for a beacon that comes after the document was unloaded.
    pub(crate) fn document(&mut self, open: Open<'_>) -> Result<&Document, MessageError> {
        let client = self.client.as_ref().ok_or(MessageError::NoDocument)?;
        if self.document.is_none() {
            self.document = open(client.clone());
            if let Some(document) = self.document.as_ref().filter(|_| self.is_hidden) {
                document.visibility_change(VisibilityState::Hidden);
            }
        }
        self.document.as_ref().ok_or(MessageError::Refused)
    }
}

/// Makes a library document. `None` if nothing can be sent any more.
pub(crate) type Open<'a> = &'a dyn Fn(Client) -> Option<Document>;

/// What is known of a document beside what its script says.
pub(crate) struct Surroundings<'a> {
    pub(crate) open: Open<'a>,
    pub(crate) webview_id: u64,
    /// Where its policies come from.
    pub(crate) source: Source<'a>,
    /// Whether nothing is sent before the source is known.
    pub(crate) is_source_needed: bool,
    /// The site of the page. `None` if the document is the page's own.
    pub(crate) top_level_site: Option<&'a Site>,
    pub(crate) user_agent: Option<&'a HeaderValue>,
}

/// Where a document's policies come from. `None` before it is known.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// The head of the newest response, which may be another document's.
    Response(Option<&'a Head>),
    /// The settings object of the document that has created this one. Without a content process the app cannot know it.
    #[cfg_attr(not(all(unix, feature = "remote")), expect(dead_code))]
    Creator(Option<&'a Client>),
}
