//! The navigables around a document, by their numbers, and navigation.

use std::rc::Rc;

use rquickjs::{Ctx, Function, Object, convert::List};
use url::Url;

use super::nested;
use crate::page::{
    dom::NodeId,
    navigable::{NavigableId, NavigateParams},
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
            let target = this.event_loop().and_then(|it| it.navigables().get(NavigableId(id)));
            if let (Some(target), Ok(url)) = (target, Url::parse(&url)) {
                let params = NavigateParams { replace, ..NavigateParams::new(url) };
                nested(&this, || target.navigate(&ctx, &this, params));
            }
        })?,
    )
}

fn navigable(window: &Window, relation: &str) -> Option<u32> {
    let own = window.navigable()?;
    let event_loop = window.event_loop()?;
    let navigables = event_loop.navigables();
    let found = match relation {
        "parent" => navigables.parent(&own).unwrap_or(own),
        "top" => navigables.top(&own),
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
