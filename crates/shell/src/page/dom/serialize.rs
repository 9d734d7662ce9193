//! The [HTML fragment serialization algorithm](https://html.spec.whatwg.org/multipage/parsing.html#serialising-html-fragments):
//! this file walks the tree, and html5ever writes each node.

use std::io;

use html5ever::serialize::{
    Serialize, SerializeOpts, Serializer, TraversalScope, serialize as serialize_html,
};

use super::{Dom, NodeData, NodeId};

/// The value of `innerHTML` of `node`.
pub(in crate::page) fn inner_html(dom: &Dom, node: NodeId) -> String {
    let scope = TraversalScope::ChildrenOnly(dom.element(node).map(|it| it.name.clone()));
    let options = SerializeOpts { traversal_scope: scope, ..SerializeOpts::default() };
    let mut html = Vec::new();
    // Cannot fail: it writes to a Vec.
    let _ = serialize_html(&mut html, &Subtree { dom, node }, options);
    String::from_utf8_lossy(&html).into_owned()
}

struct Subtree<'a> {
    dom: &'a Dom,
    node: NodeId,
}

impl Serialize for Subtree<'_> {
    fn serialize<S: Serializer>(&self, out: &mut S, scope: TraversalScope) -> io::Result<()> {
        if scope == TraversalScope::IncludeNode {
            return self.write(out);
        }
        // The contents of a `template` are serialised instead of its children.
        let contents = self.dom.element(self.node).and_then(|element| element.contents);
        self.write_children(contents.unwrap_or(self.node), out)
    }
}

impl Subtree<'_> {
    fn write<S: Serializer>(&self, out: &mut S) -> io::Result<()> {
        match self.dom.data(self.node) {
            NodeData::Document | NodeData::DocumentFragment => self.write_children(self.node, out),
            NodeData::Doctype { name } => out.write_doctype(name),
            NodeData::Text(text) => out.write_text(text),
            NodeData::Comment(text) => out.write_comment(text),
            NodeData::Element(element) => {
                let attributes = element.attributes.iter().map(|it| (&it.name, &*it.value));
                out.start_elem(element.name.clone(), attributes)?;
                self.write_children(element.contents.unwrap_or(self.node), out)?;
                out.end_elem(element.name.clone())
            }
        }
    }

    fn write_children<S: Serializer>(&self, parent: NodeId, out: &mut S) -> io::Result<()> {
        for &node in self.dom.children(parent) {
            Subtree { dom: self.dom, node }.write(out)?;
        }
        Ok(())
    }
}
