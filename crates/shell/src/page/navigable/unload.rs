//! [Unloading and destroying documents](https://html.spec.whatwg.org/multipage/document-lifecycle.html#unloading-documents)

use std::rc::Rc;

use rquickjs::Ctx;

use super::Navigable;
use crate::page::{WindowMessage, dom::NodeId, host::Lifecycle, realm::Realm};

/// Fires `beforeunload` in all documents of `navigable`, as in
/// [checking if unloading is canceled](https://html.spec.whatwg.org/multipage/browsing-the-web.html#checking-if-unloading-is-canceled).
/// A handler cannot cancel, because there is no user to ask.
pub(in crate::page) fn fire_before_unload(navigable: &Rc<Navigable>) {
    let event_loop = navigable.active().event_loop();
    for navigable in event_loop.navigables().inclusive_descendants(navigable) {
        fire_before_unload_at(&navigable.active());
    }
}

/// Fires `beforeunload` in one document.
pub(super) fn fire_before_unload_at(realm: &Realm) {
    realm.window().while_unloading(|| realm.call("fireBeforeUnload", ()));
}

/// [Unload a document and its descendants](https://html.spec.whatwg.org/multipage/document-lifecycle.html#unload-a-document-and-its-descendants)
///
/// Afterwards none of its tasks and timers runs, unless the next document uses the same window (`keeps_window`).
///
/// NB: the standard unloads the descendants first. All browsers unload the document first.
pub(in crate::page) fn unload_a_document_and_its_descendants(
    ctx: &Ctx<'_>,
    realm: &Rc<Realm>,
    keeps_window: bool,
) {
    let event_loop = realm.event_loop();
    // The document does not come back to life while its descendants are unloaded.
    realm.window().while_unloading(|| {
        // Step 6.
        unload_a_document(ctx, realm, false);
        // Steps 2 to 5.
        for child in event_loop.navigables().children(realm) {
            unload_a_document_and_its_descendants(ctx, &child.active(), false);
            remove(realm, &child);
        }
    });
    if !keeps_window {
        destroy_a_document(realm);
    }
}

/// [Unload a document](https://html.spec.whatwg.org/multipage/document-lifecycle.html#unload-a-document)
pub(super) fn unload_a_document(ctx: &Ctx<'_>, realm: &Realm, persisted: bool) {
    realm.window().while_unloading(|| realm.call_in(ctx, "unload", (persisted,)));
    let host = realm.window().host();
    host.lifecycle(Lifecycle::Hidden);
    host.lifecycle(Lifecycle::PageHide { persisted });
    if !persisted {
        host.lifecycle(Lifecycle::Unload);
    }
}

/// [Destroy a document](https://html.spec.whatwg.org/multipage/document-lifecycle.html#destroy-a-document)
fn destroy_a_document(realm: &Realm) {
    realm.window().navigable.set(None);
    realm.window().parser.take();
    realm.event_loop().remove_realm(realm.id());
}

/// [Destroy a child navigable](https://html.spec.whatwg.org/multipage/document-sequences.html#destroy-a-child-navigable)
pub(super) fn destroy_child_navigable(ctx: &Ctx<'_>, realm: &Rc<Realm>, container: NodeId) {
    // Steps 1 and 2.
    let Some(navigable) = realm.window().content_navigable(container) else { return };
    realm.window().frames.borrow_mut().remove(&container);
    // Step 5.
    unload_a_document_and_its_descendants(ctx, &navigable.active(), false);
    remove(realm, &navigable);
    // The removed frame may have been the last thing that delayed the `load` event.
    super::load::queue_completion(realm.window());
}

/// Removes a child navigable from its parent document and from the event loop.
fn remove(parent: &Realm, navigable: &Navigable) {
    if let Some(container) = navigable.container {
        parent.window().frames.borrow_mut().remove(&container.node);
    }
    if navigable.kept {
        parent.window().host().send(navigable.id, WindowMessage::Removed);
    }
    parent.event_loop().navigables().remove(navigable.id);
}
