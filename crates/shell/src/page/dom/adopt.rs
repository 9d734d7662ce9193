//! [Adopting](https://dom.spec.whatwg.org/#concept-node-adopt) and [cloning](https://dom.spec.whatwg.org/#concept-node-clone)
//! nodes: a subtree or its copy moves from one document to another.

use std::collections::HashMap;

use super::{Dom, Node, NodeData, NodeId};

/// The nodes of a subtree that has left its document, or copies of them, with the numbers that the nodes had there. The root
/// is the first.
#[derive(Debug, Default)]
pub(in crate::page) struct Subtree(Vec<(NodeId, Node)>);

impl Subtree {
    /// The numbers that the nodes had in their former document.
    pub(in crate::page) fn ids(&self) -> impl Iterator<Item = NodeId> {
        self.0.iter().map(|(id, _)| *id)
    }
}

impl Dom {
    /// Takes the subtree of `root` out of this document, with the contents of its templates. The numbers of its nodes are
    /// not used again.
    pub(in crate::page) fn take_subtree(&mut self, root: NodeId) -> Subtree {
        self.detach(root);
        let (mut subtree, mut next) = (Vec::new(), vec![root]);
        while let Some(id) = next.pop() {
            let empty =
                Node { parent: None, children: Vec::new(), data: NodeData::DocumentFragment };
            let node = std::mem::replace(self.node_mut(id), empty);
            next.extend(&node.children);
            if let NodeData::Element(element) = &node.data {
                next.extend(element.contents);
            }
            subtree.push((id, node));
        }
        Subtree(subtree)
    }

    /// [Clones](https://dom.spec.whatwg.org/#concept-node-clone) a node, with its descendants if `is_deep`.
    pub(in crate::page) fn copy_subtree(&self, root: NodeId, is_deep: bool) -> Subtree {
        let (mut subtree, mut next) = (Vec::new(), vec![root]);
        while let Some(id) = next.pop() {
            let node = self.node(id);
            let children = if is_deep { node.children.clone() } else { Vec::new() };
            next.extend(&children);
            if let NodeData::Element(element) = &node.data {
                next.extend(element.contents);
            }
            // The parent of the root is in no copy.
            subtree.push((id, Node { parent: node.parent, children, data: node.data.clone() }));
        }
        Subtree(subtree)
    }

    /// Puts a subtree into this document. Its root has no parent then. Returns the old and the new number of each node.
    pub(in crate::page) fn graft(&mut self, Subtree(nodes): Subtree) -> Vec<(NodeId, NodeId)> {
        let mut pairs = Vec::new();
        for (old, node) in nodes {
            let new = self.create(node.data);
            let created = self.node_mut(new);
            (created.parent, created.children) = (node.parent, node.children);
            pairs.push((old, new));
        }
        let by_old: HashMap<_, _> = pairs.iter().copied().collect();
        for (_, new) in &pairs {
            let node = self.node_mut(*new);
            node.parent = node.parent.and_then(|old| by_old.get(&old).copied());
            node.children =
                node.children.iter().filter_map(|old| by_old.get(old).copied()).collect();
            if let NodeData::Element(element) = &mut node.data {
                element.contents = element.contents.and_then(|old| by_old.get(&old).copied());
            }
        }
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subtree_keeps_its_shape_in_another_document() {
        let (mut one, mut two) = (Dom::default(), Dom::default());
        let (outer, template) = (one.create_html_element("p"), one.create_html_element("template"));
        let text = one.create(NodeData::Text("x".into()));
        for (parent, node) in [(Dom::DOCUMENT, outer), (outer, template), (outer, text)] {
            one.pre_insert(parent, node, None).expect("the parent takes the node");
        }
        let contents = one.element(template).and_then(|it| it.contents).expect("a template");
        one.set_attribute(outer, "id", "a");
        let subtree = one.take_subtree(outer);
        assert_eq!(subtree.ids().count(), 4);
        assert!(one.children(Dom::DOCUMENT).is_empty());

        two.create_html_element("div");
        let pairs: HashMap<_, _> = two.graft(subtree).into_iter().collect();
        assert_eq!(two.children(pairs[&outer]), [pairs[&template], pairs[&text]]);
        assert_eq!(
            (two.parent(pairs[&outer]), two.attribute(pairs[&outer], "id")),
            (None, Some("a"))
        );
        assert_eq!(two.text_content(pairs[&outer]), "x");
        let element = two.element(pairs[&template]).expect("an element");
        assert_eq!(element.contents, Some(pairs[&contents]));
    }
}
