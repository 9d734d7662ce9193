//! The app's side: it receives the messages of its webviews' pages, and sends their requests.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use http::{HeaderMap, HeaderValue, StatusCode};
#[cfg(all(unix, feature = "remote"))]
use sendbeacon::remote;
use sendbeacon::{
    BuildError, Event, EventKind, EventSink, NetworkError, Nonce, UserAgent, UserAgentBuilder,
};
use url::Url;

use crate::{
    cookies::{CookiesOfWebviews, WebviewCookies},
    document::{Open, PageDocument},
    ledger::{UnfinishedRequest, Weight},
    message::{DocumentKey, Message, MessageError, News, Sending},
    request::PageRequest,
    script,
    settings::{Beginning, Head, Settings},
    state::{State, Webview},
    webview_id::WebviewId,
};

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
    wake: Wake,
}

/// Is called when there is something to tell pages.
type Wake = Arc<dyn Fn() + Send + Sync>;

impl Bridge {
    /// Builds the user agent. Its cookies are those of the webviews, and its events go to `sink`, too.
    ///
    /// `wake` is called on any thread when there is something to tell pages, on the network side or in
    /// [`receive`](Self::receive): post a task to the webviews' thread that calls [`tellings`](Self::tellings). It must not
    /// block, and it must not call the bridge.
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
        let wake: Wake = Arc::new(wake);
        let done = Done { state: Arc::clone(&state), wake: Arc::clone(&wake), sink };
        Ok(Self { agent: builder.event_sink(Arc::new(done)).build()?, state, wake })
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
        let webview = Webview::new(user_agent);
        let script = script::of_webview(&webview.secret, &webview.token, post);
        let id = WebviewId::next();
        self.lock().webviews.insert(id, webview);
        (id, script)
    }

    /// Receives a message that a frame of the webview has posted.
    ///
    /// # Errors
    /// Why the message was ignored. Any frame may post any text, so an error is no reason to do more than to log it.
    /// [`lost`](Self::lost) counts the requests that were lost.
    pub fn receive(&self, webview: WebviewId, text: &str) -> Result<(), MessageError> {
        let mut state = self.lock();
        let page = state.webviews.get(&webview).ok_or(MessageError::NoDocument)?;
        let message = Message::parse(&page.secret, text);
        // NB: only a request can be so long, such as one with many headers.
        state.lost += u64::from(matches!(message, Err(MessageError::TooLong)));
        let message = message?;
        let received = self.take(&mut state, webview, message);
        let has_news = state.has_news(webview);
        drop(state);
        if has_news {
            (self.wake)();
        }
        received
    }

    fn take(
        &self,
        state: &mut State,
        webview: WebviewId,
        message: Message,
    ) -> Result<(), MessageError> {
        let Message { document: key, news } = message;
        let open: Open<'_> = &|client| Some(self.agent.document(client));
        let page = state.webviews.get_mut(&webview).ok_or(MessageError::NoDocument)?;
        let from = (webview, key);
        match news {
            News::Hello { origin, is_secure, referrer, languages, ancestors } => {
                let nonce = Nonce::random();
                let beginning =
                    Beginning { origin, is_secure, referrer, languages, ancestors, nonce };
                page.begin(key, beginning);
            }
            News::Settings { url, base, referrer_policies, policies } => {
                let settings = Settings::parse(&url, &base, referrer_policies, policies)?;
                let (document, surroundings) = page.document(open, webview, key)?;
                return document.set(settings, &surroundings);
            }
            News::Beacon { sending } => {
                let sent = self.beacon(state, from, &sending);
                return sent.inspect_err(|it| state.lost(from, &sending, None, it));
            }
            News::Fetch { sending, request } => {
                let sent = self.fetch(state, from, &sending, &request);
                return sent.inspect_err(|it| state.lost(from, &sending, None, it));
            }
            News::Defer { id, sending, request, activate_after } => {
                let deferred = self.defer(state, from, id, &sending, &request, activate_after);
                return deferred.inspect_err(|it| state.lost(from, &sending, Some(id), it));
            }
            News::Abort { id } => {
                if let Some(id) = page.document(open, webview, key)?.0.abort(id) {
                    state.unfinished.remove(id);
                    page.is_untold = true;
                }
            }
            News::Visibility { state } => page.document(open, webview, key)?.0.visibility(state),
            News::Pagehide { persisted } => {
                page.document(open, webview, key)?.0.pagehide(persisted);
            }
            News::Pageshow { persisted } => {
                page.document(open, webview, key)?.0.pageshow(persisted);
                page.show(key);
            }
            // The app says this to the script. The script may not say it to the app.
            News::Activated { .. } => return Err(MessageError::Field("op")),
        }
        Ok(())
    }

    /// Sends a beacon that a script has answered with `true`.
    fn beacon(
        &self,
        state: &mut State,
        (webview, key): (WebviewId, DocumentKey),
        sending: &Sending,
    ) -> Result<(), MessageError> {
        let weight = Weight::of(sending, None)?;
        let page = state.webviews.get_mut(&webview).ok_or(MessageError::NoDocument)?;
        let open: Open<'_> = &|client| Some(self.agent.document(client));
        let (document, _) = page.document(open, webview, key)?;
        document.check(weight)?;
        state.unfinished.has_room(webview, weight, &document.memory)?;
        let id = document.send_beacon(open, sending, weight)?;
        let settings = Arc::clone(&document.memory);
        let is_deferred = false;
        let request = UnfinishedRequest { webview, document: key, weight, settings, is_deferred };
        state.unfinished.add(id, request);
        Ok(())
    }

    /// Sends a `fetch()` that was called while the page was dismissed.
    fn fetch(
        &self,
        state: &mut State,
        (webview, key): (WebviewId, DocumentKey),
        sending: &Sending,
        request: &PageRequest,
    ) -> Result<(), MessageError> {
        let weight = Weight::of(sending, Some(request))?;
        let page = state.webviews.get_mut(&webview).ok_or(MessageError::NoDocument)?;
        let open: Open<'_> = &|client| Some(self.agent.document(client));
        let (document, _) = page.document(open, webview, key)?;
        document.check(weight)?;
        state.unfinished.has_room(webview, weight, &document.memory)?;
        let mut response = document.fetch(open, sending, request)?;
        // Such a response, if it is there already, is one of a request that has no events.
        let polled = Pin::new(&mut response).poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(Err(NetworkError::KeepaliveQuota | NetworkError::Abandoned(_))) = polled
        {
            return Err(MessageError::Refused);
        }
        document.admitted(weight);
        let settings = Arc::clone(&document.memory);
        let is_deferred = false;
        let request = UnfinishedRequest { webview, document: key, weight, settings, is_deferred };
        state.unfinished.add(response.id(), request);
        Ok(())
    }

    /// Queues a deferred fetch.
    fn defer(
        &self,
        state: &mut State,
        (webview, key): (WebviewId, DocumentKey),
        id: u64,
        sending: &Sending,
        request: &PageRequest,
        activate_after: Option<f64>,
    ) -> Result<(), MessageError> {
        let weight = Weight::of(sending, Some(request))?;
        let page = state.webviews.get_mut(&webview).ok_or(MessageError::NoDocument)?;
        let open: Open<'_> = &|client| Some(self.agent.document(client));
        let (document, _) = page.document(open, webview, key)?;
        state.unfinished.has_room(webview, weight, &document.memory)?;
        let id = document.defer(open, id, sending, request, activate_after)?;
        let settings = Arc::clone(&document.memory);
        let is_deferred = true;
        let request = UnfinishedRequest { webview, document: key, weight, settings, is_deferred };
        state.unfinished.add(id, request);
        Ok(())
    }

    /// How many requests that scripts have admitted were not sent, because there was no memory for them
    /// ([`MessageError::NoMemory`]), the user agent had shut down, their document was left too long ago, or
    /// [`receive`](Self::receive) has refused them for another reason. They have no events.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lock().lost
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

    /// A response has come with which the webview may show a page at this URL. Returns the page's token if the web process
    /// of the webview's last page may be told the head of the response, and the token. `None`: tell both when the webview
    /// [shows](Self::shows) the page. Until then that process may be another site's.
    #[cfg(all(unix, feature = "remote"))]
    #[must_use]
    pub fn comes(&self, webview: WebviewId, url: &Url) -> Option<String> {
        let mut state = self.lock();
        let is_open = state.webviews.contains_key(&webview);
        is_open.then(|| state.pages.comes(webview, url).map(str::to_owned)).flatten()
    }

    /// The webview shows a page at this URL. `None`: it is not known which page. Returns the page's token: tell it the web
    /// process, and nobody else. `None`: the page has an opaque origin or is not known, and gets no channels.
    #[cfg(all(unix, feature = "remote"))]
    #[must_use]
    pub fn shows(&self, webview: WebviewId, url: Option<&Url>) -> Option<String> {
        let mut state = self.lock();
        let is_open = state.webviews.contains_key(&webview);
        is_open.then(|| state.pages.shows(webview, url).map(str::to_owned)).flatten()
    }

    /// The facts about a channel to a web process of the webview that names this token, from the app's view: the webview, and
    /// the site of its page. The site of the channel's documents, one of which is at `document`, is what the process says.
    /// `None` if it is not the token of the webview's page, or if a document at this URL has an opaque origin.
    #[cfg(all(unix, feature = "remote"))]
    #[must_use]
    pub fn pin(&self, webview: WebviewId, token: &str, document: &Url) -> Option<remote::Pin> {
        self.lock().pages.pin(webview, token, document)
    }

    /// The webview's web process has gone. Its documents are unloaded; their beacons are delivered.
    pub fn process_gone(&self, webview: WebviewId) {
        if let Some(page) = self.lock().webviews.get_mut(&webview) {
            page.documents.clear();
        }
    }

    /// The webview has gone, and no message of it will come. Its documents are unloaded; their beacons are delivered.
    pub fn gone(&self, webview: WebviewId) {
        let mut state = self.lock();
        state.webviews.remove(&webview);
        #[cfg(all(unix, feature = "remote"))]
        state.pages.gone(webview);
    }

    /// Whether requests of the webview are unfinished, also after it has gone. What web processes have sent counts from the
    /// moment at which it was read.
    #[must_use]
    pub fn is_busy(&self, webview: WebviewId) -> bool {
        self.lock().is_busy(webview)
    }

    /// What to tell pages since the last call: scripts to evaluate, at most one for each webview.
    #[must_use]
    pub fn tellings(&self) -> Vec<Telling> {
        let tellings = self.lock().tellings().into_iter();
        tellings.map(|(webview, script)| Telling { webview, script }).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Hears which requests are done.
struct Done {
    state: Arc<Mutex<State>>,
    wake: Wake,
    sink: Option<Arc<dyn EventSink>>,
}

impl EventSink for Done {
    fn event(&self, event: Event) {
        let is_news = match event.kind {
            EventKind::Queued => lock(&self.state).queued(&event.fetch),
            EventKind::Done { .. } => lock(&self.state).finished(&event.fetch),
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
