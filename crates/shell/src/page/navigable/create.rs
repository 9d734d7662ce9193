//! [Creating browsing contexts](https://html.spec.whatwg.org/multipage/document-sequences.html#creating-browsing-contexts):
//! new navigables and their first documents.

use std::rc::Rc;

use rquickjs::Ctx;
use sendbeacon::Client;
use url::Url;

use super::{
    Container, HistoryHandling, MAX_DEPTH, MAX_NAVIGABLES, Navigable, NavigableId, SandboxFlags,
    history::DocumentState,
    permissions::create_a_permissions_policy,
    settings::{inherit, opaque_origin},
};
use crate::page::{
    Environment, EventLoop, NewNavigable, PageError, PageHost, TabOf, WindowMessage,
    dom::{Dom, NodeId},
    realm::Realm,
    window::Stage,
};

/// Activates a document that the browser has fetched already, in the navigable that another process has created
/// (`place`), or else in a new [top-level traversable](https://html.spec.whatwg.org/multipage/document-sequences.html#creating-a-new-top-level-traversable).
pub(in crate::page) fn create_the_first_document(
    event_loop: &Rc<EventLoop>,
    environment: Environment,
    host: Rc<dyn PageHost>,
    place: Option<NavigableId>,
) -> Result<Rc<Navigable>, PageError> {
    let navigables = event_loop.navigables();
    event_loop.enter(|ctx| {
        let realm = Realm::new(event_loop, ctx)?;
        let navigable = place.and_then(|id| navigables.get(id)).unwrap_or_else(|| {
            let (id, realm) = (navigables.next_id(), Rc::clone(&realm));
            navigables.add(Navigable::new(id, None, None, None, String::new(), realm))
        });
        navigable.set_active(Rc::clone(&realm));
        let id = navigable.id;
        let url = environment.url.clone();
        activate(ctx, &realm, id, environment, host);
        let document_state = DocumentState { document: realm.id().0, ..DocumentState::default() };
        navigable.enter_history(HistoryHandling::Replace, url, document_state);
        Ok(navigable)
    })
}

/// [Create a new child navigable](https://html.spec.whatwg.org/multipage/document-sequences.html#create-a-new-child-navigable)
/// in `container`, an element of `parent`'s document. Returns `None` if there are too many navigables already.
pub(super) fn create_child_navigable(
    ctx: &Ctx<'_>,
    parent: &Rc<Realm>,
    container: NodeId,
) -> Option<Rc<Navigable>> {
    let event_loop = parent.event_loop();
    let navigables = event_loop.navigables();
    let parent_navigable = parent.window().navigable()?;
    let depth = navigables.inclusive_ancestors(&parent_navigable).count();
    if navigables.len() >= MAX_NAVIGABLES || depth >= MAX_DEPTH {
        let limits = format!("{MAX_NAVIGABLES} at once, {MAX_DEPTH} in each other");
        parent.console_error(&format!("An iframe stays empty: there are too many ({limits})."));
        return None;
    }
    // Step 3.
    let client = inherit(&parent.window().client(), &about_blank());
    let name = {
        let dom = parent.window().document.dom();
        dom.attribute(container, "name").unwrap_or_default().to_owned()
    };
    let flags = creation_sandboxing_flags(parent, container);
    let realm = match Realm::new(&event_loop, ctx) {
        Ok(realm) => realm,
        Err(error) => {
            parent.console_error(&format!("An iframe stays empty: {error}."));
            return None;
        }
    };
    // Steps 4 to 8.
    let id = navigables.next_id();
    let place = Container { realm: parent.id(), node: container };
    let (parent_id, quota) =
        (Some(parent_navigable.id), parent.window().host().navigable_container());
    let navigable = Navigable::new(id, parent_id, Some(place), quota, name, Rc::clone(&realm));
    let navigable = navigables.add(navigable);
    parent.window().frames.borrow_mut().insert(container, id);
    announce(parent, &navigable);
    create_initial_document(ctx, &navigable, client, flags, parent, TabOf::Other);
    Some(navigable)
}

/// Tells the other processes of a new navigable. `creator` is the realm of the document with its container, or of the one
/// that opens it.
pub(super) fn announce(creator: &Realm, navigable: &Navigable) {
    let new = NewNavigable {
        parent: navigable.parent,
        opener: navigable.opener.get(),
        is_auxiliary: navigable.is_auxiliary,
        name: navigable.name.borrow().clone(),
        origin: creator.window().client().origin,
    };
    creator.window().host().send(navigable.id, WindowMessage::Created(new));
}

/// Gives a new navigable its initial `about:blank` document, completely loaded.
pub(super) fn create_initial_document(
    ctx: &Ctx<'_>,
    navigable: &Rc<Navigable>,
    mut client: Client,
    flags: SandboxFlags,
    creator_realm: &Rc<Realm>,
    tab: TabOf,
) {
    if flags.origin {
        client.origin = opaque_origin();
    }
    let creator = creator_realm.window();
    let environment = Environment {
        about_base_url: Some(creator.document.base_url()),
        cookie_url: Some(creator.cookie_url()),
        referrer: creator.document.url().into(),
        cross_origin_isolated: creator.environment().cross_origin_isolated,
        sandbox: flags,
        ..Environment::of(client)
    };
    let mut environment = Environment { url: about_blank(), ..environment };
    if let Some(container) = navigable.container {
        create_a_permissions_policy(creator_realm, container.node, &mut environment, "");
    }
    let host = creator.host().create_host(&mut environment, tab, navigable.quota.as_ref());
    let realm = navigable.active();
    realm.window().is_initial.set(true);
    activate(ctx, &realm, navigable.id, environment, host);
    let document_state = DocumentState { document: realm.id().0, ..DocumentState::default() };
    navigable.enter_history(HistoryHandling::Replace, about_blank(), document_state);
    populate_with_html_head_body(&mut realm.window().document.dom_mut());
    realm.window().apply_tree_changes();
    realm.window().stage.set(Stage::Complete);
    realm.call_in(ctx, "becomeInitial", ());
}

/// Gives `realm` a new document, and makes it the active document of the navigable `id`.
pub(super) fn activate(
    ctx: &Ctx<'_>,
    realm: &Rc<Realm>,
    id: NavigableId,
    environment: Environment,
    host: Rc<dyn PageHost>,
) {
    realm.window().navigable.set(Some(id));
    let origin = environment.client.origin.clone();
    realm.window().initialize(environment, host);
    if !realm.window().is_remote {
        realm.window().host().send(id, WindowMessage::Activated(origin));
    }
    realm.call_in(ctx, "initialize", (id.0,));
}

/// [Determines the creation sandboxing flags](https://html.spec.whatwg.org/multipage/browsers.html#determining-the-creation-sandboxing-flags)
/// of a document in `container`, an element of `parent`'s document.
pub(super) fn creation_sandboxing_flags(parent: &Realm, container: NodeId) -> SandboxFlags {
    let inherited = parent.window().environment().sandbox;
    let dom = parent.window().document.dom();
    match dom.attribute(container, "sandbox") {
        None => inherited,
        Some(tokens) => inherited.union(SandboxFlags::parse(tokens.split_ascii_whitespace())),
    }
}

/// [Populate with html/head/body](https://html.spec.whatwg.org/multipage/browsing-the-web.html#populate-with-html/head/body)
fn populate_with_html_head_body(dom: &mut Dom) {
    let html = dom.create_html_element("html");
    let (head, body) = (dom.create_html_element("head"), dom.create_html_element("body"));
    for (parent, node) in [(Dom::DOCUMENT, html), (html, head), (html, body)] {
        // Cannot fail: the nodes are new elements, and the document is empty.
        let _ = dom.pre_insert(parent, node, None);
    }
}

pub(in crate::page) fn about_blank() -> Url {
    Url::parse("about:blank").expect("about:blank is a URL")
}
