//! A page in a content process: its documents' scripts call the library, which answers at once.

use std::{
    cell::RefCell,
    collections::{HashSet, VecDeque},
    fmt, io,
    os::unix::net::UnixStream,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use http::{HeaderMap, HeaderValue, StatusCode};
use sendbeacon::{
    Client, Document, FetchId, NetworkError, Nonce, Origin, Site, remote::RemoteUserAgent,
};
use url::Url;

use crate::{
    content_fetch::ContentFetch,
    document::{Open, PageDocument, Source, Surroundings},
    message::{DocumentKey, MessageError, News, Sending},
    script,
    settings::{Beginning, Head, Settings, page_origin},
};

/// How many documents of a page are kept: those that are shown, and those in the back/forward cache.
const MAX_DOCUMENTS: usize = 64;

/// How many channels a page may have: one for each site of its documents.
const MAX_CHANNELS: usize = 32;

/// How many heads of responses are kept. The document of each begins a moment later.
const MAX_HEADS: usize = 64;

/// A page in a content process, as its engine sees it.
///
/// A document of it calls a native function with the messages of its script. The function returns what
/// [`receive`](Self::receive) answers. Until the app has told the [`head`](Self::head) of a document's response, the
/// document has the webview's own functions, because its policies are not known.
pub struct ContentPage {
    channels: Channels,
    user_agent: Option<HeaderValue>,
    heads: VecDeque<Head>,
    /// How many of the heads, at the end, are of a page that comes.
    coming: usize,
    documents: VecDeque<ContentDocument>,
    last: u64,
    /// The frames of the page that have had a document, and the newest frame of the pages before.
    frames: HashSet<u64>,
    newest_before: u64,
}

/// Whose head the app tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadOf {
    /// That of a frame which is not the main frame.
    Frame,
    /// That of a page that comes, and the page's token.
    ComingPage(String),
    /// That of the page that is shown, and the page's token. `None`: the page gets no channels.
    Page(Option<String>),
}

impl HeadOf {
    /// What a message says of it: whether it is that of a page, whether the page comes, and the page's token. A page without
    /// a token has the empty text.
    #[must_use]
    pub fn to_parts(&self) -> (bool, bool, &str) {
        match self {
            Self::Frame => (false, false, ""),
            Self::ComingPage(token) => (true, true, token),
            Self::Page(token) => (true, false, token.as_deref().unwrap_or_default()),
        }
    }

    /// The inverse of [`to_parts`](Self::to_parts).
    #[must_use]
    pub fn from_parts(is_page: bool, comes: bool, token: String) -> Self {
        match (is_page, comes) {
            (false, _) => Self::Frame,
            (true, true) => Self::ComingPage(token),
            (true, false) => Self::Page(Some(token).filter(|it| !it.is_empty())),
        }
    }
}

struct ContentDocument {
    key: u64,
    frame: u64,
    /// The origin of its URL. The document's own may be opaque all the same.
    origin: Option<Origin>,
    top_level_site: Site,
    source: PolicySource,
    /// `None` until its script has said what it is.
    page: Option<PageDocument>,
}

/// Where the policies of a document come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicySource {
    /// The document's response.
    Response,
    /// The document that has created this one, which is at `about:`.
    Creator(u64),
}

/// Makes a channel for documents of a site, one of which has this URL. The other argument is the page's token.
type Connect = Box<dyn Fn(&Url, &str) -> io::Result<UnixStream>>;

/// The channels of a page's documents to the app.
struct Channels {
    connect: Connect,
    /// `None` until the app has told it.
    token: Option<String>,
    list: RefCell<Vec<Channel>>,
}

struct Channel {
    /// The sites of the documents and of the page.
    sites: (Site, Site),
    agent: RemoteUserAgent,
}

/// What a native function returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// `true`
    Yes,
    /// `false`
    No,
    /// `null`: the webview's own function has to do it.
    Own,
    /// A text, from which the script makes an exception: its name, a colon and its message.
    Exception(String),
}

impl ContentPage {
    /// A page without documents.
    ///
    /// `connect` makes a channel for documents of a site, one of which has this URL. The app serves its other end, if it is
    /// told the page's token, which is the other argument.
    #[must_use]
    pub fn new(connect: impl Fn(&Url, &str) -> io::Result<UnixStream> + 'static) -> Self {
        let (token, list) = Default::default();
        let channels = Channels { connect: Box::new(connect), token, list };
        let (heads, documents, frames) = Default::default();
        Self {
            channels,
            user_agent: None,
            heads,
            coming: 0,
            documents,
            last: 0,
            frames,
            newest_before: 0,
        }
    }

    /// The script of a document: a JavaScript expression for a function. Call it with the native function before the
    /// page's scripts run. The native function takes a text.
    ///
    /// It returns a function, which lives as long as the document's functions. Call that with the document around a frame
    /// that begins. If it returns an object, the document is the script's own, and what the frame inherits is known: pass the
    /// object to the frame's script as the second argument.
    #[must_use]
    pub fn script() -> String {
        script::of_content_process()
    }

    /// The app tells the head of a response, which a document has come with or is about to come with. `user_agent` is the
    /// webview's `User-Agent`.
    pub fn head(
        &mut self,
        of: HeadOf,
        url: Url,
        status: Option<StatusCode>,
        headers: HeaderMap,
        user_agent: Option<HeaderValue>,
    ) {
        self.user_agent = user_agent;
        if self.heads.len() == MAX_HEADS {
            self.heads.pop_front();
        }
        self.coming = self.coming.min(self.heads.len());
        let head = Head { url, status, headers };
        if of == HeadOf::Frame {
            self.heads.insert(self.heads.len() - self.coming, head);
        } else {
            self.heads.push_back(head);
        }
        match of {
            HeadOf::Frame => {}
            HeadOf::ComingPage(token) => {
                self.coming += 1;
                self.channels.token = Some(token);
            }
            HeadOf::Page(token) => {
                self.coming = 0;
                self.channels.token = token;
            }
        }
        // NB: a creator comes before the documents that inherit from it.
        for at in 0..self.documents.len() {
            // `refresh` fails if the document's origin does not fit its URL. The document has no settings object then.
            let _ = self.refresh(at);
        }
    }

    /// Whether the frame, which is not the main frame, has had no document yet. The engine gives frames numbers that grow.
    #[must_use]
    pub fn is_new(&self, frame: u64) -> bool {
        frame > self.newest_before && !self.frames.contains(&frame)
    }

    /// A frame has left its document, if it had one. If it is the main frame, every frame has.
    pub fn leave(&mut self, frame: u64, is_main_frame: bool) {
        let left = self.documents.iter_mut().filter(|it| is_main_frame || it.frame == frame);
        left.filter_map(|it| it.page.as_mut()).for_each(PageDocument::settle);
        if is_main_frame {
            // The documents of the page before keep theirs.
            self.channels.list.take();
            // NB: a head of an earlier page may be told with another token, or have other policies.
            self.heads.drain(..self.heads.len() - self.coming);
            if std::mem::take(&mut self.coming) == 0 {
                self.channels.token = None;
            }
            let frames = std::mem::take(&mut self.frames);
            self.newest_before = frames.into_iter().fold(self.newest_before, u64::max);
        } else {
            self.frames.insert(frame);
        }
    }

    /// A document begins in a frame, at `url`. `top` is the URL of the page. Returns the document's identifier. `None` means
    /// that the document has the webview's own functions: the page has an opaque origin, or too many documents.
    pub fn begin(&mut self, frame: u64, url: &Url, top: &Url, source: PolicySource) -> Option<u64> {
        let top_level_site = Site::of(&page_origin(top)?);
        if self.documents.len() == MAX_DOCUMENTS {
            let has_left =
                |it: &ContentDocument| it.page.as_ref().is_none_or(PageDocument::has_left);
            self.documents.remove(self.documents.iter().position(has_left)?);
        }
        self.last += 1;
        let origin = page_origin(url);
        let document =
            ContentDocument { key: self.last, frame, origin, top_level_site, source, page: None };
        self.documents.push_back(document);
        Some(self.last)
    }

    /// Script cannot call the document's native function any more.
    pub fn end(&mut self, document: u64) {
        self.documents.retain(|it| it.key != document);
    }

    /// Answers a call of a document's native function.
    pub fn receive(&mut self, document: u64, text: &str) -> Answer {
        self.try_receive(document, text).unwrap_or_else(|error| match error {
            MessageError::Deferred(error) => {
                Answer::Exception(format!("{}:fetchLater: {error}", error.exception_name()))
            }
            _ => Answer::Own,
        })
    }

    /// Answers a call of a document's native function with a function, which hears of the response to a `fetch()`.
    ///
    /// # Errors
    /// What the native function returns in place of a function that aborts the fetch.
    pub fn fetch(&mut self, document: u64, text: &str) -> Result<ContentFetch, Answer> {
        self.try_fetch(document, text).map_err(|_| Answer::Own)
    }

    fn try_fetch(&mut self, document: u64, text: &str) -> Result<ContentFetch, MessageError> {
        let Self { channels, documents, .. } = self;
        let document = documents.iter_mut().find(|it| it.key == document);
        let page = document.and_then(|it| it.page.as_mut()).ok_or(MessageError::NoDocument)?;
        let News::Fetch { sending, request } = News::parse(text)? else {
            return Err(MessageError::Field("op"));
        };
        let document = page.document(&|client| channels.open(client))?;
        let request = request.request(document, &sending)?;
        let mut response = document.fetch_group().fetch(request);
        let id = response.id();
        match Pin::new(&mut response).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => Ok(ContentFetch::new(response)),
            // Nothing was sent, so the webview may send it.
            Poll::Ready(Err(NetworkError::Unsendable(_))) => Err(MessageError::Refused),
            Poll::Ready(answer) => Ok(ContentFetch::answered(id, answer)),
        }
    }

    /// Aborts a `fetch()`. Does nothing if the document was left, because a fetch of another document may have the same
    /// identifier: each channel counts for itself.
    pub fn abort(&mut self, document: u64, fetch: FetchId) {
        let document = self.documents.iter().find(|it| it.key == document);
        if let Some(document) = document.and_then(|it| it.page.as_ref()?.opened()) {
            document.fetch_group().abort_fetch(fetch);
        }
    }

    fn try_receive(&mut self, document: u64, text: &str) -> Result<Answer, MessageError> {
        let at = self.documents.iter().position(|it| it.key == document);
        let at = at.ok_or(MessageError::NoDocument)?;
        let news = News::parse(text)?;
        let Self { channels, documents, .. } = self;
        let ContentDocument { key, origin: of_url, source, page, .. } = &mut documents[at];
        if let News::Hello { origin, is_secure, referrer, languages, ancestors } = news {
            // NB: a page may have changed the window before its frame's document gets it. A document that inherits is held
            // against its creator.
            let is_of_url = of_url.as_ref().is_some_and(|it| it.serialize() == origin.as_str());
            if *source == PolicySource::Response && origin != "null" && !is_of_url {
                return Err(MessageError::Field("origin"));
            }
            let nonce = Nonce::random();
            let beginning = Beginning { origin, is_secure, referrer, languages, ancestors, nonce };
            *page = Some(PageDocument::new(DocumentKey(*key), beginning));
            return Ok(Answer::Yes);
        }
        let page = page.as_mut().ok_or(MessageError::NoDocument)?;
        let open: Open<'_> = &|client| channels.open(client);
        match news {
            News::Settings { url, base, referrer_policies, policies } => {
                page.settings = Some(Settings::parse(&url, &base, referrer_policies, policies)?);
                self.refresh(at)?;
            }
            News::Beacon { sending } => return send_beacon(page.document(open)?, &sending),
            // See `fetch`.
            News::Fetch { .. } => return Err(MessageError::Field("op")),
            News::Defer { id, sending, request, activate_after } => {
                page.defer(open, id, &sending, &request, activate_after)?;
            }
            News::Abort { id } => {
                page.abort(id);
            }
            News::Activated { id } if !page.is_activated(id) => return Ok(Answer::No),
            News::Hello { .. } | News::Activated { .. } => {}
            News::Visibility { state } => page.visibility(state),
            News::Pagehide { persisted } => page.pagehide(persisted),
            News::Pageshow { persisted } => page.pageshow(persisted),
        }
        Ok(Answer::Yes)
    }

    /// Makes the settings object of a document again.
    fn refresh(&mut self, at: usize) -> Result<(), MessageError> {
        let Self { channels, user_agent, heads, documents, .. } = self;
        let (before, document) = documents.make_contiguous().split_at_mut(at);
        let Some(ContentDocument { top_level_site, source, page: Some(page), .. }) =
            document.first_mut()
        else {
            return Ok(());
        };
        let source = match *source {
            PolicySource::Response => {
                let settings = page.settings.as_ref();
                let is_of = |head: &&Head| settings.is_some_and(|it| it.is_of(head));
                Source::Response(heads.iter().rev().find(is_of))
            }
            PolicySource::Creator(key) => {
                let creator = before.iter().find(|it| it.key == key);
                Source::Creator(creator.and_then(|it| it.page.as_ref()?.client()))
            }
        };
        page.refresh(&Surroundings {
            open: &|client| channels.open(client),
            webview_id: 0,
            source,
            is_source_needed: true,
            top_level_site: Some(top_level_site),
            user_agent: user_agent.as_ref(),
        })
    }
}

impl Channels {
    /// Makes a document, on the channel of its site. `None` if there is no channel.
    fn open(&self, client: Client) -> Option<Document> {
        // NB: the URL of a document at `about:` says nothing of its site.
        let url = match client.creation_url.scheme() {
            "about" => Url::parse(client.origin.serialize().to_str().ok()?).ok()?,
            _ => client.creation_url.clone(),
        };
        let site_of_url = page_origin(&url).map(|origin| Site::of(&origin))?;
        let sites = (site_of_url, client.network_partition_key.top_level_site.clone());
        let mut list = self.list.borrow_mut();
        let at = list.iter().position(|channel| channel.sites == sites);
        let at = match at {
            Some(at) => at,
            None if list.len() == MAX_CHANNELS => return None,
            None => {
                let stream = (self.connect)(&url, self.token.as_ref()?).ok()?;
                let agent = RemoteUserAgent::over_unix_stream(stream).ok()?;
                list.push(Channel { sites, agent });
                list.len() - 1
            }
        };
        Some(list[at].agent.document(client))
    }
}

fn send_beacon(document: &Document, sending: &Sending) -> Result<Answer, MessageError> {
    let sent = match &sending.body {
        None => document.send_beacon(&sending.url, None),
        Some(body) => body.with(|body| document.send_beacon(&sending.url, Some(body)))?,
    };
    Ok(match sent {
        Ok(true) => Answer::Yes,
        Ok(false) => Answer::No,
        Err(error) => Answer::Exception(format!("TypeError:sendBeacon: {error}")),
    })
}

impl fmt::Debug for ContentPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentPage").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
