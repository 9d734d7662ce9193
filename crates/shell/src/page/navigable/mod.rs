//! [Navigables](https://html.spec.whatwg.org/multipage/document-sequences.html#navigables): the tree of windows and
//! frames, each of which presents a document.
//!
//! A function that may run while a script runs takes the running JavaScript context, `ctx`. Every other function must
//! be called from a task, when no script runs.

mod auxiliary;
mod create;
mod framing;
mod history;
mod iframe;
mod load;
mod local;
mod navigate;
mod permissions;
mod remote;
mod sandbox;
mod settings;
mod unload;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use sendbeacon::NavigableContainer;
use serde::{Deserialize, Serialize};

use self::history::{Entry, History};
pub(super) use self::{
    auxiliary::{
        OpenParams, definitely_close_a_top_level_traversable, is_allowed_by_sandboxing_to_navigate,
        open, unload_the_first_document,
    },
    create::{about_blank, create_the_first_document},
    history::{EntryId, HistoryHandling, Initiator},
    iframe::{attribute_changed, connected, removed},
    load::{queue_completion, the_end},
    navigate::NavigateParams,
    settings::opaque_origin,
    unload::fire_before_unload,
};
pub use self::{
    sandbox::SandboxFlags,
    settings::{nest, referrer_of_navigation},
};
use super::{RealmId, WindowMessage, dom::NodeId, event_loop::EventLoop, realm::Realm};

/// How many navigables there may be at once. Each has a realm, which takes about 1 MB of the memory limit of all scripts.
pub const MAX_NAVIGABLES: usize = 200;
/// How deep frames may be nested.
pub(super) const MAX_DEPTH: usize = 32;

/// Identifies a navigable within its tab. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NavigableId(pub u32);

/// A [navigable](https://html.spec.whatwg.org/multipage/document-sequences.html#navigable).
pub(super) struct Navigable {
    pub(super) id: NavigableId,
    /// Whether this process has created the navigable, and not another one.
    kept: bool,
    pub(super) parent: Option<NavigableId>,
    /// The [container](https://html.spec.whatwg.org/multipage/document-sequences.html#nav-container), an
    /// element of the parent's active document.
    pub(super) container: Option<Container>,
    /// The library's handle of the container, which reserves the deferred-fetch quota of the frame.
    quota: Option<NavigableContainer>,
    /// The [target name](https://html.spec.whatwg.org/multipage/document-sequences.html#nav-target)
    pub(super) name: RefCell<String>,
    /// The realm of the [active document](https://html.spec.whatwg.org/multipage/document-sequences.html#nav-document).
    active: RefCell<Rc<Realm>>,
    /// The [ongoing navigation](https://html.spec.whatwg.org/multipage/browsing-the-web.html#ongoing-navigation)
    ongoing: Cell<Option<Ongoing>>,
    /// On whose behalf the ongoing navigation is. `None`: the user's.
    initiator: RefCell<Option<Initiator>>,
    /// The [current session history entry](https://html.spec.whatwg.org/multipage/document-sequences.html#nav-current-history-entry)
    entry: RefCell<Rc<Entry>>,
    /// The history of a top-level traversable. Empty in a frame.
    history: RefCell<History>,
    /// Whether this delays the `load` event of the container's document.
    delays_load: Cell<bool>,
    /// The number of the first top-level traversable in the
    /// [browsing context group](https://html.spec.whatwg.org/multipage/document-sequences.html#browsing-context-group).
    group: u32,
    /// The [opener](https://html.spec.whatwg.org/multipage/document-sequences.html#opener-browsing-context)
    pub(super) opener: Cell<Option<NavigableId>>,
    /// [Is auxiliary](https://html.spec.whatwg.org/multipage/document-sequences.html#is-auxiliary): whether it was opened
    /// with an opener.
    is_auxiliary: bool,
    /// [Is closing](https://html.spec.whatwg.org/multipage/document-sequences.html#is-closing)
    pub(super) is_closing: Cell<bool>,
}

/// A navigation that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ongoing {
    id: u64,
    history: HistoryHandling,
}

/// The element that contains a navigable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Container {
    pub(super) realm: RealmId,
    pub(super) node: NodeId,
}

impl Navigable {
    fn new(
        id: NavigableId,
        parent: Option<NavigableId>,
        container: Option<Container>,
        quota: Option<NavigableContainer>,
        name: String,
        active: Rc<Realm>,
    ) -> Self {
        Self {
            id,
            kept: true,
            parent,
            container,
            quota,
            name: RefCell::new(name),
            active: RefCell::new(active),
            ongoing: Cell::new(None),
            initiator: RefCell::default(),
            entry: RefCell::new(Entry::new(create::about_blank())),
            history: RefCell::default(),
            delays_load: Cell::new(false),
            group: id.0,
            opener: Cell::new(None),
            is_auxiliary: false,
            is_closing: Cell::new(false),
        }
    }

    /// Changes the target name.
    pub(super) fn rename(&self, name: String) {
        self.active().window().host().send(self.id, WindowMessage::Renamed(name.clone()));
        self.name.replace(name);
    }

    fn set_active(&self, realm: Rc<Realm>) {
        self.active.replace(realm);
    }

    /// Whether the ongoing navigation has this number.
    fn is_ongoing(&self, navigation: u64) -> bool {
        self.ongoing.get().is_some_and(|ongoing| ongoing.id == navigation)
    }

    /// Delays the `load` event of the container's document until the `load` event of the active document is fired.
    pub(super) fn delay_load(&self) {
        self.delays_load.set(true);
    }

    /// The realm of the active document.
    pub(super) fn active(&self) -> Rc<Realm> {
        Rc::clone(&self.active.borrow())
    }

    /// The realm of the container's document, and the container element.
    fn container_realm(&self, event_loop: &EventLoop) -> Option<(Rc<Realm>, NodeId)> {
        let Container { realm, node } = self.container?;
        Some((event_loop.realm(realm)?, node))
    }
}

/// The navigables of an event loop.
#[derive(Default)]
pub(super) struct Navigables {
    all: RefCell<BTreeMap<NavigableId, Rc<Navigable>>>,
    last_id: Cell<u32>,
    last_navigation: Cell<u64>,
    last_entry: Cell<EntryId>,
    /// The navigables that were removed and whose `WindowProxy` is not released yet.
    removed: RefCell<Vec<NavigableId>>,
}

impl Navigables {
    pub(super) fn get(&self, id: NavigableId) -> Option<Rc<Navigable>> {
        self.all.borrow().get(&id).cloned()
    }

    /// All navigables, the oldest first.
    pub(super) fn all(&self) -> Vec<Rc<Navigable>> {
        self.all.borrow().values().cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.all.borrow().len()
    }

    /// The [parent](https://html.spec.whatwg.org/multipage/document-sequences.html#nav-parent)
    pub(super) fn parent(&self, navigable: &Navigable) -> Option<Rc<Navigable>> {
        self.get(navigable.parent?)
    }

    /// The [inclusive ancestor navigables](https://html.spec.whatwg.org/multipage/document-sequences.html#inclusive-ancestor-navigables),
    /// the navigable itself first.
    pub(super) fn inclusive_ancestors(
        &self,
        navigable: &Rc<Navigable>,
    ) -> impl Iterator<Item = Rc<Navigable>> {
        std::iter::successors(Some(Rc::clone(navigable)), |it| self.parent(it))
    }

    /// The [top-level traversable](https://html.spec.whatwg.org/multipage/document-sequences.html#nav-top)
    pub(super) fn top(&self, navigable: &Rc<Navigable>) -> Rc<Navigable> {
        self.inclusive_ancestors(navigable).last().unwrap_or_else(|| Rc::clone(navigable))
    }

    /// All [top-level traversables](https://html.spec.whatwg.org/multipage/document-sequences.html#top-level-traversable),
    /// the oldest first.
    pub(super) fn top_levels(&self) -> Vec<Rc<Navigable>> {
        let all = self.all.borrow();
        all.values().filter(|navigable| navigable.parent.is_none()).cloned().collect()
    }

    /// The navigables that this process unloads when it ends, the oldest first. All other documents of the process are in
    /// frames of theirs.
    pub(super) fn roots(&self) -> Vec<Rc<Navigable>> {
        let is_root = |it: &&Rc<Navigable>| {
            if it.kept { it.parent.is_none() } else { !it.active().window().is_remote }
        };
        self.all.borrow().values().filter(is_root).cloned().collect()
    }

    /// Sets the number of the next navigable.
    pub(super) fn begin_at(&self, NavigableId(first): NavigableId) {
        self.last_id.set(first - 1);
    }

    /// The [document-tree child navigables](https://html.spec.whatwg.org/multipage/document-sequences.html#document-tree-child-navigables)
    /// of a document, in tree order.
    pub(super) fn children(&self, realm: &Realm) -> Vec<Rc<Navigable>> {
        let window = realm.window();
        let frames = window.frames.borrow();
        if frames.is_empty() {
            return Vec::new();
        }
        let containers = window.document.dom().connected_in_order(frames.keys().copied());
        containers.iter().filter_map(|node| self.get(*frames.get(node)?)).collect()
    }

    /// The [inclusive descendant navigables](https://html.spec.whatwg.org/multipage/document-sequences.html#inclusive-descendant-navigables)
    /// in tree order.
    pub(super) fn inclusive_descendants(&self, navigable: &Rc<Navigable>) -> Vec<Rc<Navigable>> {
        let mut all = vec![Rc::clone(navigable)];
        let children = self.children(&navigable.active());
        all.extend(children.iter().flat_map(|child| self.inclusive_descendants(child)));
        all
    }

    fn next_id(&self) -> NavigableId {
        self.last_id.set(self.last_id.get() + 1);
        NavigableId(self.last_id.get())
    }

    fn next_entry(&self) -> EntryId {
        self.last_entry.set(self.last_entry.get().wrapping_add(1));
        self.last_entry.get()
    }

    fn next_navigation(&self) -> u64 {
        self.last_navigation.set(self.last_navigation.get() + 1);
        self.last_navigation.get()
    }

    fn add(&self, navigable: Navigable) -> Rc<Navigable> {
        let navigable = Rc::new(navigable);
        self.all.borrow_mut().insert(navigable.id, Rc::clone(&navigable));
        navigable
    }

    /// Removes a top-level traversable and all frames in it, without firing an event.
    pub(super) fn discard(&self, navigable: &Rc<Navigable>) {
        for navigable in self.inclusive_descendants(navigable) {
            navigable.active().window().navigable.set(None);
            self.remove(navigable.id);
        }
    }

    fn remove(&self, id: NavigableId) {
        self.removed.borrow_mut().push(id);
        let removed = self.all.borrow_mut().remove(&id);
        // Dropped here, when `all` is not borrowed: the realm's destructor may use the navigables.
        drop(removed);
    }

    /// Takes the navigables that were removed since the last call.
    pub(super) fn take_removed(&self) -> Vec<NavigableId> {
        self.removed.take()
    }
}
