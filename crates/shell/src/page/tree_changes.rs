//! What scripts hear of a change of the tree: the prelude's steps for new elements, and mutation observers.

use rquickjs::Ctx;

use super::window::Window;

/// Runs the steps that follow a change of the tree of `window`'s document.
pub(super) fn tell_scripts(ctx: &Ctx<'_>, window: &Window) {
    let (images, is_observed) = {
        let mut dom = window.document.dom_mut();
        (dom.take_created_images(), dom.has_news_for_observers())
    };
    if images.is_empty() && !is_observed {
        return;
    }
    let Some(realm) = window.event_loop().and_then(|it| it.realm(window.id)) else { return };
    if !images.is_empty() {
        let images: Vec<_> = images.into_iter().map(|node| node.0).collect();
        realm.call_in(ctx, "updateImages", (images,));
    }
    if is_observed {
        realm.call_in(ctx, "queueMutationObserverMicrotask", ());
    }
}
