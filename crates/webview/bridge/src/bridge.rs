//! The app's side: it receives the messages of its webviews' pages, and sends their requests.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use http::{HeaderMap, HeaderValue, StatusCode};
use sendbeacon::{
    BuildError, Event, EventKind, EventSink, FetchId, Nonce, UserAgent, UserAgentBuilder,
};
#[cfg(all(unix, feature = "remote"))]
use sendbeacon::{Client, Site, remote};
use url::Url;

#[cfg(all(unix, feature = "remote"))]
use crate::settings::page_origin;
use crate::{
    cookies::{CookiesOfWebviews, WebviewCookies},
    document::{Open, PageDocument, Surroundings},
    ledger::{Sums, Unfinished, UnfinishedRequest, Weight},
    message::{DocumentKey, Message, MessageError, News, Sending},
    request::PageRequest,
    script,
    secret::Secret,
    settings::{Beginning, Head, Settings},
    webview_id::WebviewId,
};

/// How many documents of a webview are kept: the one that is shown, and those in the back/forward cache.
const MAX_DOCUMENTS: usize = 8;

/// A script that the app evaluates in the main frame of a webview, in the world of the page's scripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    /// The webview.
    pub webview: WebviewId,
    /// The script.
    pub script: String,
}

/// Sends the beacons of webviews' pages through a [`UserAgent`].
///
/// All its methods may be called on any thread. They take a lock for a moment.
pub struct Bridge {
    agent: UserAgent,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    webviews: HashMap<WebviewId, Webview>,
    last: u64,
    unfinished: Unfinished,
    /// Whether the pages were told that there is no room.
    is_full: bool,
}

struct Webview {
    secret: Secret,
    token: Secret,
    user_agent: Option<HeaderValue>,
    head: Option<Head>,
    /// Its documents, the newest at the end.
    documents: VecDeque<PageDocument>,
    /// Whether the shown document has to be told about its ledger.
    is_untold: bool,
}

impl Bridge {
    /// Builds the user agent. Its cookies are those of the webviews, and its events go to `sink`, too.
    ///
    /// `wake` is called on any thread, mostly on the network side, when there is something to tell pages: post a task to
    /// the webviews' thread that calls [`tellings`](Self::tellings). It must not block, and it must not call the bridge.
    ///
    /// # Errors
    /// Those of [`UserAgentBuilder::build`].
    pub fn new(
        mut builder: UserAgentBuilder,
        cookies: Option<Arc<dyn WebviewCookies>>,
        sink: Option<Arc<dyn EventSink>>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self, BuildError> {
        let state = Arc::<Mutex<State>>::default();
        if let Some(cookies) = cookies {
            builder = builder.cookies(Arc::new(CookiesOfWebviews(cookies)));
        }
        let done = Done { state: Arc::clone(&state), wake: Box::new(wake), sink };
        Ok(Self { agent: builder.event_sink(Arc::new(done)).build()?, state })
    }

    /// The user agent that sends the requests.
    #[must_use]
    pub fn agent(&self) -> &UserAgent {
        &self.agent
    }

    /// Opens a webview, and returns the script for its main frame. The script has to run before the page's scripts, in
    /// their world, and not in other frames: it has the secret by which the app knows its messages.
    ///
    /// `post` is a JavaScript expression for the function that posts a text to the app, or a value that is false if there
    /// is none. `user_agent` is the webview's `User-Agent`.
    #[must_use]
    pub fn open(&self, post: &str, user_agent: Option<HeaderValue>) -> (WebviewId, String) {
        let webview = Webview {
            secret: Secret::random(),
            token: Secret::random(),
            user_agent,
            head: None,
            documents: VecDeque::new(),
            is_untold: false,
        };
        let script = script::of_webview(&webview.secret, &webview.token, post);
        let mut state = self.lock();
        state.last += 1;
        let id = WebviewId(state.last);
        state.webviews.insert(id, webview);
        (id, script)
    }

    /// Receives a message that a frame of the webview has posted.
    ///
    /// # Errors
    /// Why the message was ignored. Any frame may post any text, so an error is no reason to do more than to log it.
    pub fn receive(&self, webview: WebviewId, text: &str) -> Result<(), MessageError> {
        let mut state = self.lock();
        let State { webviews, unfinished, .. } = &mut *state;
        let page = webviews.get_mut(&webview).ok_or(MessageError::NoDocument)?;
        let Message { document: key, news } = Message::parse(&page.secret, text)?;
        let open: Open<'_> = &|client| Some(self.agent.document(client));
        match news {
            News::Hello { origin, is_secure, referrer, languages, ancestors } => {
                let nonce = Nonce::random();
                let beginning =
                    Beginning { origin, is_secure, referrer, languages, ancestors, nonce };
                page.begin(key, beginning);
                page.is_untold = unfinished.is_full();
                return Ok(());
            }
            News::Settings { url, base, referrer_policies, policies } => {
                let settings = Settings::parse(&url, &base, referrer_policies, policies)?;
                let (document, surroundings) = page.document(open, webview, key)?;
                return document.set(settings, &surroundings);
            }
            News::Fetch { sending, request } => {
                return self.fetch(&mut state, webview, key, &sending, &request);
            }
            _ => {}
        }
        let (document, _) = page.document(open, webview, key)?;
        match news {
            News::Beacon { sending } => {
                let weight = Weight::of(&sending, None)?;
                document.check(weight)?;
                unfinished.has_room(weight)?;
                let id = document.send_beacon(open, &sending, weight)?;
                let request =
                    UnfinishedRequest { webview, document: key, weight, is_deferred: false };
                unfinished.add(id, request);
            }
            News::Defer { id, sending, request, activate_after } => {
                let weight = Weight::of(&sending, Some(&request))?;
                unfinished.has_room(weight)?;
                let id = document.defer(open, id, &sending, &request, activate_after)?;
                let request =
                    UnfinishedRequest { webview, document: key, weight, is_deferred: true };
                unfinished.add(id, request);
            }
            News::Abort { id } => {
                if let Some(id) = document.abort(id) {
                    unfinished.remove(id);
                    page.is_untold = true;
                }
            }
            News::Visibility { state } => document.visibility(state),
            News::Pagehide { persisted } => document.pagehide(persisted),
            News::Pageshow { persisted } => {
                document.pageshow(persisted);
                page.show(key);
            }
            // The app says this to the script. The script may not say it to the app.
            News::Activated { .. } => return Err(MessageError::Field("op")),
            News::Hello { .. } | News::Settings { .. } | News::Fetch { .. } => {}
        }
        Ok(())
    }

    fn fetch(
        &self,
        state: &mut State,
        webview: WebviewId,
        key: DocumentKey,
        sending: &Sending,
        request: &PageRequest,
    ) -> Result<(), MessageError> {
        let weight = Weight::of(sending, Some(request))?;
        let page = state.webviews.get_mut(&webview).ok_or(MessageError::NoDocument)?;
        let open: Open<'_> = &|client| Some(self.agent.document(client));
        let (document, _) = page.document(open, webview, key)?;
        document.check(weight)?;
        state.unfinished.has_room(weight)?;
        let mut response = document.fetch(open, sending, request, weight)?;
        let request = UnfinishedRequest { webview, document: key, weight, is_deferred: false };
        state.unfinished.add(response.id(), request);
        // A response that is there already may be an error of a request that has no events.
        let polled = Pin::new(&mut response).poll(&mut Context::from_waker(Waker::noop()));
        if matches!(polled, Poll::Ready(Err(_))) {
            state.finished(response.id());
        }
        Ok(())
    }

    /// The webview shows another document, which came with this response. `None` if it has no response.
    pub fn committed(
        &self,
        webview: WebviewId,
        url: &Url,
        response: Option<(StatusCode, HeaderMap)>,
    ) {
        let mut state = self.lock();
        let Some(page) = state.webviews.get_mut(&webview) else { return };
        let (status, headers) =
            response.map_or_else(Default::default, |(status, headers)| (Some(status), headers));
        page.head = Some(Head { url: url.clone(), status, headers });
        let open: Open<'_> = &|client| Some(self.agent.document(client));
        page.documents.iter_mut().for_each(PageDocument::settle);
        // The document's first messages may have come before.
        if let Some(key) = page.documents.back().map(|document| document.key)
            && let Ok((document, surroundings)) = page.document(open, webview, key)
        {
            // `refresh` fails if the document's origin does not fit its URL. The document has no settings object then.
            let _ = document.refresh(&surroundings);
        }
    }

    /// The facts about a channel to a web process of the webview, from the app's view: the webview, and the site of its page,
    /// at `top`. The site of the channel's documents, one of which is at `document`, is what the process says. `None` if a
    /// page or document at these URLs has an opaque origin.
    #[cfg(all(unix, feature = "remote"))]
    #[must_use]
    pub fn pin(webview: WebviewId, top: &Url, document: &Url) -> Option<remote::Pin> {
        let mut client = Client::with_origin(document.clone(), page_origin(document)?, false);
        client.network_partition_key.top_level_site = Site::of(&page_origin(top)?);
        client.webview_id = webview.0;
        Some(remote::Pin::of(&client))
    }

    /// The webview's web process has gone. Its documents are unloaded; their beacons are delivered.
    pub fn process_gone(&self, webview: WebviewId) {
        if let Some(page) = self.lock().webviews.get_mut(&webview) {
            page.documents.clear();
        }
    }

    /// The webview has gone, and no message of it will come. Its documents are unloaded; their beacons are delivered.
    pub fn gone(&self, webview: WebviewId) {
        self.lock().webviews.remove(&webview);
    }

    /// What to tell pages since the last call: scripts to evaluate, at most one for each webview.
    #[must_use]
    pub fn tellings(&self) -> Vec<Telling> {
        let mut state = self.lock();
        let is_full = state.unfinished.is_full();
        if state.is_full != is_full {
            state.is_full = is_full;
            state.webviews.values_mut().for_each(|page| page.is_untold = true);
        }
        let webviews = state.webviews.iter_mut();
        webviews
            .filter_map(|(&webview, page)| {
                let script = page.telling(is_full)?;
                Some(Telling { webview, script })
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// A request is done. Says whether a page has to be told.
    fn finished(&mut self, id: FetchId) -> bool {
        let Some(request) = self.unfinished.remove(id) else { return false };
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
    fn queued(&mut self, id: FetchId) -> bool {
        let request = self.unfinished.get(id).filter(|request| request.is_deferred);
        let page = request.and_then(|request| self.webviews.get_mut(&request.webview));
        page.map(|page| page.is_untold = true).is_some()
    }
}

impl Webview {
    /// A document begins. The oldest one goes if there are too many.
    fn begin(&mut self, key: DocumentKey, beginning: Beginning) {
        self.documents.iter_mut().for_each(PageDocument::settle);
        self.documents.retain(|document| document.key != key);
        if self.documents.len() == MAX_DOCUMENTS {
            self.documents.pop_front();
        }
        self.documents.push_back(PageDocument::new(key, beginning));
    }

    /// A document is shown again.
    fn show(&mut self, key: DocumentKey) {
        if let Some(at) = self.documents.iter().position(|document| document.key == key)
            && let Some(document) = self.documents.remove(at)
        {
            self.documents.iter_mut().for_each(PageDocument::settle);
            self.documents.push_back(document);
            self.is_untold = true;
        }
    }

    fn find(&mut self, key: DocumentKey) -> Option<&mut PageDocument> {
        self.documents.iter_mut().find(|document| document.key == key)
    }

    fn document<'a>(
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
            head: head.as_ref(),
            is_head_needed: false,
            top_level_site: None,
            user_agent: user_agent.as_ref(),
        };
        Ok((document, surroundings))
    }

    /// The script that tells the shown document about its ledger, if there is news.
    fn telling(&mut self, is_full: bool) -> Option<String> {
        if !std::mem::take(&mut self.is_untold) {
            return None;
        }
        let document = self.documents.back_mut()?;
        let (waiting, last) = document.waiting();
        let PageDocument { key, done: Sums { bytes, requests, url_bytes }, .. } = document;
        Some(format!(
            "window.__sendbeacon?.({:?},\"{:016x}\",{bytes},{requests},{url_bytes},{is_full},{waiting:?},{last})",
            self.token.as_str(),
            key.0
        ))
    }
}

/// Hears which requests are done.
struct Done {
    state: Arc<Mutex<State>>,
    wake: Box<dyn Fn() + Send + Sync>,
    sink: Option<Arc<dyn EventSink>>,
}

impl EventSink for Done {
    fn event(&self, event: Event) {
        let is_news = match event.kind {
            EventKind::Queued => lock(&self.state).queued(event.fetch.id),
            EventKind::Done { .. } => lock(&self.state).finished(event.fetch.id),
            _ => false,
        };
        if is_news {
            (self.wake)();
        }
        if let Some(sink) = &self.sink {
            sink.event(event);
        }
    }

    fn wants_wire_events(&self) -> bool {
        self.sink.as_ref().is_some_and(|sink| sink.wants_wire_events())
    }

    fn work_outstanding(&self, outstanding: bool) {
        if let Some(sink) = &self.sink {
            sink.work_outstanding(outstanding);
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Each method leaves the state whole, so a panic elsewhere does no harm.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
