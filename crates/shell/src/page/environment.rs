//! What the browser decides about a document before its first script runs.

use std::{cell::RefCell, rc::Rc};

use sendbeacon::{Client, Nonce};
use url::Url;

use super::navigable::SandboxFlags;

/// The parts of an [environment settings object](https://html.spec.whatwg.org/multipage/webappapis.html#environment-settings-object)
/// and of a document that come from outside: the response and the browser's settings.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The document's URL.
    pub url: Url,
    /// The [about base URL](https://html.spec.whatwg.org/multipage/dom.html#concept-document-about-base-url):
    /// the fallback base URL of an `about:blank` or `about:srcdoc` document.
    pub about_base_url: Option<Url>,
    /// What its requests depend on, before elements of the document add to it.
    pub client: Client,
    /// Its [active sandboxing flag set](https://html.spec.whatwg.org/multipage/browsers.html#active-sandboxing-flag-set).
    pub sandbox: SandboxFlags,
    /// `crossOriginIsolated`; without it there is no `SharedArrayBuffer`.
    pub cross_origin_isolated: bool,
    /// `document.referrer`
    pub referrer: String,
    /// The value of the response's `Refresh` header.
    pub refresh: Option<String>,
    /// `navigator.userAgent`
    pub user_agent: String,
    /// `navigator.languages`, the preferred one first.
    pub languages: Vec<String>,
    /// `navigator.onLine`
    pub online: bool,
    /// `localStorage`; shared by the documents of an origin.
    pub local_storage: StorageArea,
    /// `sessionStorage`; shared by the documents of an origin in one tab.
    pub session_storage: StorageArea,
}

impl Environment {
    /// What holds for a document at `url` of which nothing else is known.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Self::of(Client::new(url, Nonce::random()))
    }

    /// What holds for a document with this settings object.
    #[must_use]
    pub fn of(client: Client) -> Self {
        Self {
            url: client.creation_url.clone(),
            about_base_url: None,
            client,
            sandbox: SandboxFlags::default(),
            cross_origin_isolated: false,
            referrer: String::new(),
            refresh: None,
            user_agent: concat!("sendbeacon-shell/", env!("CARGO_PKG_VERSION")).into(),
            languages: vec!["en-US".into(), "en".into()],
            online: true,
            local_storage: StorageArea::default(),
            session_storage: StorageArea::default(),
        }
    }
}

/// The map behind a [`Storage`](https://html.spec.whatwg.org/multipage/webstorage.html#the-storage-interface)
/// object, in insertion order. Clones are the same map.
#[derive(Clone, Debug, Default)]
pub struct StorageArea(Rc<RefCell<Vec<(String, String)>>>);

impl StorageArea {
    /// All there is.
    #[must_use]
    pub fn items(&self) -> Vec<(String, String)> {
        self.0.borrow().clone()
    }

    /// Has these items from now on, and nothing else.
    pub fn replace(&self, items: Vec<(String, String)>) {
        *self.0.borrow_mut() = items;
    }

    /// A map of its own with the same items.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self(Rc::new(RefCell::new(self.items())))
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<String> {
        self.0.borrow().iter().find(|(name, _)| name == key).map(|(_, value)| value.clone())
    }

    /// Sets `key` to `value`.
    pub fn set(&self, key: String, value: String) {
        let mut items = self.0.borrow_mut();
        match items.iter_mut().find(|(name, _)| *name == key) {
            Some((_, old)) => *old = value,
            None => items.push((key, value)),
        }
    }

    /// Removes `key`.
    pub fn remove(&self, key: &str) {
        self.0.borrow_mut().retain(|(name, _)| name != key);
    }

    /// Removes everything.
    pub fn clear(&self) {
        self.0.borrow_mut().clear();
    }

    /// All keys.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.0.borrow().iter().map(|(name, _)| name.clone()).collect()
    }
}
