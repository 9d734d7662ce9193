//! A page in a content process: its documents' scripts call the library, which answers at once.

use std::{
    cell::RefCell,
    collections::VecDeque,
    fmt,
    future::Future,
    io,
    os::unix::net::UnixStream,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use http::{HeaderMap, HeaderValue, StatusCode};
use sendbeacon::{Client, Document, Nonce, Site, remote::RemoteUserAgent};
use url::Url;

use crate::{
    document::{Open, PageDocument, Surroundings},
    message::{DocumentKey, MessageError, News, Sending},
    request::PageRequest,
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

struct ContentDocument {
    key: u64,
    frame: u64,
    top_level_site: Site,
    /// `None` until its script has said what it is.
    page: Option<PageDocument>,
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
        let (heads, documents) = Default::default();
        Self { channels, user_agent: None, heads, coming: 0, documents, last: 0 }
    }

    /// The script of a document: a JavaScript expression for a function. Call it with the native function before the
    /// page's scripts run. The native function takes a text.
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
        let Self { channels, user_agent, heads, documents, .. } = self;
        let open: Open<'_> = &|client| channels.open(client);
        for document in documents {
            if let Some(page) = &mut document.page {
                let site = &document.top_level_site;
                let surroundings = surroundings(page, site, heads, user_agent.as_ref(), open);
                // `refresh` fails if the document's origin does not fit its URL. The document has no settings object then.
                let _ = page.refresh(&surroundings);
            }
        }
    }

    /// A frame has left its document. If it is the main frame, every frame has.
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
        }
    }

    /// A document begins in a frame. `top` is the URL of the page. Returns the document's identifier. `None` means that the
    /// document has the webview's own functions: the page has an opaque origin, or too many documents.
    pub fn begin(&mut self, frame: u64, top: &Url) -> Option<u64> {
        let top_level_site = Site::of(&page_origin(top)?);
        if self.documents.len() == MAX_DOCUMENTS {
            let has_left =
                |it: &ContentDocument| it.page.as_ref().is_none_or(PageDocument::has_left);
            self.documents.remove(self.documents.iter().position(has_left)?);
        }
        self.last += 1;
        let document = ContentDocument { key: self.last, frame, top_level_site, page: None };
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

    fn try_receive(&mut self, document: u64, text: &str) -> Result<Answer, MessageError> {
        let Self { channels, user_agent, heads, documents, .. } = self;
        let document = documents.iter_mut().find(|it| it.key == document);
        let ContentDocument { key, top_level_site, page, .. } =
            document.ok_or(MessageError::NoDocument)?;
        let news = News::parse(text)?;
        if let News::Hello { origin, is_secure, referrer, languages, ancestors } = news {
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
                let user_agent = user_agent.as_ref();
                let surroundings = surroundings(page, top_level_site, heads, user_agent, open);
                page.refresh(&surroundings)?;
            }
            News::Beacon { sending } => return send_beacon(page.document(open)?, &sending),
            News::Fetch { sending, request } => {
                return fetch(page.document(open)?, &sending, &request);
            }
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
}

impl Channels {
    /// Makes a document, on the channel of its site. `None` if there is no channel.
    fn open(&self, client: Client) -> Option<Document> {
        let site_of_url = page_origin(&client.creation_url).map(|origin| Site::of(&origin))?;
        let sites = (site_of_url, client.network_partition_key.top_level_site.clone());
        let mut list = self.list.borrow_mut();
        let at = list.iter().position(|channel| channel.sites == sites);
        let at = match at {
            Some(at) => at,
            None if list.len() == MAX_CHANNELS => return None,
            None => {
                let stream = (self.connect)(&client.creation_url, self.token.as_ref()?).ok()?;
                let agent = RemoteUserAgent::over_unix_stream(stream).ok()?;
                list.push(Channel { sites, agent });
                list.len() - 1
            }
        };
        Some(list[at].agent.document(client))
    }
}

/// What is known of a document beside what its script says.
fn surroundings<'a>(
    page: &PageDocument,
    top_level_site: &'a Site,
    heads: &'a VecDeque<Head>,
    user_agent: Option<&'a HeaderValue>,
    open: Open<'a>,
) -> Surroundings<'a> {
    let settings = page.settings.as_ref();
    let head = heads.iter().rev().find(|head| settings.is_some_and(|it| it.is_of(head)));
    let top_level_site = Some(top_level_site);
    Surroundings { open, webview_id: 0, head, is_head_needed: true, top_level_site, user_agent }
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

/// Sends a `fetch()` whose response nobody reads.
fn fetch(
    document: &Document,
    sending: &Sending,
    request: &PageRequest,
) -> Result<Answer, MessageError> {
    let mut response = document.fetch_group().fetch(request.request(document, sending)?);
    let polled = Pin::new(&mut response).poll(&mut Context::from_waker(Waker::noop()));
    let is_refused = matches!(polled, Poll::Ready(Err(_)));
    Ok(if is_refused { Answer::No } else { Answer::Yes })
}

impl fmt::Debug for ContentPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentPage").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
