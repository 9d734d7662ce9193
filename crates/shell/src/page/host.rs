//! `PageHost`, the interface between a page and the browser around it, and its plain data.

use std::rc::Rc;

use bytes::Bytes;
use data_url::mime::Mime;
use sendbeacon::{
    Client, CredentialsMode, CspDisposition, CspList, CspViolation, Destination, EmbedderPolicy,
    Mode, NavigableContainer, Nonce, ReferrerPolicy,
};
use serde::{Deserialize, Serialize};
use url::{EncodingOverride, Url};

use super::{
    BodyInit, Environment, FetchRequest, FetchResponse, RealmId, TaskQueue,
    document::DocumentInfo,
    mime_type::is_javascript,
    navigable::{NavigableId, SandboxFlags, about_blank, opaque_origin},
    remote::{Command, WindowMessage},
    resource_timing::NavigationTiming,
    window::NoHost,
};

/// What the browser does for one document.
///
/// The page calls every method on its own thread, most of them while a script runs. So a method must not call back
/// into the [`Page`](super::Page). A method that has an answer later posts it to the page's [`TaskQueue`].
pub trait PageHost {
    /// [`navigator.sendBeacon()`](https://w3c.github.io/beacon/#sendbeacon-method), after the Web IDL
    /// conversions. `url` is a scalar value string that is not parsed yet. An error is the message of the
    /// `TypeError` to throw.
    fn send_beacon(&self, url: &str, data: Option<BodyInit>) -> Result<bool, String>;

    /// [`fetch()`](https://fetch.spec.whatwg.org/#fetch-method), after `new Request()`. Starts the fetch and
    /// returns at once. Any thread may call `done` when the head of the response is there, which posts the task that
    /// settles the promise. If `done` is dropped without a call, the promise is rejected with a network error.
    fn fetch(&self, request: FetchRequest, done: FetchDone);

    /// Reads the next chunk of the response to the fetch with this [`FetchRequest::id`]. Any thread may call `done`. If
    /// `done` is dropped without a call, the body fails. The page reads no chunk before the last one is there, and none
    /// after the end of the body.
    fn read_body(&self, _id: u64, _done: ChunkDone) {}

    /// Fetches an image, and calls `done` when its body is there. Any thread may call `done`. If `done` is dropped without
    /// a call, the image is broken.
    fn load_image(&self, _request: FetchRequest, done: ImageDone) {
        done(Err("this shell loads no images".into()));
    }

    /// The page has [aborted](https://dom.spec.whatwg.org/#abortsignal-add) the fetch or the image with this
    /// [`FetchRequest::id`]. Its promise is rejected or its body has failed already, so a later answer has no effect.
    fn abort_fetch(&self, _id: u64) {}

    /// [`fetchLater()`](https://fetch.spec.whatwg.org/#dom-window-fetchlater), after `new Request()`.
    /// `activate_after` is in milliseconds.
    fn fetch_later(&self, _: FetchRequest, _activate_after: Option<f64>) -> Result<(), Thrown> {
        let message = "this shell defers nothing".to_owned();
        Err(Thrown { name: "TypeError", message, quota: None })
    }

    /// Whether the deferred fetch with this [`FetchRequest::id`] is sent.
    fn is_activated(&self, _id: u64) -> bool {
        false
    }

    /// The page has aborted the deferred fetch with this [`FetchRequest::id`].
    fn abort_deferred(&self, _id: u64) {}

    /// [Hyperlink auditing](https://html.spec.whatwg.org/multipage/links.html#hyperlink-auditing) of a link
    /// that the user or a script follows. The arguments are the values of the link's attributes, and how the document's
    /// encoding encodes the query of a URL.
    fn ping(&self, _ping: &str, _href: &str, _encoding: EncodingOverride<'_>) {}

    /// Prints a line to the console. `level` is the name of the `console` method: `"error"`, `"log"` and so on.
    fn console(&self, level: &str, message: &str);

    /// Fetches the document of a navigation in this document's navigable. Any thread may call `done`. If `done` is
    /// dropped without a call, the navigation ends with a network error.
    fn fetch_document(&self, _navigation: Navigation, done: DocumentDone) {
        done(Err("this shell loads no documents".into()));
    }

    /// Creates the host of a new document: one that replaces this document, is in a frame of it, or is in a window
    /// that it opens. This may change the new document's `environment`. `container` is given for a frame: see
    /// [`navigable_container`](Self::navigable_container).
    fn create_host(
        &self,
        _environment: &mut Environment,
        _tab: TabOf,
        _container: Option<&NavigableContainer>,
    ) -> Rc<dyn PageHost> {
        Rc::new(NoHost)
    }

    /// Creates the library's handle of a new frame in this document. The page passes it to
    /// [`create_host`](Self::create_host).
    fn navigable_container(&self) -> Option<NavigableContainer> {
        None
    }

    /// The document has taken a step of its lifecycle, and the events of the step have been fired.
    fn lifecycle(&self, _step: Lifecycle) {}

    /// The document has a realm, and the host may post tasks to it from now on. The page calls this before every
    /// other method.
    fn attached(&self, _queue: TaskQueue, _realm: RealmId) {}

    /// The document's URL, its base URL or a policy from a `meta` element has changed. The page calls this for a new
    /// document too, and always before a script can send a request that depends on the change.
    fn document_changed(&self, _info: &DocumentInfo) {}

    /// Fetches a script. The page blocks until this returns. The script's status is an
    /// [ok status](https://fetch.spec.whatwg.org/#ok-status).
    fn load_script(&self, _request: &ScriptRequest) -> Result<FetchedScript, String> {
        Err("this shell loads no scripts".into())
    }

    /// The [cookie string](https://html.spec.whatwg.org/multipage/dom.html#dom-document-cookie) for
    /// the document.
    fn cookies(&self) -> String {
        String::new()
    }

    /// `document.cookie = ...`
    fn set_cookie(&self, _cookie: &str) {}

    /// Sends a message about a navigable to the other processes of the tab.
    fn send(&self, _navigable: NavigableId, _message: WindowMessage) {}

    /// Tells the document of a navigable, which another process runs, to do something. The page blocks until it is done, for 2 seconds at most.
    fn command(&self, _navigable: NavigableId, _command: Command) {}

    /// Sends the reports of a Content Security Policy violation. The page fires the event itself.
    fn report_violation(&self, _violation: &CspViolation) {}
}

/// A [violation](https://w3c.github.io/webappsec-csp/#violation) by a request: the attributes of its event.
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
            blocked_uri: violation.blocked_uri.to_string(),
            effective_directive: violation.effective_directive,
            original_policy: violation.original_policy.to_string(),
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
    /// For `"QuotaExceededError"`: the quota and the requested amount, in bytes.
    pub quota: Option<(u64, u64)>,
}

/// In which tab a new document is, seen from the document that creates it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TabOf {
    /// In the tab of the creating document.
    Other,
    /// In a new tab, which begins with a copy of the creating document's session storage.
    Opened,
    /// In a new tab without any connection to the creating document (`noopener`).
    Nobody,
}

/// A step of a document's lifecycle: each is a method of the library's
/// [`DocumentLifecycle`](sendbeacon::DocumentLifecycle).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lifecycle {
    /// The document is visible.
    Visible,
    /// The document is hidden.
    Hidden,
    /// `pagehide` was fired.
    PageHide {
        /// Whether the document goes into the back/forward cache.
        persisted: bool,
    },
    /// `pageshow` was fired.
    PageShow {
        /// Whether the document comes from the back/forward cache.
        persisted: bool,
    },
    /// The document is frozen: its tasks do not run for now.
    Freeze,
    /// The document's tasks run again.
    Resume,
    /// The document is unloaded.
    Unload,
}

/// A request for a script.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScriptRequest {
    /// The URL to fetch.
    pub url: Url,
    /// The destination: "script", or "worker" or "sharedworker" for the script of a new worker and its static imports.
    pub destination: Destination,
    /// The mode.
    pub mode: Mode,
    /// The credentials mode.
    pub credentials: CredentialsMode,
    /// The referrer: the base URL of the script that imports the module. `None`: the document or worker itself.
    pub referrer: Option<Url>,
    /// The referrer policy of the script element or of the module that imports the script, if it has one.
    pub referrer_policy: Option<ReferrerPolicy>,
    /// The integrity metadata of the script element.
    pub integrity: String,
}

impl ScriptRequest {
    /// [Creates a potential-CORS request](https://html.spec.whatwg.org/multipage/urls-and-fetching.html#create-a-potential-cors-request)
    /// for a script element. `crossorigin` is the value of its attribute, if it has the attribute.
    #[must_use]
    pub fn of_element(url: Url, crossorigin: Option<&str>) -> Self {
        let (mode, credentials) = match crossorigin {
            None => (Mode::NoCors, CredentialsMode::Include),
            Some(_) => (Mode::Cors, Self::module_credentials(crossorigin)),
        };
        Self::new(url, Destination::Script, mode, credentials)
    }

    /// The request to [fetch a classic worker script](https://html.spec.whatwg.org/multipage/webappapis.html#fetch-a-classic-worker-script).
    #[must_use]
    pub fn of_worker(url: Url) -> Self {
        Self::new(url, Destination::Worker, Mode::SameOrigin, CredentialsMode::SameOrigin)
    }

    /// Like [`of_worker`](Self::of_worker), for a shared worker.
    #[must_use]
    pub fn of_shared_worker(url: Url) -> Self {
        Self { destination: Destination::SharedWorker, ..Self::of_worker(url) }
    }

    /// The request to [fetch a classic worker-imported script](https://html.spec.whatwg.org/multipage/webappapis.html#fetch-a-classic-worker-imported-script).
    #[must_use]
    pub fn imported(url: Url) -> Self {
        Self::of_element(url, None)
    }

    /// The credentials mode of a module script. `crossorigin` is the value of its element's attribute, if it has the attribute.
    #[must_use]
    pub fn module_credentials(crossorigin: Option<&str>) -> CredentialsMode {
        match crossorigin {
            Some(value) if value.eq_ignore_ascii_case("use-credentials") => {
                CredentialsMode::Include
            }
            _ => CredentialsMode::SameOrigin,
        }
    }

    /// The request to [fetch a single module script](https://html.spec.whatwg.org/multipage/webappapis.html#fetch-a-single-module-script).
    #[must_use]
    pub fn of_module(url: Url, credentials: CredentialsMode) -> Self {
        Self::new(url, Destination::Script, Mode::Cors, credentials)
    }

    fn new(url: Url, destination: Destination, mode: Mode, credentials: CredentialsMode) -> Self {
        let (referrer, referrer_policy, integrity) = (None, None, String::new());
        Self { url, destination, mode, credentials, referrer, referrer_policy, integrity }
    }
}

/// A fetched script: what the page needs of its
/// [unsafe response](https://html.spec.whatwg.org/multipage/urls-and-fetching.html#unsafe-response).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FetchedScript {
    /// The URL of the response.
    pub url: Url,
    /// The [extracted MIME type](https://fetch.spec.whatwg.org/#concept-header-extract-mime-type), serialised. `None` is
    /// failure.
    pub type_: Option<String>,
    /// The policies in the headers, for the script of a worker. The referrer policy is for the imports of a module, too.
    pub policies: PolicyContainer,
    /// The body.
    pub body: Vec<u8>,
}

impl FetchedScript {
    /// The charset of the MIME type.
    #[must_use]
    pub fn charset(&self) -> Option<String> {
        self.mime_type()?.get_parameter("charset").map(ToOwned::to_owned)
    }

    /// Whether the MIME type is a [JavaScript MIME type](https://mimesniff.spec.whatwg.org/#javascript-mime-type).
    #[must_use]
    pub fn is_javascript(&self) -> bool {
        self.mime_type().is_some_and(|it| is_javascript(&it))
    }

    fn mime_type(&self) -> Option<Mime> {
        self.type_.as_ref()?.parse().ok()
    }
}

/// The [policy container](https://html.spec.whatwg.org/multipage/browsers.html#policy-containers) of a response.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PolicyContainer {
    /// The CSP list.
    pub csp_list: CspList,
    /// The embedder policy.
    pub embedder_policy: EmbedderPolicy,
    /// The referrer policy, if the response has one.
    pub referrer_policy: Option<ReferrerPolicy>,
}

/// A request for a document.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Navigation {
    /// The URL to fetch.
    pub url: Url,
    /// The settings object of the document that navigates, on which `Referer` and `Sec-Fetch-Site` depend. `None` if
    /// the user navigates.
    pub source: Option<Client>,
    /// The referrer policy of the element that navigates, if it has one.
    pub referrer_policy: Option<ReferrerPolicy>,
    /// The body of a form's POST request.
    pub post: Option<PostResource>,
    /// For a frame, the settings object of the document that contains the frame.
    pub container: Option<Client>,
    /// The navigable that shows the document.
    pub navigable: NavigableId,
}

impl Navigation {
    /// A navigation that the user starts.
    #[must_use]
    pub fn of_user(url: Url) -> Self {
        let navigable = NavigableId(1);
        Self { url, source: None, referrer_policy: None, post: None, container: None, navigable }
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

/// A fetched document: the result of a [`Navigation`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FetchedDocument {
    /// The document's URL, after redirects.
    pub url: Url,
    /// The document's settings object. Its document identifier is not set yet.
    pub client: Client,
    /// `crossOriginIsolated`
    pub cross_origin_isolated: bool,
    /// `document.referrer`
    pub referrer: String,
    /// The values of the `Permissions-Policy` headers, joined by commas.
    pub permissions_policy: String,
    /// The sandboxing flags of the document's Content Security Policies.
    pub sandbox: SandboxFlags,
    /// The essence of the MIME type.
    pub type_: String,
    /// The charset of the MIME type, if it has one.
    pub charset: Option<String>,
    /// The `Refresh` header, if there is one.
    pub refresh: Option<String>,
    /// The values of the `X-Frame-Options` headers, joined by commas.
    pub frame_options: String,
    /// The timing of the fetch.
    pub timing: Option<NavigationTiming>,
    /// Whether another process has to run the document. Its body is not here.
    pub is_remote: bool,
    /// The body.
    #[serde(skip)]
    pub body: Bytes,
}

impl FetchedDocument {
    /// The document in place of one that cannot be shown: it is empty, and has an opaque origin.
    #[must_use]
    pub fn error() -> Self {
        let url = about_blank();
        let mut client = Client::new(url.clone(), Nonce::random());
        client.origin = opaque_origin();
        Self::local(url, client)
    }

    /// An HTML document that does not come from a response. Its body is empty.
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
            timing: None,
            is_remote: false,
            body: Bytes::new(),
        }
    }
}

/// Called with the result of a document's fetch: a document, `None` if the response has nothing to show (status 204),
/// or an error message.
pub type DocumentDone = Box<dyn FnOnce(Result<Option<FetchedDocument>, String>) + Send>;

/// A fetched image: what the page needs of its
/// [unsafe response](https://html.spec.whatwg.org/multipage/urls-and-fetching.html#unsafe-response).
#[derive(Clone, Debug)]
pub struct FetchedImage {
    /// The [extracted MIME type](https://fetch.spec.whatwg.org/#concept-header-extract-mime-type), serialised. `None` is
    /// failure.
    pub type_: Option<String>,
    /// The body.
    pub body: Bytes,
}

/// Called with the result of an image's fetch: the image, or an error message.
pub type ImageDone = Box<dyn FnOnce(Result<FetchedImage, String>) + Send>;

/// Called with the result of a fetch: the head of a response, or an error message.
pub type FetchDone = Box<dyn FnOnce(Result<FetchResponse, String>) + Send>;

/// Called with the next chunk of a body, `None` at its end, or an error message.
pub type ChunkDone = Box<dyn FnOnce(Result<Option<Bytes>, String>) + Send>;
