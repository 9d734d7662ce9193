//! The end of a document's loading: its `load` event, and the `load` event of its container.

use std::rc::Rc;

use rquickjs::Ctx;

use super::{Navigable, iframe::run_iframe_load_event_steps};
use crate::page::{
    dom::NodeId,
    host::Lifecycle,
    realm::Realm,
    refresh::Refresh,
    window::{Stage, Window},
};

/// [The end](https://html.spec.whatwg.org/multipage/parsing.html#the-end) of parsing: runs the deferred scripts, fires
/// `DOMContentLoaded`, and fires `load` as soon as nothing delays it.
pub(in crate::page) fn the_end(realm: &Rc<Realm>, deferred: Vec<NodeId>) {
    // Step 3.
    realm.call("setReadyState", ("interactive",));
    // Step 5.
    for script in deferred {
        realm.execute_script_element(script);
    }
    // Step 6.
    realm.call("fireDomContentLoaded", ());
    // Steps 8 and 9.
    realm.window().stage.set(Stage::Loading);
    complete_if_possible(realm);
}

/// Steps 8 and 9 of the end: fires the `load` event if nothing delays it any more.
pub(super) fn complete_if_possible(realm: &Rc<Realm>) {
    let window = realm.window();
    let event_loop = realm.event_loop();
    let delays = |child: &Rc<Navigable>| child.delays_load.get();
    let is_delayed = window.document.has_connected_frames()
        || window.pending_scripts.get() > 0
        || event_loop.navigables().children(realm).iter().any(delays);
    if window.stage.get() != Stage::Loading || is_delayed || window.navigable.get().is_none() {
        return;
    }
    window.stage.set(Stage::Complete);
    realm.call("completeLoading", ());
    window.host().lifecycle(Lifecycle::PageShow { persisted: false });
    completely_finish_loading(realm);
    realm.run(|ctx, _| {
        begin_refresh(ctx, realm);
        Ok(())
    });
}

/// Queues a task that fires the `load` event if nothing delays it any more.
pub(in crate::page) fn queue_completion(window: &Window) {
    window.shared().queue.post(window.id, |realm| {
        if let Some(realm) = realm.event_loop().realm(realm.id()) {
            complete_if_possible(&realm);
        }
    });
}

/// Step 13 of the [shared declarative refresh steps](https://html.spec.whatwg.org/multipage/document-lifecycle.html#shared-declarative-refresh-steps):
/// starts the timer of a declarative refresh once the document is completely loaded.
pub(super) fn begin_refresh(ctx: &Ctx<'_>, realm: &Realm) {
    let window = realm.window();
    if window.stage.get() != Stage::Complete || window.environment().sandbox.scripts {
        return;
    }
    if let Some(Refresh { seconds, url }) = window.document.take_refresh() {
        realm.call_in(ctx, "refresh", (url.as_str(), seconds));
    }
}

/// [Completely finish loading](https://html.spec.whatwg.org/multipage/document-lifecycle.html#completely-finish-loading)
fn completely_finish_loading(realm: &Realm) {
    let Some(navigable) = realm.window().navigable() else { return };
    queue_container_load(realm, &navigable);
}

/// Step 3.3 of completely finish loading: queues a task that fires the container's `load` event.
pub(super) fn queue_container_load(realm: &Realm, navigable: &Navigable) {
    let (Some(container), id) = (navigable.container, navigable.id) else { return };
    realm.window().shared().queue.post(container.realm, move |parent| {
        let navigable = parent.event_loop().navigables().get(id);
        // A navigation that has begun since then delays the event further.
        if let Some(navigable) = navigable.filter(|it| it.ongoing.get().is_none()) {
            parent.run(|ctx, _| {
                run_iframe_load_event_steps(ctx, parent, &navigable, container.node);
                Ok(())
            });
            if let Some(parent) = parent.event_loop().realm(parent.id()) {
                complete_if_possible(&parent);
            }
        }
    });
}
