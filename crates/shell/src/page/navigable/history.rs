//! [Session history](https://html.spec.whatwg.org/multipage/browsing-the-web.html#session-history) and the back/forward
//! cache.
//!
//! A top-level traversable has one history for itself and all frames in it: a list of changes. Each change has moved one
//! navigable from an entry to another entry. A step back undoes a change.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use sendbeacon::{Client, ReferrerPolicy};
use url::Url;

use super::{Navigable, NavigableId, NavigateParams, unload};
use crate::page::{WindowMessage, host::Lifecycle, realm::Realm, window::Window};

/// How many changes a history keeps.
const MAX_CHANGES: usize = 50;
/// How many documents the back/forward cache of a top-level traversable holds.
const MAX_CACHED: usize = 6;

/// Identifies an entry, and the state that a script has given to it.
pub(in crate::page) type EntryId = u32;

/// A [session history entry](https://html.spec.whatwg.org/multipage/browsing-the-web.html#session-history-entry)
pub(super) struct Entry {
    id: Cell<EntryId>,
    url: RefCell<Url>,
    document_state: RefCell<DocumentState>,
}

/// The [document state](https://html.spec.whatwg.org/multipage/browsing-the-web.html#document-state) of an entry.
#[derive(Clone, Default)]
pub(super) struct DocumentState {
    /// The number of the realm whose document the entry has shown last.
    pub(super) document: u64,
    /// The source of a `srcdoc` document.
    pub(super) resource: Option<String>,
    /// `None` if the user has opened the document.
    pub(super) initiator: Option<Initiator>,
}

/// On whose behalf a document is fetched, also when it is fetched again.
#[derive(Clone)]
pub(in crate::page) struct Initiator {
    pub(super) client: Client,
    /// See [`Environment::cookie_url`](crate::page::Environment::cookie_url).
    pub(super) cookie_url: Url,
    /// The referrer policy of the element that navigates, if it has one.
    pub(super) referrer_policy: Option<ReferrerPolicy>,
}

/// The [history handling behavior](https://html.spec.whatwg.org/multipage/browsing-the-web.html#navigation-history-handling-behavior)
/// of a navigation or a traversal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::page) enum HistoryHandling {
    /// The document gets a new entry.
    Push,
    /// The document replaces the one of the current entry.
    Replace,
    /// The document of the current entry is fetched again.
    Reload,
    /// The document belongs to the current entry, to which the history was traversed.
    Traverse,
}

impl HistoryHandling {
    /// The [navigation type](https://w3c.github.io/navigation-timing/#dom-performancenavigationtiming-type)
    pub(super) fn navigation_type(self) -> &'static str {
        match self {
            Self::Push | Self::Replace => "navigate",
            Self::Reload => "reload",
            Self::Traverse => "back_forward",
        }
    }
}

/// The history of a top-level traversable.
#[derive(Default)]
pub(super) struct History {
    changes: Vec<Change>,
    /// How many changes lie behind the current step. The others lie ahead of it.
    position: usize,
    /// The documents in the back/forward cache, by the number of their realm.
    cached: BTreeMap<u64, Rc<Realm>>,
}

/// A change of one navigable's current entry.
struct Change {
    navigable: NavigableId,
    before: Rc<Entry>,
    after: Rc<Entry>,
}

impl Initiator {
    /// The document of `source`.
    pub(in crate::page) fn of(source: &Window, referrer_policy: Option<ReferrerPolicy>) -> Self {
        Self { client: source.client(), cookie_url: source.cookie_url(), referrer_policy }
    }
}

impl Entry {
    pub(super) fn new(url: Url) -> Rc<Self> {
        Rc::new(Self {
            id: Cell::new(0),
            url: RefCell::new(url),
            document_state: RefCell::default(),
        })
    }
}

impl Navigable {
    /// The number of the current entry.
    pub(in crate::page) fn entry_id(&self) -> EntryId {
        self.entry.borrow().id.get()
    }

    /// [`history.length`](https://html.spec.whatwg.org/multipage/nav-history-apis.html#dom-history-length)
    pub(in crate::page) fn history_length(self: &Rc<Self>) -> usize {
        self.top().history.borrow().changes.len() + 1
    }

    /// Whether the history of this top-level traversable has one entry, beside those of the frames in it.
    pub(super) fn has_one_entry(&self) -> bool {
        self.history.borrow().changes.iter().all(|change| change.navigable != self.id)
    }

    /// Enters a document at `url` into the history.
    pub(super) fn enter_history(
        self: &Rc<Self>,
        handling: HistoryHandling,
        url: Url,
        document_state: DocumentState,
    ) {
        if handling == HistoryHandling::Push {
            self.push(Entry::new(url.clone()));
        }
        let entry = self.entry.borrow();
        if handling != HistoryHandling::Traverse {
            let event_loop = self.active().event_loop();
            entry.id.set(event_loop.navigables().next_entry());
        }
        entry.url.replace(url);
        entry.document_state.replace(document_state);
    }

    /// Makes `entry` the current entry, and removes the changes ahead of it.
    fn push(self: &Rc<Self>, entry: Rc<Entry>) {
        let before = self.entry.replace(Rc::clone(&entry));
        let top = self.top();
        let mut history = top.history.borrow_mut();
        let position = history.position;
        history.changes.truncate(position);
        history.changes.push(Change { navigable: self.id, before, after: entry });
        if history.changes.len() > MAX_CHANGES {
            history.changes.remove(0);
        }
        history.position = history.changes.len();
    }

    /// [URL and history update steps](https://html.spec.whatwg.org/multipage/browsing-the-web.html#url-and-history-update-steps):
    /// gives the same document another URL. Returns the number of its entry.
    pub(in crate::page) fn update_url_and_history(
        self: &Rc<Self>,
        window: &Window,
        url: &Url,
        replace: bool,
    ) -> EntryId {
        let document_state = self.entry.borrow().document_state.borrow().clone();
        // Step 4. There is nothing to go back to.
        let replace = replace || window.is_initial.get();
        let handling = if replace { HistoryHandling::Replace } else { HistoryHandling::Push };
        self.enter_history(handling, url.clone(), document_state);
        window.document.set_url(url.clone());
        window.apply_tree_changes();
        self.entry_id()
    }

    /// [Traverse the history by a delta](https://html.spec.whatwg.org/multipage/browsing-the-web.html#traverse-the-history-by-a-delta)
    ///
    /// NB: the standard lets a document traverse and reload while it is unloaded. Chromium ignores both, like a navigation.
    pub(in crate::page) fn traverse_by(self: &Rc<Self>, delta: i32) {
        if self.active().window().unload_counter.get() > 0 {
            return;
        }
        let top = self.top();
        top.post(&top.active(), move |top| top.apply_the_traverse_history_step(delta));
    }

    /// [Reload](https://html.spec.whatwg.org/multipage/browsing-the-web.html#reload)
    pub(in crate::page) fn reload(self: &Rc<Self>, source: &Window) {
        if source.unload_counter.get() > 0 {
            return;
        }
        self.fetch_entry_again(source, HistoryHandling::Reload);
    }

    /// [Apply the traverse history step](https://html.spec.whatwg.org/multipage/browsing-the-web.html#apply-the-traverse-history-step)
    fn apply_the_traverse_history_step(self: &Rc<Self>, delta: i32) {
        let event_loop = self.active().event_loop();
        let mut targets: BTreeMap<NavigableId, Rc<Entry>> = BTreeMap::new();
        {
            let mut history = self.history.borrow_mut();
            let Some(step) = history.position.checked_add_signed(delta as isize) else { return };
            if step > history.changes.len() {
                return;
            }
            // If several changes belong to one navigable, the last of them decides.
            if step > history.position {
                for change in &history.changes[history.position..step] {
                    targets.insert(change.navigable, Rc::clone(&change.after));
                }
            } else {
                for change in history.changes[step..history.position].iter().rev() {
                    targets.insert(change.navigable, Rc::clone(&change.before));
                }
            }
            history.position = step;
        }
        for (id, entry) in targets {
            if let Some(navigable) = event_loop.navigables().get(id) {
                navigable.apply_entry(self, entry);
            }
        }
    }

    /// Shows the document of `entry`: the active one with another URL, one from the back/forward cache, or one that is
    /// fetched again.
    fn apply_entry(self: &Rc<Self>, top: &Rc<Self>, entry: Rc<Entry>) {
        let old = self.active();
        let url = entry.url.borrow().clone();
        let document = entry.document_state.borrow().document;
        let current = self.entry.replace(entry);
        if current.document_state.borrow().document == document {
            // https://html.spec.whatwg.org/multipage/browsing-the-web.html#update-document-for-history-step-application
            let old_url = old.window().document.url();
            old.window().document.set_url(url.clone());
            old.window().apply_tree_changes();
            old.call("restoreState", (old_url.as_str(), url.as_str()));
            return;
        }
        let cached = top.history.borrow_mut().cached.remove(&document);
        match cached {
            Some(realm) => self.reactivate(&old, &realm),
            None => self.fetch_entry_again(old.window(), HistoryHandling::Traverse),
        }
    }

    /// On whose behalf the document of the current entry was fetched.
    pub(super) fn entry_initiator(&self) -> Option<Initiator> {
        self.entry.borrow().document_state.borrow().initiator.clone()
    }

    /// Fetches the document of the current entry again.
    fn fetch_entry_again(self: &Rc<Self>, source: &Window, history: HistoryHandling) {
        let entry = Rc::clone(&self.entry.borrow());
        let DocumentState { resource, initiator, .. } = entry.document_state.borrow().clone();
        let mut params = NavigateParams::new(entry.url.borrow().clone());
        (params.document_resource, params.history) = (resource, history);
        self.navigate_across_documents(Initiator::of(source, None), params, initiator, true);
    }

    /// [Reactivates](https://html.spec.whatwg.org/multipage/browsing-the-web.html#reactivate-a-document) the cached
    /// document of `realm`, which replaces the document of `old`.
    fn reactivate(self: &Rc<Self>, old: &Rc<Realm>, realm: &Rc<Realm>) {
        unload::fire_before_unload(self);
        let event_loop = old.event_loop();
        self.cache_or_unload(old, false);
        self.set_active(Rc::clone(realm));
        event_loop.enter(|ctx| {
            for (realm, id) in realm.document_subtree(self.id) {
                realm.window().navigable.set(Some(id));
                event_loop.thaw(realm.id());
            }
            realm.call_in(ctx, "activate", (self.id.0,));
        });
        event_loop.microtask_checkpoint();
        for navigable in event_loop.navigables().inclusive_descendants(self) {
            let realm = navigable.active();
            realm.window().host().lifecycle(Lifecycle::Visible);
            realm.window().host().lifecycle(Lifecycle::PageShow { persisted: true });
            realm.call("reactivate", ());
        }
    }

    /// Puts the document into the back/forward cache if that is possible, and unloads it otherwise. `keeps_window` says
    /// that the next document uses the same window.
    pub(super) fn cache_or_unload(self: &Rc<Self>, realm: &Rc<Realm>, keeps_window: bool) {
        let event_loop = realm.event_loop();
        let can_be_cached = !keeps_window && self.can_be_cached(realm);
        let cached = can_be_cached.then(|| realm.document_subtree(self.id));
        event_loop.enter(|ctx| match &cached {
            None => unload::unload_a_document_and_its_descendants(ctx, realm, keeps_window),
            Some(subtree) => {
                realm.window().while_unloading(|| {
                    for (realm, _) in subtree {
                        unload::unload_a_document(ctx, realm, true);
                    }
                });
                for (realm, _) in subtree {
                    realm.window().navigable.set(None);
                    event_loop.freeze(realm.id());
                }
            }
        });
        event_loop.microtask_checkpoint();
        if can_be_cached {
            let mut history = self.history.borrow_mut();
            history.cached.insert(realm.id().0, Rc::clone(realm));
            if history.cached.len() > MAX_CACHED {
                let oldest = history.cached.pop_first();
                drop(history);
                if let Some((_, realm)) = oldest {
                    discard(&realm);
                }
            }
        }
    }

    /// Whether the document is [salvageable](https://html.spec.whatwg.org/multipage/document-lifecycle.html#concept-document-salvageable),
    /// so that it may go into the back/forward cache. It is not if another window can script it, or if a window in it has
    /// a listener for `unload` or `beforeunload`.
    fn can_be_cached(self: &Rc<Self>, realm: &Realm) -> bool {
        let event_loop = realm.event_loop();
        let navigables = event_loop.navigables();
        let is_alone =
            navigables.top_levels().iter().filter(|it| it.group == self.group).count() < 2;
        let documents = navigables.inclusive_descendants(self);
        self.parent.is_none()
            && is_alone
            && !realm.window().is_initial.get()
            && documents.iter().all(|it| it.active().is_salvageable())
    }

    /// Removes all changes, and discards all cached documents.
    pub(super) fn discard_history(&self) {
        let history = self.history.take();
        history.cached.values().for_each(discard);
    }

    fn top(self: &Rc<Self>) -> Rc<Self> {
        self.active().event_loop().navigables().top(self)
    }
}

/// Discards a cached document and the documents in it, without firing an event.
fn discard(realm: &Rc<Realm>) {
    let event_loop = realm.event_loop();
    for (realm, id) in realm.document_subtree(NavigableId(0)) {
        let host = realm.window().host();
        host.lifecycle(Lifecycle::Unload);
        host.send(id, WindowMessage::Removed);
        event_loop.remove_realm(realm.id());
        event_loop.navigables().remove(id);
    }
}

impl Realm {
    /// This document and all documents in it, each with the number of its navigable. The navigable of this document is
    /// `id`.
    fn document_subtree(self: &Rc<Self>, id: NavigableId) -> Vec<(Rc<Self>, NavigableId)> {
        let mut all = vec![(Rc::clone(self), id)];
        for child in self.event_loop().navigables().children(self) {
            all.extend(child.active().document_subtree(child.id));
        }
        all
    }
}
