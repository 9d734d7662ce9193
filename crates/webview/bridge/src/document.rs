//! A document of a webview: its settings, its library `Document` and its ledger.

use http::{HeaderName, HeaderValue, Method, header::CONTENT_TYPE};
use sendbeacon::{
    Client, CredentialsMode, Document, FetchId, Mode, PendingResponse, Request, UserAgent,
    VisibilityState, extract,
};
use url::Url;

use crate::{
    ledger::Sums,
    message::{
        Credentials, DocumentKey, FetchMethod, FetchMode, MessageError, Sending, Visibility,
    },
    settings::{Beginning, Head, Settings},
};

/// A document of a webview.
#[derive(Debug)]
pub(crate) struct PageDocument {
    pub(crate) key: DocumentKey,
    beginning: Beginning,
    settings: Option<Settings>,
    client: Option<Client>,
    /// `None` before the settings are known, and after the document was unloaded.
    document: Option<Document>,
    /// Whether the document is hidden.
    is_hidden: bool,
    /// Whether the page was hidden, and whether it may come back.
    left: Option<Left>,
    /// What is unfinished.
    unfinished: Sums,
    /// What is done, since the beginning of the document.
    pub(crate) done: Sums,
}

#[derive(Clone, Copy, Debug)]
struct Left {
    is_cached: bool,
}

/// A `fetch()` of a page that is dismissed.
#[derive(Debug)]
pub(crate) struct PageFetch {
    pub(crate) method: FetchMethod,
    pub(crate) mode: FetchMode,
    pub(crate) credentials: Credentials,
    pub(crate) headers: Vec<(String, String)>,
}

impl PageDocument {
    pub(crate) fn new(key: DocumentKey, beginning: Beginning) -> Self {
        Self {
            key,
            beginning,
            settings: None,
            client: None,
            document: None,
            is_hidden: false,
            left: None,
            unfinished: Sums::default(),
            done: Sums::default(),
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
        let client = settings.client(&self.beginning, page.head, page.user_agent);
        if client.is_err() {
            (self.client, self.document) = (None, None);
        }
        let mut client = client?;
        client.webview_id = page.webview_id;
        match &self.document {
            Some(document) => document.set_client(client.clone()),
            // NB: it is made before it sends, so that a user agent that quits waits for it.
            None if self.client.is_none() => {
                self.document = Some(page.agent.document(client.clone()));
            }
            None => {}
        }
        self.client = Some(client);
        Ok(())
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

    /// Another document has followed this one. Beacons of this one may still come, if the two have different processes.
    pub(crate) fn settle(&mut self) {
        match (self.left, &self.document) {
            (Some(Left { is_cached: true }), Some(document)) => document.pagehide(true),
            (Some(Left { is_cached: false }), _) => self.document = None,
            _ => {}
        }
    }

    /// Sends a beacon that the script has answered with `true`.
    pub(crate) fn send_beacon(
        &mut self,
        agent: &UserAgent,
        sending: &Sending,
    ) -> Result<FetchId, MessageError> {
        self.check(sending)?;
        let document = self.document(agent)?;
        let sent = match &sending.body {
            None => document.send_answered_beacon(&sending.url, None),
            Some(body) => {
                body.with(|body| document.send_answered_beacon(&sending.url, Some(body)))?
            }
        };
        let id = sent.map_err(|_| MessageError::Field("url"))?.ok_or(MessageError::Refused)?;
        self.unfinished = self.unfinished.plus(Sums::of(sending));
        Ok(id)
    }

    /// Sends a `fetch()` whose response nobody reads.
    pub(crate) fn fetch(
        &mut self,
        agent: &UserAgent,
        sending: &Sending,
        fetch: &PageFetch,
    ) -> Result<PendingResponse, MessageError> {
        self.check(sending)?;
        let url = Url::parse(&sending.url).map_err(|_| MessageError::Field("url"))?;
        let document = self.document(agent)?;
        let mut request = Request::new(document.client(), url);
        request.keepalive = true;
        request.method = match fetch.method {
            FetchMethod::Get => Method::GET,
            FetchMethod::Head => Method::HEAD,
            FetchMethod::Post => Method::POST,
        };
        request.mode = match fetch.mode {
            FetchMode::Cors => Mode::Cors,
            FetchMode::NoCors => Mode::NoCors,
            FetchMode::SameOrigin => Mode::SameOrigin,
        };
        request.credentials = match fetch.credentials {
            Credentials::Omit => CredentialsMode::Omit,
            Credentials::SameOrigin => CredentialsMode::SameOrigin,
            Credentials::Include => CredentialsMode::Include,
        };
        for (name, value) in &fetch.headers {
            let name = HeaderName::try_from(name).map_err(|_| MessageError::Field("header"))?;
            let value = HeaderValue::try_from(value).map_err(|_| MessageError::Field("header"))?;
            request.headers.append(name, value);
        }
        if let Some(body) = &sending.body {
            let (body, content_type) = body
                .with(|body| {
                    extract(body)
                        .map(|mut it| (it.content_type.take(), it))
                        .map(|(ty, it)| (it.into_body(), ty))
                })?
                .map_err(|_| MessageError::Field("body"))?;
            request.body = Some(body);
            if let Some(content_type) = content_type {
                request.headers.entry(CONTENT_TYPE).or_insert(content_type);
            }
        }
        let response = document.fetch_group().fetch(request);
        self.unfinished = self.unfinished.plus(Sums::of(sending));
        Ok(response)
    }

    /// A request is done.
    pub(crate) fn finished(&mut self, request: Sums) {
        self.unfinished = self.unfinished.minus(request);
        self.done = self.done.plus(request);
    }

    /// Checks that the script may have admitted this: it gets room back only after the app has. What it says about the
    /// length counts as long as it is not too little.
    fn check(&self, sending: &Sending) -> Result<(), MessageError> {
        let length = match &sending.body {
            None => Ok(0),
            Some(body) => body.with(|body| extract(body).map(|it| it.length))?,
        };
        let length = length.map_err(|_| MessageError::Field("body"))?;
        let mut sums = Sums::of(sending);
        sums.bytes = sums.bytes.max(length);
        sums.url_bytes = sums.url_bytes.max(sending.url.len() as u64);
        let fits = self.unfinished.plus(sums).fits();
        fits.then_some(()).ok_or(MessageError::TooMuch)
    }

    /// The library's document, or a new one for a beacon that comes after the document was unloaded.
    fn document(&mut self, agent: &UserAgent) -> Result<&Document, MessageError> {
        let client = self.client.as_ref().ok_or(MessageError::NoDocument)?;
        let is_hidden = self.is_hidden;
        Ok(self.document.get_or_insert_with(|| {
            let document = agent.document(client.clone());
            if is_hidden {
                document.visibility_change(VisibilityState::Hidden);
            }
            document
        }))
    }
}

/// What a webview knows about its documents.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) agent: &'a UserAgent,
    pub(crate) webview_id: u64,
    pub(crate) head: Option<&'a Head>,
    pub(crate) user_agent: Option<&'a HeaderValue>,
}
