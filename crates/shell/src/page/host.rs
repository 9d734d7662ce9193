//! The border between a page and the browser around it: what a page may ask, as plain data.

use std::{fmt, rc::Rc};

use bytes::Bytes;
use sendbeacon::{Client, CspDisposition, CspViolation, NavigableContainer, ReferrerPolicy};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    Environment, RealmId, TaskQueue, document::DocumentInfo, navigable::SandboxFlags,
    window::NoHost,
};

/// What a page asks of the browser around it.
///
/// Everything is called on the page's thread, most of it from within a running script. So nothing
/// here may call back into the [`Page`](super::Page); what is to happen to it later goes through
/// its event loop's [`TaskQueue`](super::TaskQueue).
pub trait PageHost {
    /// [`navigator.sendBeacon()`](https://w3c.github.io/beacon/#sendbeacon-method) after the Web IDL
    /// conversions: `url` is a scalar value string, not yet parsed. An error is the message of the
    /// `TypeError` to throw.
    fn send_beacon(&self, url: &str, data: Option<BodyInit>) -> Result<bool, String>;

    /// [`fetch()`](https://fetch.spec.whatwg.org/#fetch-method) after `new Request()`: starts it and
    /// returns. `done` may be called on any thread and posts the task that settles the promise;
    /// dropped uncalled, it is a network error.
    fn fetch(&self, request: FetchRequest, done: FetchDone);

    /// The page has [aborted](https://dom.spec.whatwg.org/#abortsignal-add) the fetch with this
    /// [`FetchRequest::id`]. Its promise is rejected already; calling `done` does nothing any more.
    fn abort_fetch(&self, _id: u64) {}

    /// [`fetchLater()`](https://fetch.spec.whatwg.org/#dom-window-fetchlater) after `new Request()`;
    /// `activate_after` is in milliseconds.
    fn fetch_later(&self, _: FetchRequest, _activate_after: Option<f64>) -> Result<(), Thrown> {
        let message = "this shell defers nothing".to_owned();
        Err(Thrown { name: "TypeError", message, quota: None })
    }

    /// Whether the deferred fetch with this [`FetchRequest::id`] was sent.
    fn is_activated(&self, _id: u64) -> bool {
        false
    }

    /// The page has aborted the deferred fetch with this [`FetchRequest::id`].
    fn abort_deferred(&self, _id: u64) {}

    /// [Hyperlink auditing](https://html.spec.whatwg.org/multipage/links.html#hyperlink-auditing) of a link
    /// that is followed, by the values of its attributes.
    fn ping(&self, _ping: &str, _href: &str) {}

    /// A line for the console.
    fn console(&self, level: &str, message: &str);

    /// Fetches the document of a navigation that this document, or one that came before it in the same
    /// place, has asked for. `done` may be called on any thread; dropped uncalled, it is a network error.
    fn fetch_document(&self, _navigation: Navigation, done: DocumentDone) {
        done(Err("this shell loads no documents".into()));
    }

    /// The host of another document, that comes in the place of this one, in a frame of it or in a window
    /// it opens; for a frame with its container. It may still change its `environment`.
    fn create_host(
        &self,
        _environment: &mut Environment,
        _tab: TabOf,
        _container: Option<&NavigableContainer>,
    ) -> Rc<dyn PageHost> {
        Rc::new(NoHost)
    }

    /// What the library has to know of a new frame in the document, for
    /// [`create_host`](Self::create_host).
    fn navigable_container(&self) -> Option<NavigableContainer> {
        None
    }

    /// A step of the document's life is done, its events fired.
    fn lifecycle(&self, _step: Lifecycle) {}

    /// The document has a realm, to which tasks may be posted from now on. Called first of all.
    fn attached(&self, _queue: TaskQueue, _realm: RealmId) {}

    /// What requests of this document depend on has changed: its URL, its base URL, or a policy
    /// from a `meta` element. Called for a new document as well, and always before a script can send
    /// anything.
    fn document_changed(&self, _info: &DocumentInfo) {}

    /// The bytes of a classic script and the charset of its `Content-Type`. The page waits for them.
    fn load_script(&self, _url: &Url) -> Result<(Vec<u8>, Option<String>), String> {
        Err("this shell loads no scripts".into())
    }

    /// The [cookie string](https://html.spec.whatwg.org/multipage/dom.html#dom-document-cookie) for
    /// the document.
    fn cookies(&self) -> String {
        String::new()
    }

    /// `document.cookie = ...`
    fn set_cookie(&self, _cookie: &str) {}

    /// Reports a violation that the page has found, of which it fires the event.
    fn report_violation(&self, _violation: &CspViolation) {}
}

/// A [violation](https://w3c.github.io/webappsec-csp/#violation) by a request, as its event says it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Violation {
    /// `blockedURI`
    pub blocked_uri: String,
    /// `effectiveDirective`
    pub effective_directive: String,
    /// `originalPolicy`
    pub original_policy: String,
    /// `disposition`: `"enforce"` or `"report"`
    pub disposition: String,
}

impl From<CspViolation> for Violation {
    fn from(violation: CspViolation) -> Self {
        Self {
            blocked_uri: violation.blocked_uri,
            effective_directive: violation.effective_directive,
            original_policy: violation.original_policy,
            disposition: match violation.disposition {
                CspDisposition::Enforce => "enforce".to_owned(),
                CspDisposition::Report => "report".to_owned(),
            },
        }
    }
}

/// An exception to throw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thrown {
    /// `"TypeError"`, `"RangeError"` or `"QuotaExceededError"`.
    pub name: &'static str,
    /// The message.
    pub message: String,
    /// Of the last: how much there is, and how much was requested, in bytes.
    pub quota: Option<(u64, u64)>,
}

/// The tab of a document that comes of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TabOf {
    /// That of the other.
    Other,
    /// A new one, opened by the other: it begins with a copy of its session storage.
    Opened,
    /// A new one that has nothing to do with the other (`noopener`).
    Nobody,
}

/// A step of a document's life, as [`DocumentLifecycle`](sendbeacon::DocumentLifecycle) tells it to the
/// library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// It is visible.
    Visible,
    /// It is not.
    Hidden,
    /// `pagehide`, and whether it is kept.
    PageHide {
        /// Whether it goes into the back/forward cache.
        persisted: bool,
    },
    /// `pageshow`, and whether it was kept.
    PageShow {
        /// Whether it comes from the back/forward cache.
        persisted: bool,
    },
    /// Its tasks do not run for now.
    Freeze,
    /// They run again.
    Resume,
    /// It is gone.
    Unload,
}

/// A document to fetch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Navigation {
    /// Where it is.
    pub url: Url,
    /// The settings object of the document that asks, if it is not the user: the source of `Referer` and
    /// `Sec-Fetch-Site`.
    pub source: Option<Client>,
    /// The referrer policy of the element that asks, if it has one.
    pub referrer_policy: Option<ReferrerPolicy>,
    /// What a form posts.
    pub post: Option<PostResource>,
    /// For a frame, the settings object of the document it is in.
    pub container: Option<Client>,
}

impl Navigation {
    /// What the user asks for.
    #[must_use]
    pub fn of_user(url: Url) -> Self {
        Self { url, source: None, referrer_policy: None, post: None, container: None }
    }
}

/// A [POST resource](https://html.spec.whatwg.org/multipage/browsing-the-web.html#post-resource)
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PostResource {
    /// The type of the body, with its parameters.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

/// A document that has come: what a navigation ends with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FetchedDocument {
    /// The document's URL, after redirects.
    pub url: Url,
    /// Its settings object, without a document identifier.
    pub client: Client,
    /// `crossOriginIsolated`
    pub cross_origin_isolated: bool,
    /// `document.referrer`
    pub referrer: String,
    /// Its `Permissions-Policy` headers, joined.
    pub permissions_policy: String,
    /// The sandboxing flags of its policies.
    pub sandbox: SandboxFlags,
    /// The essence of its type.
    pub type_: String,
    /// The charset of its type.
    pub charset: Option<String>,
    /// Its `Refresh` header.
    pub refresh: Option<String>,
    /// Its `X-Frame-Options` headers, joined.
    pub frame_options: String,
    /// The body.
    #[serde(skip)]
    pub body: Bytes,
}

impl FetchedDocument {
    /// An HTML document that no response has brought.
    #[must_use]
    pub fn local(url: Url, client: Client) -> Self {
        Self {
            url,
            client,
            cross_origin_isolated: false,
            referrer: String::new(),
            permissions_policy: String::new(),
            sandbox: SandboxFlags::default(),
            type_: "text/html".into(),
            charset: None,
            refresh: None,
            frame_options: String::new(),
            body: Bytes::new(),
        }
    }
}

/// How the fetch of a document ends; without a document where there is nothing to show (204).
pub type DocumentDone = Box<dyn FnOnce(Result<Option<FetchedDocument>, String>) + Send>;

/// How a fetch ends: a response, or what is wrong.
pub type FetchDone = Box<dyn FnOnce(Result<FetchResponse, String>) + Send>;

/// [`BodyInit`](https://fetch.spec.whatwg.org/#bodyinit) after the Web IDL conversion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyInit {
    /// A scalar value string.
    Text(String),
    /// A copy of the bytes of a buffer or a view.
    Bytes(Bytes),
    /// A `Blob` or a `File`.
    Blob(Blob),
    /// A `FormData`'s entry list.
    FormData(Vec<FormDataEntry>),
    /// A `URLSearchParams`'s list.
    UrlSearchParams(Vec<(String, String)>),
    /// A `ReadableStream`, of which only the presence matters here.
    ReadableStream,
}

impl BodyInit {
    /// The body in the library's terms, which borrow from the page's.
    pub(crate) fn with_library_body<T>(
        &self,
        use_it: impl FnOnce(sendbeacon::BodyInit<'_>) -> T,
    ) -> T {
        match self {
            Self::Text(text) => use_it(text.as_str().into()),
            Self::Bytes(bytes) => use_it((&**bytes).into()),
            Self::Blob(blob) => use_it((&library_blob(blob)).into()),
            Self::FormData(entries) => {
                let entries: Vec<_> = entries
                    .iter()
                    .map(|entry| sendbeacon::FormDataEntry {
                        name: entry.name.clone(),
                        value: match &entry.value {
                            FormDataValue::String(value) => {
                                sendbeacon::FormDataValue::String(value.clone())
                            }
                            FormDataValue::File { blob, filename } => {
                                sendbeacon::FormDataValue::File {
                                    blob: library_blob(blob),
                                    filename: filename.clone(),
                                }
                            }
                        },
                    })
                    .collect();
                use_it(sendbeacon::BodyInit::FormData(&entries))
            }
            Self::UrlSearchParams(list) => use_it(sendbeacon::BodyInit::UrlSearchParams(list)),
            Self::ReadableStream => use_it(sendbeacon::BodyInit::ReadableStream),
        }
    }
}

fn library_blob(blob: &Blob) -> sendbeacon::Blob {
    sendbeacon::Blob::new(blob.bytes.clone(), &blob.type_)
}

/// Bytes with a type.
#[derive(Clone, PartialEq, Eq)]
pub struct Blob {
    /// The bytes.
    pub bytes: Bytes,
    /// The `type` attribute, normalised as the constructor does.
    pub type_: String,
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes, {:?})", self.bytes.len(), self.type_)
    }
}

/// An [entry](https://xhr.spec.whatwg.org/#concept-formdata-entry) of a `FormData`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormDataEntry {
    /// The name, a scalar value string.
    pub name: String,
    /// The value.
    pub value: FormDataValue,
}

/// The value of a form entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormDataValue {
    /// A scalar value string.
    String(String),
    /// A `File`.
    File {
        /// Its bytes and type.
        blob: Blob,
        /// Its name.
        filename: String,
    },
}

/// What a `Request` says. Enumerations are the strings of the standard.
#[derive(Clone, Debug)]
pub struct FetchRequest {
    /// Names this fetch in [`PageHost::abort_fetch`]; unique within the document.
    pub id: u64,
    /// The method, normalised.
    pub method: String,
    /// The URL.
    pub url: Url,
    /// The headers in the order they were given, with the body's `Content-Type` unless the body is
    /// a `FormData`, whose boundary is not known here.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<BodyInit>,
    /// The mode: `"cors"`, `"no-cors"`, `"same-origin"`.
    pub mode: String,
    /// The credentials mode.
    pub credentials: String,
    /// The cache mode.
    pub cache: String,
    /// The redirect mode.
    pub redirect: String,
    /// The referrer: `"about:client"`, empty for none, or a URL.
    pub referrer: String,
    /// The referrer policy; empty for the document's.
    pub referrer_policy: String,
    /// The integrity metadata.
    pub integrity: String,
    /// The keepalive flag.
    pub keepalive: bool,
    /// The priority: `"auto"`, `"high"`, `"low"`.
    pub priority: String,
}

/// A response as script may see it (a filtered one, then).
#[derive(Clone, Debug)]
pub struct FetchResponse {
    /// The status.
    pub status: u16,
    /// The status message.
    pub status_text: String,
    /// The headers in order.
    pub headers: Vec<(String, String)>,
    /// The URL without fragment; empty where script may not see it.
    pub url: String,
    /// The type: `"basic"`, `"cors"`, `"opaque"`, `"opaqueredirect"`, `"default"`.
    pub type_: String,
    /// Whether its URL list has more than one item.
    pub redirected: bool,
    /// The body.
    pub body: Bytes,
}
