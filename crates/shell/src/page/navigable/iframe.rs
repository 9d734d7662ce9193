//! [The `iframe` element](https://html.spec.whatwg.org/multipage/iframe-embed-object.html#the-iframe-element)

use std::rc::Rc;

use rquickjs::Ctx;
use url::{Position, Url};

use super::{
    HistoryHandling, Navigable,
    create::{about_blank, create_child_navigable},
    history::Initiator,
    load::{begin_refresh, complete_if_possible},
    navigate::NavigateParams,
    unload::destroy_child_navigable,
};
use crate::page::{WindowMessage, dom::NodeId, realm::Realm, window::Stage};

/// The [post-connection steps](https://html.spec.whatwg.org/multipage/iframe-embed-object.html#the-iframe-element:html-element-post-connection-steps)
/// of the `iframe` elements that were connected since the last call. It also gives the window the names of new elements,
/// and starts a declarative refresh.
///
/// NB: without a spare context, a frame gets its navigable in a later task, when the running script has ended.
pub(in crate::page) fn connected(ctx: &Ctx<'_>, realm: &Rc<Realm>) {
    name_elements(ctx, realm);
    begin_refresh(ctx, realm);
    let document = &realm.window().document;
    let elements = document.take_connected_frames();
    for (at, &element) in elements.iter().enumerate() {
        if !realm.event_loop().has_new_context() {
            document.put_connected_frames_back(&elements[at..]);
            realm.window().shared().queue.post(realm.id(), |realm| {
                let Some(realm) = realm.event_loop().realm(realm.id()) else { return };
                realm.run(|ctx, _| {
                    connected(ctx, &realm);
                    Ok(())
                });
                complete_if_possible(&realm);
            });
            return;
        }
        // Scripts that an earlier element's steps have run may have removed this element.
        if !document.dom().is_connected(element)
            || realm.window().frames.borrow().contains_key(&element)
        {
            continue;
        }
        // Steps 1 to 3.
        if let Some(navigable) = create_child_navigable(ctx, realm, element) {
            process_iframe_attributes(ctx, realm, &navigable, element, true);
        }
    }
}

/// Gives the window a property for the [name](https://html.spec.whatwg.org/multipage/nav-history-apis.html#named-access-on-the-window-object)
/// of each new element.
fn name_elements(ctx: &Ctx<'_>, realm: &Realm) {
    let names = realm.window().document.take_names();
    if !names.is_empty() {
        realm.call_in(ctx, "nameElements", (names,));
    }
}

/// The [removing steps](https://html.spec.whatwg.org/multipage/iframe-embed-object.html#the-iframe-element:html-element-removing-steps)
/// of these elements.
///
/// NB: the standard destroys the documents without firing an event. All browsers unload them.
pub(in crate::page) fn removed(ctx: &Ctx<'_>, realm: &Rc<Realm>, elements: &[NodeId]) {
    for element in elements {
        destroy_child_navigable(ctx, realm, *element);
    }
}

/// The attribute change steps of an element, which may be an `iframe`.
pub(in crate::page) fn attribute_changed(
    ctx: &Ctx<'_>,
    realm: &Rc<Realm>,
    element: NodeId,
    name: &str,
) {
    name_elements(ctx, realm);
    let Some(navigable) = realm.window().content_navigable(element) else { return };
    let (has_srcdoc, new_name) = {
        let dom = realm.window().document.dom();
        let value = dom.attribute(element, "name").unwrap_or_default().to_owned();
        (dom.attribute(element, "srcdoc").is_some(), value)
    };
    match name {
        "name" => navigable.rename(new_name),
        "srcdoc" => process_iframe_attributes(ctx, realm, &navigable, element, false),
        "src" if !has_srcdoc => {
            process_iframe_attributes(ctx, realm, &navigable, element, false);
        }
        _ => {}
    }
}

/// [Process the iframe attributes](https://html.spec.whatwg.org/multipage/iframe-embed-object.html#process-the-iframe-attributes)
fn process_iframe_attributes(
    ctx: &Ctx<'_>,
    realm: &Rc<Realm>,
    navigable: &Rc<Navigable>,
    element: NodeId,
    initial_insertion: bool,
) {
    let window = realm.window();
    let (srcdoc, referrer_policy) = {
        let dom = window.document.dom();
        let policy = dom.attribute(element, "referrerpolicy").unwrap_or_default().to_lowercase();
        (dom.attribute(element, "srcdoc").map(str::to_owned), policy.parse().ok())
    };
    // Step 1.
    if let Some(srcdoc) = srcdoc {
        let url = Url::parse("about:srcdoc").expect("about:srcdoc is a URL");
        navigate_an_iframe_or_frame(
            ctx,
            realm,
            navigable,
            NavigateParams {
                document_resource: Some(srcdoc),
                referrer_policy,
                ..NavigateParams::new(url)
            },
        );
        return;
    }
    // Steps 2.1 and 2.2.
    let Some(url) = shared_attribute_processing_steps(realm, element, initial_insertion) else {
        return;
    };
    // Step 2.3.
    if initial_insertion && is_about_blank(&url) {
        if url != about_blank() {
            navigable.active().window().document.set_url(url);
        }
        run_iframe_load_event_steps(ctx, realm, navigable, element);
        return;
    }
    // Steps 2.4 to 2.6.
    let params = NavigateParams { referrer_policy, ..NavigateParams::new(url) };
    navigate_an_iframe_or_frame(ctx, realm, navigable, params);
}

/// [Shared attribute processing steps for iframe and frame elements](https://html.spec.whatwg.org/multipage/iframe-embed-object.html#shared-attribute-processing-steps-for-iframe-and-frame-elements)
fn shared_attribute_processing_steps(
    realm: &Rc<Realm>,
    element: NodeId,
    initial_insertion: bool,
) -> Option<Url> {
    let window = realm.window();
    // Step 1.
    let mut url = about_blank();
    // Step 2.
    let src = window.document.dom().attribute(element, "src").map(str::to_owned);
    match src {
        Some(src) if !src.is_empty() => {
            if let Ok(parsed) = window.document.parse_url(&src) {
                url = parsed;
            }
        }
        // Removing the attribute does not navigate.
        None if !initial_insertion => return None,
        _ => {}
    }
    // Step 3.
    let node_navigable = window.navigable()?;
    let event_loop = realm.event_loop();
    let mut ancestors = event_loop.navigables().inclusive_ancestors(&node_navigable);
    let without_fragment = |url: &Url| url[..Position::AfterQuery].to_owned();
    let is_same = |ancestor: Rc<Navigable>| {
        without_fragment(&ancestor.active().window().document.url()) == without_fragment(&url)
    };
    if !is_about_blank(&url) && ancestors.any(is_same) {
        return None;
    }
    Some(url)
}

/// [Navigate an iframe or frame](https://html.spec.whatwg.org/multipage/iframe-embed-object.html#navigate-an-iframe-or-frame)
fn navigate_an_iframe_or_frame(
    ctx: &Ctx<'_>,
    realm: &Rc<Realm>,
    navigable: &Rc<Navigable>,
    params: NavigateParams,
) {
    // Steps 1 and 2.
    let is_complete = navigable.active().window().stage.get() == Stage::Complete;
    let history = if is_complete { HistoryHandling::Push } else { HistoryHandling::Replace };
    // Steps 4 and 5.
    navigable.delays_load.set(true);
    let params = NavigateParams { history, ..params };
    navigable.reserve_deferred_fetch_quota(realm.window(), &params.url);
    navigable.navigate(ctx, Initiator::of(realm.window(), params.referrer_policy), params);
}

/// [The iframe load event steps](https://html.spec.whatwg.org/multipage/iframe-embed-object.html#iframe-load-event-steps)
pub(super) fn run_iframe_load_event_steps(
    ctx: &Ctx<'_>,
    realm: &Realm,
    navigable: &Navigable,
    element: NodeId,
) {
    navigable.delays_load.set(false);
    if realm.window().is_remote {
        realm.window().host().send(navigable.id, WindowMessage::Loaded);
        return;
    }
    realm.call_in(ctx, "fireAtNode", (element.0, "load"));
}

/// Whether `url` [matches about:blank](https://html.spec.whatwg.org/multipage/urls-and-fetching.html#matches-about:blank).
pub(super) fn is_about_blank(url: &Url) -> bool {
    url.scheme() == "about" && url.path() == "blank"
}
