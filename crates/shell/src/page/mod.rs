//! A page: a document, its scripts and its lifecycle.

mod bindings;
mod budget;
mod contexts;
mod document;
mod dom;
mod environment;
mod event_loop;
mod exceptions;
mod host;
mod markup;
mod navigable;
mod parser;
mod prelude;
mod realm;
mod refresh;
mod resource_timing;
mod script;
mod timers;
mod window;
mod workers;

use std::rc::Rc;

use self::navigable::{Navigable, definitely_close_a_top_level_traversable};
pub use self::{
    document::DocumentInfo,
    environment::{Environment, StorageArea},
    event_loop::{EventLoop, RealmId, TaskQueue},
    host::{
        Blob, BodyInit, DocumentDone, FetchDone, FetchRequest, FetchResponse, FetchedDocument,
        FormDataEntry, FormDataValue, Lifecycle, Navigation, PageHost, PostResource, TabOf, Thrown,
        Violation,
    },
    navigable::{SandboxFlags, nest, referrer_of_navigation},
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
    /// A script makes more realms than are in stock.
    #[error("a script has made too many realms at once")]
    TooManyRealms,
}

/// A top-level traversable: a document with the frames in it, and what comes in its place. Dropping it
/// discards them without a word to their scripts; [`unload`](Self::unload) is the polite way.
pub struct Page {
    navigable: Rc<Navigable>,
    event_loop: Rc<EventLoop>,
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
        let navigable = navigable::create_top_level_traversable(event_loop, environment, host)?;
        let (html, encoding) = parser::decode_html(html, charset);
        let realm = navigable.active();
        realm.window().document.encoding.set(encoding);
        let deferred = navigable::parse(&realm, &html);
        drop(realm);
        Ok(Self { navigable, event_loop: Rc::clone(event_loop), deferred })
    }

    /// The realm of the active document.
    #[must_use]
    pub fn realm(&self) -> Rc<Realm> {
        self.navigable.active()
    }

    /// The event loop the document's tasks run on.
    #[must_use]
    pub fn event_loop(&self) -> &Rc<EventLoop> {
        &self.event_loop
    }

    /// What the document's requests depend on, as it is now.
    #[must_use]
    pub fn document_info(&self) -> DocumentInfo {
        self.realm().window().document.info()
    }

    /// [The end](https://html.spec.whatwg.org/multipage/parsing.html#the-end) of parsing: deferred
    /// scripts, `DOMContentLoaded`, and when the frames are there `load` and `pageshow`.
    pub fn fire_load(&mut self) {
        navigable::the_end(&self.realm(), std::mem::take(&mut self.deferred));
    }

    /// The page is [no longer visible](https://html.spec.whatwg.org/multipage/interaction.html#update-the-visibility-state):
    /// its tab is in the background, or its window minimised.
    pub fn hide(&self) {
        self.tell_all("setVisibility", Some("hidden"), Lifecycle::Hidden);
    }

    /// The page is visible again.
    pub fn show(&self) {
        self.tell_all("setVisibility", Some("visible"), Lifecycle::Visible);
    }

    /// The page is [frozen](https://wicg.github.io/page-lifecycle/#freeze-steps). The embedder then
    /// leaves its event loop alone.
    pub fn freeze(&self) {
        self.tell_all("freeze", None, Lifecycle::Freeze);
    }

    /// The page is [resumed](https://wicg.github.io/page-lifecycle/#resume-steps).
    pub fn resume(&self) {
        self.tell_all("resume", None, Lifecycle::Resume);
    }

    /// Calls a hook of every document, and tells its host.
    fn tell_all(&self, hook: &str, argument: Option<&str>, step: Lifecycle) {
        for navigable in self.event_loop.navigables().inclusive_descendants(&self.navigable) {
            let realm = navigable.active();
            realm.call(hook, (argument,));
            realm.window().host().lifecycle(step);
        }
    }

    /// Asks the page [whether it may go](https://html.spec.whatwg.org/multipage/browsing-the-web.html#checking-if-unloading-is-canceled),
    /// which is all `beforeunload` is for. There is nobody to prompt, so the answer is yes.
    pub fn before_unload(&self) {
        navigable::fire_before_unload(&self.navigable);
    }

    /// [Unloads](https://html.spec.whatwg.org/multipage/document-lifecycle.html#unload-a-document) the
    /// documents: `beforeunload`, and for each document, those of frames first, `pagehide`,
    /// `visibilitychange` if it was visible, and `unload`. After that, none of its tasks and timers runs.
    ///
    /// The windows that its scripts have opened go after it.
    pub fn unload(&self) {
        for navigable in self.event_loop.navigables().top_levels() {
            definitely_close_a_top_level_traversable(&navigable);
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        for navigable in self.event_loop.navigables().top_levels() {
            self.event_loop.navigables().discard(&navigable);
        }
    }
}
