//! The `Environment` of a document: what the browser decides before the first script runs.

use sendbeacon::{Client, Nonce};
use url::Url;

use super::{
    navigable::SandboxFlags, resource_timing::NavigationTiming, storage_area::StorageArea,
};

/// The parts of a document and of its [environment settings object](https://html.spec.whatwg.org/multipage/webappapis.html#environment-settings-object)
/// that come from the response and from the browser's settings.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The document's URL.
    pub url: Url,
    /// The [about base URL](https://html.spec.whatwg.org/multipage/dom.html#concept-document-about-base-url):
    /// the fallback base URL of an `about:blank` or `about:srcdoc` document.
    pub about_base_url: Option<Url>,
    /// The URL whose cookies `document.cookie` gives access to, if it is not that of the document: for an `about:blank`
    /// or `about:srcdoc` document, it is that of the document that has created it.
    ///
    /// NB: the standard calls such a document cookie-averse: its `document.cookie` is empty. All browsers give it the
    /// cookies of its creator.
    pub cookie_url: Option<Url>,
    /// The settings object as the response defines it. `meta` and `base` elements add to it later.
    pub client: Client,
    /// The document's [active sandboxing flag set](https://html.spec.whatwg.org/multipage/browsers.html#active-sandboxing-flag-set).
    pub sandbox: SandboxFlags,
    /// `crossOriginIsolated`. If it is false, scripts have no `SharedArrayBuffer`.
    pub cross_origin_isolated: bool,
    /// `document.contentType`
    pub content_type: String,
    /// `document.referrer`
    pub referrer: String,
    /// The value of the response's `Refresh` header, if there is one.
    pub refresh: Option<String>,
    /// The timing of the navigation to the document, if its response came over the network.
    pub navigation: Option<NavigationTiming>,
    /// `navigator.userAgent`
    pub user_agent: String,
    /// `navigator.languages`, the most preferred language first.
    pub languages: Vec<String>,
    /// `navigator.onLine`
    pub online: bool,
    /// `localStorage`. All documents of an origin share it.
    pub local_storage: StorageArea,
    /// `sessionStorage`. The documents of an origin in one tab share it.
    pub session_storage: StorageArea,
}

impl Environment {
    /// The environment of a document at `url`, with a default for everything else.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Self::of(Client::new(url, Nonce::random()))
    }

    /// The environment of a document with the settings object `client`, with a default for everything else.
    #[must_use]
    pub fn of(client: Client) -> Self {
        Self {
            url: client.creation_url.clone(),
            about_base_url: None,
            cookie_url: None,
            client,
            sandbox: SandboxFlags::default(),
            cross_origin_isolated: false,
            content_type: "text/html".into(),
            referrer: String::new(),
            refresh: None,
            navigation: None,
            user_agent: concat!("sendbeacon-shell/", env!("CARGO_PKG_VERSION")).into(),
            languages: vec!["en-US".into(), "en".into()],
            online: true,
            local_storage: StorageArea::default(),
            session_storage: StorageArea::default(),
        }
    }
}
