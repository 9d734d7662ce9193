//! The navigables around a document, by their numbers, and navigation.

use std::rc::Rc;

use rquickjs::{Ctx, Function, Object, convert::List, function::Opt};
use url::Url;

use super::{bytes_from_base64, nested};
use crate::page::{
    PostResource,
    dom::NodeId,
    navigable::{
        HistoryHandling, NavigableId, NavigateParams, OpenParams,
        is_allowed_by_sandboxing_to_navigate, open,
    },
    window::Window,
};

pub(super) fn install<'js>(native: &Object<'js>, window: &Rc<Window>) -> rquickjs::Result<()> {
    let ctx = native.ctx();
    let this = Rc::clone(window);
    native.set(
        "navigable",
        Function::new(ctx.clone(), move |relation: String| navigable(&this, &relation))?,
    )?;
    let this = Rc::clone(window);
    native.set("childNavigables", Function::new(ctx.clone(), move || child_navigables(&this))?)?;
    let this = Rc::clone(window);
    native.set(
        "contentNavigable",
        Function::new(ctx.clone(), move |node: u32| {
            this.content_navigable(NodeId(node)).map(|navigable| navigable.id.0)
        })?,
    )?;
    let this = Rc::clone(window);
    native.set(
        "frameElement",
        Function::new(ctx.clone(), move || Some(this.navigable()?.container?.node.0))?,
    )?;
    let this = Rc::clone(window);
    native.set(
        "targetName",
        Function::new(ctx.clone(), move || Some(this.navigable()?.name.borrow().clone()))?,
    )?;
    let this = Rc::clone(window);
    native.set(
        "setTargetName",
        Function::new(ctx.clone(), move |name: String| {
            if let Some(navigable) = this.navigable() {
                navigable.name.replace(name);
            }
        })?,
    )?;
    let this = Rc::clone(window);
    native.set(
        "navigate",
        Function::new(ctx.clone(), move |ctx: Ctx<'js>, id: u32, url: String, replace: bool| {
            navigate(&ctx, &this, NavigableId(id), &url, replace)
        })?,
    )?;
    let this = Rc::clone(window);
    native.set(
        "open",
        Function::new(
            ctx.clone(),
            move |ctx: Ctx<'js>,
                  url: Option<String>,
                  name: String,
                  noopener: bool,
                  referrer_policy: String,
                  post: Opt<Option<List<(String, String)>>>| {
                let post = post.0.flatten().map(|List((content_type, base64))| {
                    let body = bytes_from_base64(&ctx, &base64)?;
                    rquickjs::Result::Ok(PostResource { content_type, body })
                });
                let post = post.transpose()?;
                let url = url.and_then(|url| Url::parse(&url).ok());
                let referrer_policy = referrer_policy.to_ascii_lowercase().parse().ok();
                let params = OpenParams { url, name, noopener, referrer_policy, post };
                let source = this.event_loop().and_then(|it| it.realm(this.id));
                let opened =
                    source.and_then(|source| nested(&this, || open(&ctx, &source, params)));
                rquickjs::Result::Ok(opened.map(|it| it.id.0))
            },
        )?,
    )?;
    let this = Rc::clone(window);
    native.set(
        "close",
        Function::new(ctx.clone(), move || {
            if let Some(navigable) = this.navigable() {
                navigable.close();
            }
        })?,
    )?;
    let this = Rc::clone(window);
    native.set(
        "stopLoading",
        Function::new(ctx.clone(), move || {
            if let Some(navigable) = this.navigable() {
                navigable.stop_loading();
            }
        })?,
    )?;
    let this = Rc::clone(window);
    native.set("isClosing", Function::new(ctx.clone(), move || is_closing(&this))?)?;
    let this = Rc::clone(window);
    native.set(
        "disownOpener",
        Function::new(ctx.clone(), move || {
            if let Some(navigable) = this.navigable() {
                navigable.opener.set(None);
            }
        })?,
    )
}

/// Whether it is allowed to.
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
    nested(window, || target.navigate(ctx, window, params));
    true
}

/// <https://html.spec.whatwg.org/multipage/nav-history-apis.html#dom-window-closed>
fn is_closing(window: &Window) -> bool {
    let own = window.navigable().zip(window.event_loop());
    own.is_none_or(|(own, event_loop)| event_loop.navigables().top(&own).is_closing.get())
}

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

/// Number and target name of each.
fn child_navigables(window: &Window) -> Vec<List<(u32, String)>> {
    let Some(event_loop) = window.event_loop() else { return Vec::new() };
    let Some(realm) = event_loop.realm(window.id) else { return Vec::new() };
    let children = event_loop.navigables().children(&realm);
    children.iter().map(|child| List((child.id.0, child.name.borrow().clone()))).collect()
}
