//! The native functions for navigables, which scripts know by their numbers, and for navigation.

use std::rc::Rc;

use rquickjs::{Ctx, Object, convert::List, function::Opt};
use url::Url;

use super::{bytes_from_base64, nested};
use crate::page::{
    PostResource,
    dom::NodeId,
    navigable::{
        HistoryHandling, Initiator, NavigableId, NavigateParams, OpenParams,
        is_allowed_by_sandboxing_to_navigate, open,
    },
    window::Window,
};

pub(super) fn install<'js>(native: &Object<'js>, window: &Rc<Window>) -> rquickjs::Result<()> {
    functions! { native, window,
        "navigable" => |this, relation: String| navigable(this, &relation),
        "childNavigables" => |this| child_navigables(this),
        "contentNavigable" => |this, node: u32| this.content_navigable(NodeId(node)).map(|it| it.id.0),
        "frameElement" => |this| Some(this.navigable()?.container?.node.0),
        "targetName" => |this| Some(this.navigable()?.name.borrow().clone()),
        "setTargetName" => |this, name: String| {
            if let Some(navigable) = this.navigable() {
                navigable.rename(name);
            }
        },
        "navigate" => |this, ctx: Ctx<'js>, id: u32, url: String, replace: bool| {
            navigate(&ctx, this, NavigableId(id), &url, replace)
        },
        "open" => |this, ctx: Ctx<'js>, url: Option<String>, name: String, noopener: bool,
            referrer_policy: String, post: Opt<Option<List<(String, String)>>>| {
            let url = url.and_then(|url| Url::parse(&url).ok());
            let referrer_policy = referrer_policy.to_ascii_lowercase().parse().ok();
            let post = post.0.flatten().map(|post| post_resource(&ctx, post)).transpose()?;
            let params = OpenParams { url, name, noopener, referrer_policy, post };
            let source = this.active_realm();
            let opened = source.and_then(|source| nested(this, || open(&ctx, &source, params)));
            rquickjs::Result::Ok(opened.map(|it| it.id.0))
        },
        "close" => |this, id: u32| {
            let target = this.event_loop().and_then(|it| it.navigables().get(NavigableId(id)));
            if let (Some(source), Some(target)) = (this.navigable(), target) {
                target.close(&source);
            }
        },
        "stopLoading" => |this| {
            if let Some(navigable) = this.navigable() {
                navigable.stop_loading();
            }
        },
        "isClosing" => |this| is_closing(this),
        "disownOpener" => |this| {
            if let Some(navigable) = this.navigable() {
                navigable.disown_opener();
            }
        },
    }
    Ok(())
}

/// Converts the content type and the base64 body of a form's POST request.
fn post_resource(
    ctx: &Ctx<'_>,
    List((content_type, base64)): List<(String, String)>,
) -> rquickjs::Result<PostResource> {
    Ok(PostResource { content_type, body: bytes_from_base64(ctx, &base64)? })
}

/// Navigates the navigable `id`. Returns false if the sandboxing of the document forbids it.
fn navigate(ctx: &Ctx<'_>, window: &Window, id: NavigableId, url: &str, replace: bool) -> bool {
    let target = window.event_loop().and_then(|it| it.navigables().get(id));
    let (Some(target), Some(current), Ok(url)) = (target, window.navigable(), Url::parse(url))
    else {
        return true;
    };
    if !is_allowed_by_sandboxing_to_navigate(window, &current, &target) {
        return false;
    }
    let history = if replace { HistoryHandling::Replace } else { HistoryHandling::Push };
    let params = NavigateParams { history, ..NavigateParams::new(url) };
    nested(window, || {
        target.reserve_deferred_fetch_quota(window, &params.url);
        target.navigate(ctx, Initiator::of(window, None), params);
    });
    true
}

/// The value of [`window.closed`](https://html.spec.whatwg.org/multipage/nav-history-apis.html#dom-window-closed).
fn is_closing(window: &Window) -> bool {
    let own = window.navigable().zip(window.event_loop());
    own.is_none_or(|(own, event_loop)| event_loop.navigables().top(&own).is_closing.get())
}

/// The number of a navigable: the window's own, or the one in this relation to it.
fn navigable(window: &Window, relation: &str) -> Option<u32> {
    let own = window.navigable()?;
    let event_loop = window.event_loop()?;
    let navigables = event_loop.navigables();
    let found = match relation {
        "parent" => navigables.parent(&own).unwrap_or(own),
        "top" => navigables.top(&own),
        "opener" => navigables.get(own.opener.get()?)?,
        _ => own,
    };
    Some(found.id.0)
}

/// The number and the target name of each child navigable.
fn child_navigables(window: &Window) -> Vec<List<(u32, String)>> {
    let Some(event_loop) = window.event_loop() else { return Vec::new() };
    let Some(realm) = event_loop.realm(window.id) else { return Vec::new() };
    let children = event_loop.navigables().children(&realm);
    children.iter().map(|child| List((child.id.0, child.name.borrow().clone()))).collect()
}
