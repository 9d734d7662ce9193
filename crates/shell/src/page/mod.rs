//! A page: a tree of documents, their scripts and their lifecycle.
//!
//! A [`Page`] runs on one thread. An [`EventLoop`] runs its tasks, timers and microtasks. Each document has a
//! [`Realm`] (its JavaScript global object and the Web APIs), and a [`PageHost`] (what the browser around the page
//! does for the document). `navigable` holds the tree of windows and frames; `dom` holds the nodes of a document.
//!
//! Some Web APIs are written in JavaScript: the *prelude*, the files of `js/`. The prelude calls *native functions*,
//! which are the Rust functions in `bindings`. Rust calls the prelude by *hooks*, functions that it stores in an
//! object of the realm.

mod bindings;
mod budget;
mod contexts;
mod data_urls;
mod document;
mod dom;
mod environment;
mod event_loop;
mod exceptions;
mod fetch_data;
mod host;
mod image;
mod markup;
mod mime_type;
mod modules;
mod navigable;
mod parser;
mod prelude;
mod realm;
mod refresh;
mod remote;
mod resource_timing;
mod script;
mod shared_workers;
mod storage;
mod storage_area;
mod task_queue;
mod timers;
mod tree_changes;
mod window;
mod worker_src;
mod workers;

use std::rc::Rc;

pub(crate) use self::budget::TASK_BUDGET;
pub(crate) use self::fetch_data::credentials_mode;
pub(crate) use self::mime_type::extract_mime_type;
use self::navigable::{Navigable, definitely_close_a_top_level_traversable};
pub(crate) use self::worker_src::needs_more_than_urls;
pub use self::{
    document::DocumentInfo,
    environment::Environment,
    event_loop::EventLoop,
    fetch_data::{Blob, BodyInit, FetchRequest, FetchResponse, FormDataEntry, FormDataValue},
    host::{
        ChunkDone, DocumentDone, FetchDone, FetchedDocument, FetchedImage, FetchedScript,
        ImageDone, Lifecycle, Navigation, PageHost, PolicyContainer, PostResource, ScriptRequest,
        TabOf, Thrown, Violation,
    },
    navigable::{MAX_NAVIGABLES, NavigableId, SandboxFlags, nest, referrer_of_navigation},
    realm::Realm,
    remote::{Command, NewNavigable, Placement, PostedMessage, RemoteNavigation, WindowMessage},
    resource_timing::{NavigationTiming, ResourceTiming},
    storage_area::{Changed, OriginalArea, StorageArea, StorageChange},
    task_queue::{RealmId, TaskQueue},
};

/// Why a page or one of its realms cannot be created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// The JavaScript engine reports an error. Most likely it is out of memory.
    #[error("the JavaScript engine cannot be set up: {0}")]
    Engine(#[from] rquickjs::Error),
    /// The prelude fails. This is a bug of this crate, or the engine is out of memory.
    #[error("the Web APIs cannot be set up: {0}")]
    Prelude(String),
    /// A script creates more realms than there are spare contexts.
    #[error("a script has made too many realms at once")]
    TooManyRealms,
}

/// A top-level traversable: a document with the frames in it, and the documents that replace it.
///
/// Dropping a page discards its documents without firing an event. [`unload`](Self::unload) fires the events.
pub struct Page {
    navigable: Rc<Navigable>,
    event_loop: Rc<EventLoop>,
    /// The scripts with `defer`, which [`fire_load`](Self::fire_load) runs.
    deferred: Vec<dom::NodeId>,
}

impl Page {
    /// Parses `html` and runs its scripts as the parser reaches them. `charset` is the charset of the
    /// `Content-Type`. Without one, a `<meta>` element names the encoding. Default: UTF-8.
    ///
    /// This fires no event: call [`fire_load`](Self::fire_load) next.
    ///
    /// `place` is the navigable that another process has created for the document. Default: a new one.
    pub fn load(
        event_loop: &Rc<EventLoop>,
        html: &[u8],
        charset: Option<&str>,
        environment: Environment,
        host: Rc<dyn PageHost>,
        place: Option<NavigableId>,
    ) -> Result<Self, PageError> {
        let navigable = navigable::create_the_first_document(event_loop, environment, host, place)?;
        let (html, encoding) = parser::decode_html(html, charset);
        let realm = navigable.active();
        realm.window().document.encoding.set(encoding);
        let deferred = parser::parse_document(&realm, &html);
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

    /// The URLs and policies of the document that its requests depend on, as they are now.
    #[must_use]
    pub fn document_info(&self) -> DocumentInfo {
        self.realm().window().document.info()
    }

    /// [The end](https://html.spec.whatwg.org/multipage/parsing.html#the-end) of parsing: runs the deferred
    /// scripts, fires `DOMContentLoaded`, and fires `load` and `pageshow` as soon as all frames are loaded.
    pub fn fire_load(&mut self) {
        navigable::the_end(&self.realm(), std::mem::take(&mut self.deferred));
    }

    /// Tells the page that it is [no longer visible](https://html.spec.whatwg.org/multipage/interaction.html#update-the-visibility-state):
    /// its tab is in the background, or its window is minimised.
    pub fn hide(&self) {
        self.tell_all("setVisibility", Some("hidden"), Lifecycle::Hidden);
    }

    /// Tells the page that it is visible again.
    pub fn show(&self) {
        self.tell_all("setVisibility", Some("visible"), Lifecycle::Visible);
    }

    /// [Freezes](https://wicg.github.io/page-lifecycle/#freeze-steps) the page. The embedder must not run the event
    /// loop until it calls [`resume`](Self::resume).
    pub fn freeze(&self) {
        self.tell_all("freeze", None, Lifecycle::Freeze);
    }

    /// [Resumes](https://wicg.github.io/page-lifecycle/#resume-steps) the page.
    pub fn resume(&self) {
        self.tell_all("resume", None, Lifecycle::Resume);
    }

    /// Calls `hook` in every document of the page, and reports `step` to the document's host.
    fn tell_all(&self, hook: &str, argument: Option<&str>, step: Lifecycle) {
        for navigable in self.event_loop.navigables().inclusive_descendants(&self.navigable) {
            let realm = navigable.active();
            realm.call(hook, (argument,));
            realm.window().host().lifecycle(step);
        }
    }

    /// Fires `beforeunload` in every document, as in
    /// [checking if unloading is canceled](https://html.spec.whatwg.org/multipage/browsing-the-web.html#checking-if-unloading-is-canceled).
    /// A handler cannot stop the unload, because there is no user to ask.
    pub fn before_unload(&self) {
        navigable::fire_before_unload(&self.navigable);
    }

    /// [Unloads](https://html.spec.whatwg.org/multipage/document-lifecycle.html#unload-a-document) all documents.
    ///
    /// It fires `beforeunload` in all of them. Then it fires `pagehide`, `visibilitychange` if the document was
    /// visible, and `unload` in each document, a parent before the documents of its frames. No task or timer of an
    /// unloaded document runs. The windows that the page's scripts have opened are unloaded after the page.
    pub fn unload(&self) {
        let mut roots = self.event_loop.navigables().roots();
        roots.retain(|it| it.active().window().navigable.get().is_some());
        for navigable in roots {
            definitely_close_a_top_level_traversable(&navigable);
        }
    }

    /// Does the same as [`unload`](Self::unload), but does not fire `beforeunload` in the page's own documents: that was
    /// done when the navigation to the next document began.
    pub fn unload_after_navigation(&self) {
        navigable::unload_the_first_document(&self.navigable);
        self.unload();
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        for navigable in self.event_loop.navigables().top_levels() {
            self.event_loop.navigables().discard(&navigable);
        }
    }
}
