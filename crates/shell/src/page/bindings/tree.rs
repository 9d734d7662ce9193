//! The native functions of the node tree. Scripts know a node by its number.

use std::rc::Rc;

use html5ever::local_name;
use rquickjs::{Ctx, IntoJs, Object, Value, convert::List};

use super::{bare_object, nested};
use crate::page::{
    dom::{Dom, DomError, NodeData, NodeId, Selector, inner_html},
    navigable,
    parser::parse_html_fragment,
    script::Prepared,
    tree_changes::tell_scripts,
    window::Window,
};

pub(super) fn install<'js>(native: &Object<'js>, window: &Rc<Window>) -> rquickjs::Result<()> {
    functions! { native, window,
        "createElement" => |this, name: String| this.document.dom_mut().create_html_element(&name).0,
        "createText" => |this, data: String| create(this, NodeData::Text(data)),
        "createComment" => |this, data: String| create(this, NodeData::Comment(data)),
        "createFragment" => |this| create(this, NodeData::DocumentFragment),
        "nodeType" => |this, node: u32| node_type(&this.document.dom(), node),
        "localName" => |this, node: u32| read(this, node, |dom, node| {
            dom.element(node).map(|element| element.name.local.to_string())
        }),
        "parent" => |this, node: u32| read(this, node, |dom, node| Some(dom.parent(node)?.0)),
        "children" => |this, node: u32| read(this, node, |dom, node| Some(numbers(dom.children(node)))),
        "isConnected" => |this, node: u32| read(this, node, |dom, node| Some(dom.is_connected(node))),
        "nextSibling" => |this, node: u32| read(this, node, |dom, node| Some(dom.next_sibling(node)?.0)),
        "data" => |this, node: u32| read(this, node, data),
        "setData" => |this, ctx: Ctx<'js>, node: u32, data: String| {
            let mut dom = this.document.dom_mut();
            if dom.exists(NodeId(node)) {
                dom.set_character_data(NodeId(node), data);
            }
            drop(dom);
            tell_scripts(&ctx, this);
        },
        "textContent" => |this, node: u32| read(this, node, |dom, node| Some(dom.text_content(node))),
        "hasText" => |this, node: u32| read(this, node, |dom, node| Some(has_text(dom, node))),
        "attribute" => |this, node: u32, name: String| read(this, node, |dom, node| {
            dom.attribute(node, &name).map(str::to_owned)
        }),
        "attributeNames" => |this, node: u32| read(this, node, |dom, node| {
            let attributes = dom.element(node)?.attributes.iter();
            Some(attributes.map(|it| it.name.local.to_string()).collect::<Vec<_>>())
        }),
        "setAttribute" => |this, ctx: Ctx<'js>, node: u32, name: String, value: String| {
            let change = |dom: &mut Dom, node| dom.set_attribute(node, &name, &value);
            change_attribute(&ctx, this, node, &name, change);
        },
        "removeAttribute" => |this, ctx: Ctx<'js>, node: u32, name: String| {
            let change = |dom: &mut Dom, node| dom.remove_attribute(node, &name);
            change_attribute(&ctx, this, node, &name, change);
        },
        "insert" => |this, ctx: Ctx<'js>, parent: u32, node: u32, child: Option<u32>| {
            insert(&ctx, this, parent, node, child)
        },
        "remove" => |this, ctx: Ctx<'js>, node: u32| remove(&ctx, this, node),
        "takeSubtree" => |this, node: u32| take_subtree(this, NodeId(node)),
        "copySubtree" => |this, node: u32, is_deep: bool| {
            let dom = this.document.dom();
            if dom.exists(NodeId(node)) {
                this.shared().adopted.replace(dom.copy_subtree(NodeId(node), is_deep));
            }
        },
        "graft" => |this, ctx: Ctx<'js>| {
            let pairs = graft(this);
            tell_scripts(&ctx, this);
            pairs
        },
        "innerHtml" => |this, node: u32| read(this, node, |dom, node| Some(inner_html(dom, node))),
        "parseFragment" => |this, context: u32, html: String| {
            numbers(&parse_html_fragment(this, NodeId(context), &html))
        },
        "query" => |this, root: u32, selector: String| query(this, root, &selector),
        "matches" => |this, node: u32, selector: String| {
            let selector = Selector::parse(&selector)?;
            read(this, node, |dom, node| Some(selector.matches(dom, node)))
        },
        "elementById" => |this, id: String| {
            let dom = this.document.dom();
            let mut elements = dom.descendants(Dom::DOCUMENT);
            elements.find(|node| dom.attribute(*node, "id") == Some(&id)).map(|node| node.0)
        },
        "prepareScript" => |this, node: u32| prepare_script(this, NodeId(node)),
        "delayLoad" => |this| this.pending_scripts.set(this.pending_scripts.get() + 1),
        "stopDelayingLoad" => |this| {
            this.pending_scripts.set(this.pending_scripts.get().saturating_sub(1));
            navigable::queue_completion(this);
        },
    }
    Ok(())
}

fn create(window: &Window, data: NodeData) -> u32 {
    window.document.dom_mut().create(data).0
}

/// Reads from a node, unless the node does not exist or is another document's.
fn read<T>(window: &Window, node: u32, get: impl FnOnce(&Dom, NodeId) -> Option<T>) -> Option<T> {
    let dom = window.document.dom();
    dom.exists(NodeId(node)).then(|| get(&dom, NodeId(node))).flatten()
}

fn numbers(nodes: &[NodeId]) -> Vec<u32> {
    nodes.iter().map(|node| node.0).collect()
}

/// The value of [`nodeType`](https://dom.spec.whatwg.org/#dom-node-nodetype).
fn node_type(dom: &Dom, node: u32) -> Option<u8> {
    dom.exists(NodeId(node)).then(|| match dom.data(NodeId(node)) {
        NodeData::Element(_) => 1,
        NodeData::Text(_) => 3,
        NodeData::Comment(_) => 8,
        NodeData::Document => 9,
        NodeData::Doctype { .. } => 10,
        NodeData::DocumentFragment => 11,
    })
}

/// The data of a text or comment node, or the name of a doctype.
fn data(dom: &Dom, node: NodeId) -> Option<String> {
    match dom.data(node) {
        NodeData::Text(data) | NodeData::Comment(data) => Some(data.clone()),
        NodeData::Doctype { name } => Some(name.clone()),
        _ => None,
    }
}

/// Whether there is text below `node` that could be seen.
fn has_text(dom: &Dom, node: NodeId) -> bool {
    let is_seen = |parent: NodeId| {
        dom.element(parent).is_none_or(|it| {
            let hidden = [local_name!("script"), local_name!("style"), local_name!("noscript")];
            !hidden.contains(&it.name.local)
        })
    };
    dom.descendants(node).any(|it| match dom.data(it) {
        NodeData::Text(text) => {
            !text.trim_ascii().is_empty() && dom.parent(it).is_some_and(is_seen)
        }
        _ => false,
    })
}

/// Changes an attribute, and runs the attribute change steps.
fn change_attribute(
    ctx: &Ctx<'_>,
    window: &Window,
    node: u32,
    name: &str,
    change: impl FnOnce(&mut Dom, NodeId),
) {
    let node = NodeId(node);
    if !window.document.dom().exists(node) {
        return;
    }
    change(&mut window.document.dom_mut(), node);
    window.document.attribute_changed(node);
    window.apply_tree_changes();
    if let Some(realm) = window.active_realm() {
        nested(window, || navigable::attribute_changed(ctx, &realm, node, name));
    }
    tell_scripts(ctx, window);
}

/// Inserts a node. Returns the scripts in it, which the caller runs, or the name of an exception.
fn insert(ctx: &Ctx<'_>, window: &Window, parent: u32, node: u32, child: Option<u32>) -> Inserted {
    let (parent, node, child) = (NodeId(parent), NodeId(node), child.map(NodeId));
    let mut dom = window.document.dom_mut();
    if ![Some(parent), Some(node), child].into_iter().flatten().all(|it| dom.exists(it)) {
        return Inserted(Err(DomError::HierarchyRequest));
    }
    let nodes = match dom.data(node) {
        NodeData::DocumentFragment => dom.children(node).to_vec(),
        _ => vec![node],
    };
    if let Err(error) = dom.pre_insert(parent, node, child) {
        return Inserted(Err(error));
    }
    let frames = frames_in(window, &dom, &nodes);
    let scripts = if dom.is_connected(parent) { scripts(&dom, &nodes) } else { Vec::new() };
    drop(dom);
    // The node may have been removed from another place.
    window.document.note_removal();
    window.apply_tree_changes();
    if let Some(realm) = window.active_realm() {
        nested(window, || {
            navigable::removed(ctx, &realm, &frames);
            navigable::connected(ctx, &realm);
        });
    }
    tell_scripts(ctx, window);
    Inserted(Ok(scripts))
}

/// The `script` elements in the subtrees of `roots`.
fn scripts(dom: &Dom, roots: &[NodeId]) -> Vec<u32> {
    let is_script = |node: &NodeId| dom.has_local_name(*node, &local_name!("script"));
    let subtrees =
        roots.iter().flat_map(|root| std::iter::once(*root).chain(dom.descendants(*root)));
    subtrees.filter(is_script).map(|node| node.0).collect()
}

struct Inserted(Result<Vec<u32>, DomError>);

impl<'js> IntoJs<'js> for Inserted {
    fn into_js(self, ctx: &Ctx<'js>) -> rquickjs::Result<Value<'js>> {
        match self.0 {
            Ok(scripts) => scripts.into_js(ctx),
            Err(error) => error.name().into_js(ctx),
        }
    }
}

/// Removes a node, and destroys the navigables in it.
fn remove(ctx: &Ctx<'_>, window: &Window, node: u32) {
    let node = NodeId(node);
    if !window.document.dom().exists(node) {
        return;
    }
    let frames = frames_in(window, &window.document.dom(), &[node]);
    window.document.dom_mut().detach(node);
    window.document.note_removal();
    window.apply_tree_changes();
    if let Some(realm) = window.active_realm() {
        nested(window, || navigable::removed(ctx, &realm, &frames));
    }
    tell_scripts(ctx, window);
}

/// Takes a subtree that another document adopts. It waits for [`graft`]. Returns the numbers of its nodes.
fn take_subtree(window: &Window, node: NodeId) -> Vec<u32> {
    let mut dom = window.document.dom_mut();
    if !dom.exists(node) {
        return Vec::new();
    }
    let subtree = dom.take_subtree(node);
    let ids = subtree.ids().map(|id| id.0).collect();
    window.shared().adopted.replace(subtree);
    ids
}

/// Puts the subtree that was taken last into the document. Returns the old and the new number of each node.
fn graft(window: &Window) -> Vec<List<(u32, u32)>> {
    let subtree = window.shared().adopted.take();
    let pairs = window.document.dom_mut().graft(subtree);
    pairs.into_iter().map(|(old, new)| List((old.0, new.0))).collect()
}

/// The elements in the subtrees of `roots` that have a content navigable.
fn frames_in(window: &Window, dom: &Dom, roots: &[NodeId]) -> Vec<NodeId> {
    let frames = window.frames.borrow();
    let is_in = |node: &NodeId| roots.iter().any(|root| dom.is_inclusive_ancestor(*root, *node));
    let mut frames: Vec<_> = frames.keys().copied().collect();
    frames.retain(is_in);
    frames
}

/// All descendants of `root` that match, or nothing if the selector is not valid.
fn query(window: &Window, root: u32, selector: &str) -> Option<Vec<u32>> {
    let selector = Selector::parse(selector)?;
    read(window, root, |dom, root| {
        let nodes = dom.descendants(root).filter(|node| selector.matches(dom, *node));
        Some(nodes.map(|node| node.0).collect())
    })
}

/// Prepares a script element. Returns `undefined`, the script as `{ text, name, isExternal, isModule }`, or `{ error }`.
fn prepare_script(window: &Window, node: NodeId) -> Option<PreparedScript> {
    match window.prepare_script(node) {
        Prepared::Nothing => None,
        prepared => Some(PreparedScript(prepared)),
    }
}

struct PreparedScript(Prepared);

impl<'js> IntoJs<'js> for PreparedScript {
    fn into_js(self, ctx: &Ctx<'js>) -> rquickjs::Result<Value<'js>> {
        let object = bare_object(ctx)?;
        match self.0 {
            Prepared::Nothing => {}
            Prepared::Failed(reason) => object.set("error", reason)?,
            Prepared::Ready(script) => {
                object.set("text", script.text)?;
                object.set("name", script.name)?;
                object.set("isExternal", script.is_external)?;
                object.set("isModule", script.is_module)?;
            }
        }
        Ok(object.into_value())
    }
}
