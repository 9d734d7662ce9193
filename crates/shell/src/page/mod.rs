//! A page: a document, its scripts and its lifecycle.

mod bindings;
mod budget;
mod document;
mod dom;
mod environment;
mod event_loop;
mod exceptions;
mod host;
mod parser;
mod prelude;
mod realm;
mod resource_timing;
mod script;
mod timers;
mod window;

use std::rc::Rc;

pub use self::{
    document::DocumentInfo,
    environment::{Environment, StorageArea},
    event_loop::{EventLoop, RealmId, TaskQueue},
    host::{
        Blob, BodyInit, FetchDone, FetchRequest, FetchResponse, FormDataEntry, FormDataValue,
        PageHost, Thrown, Violation,
    },
    realm::Realm,
    resource_timing::ResourceTiming,
};

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// The JavaScript engine refuses, most likely for want of memory.
    #[error("the JavaScript engine cannot be set up: {0}")]
    Engine(#[from] rquickjs::Error),
    /// The Web APIs cannot be set up, which is a bug of this crate or want of memory.
    #[error("the Web APIs cannot be set up: {0}")]
    Prelude(String),
}

/// A document in its own realm. Dropping it discards it without a word to its scripts;
/// [`unload`](Self::unload) is the polite way.
pub struct Page {
    realm: Rc<Realm>,
    /// Scripts with `defer`, until [`fire_load`](Self::fire_load).
    deferred: Vec<dom::NodeId>,
}

impl Page {
    /// Parses `html` and runs its scripts as the parser reaches them. `charset` is that of the
    /// `Content-Type`; without one the document is UTF-8.
    ///
    /// No event has been fired when this returns; that is [`fire_load`](Self::fire_load).
    pub fn load(
        event_loop: &Rc<EventLoop>,
        html: &[u8],
        charset: Option<&str>,
        environment: Environment,
        host: Rc<dyn PageHost>,
    ) -> Result<Self, PageError> {
        let realm = Realm::new(event_loop)?;
        realm.initialize(environment, host);
        let deferred = parser::parse_document(&realm, &parser::decode(html, charset));
        Ok(Self { realm, deferred })
    }

    /// The realm of the document.
    #[must_use]
    pub fn realm(&self) -> &Rc<Realm> {
        &self.realm
    }

    /// The event loop the document's tasks run on.
    #[must_use]
    pub fn event_loop(&self) -> &Rc<EventLoop> {
        self.realm.event_loop()
    }

    /// What the document's requests depend on, as it is now.
    #[must_use]
    pub fn document_info(&self) -> DocumentInfo {
        self.realm.window().document.info()
    }

    /// [The end](https://html.spec.whatwg.org/multipage/parsing.html#the-end) of parsing: deferred
    /// scripts, `DOMContentLoaded`, `load`, `pageshow`.
    pub fn fire_load(&mut self) {
        self.realm.call("setReadyState", ("interactive",));
        for script in self.deferred.drain(..) {
            self.realm.execute_script_element(script);
        }
        self.realm.call("fireDomContentLoaded", ());
        self.realm.call("completeLoading", ());
    }

    /// The page is [no longer visible](https://html.spec.whatwg.org/multipage/interaction.html#update-the-visibility-state):
    /// its tab is in the background, or its window minimised.
    pub fn hide(&self) {
        self.realm.call("setVisibility", ("hidden",));
    }

    /// The page is visible again.
    pub fn show(&self) {
        self.realm.call("setVisibility", ("visible",));
    }

    /// The page is [frozen](https://wicg.github.io/page-lifecycle/#freeze-steps). The embedder then
    /// leaves its event loop alone.
    pub fn freeze(&self) {
        self.realm.call("freeze", ());
    }

    /// The page is [resumed](https://wicg.github.io/page-lifecycle/#resume-steps).
    pub fn resume(&self) {
        self.realm.call("resume", ());
    }

    /// Asks the page [whether it may go](https://html.spec.whatwg.org/multipage/browsing-the-web.html#checking-if-unloading-is-canceled),
    /// which is all `beforeunload` is for. There is nobody to prompt, so the answer is yes.
    pub fn before_unload(&self) {
        self.realm.call("fireBeforeUnload", ());
    }

    /// [Unloads](https://html.spec.whatwg.org/multipage/document-lifecycle.html#unload-a-document) the
    /// document: `beforeunload`, `pagehide`, `visibilitychange` if it was visible, and `unload`
    /// unless the document is kept (`persisted`) for a journey back. After that, none of its tasks
    /// and timers runs.
    pub fn unload(&self, persisted: bool) {
        self.before_unload();
        self.realm.call("unload", (persisted,));
        if !persisted {
            self.event_loop().remove_realm(self.realm.id());
        }
    }

    /// A kept document is [shown again](https://html.spec.whatwg.org/multipage/browsing-the-web.html#reactivate-a-document):
    /// `visibilitychange`, `pageshow`.
    pub fn reactivate(&self) {
        self.realm.call("reactivate", ());
    }
}
