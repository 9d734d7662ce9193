//! Windows that scripts open and close, and the choice of a navigable by its
//! [target name](https://html.spec.whatwg.org/multipage/document-sequences.html#navigable-target-names).

use std::rc::Rc;

use rquickjs::Ctx;
use sendbeacon::{Client, Nonce, PartitionKey, ReferrerPolicy, Site};
use url::Url;

use super::{
    HistoryHandling, MAX_NAVIGABLES, Navigable, NavigateParams, SandboxFlags,
    create::{about_blank, announce, create_initial_document},
    history::Initiator,
    iframe::is_about_blank,
    settings::{inherit, opaque_origin},
    unload::{fire_before_unload, unload_a_document_and_its_descendants},
};
use crate::page::{PostResource, TabOf, WindowMessage, realm::Realm, window::Window};

/// The parameters of `window.open()`.
pub(in crate::page) struct OpenParams {
    pub(in crate::page) url: Option<Url>,
    pub(in crate::page) name: String,
    pub(in crate::page) noopener: bool,
    pub(in crate::page) referrer_policy: Option<ReferrerPolicy>,
    pub(in crate::page) post: Option<PostResource>,
}

/// Steps 12 to 17 of the [window open steps](https://html.spec.whatwg.org/multipage/nav-history-apis.html#window-open-steps).
/// [Following a hyperlink](https://html.spec.whatwg.org/multipage/links.html#following-hyperlinks-2) and submitting a form
/// use them too. Returns the navigable, or `None` if `source` may not navigate or open one.
pub(in crate::page) fn open(
    ctx: &Ctx<'_>,
    source: &Rc<Realm>,
    params: OpenParams,
) -> Option<Rc<Navigable>> {
    let OpenParams { url, name, noopener, referrer_policy, post } = params;
    let current = source.window().navigable()?;
    // Step 12.
    if let Some(existing) = choose_a_navigable(source, &current, &name) {
        if let Some(url) = url {
            let allowed =
                is_allowed_by_sandboxing_to_navigate(source.window(), &current, &existing);
            if !allowed {
                return None;
            }
            let params = NavigateParams { referrer_policy, post, ..NavigateParams::new(url) };
            let initiator = Initiator::of(source.window(), params.referrer_policy);
            existing.reserve_deferred_fetch_quota(source.window(), &params.url);
            existing.navigate(ctx, initiator, params);
        }
        return Some(existing);
    }
    let name = if name.eq_ignore_ascii_case("_blank") { String::new() } else { name };
    let new = create_auxiliary(ctx, source, &current, name, noopener)?;
    // Step 15.
    let url = url.unwrap_or_else(about_blank);
    if is_about_blank(&url) {
        new.active().window().document.set_url(url);
    } else {
        let history = HistoryHandling::Replace;
        let params = NavigateParams { history, referrer_policy, post, ..NavigateParams::new(url) };
        let initiator = Initiator::of(source.window(), params.referrer_policy);
        new.navigate(ctx, initiator, params);
    }
    Some(new)
}

/// The [rules for choosing a navigable](https://html.spec.whatwg.org/multipage/document-sequences.html#the-rules-for-choosing-a-navigable),
/// for existing navigables only. [`create_auxiliary`] creates a new one.
fn choose_a_navigable(
    source: &Realm,
    current: &Rc<Navigable>,
    name: &str,
) -> Option<Rc<Navigable>> {
    let event_loop = source.event_loop();
    let navigables = event_loop.navigables();
    match name.to_ascii_lowercase().as_str() {
        "" | "_self" => Some(Rc::clone(current)),
        "_parent" => Some(navigables.parent(current).unwrap_or_else(|| Rc::clone(current))),
        "_top" => Some(navigables.top(current)),
        "_blank" => None,
        // https://html.spec.whatwg.org/multipage/document-sequences.html#find-a-navigable-by-target-name
        _ => {
            let top = navigables.top(current);
            let group = top.group;
            let others = navigables.top_levels().into_iter().filter(|it| it.group == group);
            let mut roots = vec![Rc::clone(current), top];
            roots.extend(others);
            let mut all =
                roots.into_iter().flat_map(|root| navigables.inclusive_descendants(&root));
            all.find(|navigable| *navigable.name.borrow() == name)
        }
    }
}

/// Step 8.2 of the rules for choosing a navigable: creates a top-level traversable. Without `noopener`, `current` is its
/// opener.
fn create_auxiliary(
    ctx: &Ctx<'_>,
    source: &Rc<Realm>,
    current: &Rc<Navigable>,
    name: String,
    noopener: bool,
) -> Option<Rc<Navigable>> {
    let sandbox = source.window().environment().sandbox;
    let event_loop = source.event_loop();
    let navigables = event_loop.navigables();
    if sandbox.auxiliary_navigation {
        source.console_error("The document is sandboxed: it may open no window.");
        return None;
    }
    if navigables.len() >= MAX_NAVIGABLES {
        source.console_error(&format!("No window is opened: there are {MAX_NAVIGABLES} already."));
        return None;
    }
    let flags = if sandbox.escape { sandbox } else { SandboxFlags::default() };
    let creator = source.window().client();
    let mut client = inherit(&creator, &about_blank());
    if noopener {
        client = Client::new(about_blank(), Nonce::random());
        client.origin = opaque_origin();
    }
    client.network_partition_key = PartitionKey {
        top_level_site: Site::of(&client.origin),
        second_key: creator.network_partition_key.second_key,
    };
    client.has_cross_site_ancestor = false;
    let tab = if noopener { TabOf::Nobody } else { TabOf::Opened };
    let realm = Realm::new(&event_loop, ctx);
    let realm = realm.inspect_err(|error| source.console_error(&error.to_string())).ok()?;
    let id = navigables.next_id();
    let group = if noopener { id.0 } else { navigables.top(current).group };
    let navigable = Navigable::new(id, None, None, None, name, Rc::clone(&realm));
    navigable.opener.set((!noopener).then_some(current.id));
    let navigable = navigables.add(Navigable { group, is_auxiliary: !noopener, ..navigable });
    announce(source, &navigable);
    create_initial_document(ctx, &navigable, client, flags, source, tab);
    Some(navigable)
}

/// [Allowed by sandboxing to navigate](https://html.spec.whatwg.org/multipage/browsing-the-web.html#allowed-to-navigate)
pub(in crate::page) fn is_allowed_by_sandboxing_to_navigate(
    source: &Window,
    current: &Rc<Navigable>,
    target: &Rc<Navigable>,
) -> bool {
    let sandbox = source.environment().sandbox;
    let Some(event_loop) = source.event_loop() else { return false };
    // Steps 1 and 2.
    let mut ancestors = event_loop.navigables().inclusive_ancestors(target);
    if ancestors.any(|ancestor| ancestor.id == current.id) {
        return true;
    }
    // Steps 3 to 5.
    if target.parent.is_some() || target.opener.get() == Some(current.id) {
        return !sandbox.navigation || target.opener.get() == Some(current.id);
    }
    !sandbox.top_level_navigation
}

impl Navigable {
    /// [`window.close()`](https://html.spec.whatwg.org/multipage/nav-history-apis.html#dom-window-close), called by the
    /// document of `source`.
    pub(in crate::page) fn close(self: &Rc<Self>, source: &Rc<Self>) {
        // Steps 2 and 3.
        if self.parent.is_some() || self.is_closing.get() {
            return;
        }
        // Step 6.
        let realm = source.active();
        let may_close = source.is_familiar_with(self)
            && is_allowed_by_sandboxing_to_navigate(realm.window(), source, self);
        if !may_close {
            return;
        }
        let realm = self.active();
        if !self.kept && realm.window().is_remote {
            // NB: the process of the document checks it again, because this process may have been taken over. Only
            // that process knows the session history.
            self.is_closing.set(self.is_auxiliary);
            realm.window().host().send(self.id, WindowMessage::Close { source: source.id });
        } else if self.is_script_closable() {
            self.is_closing.set(true);
            self.post(&realm, definitely_close_a_top_level_traversable);
        }
    }

    /// Whether this top-level traversable is [script-closable](https://html.spec.whatwg.org/multipage/nav-history-apis.html#script-closable).
    /// Every window that the shell opens was created by a script.
    fn is_script_closable(&self) -> bool {
        self.is_auxiliary || self.has_one_entry()
    }

    /// Whether the document is [familiar with](https://html.spec.whatwg.org/multipage/document-sequences.html#familiar-with)
    /// another one.
    fn is_familiar_with(self: &Rc<Self>, other: &Rc<Self>) -> bool {
        let origin = self.active().window().client().origin;
        let event_loop = self.active().event_loop();
        let navigables = event_loop.navigables();
        let top = navigables.top(self);
        // Step 3: the openers of a window are asked, too. The openers that another process names may form a circle, so no
        // more are asked than there are navigables.
        let opener = |it: &Rc<Self>| navigables.get(it.opener.get()?);
        let openers = std::iter::successors(Some(Rc::clone(other)), opener);
        openers.take(navigables.len()).any(|it| {
            // Step 2. Then steps 1 and 4.
            it.id == top.id
                || navigables
                    .inclusive_ancestors(&it)
                    .any(|it| it.active().window().client().origin == origin)
        })
    }

    /// The setter of [`window.opener`](https://html.spec.whatwg.org/multipage/nav-history-apis.html#dom-opener), for null.
    pub(in crate::page) fn disown_opener(&self) {
        self.opener.set(None);
        self.active().window().host().send(self.id, WindowMessage::Disowned);
    }
}

/// [Definitely close a top-level traversable](https://html.spec.whatwg.org/multipage/document-sequences.html#definitely-close-a-top-level-traversable)
pub(in crate::page) fn definitely_close_a_top_level_traversable(navigable: &Rc<Navigable>) {
    fire_before_unload(navigable);
    close_without_before_unload(navigable);
}

/// Unloads the first document of a page and everything in it, without `beforeunload`.
pub(in crate::page) fn unload_the_first_document(navigable: &Rc<Navigable>) {
    if navigable.active().window().navigable.get().is_some() {
        close_without_before_unload(navigable);
    }
}

fn close_without_before_unload(navigable: &Rc<Navigable>) {
    let realm = navigable.active();
    let event_loop = realm.event_loop();
    event_loop.enter(|ctx| unload_a_document_and_its_descendants(ctx, &realm, false));
    event_loop.microtask_checkpoint();
    navigable.discard_history();
    realm.window().host().send(navigable.id, WindowMessage::Removed);
    event_loop.navigables().remove(navigable.id);
}
