//! A minimal [node tree](https://dom.spec.whatwg.org/#node-trees): an arena whose nodes live as long as their document.
//!
//! A JavaScript node object holds the number of a node in this arena.

mod adopt;
mod mutations;
mod query;
mod serialize;
mod sink;

use std::collections::HashSet;

use html5ever::{Attribute, LocalName, Namespace, QualName, local_name, ns};

use self::mutations::Mutations;
pub(super) use self::{
    adopt::Subtree,
    mutations::{ChildList, Mutation, MutationRecord},
    query::Selector,
    serialize::inner_html,
    sink::Sink,
};

/// Identifies a node of a [`Dom`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NodeId(pub(super) u32);

/// The kind of a node, and the data of its kind.
#[derive(Clone, Debug)]
pub(super) enum NodeData {
    Document,
    DocumentFragment,
    Doctype { name: String },
    Text(String),
    Comment(String),
    Element(Element),
}

#[derive(Clone, Debug)]
pub(super) struct Element {
    pub(super) name: QualName,
    pub(super) attributes: Vec<Attribute>,
    /// The contents of a `template`, a document fragment.
    contents: Option<NodeId>,
    /// Whether this is an `annotation-xml` element of `MathML` with HTML in it, which the parser has to know.
    integration_point: bool,
    /// Whether a `script` is [already started](https://html.spec.whatwg.org/multipage/scripting.html#already-started).
    pub(super) already_started: bool,
}

#[derive(Debug)]
struct Node {
    parent: Option<NodeId>,
    children: Vec<NodeId>,
    data: NodeData,
}

impl Node {
    /// The contents of a `template`.
    fn contents(&self) -> Option<NodeId> {
        match &self.data {
            NodeData::Element(element) => element.contents,
            _ => None,
        }
    }
}

/// Why a node cannot be inserted. Each variant stands for the name of a `DOMException`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DomError {
    HierarchyRequest,
    NotFound,
}

impl DomError {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::HierarchyRequest => "HierarchyRequestError",
            Self::NotFound => "NotFoundError",
        }
    }
}

/// The nodes of a document.
#[derive(Debug)]
pub(super) struct Dom {
    nodes: Vec<Node>,
    /// The elements that were connected since the last [`take_connected`](Self::take_connected).
    connected: Vec<NodeId>,
    /// The `img` elements that were created with a `src` since the last
    /// [`take_created_images`](Self::take_created_images).
    created_images: Vec<NodeId>,
    mutations: Mutations,
}

impl Default for Dom {
    fn default() -> Self {
        let mut dom = Self {
            nodes: Vec::new(),
            connected: Vec::new(),
            created_images: Vec::new(),
            mutations: Mutations::default(),
        };
        dom.create(NodeData::Document);
        dom
    }
}

impl Dom {
    /// The document node, which is the first node of the arena.
    pub(super) const DOCUMENT: NodeId = NodeId(0);

    pub(super) fn create(&mut self, data: NodeData) -> NodeId {
        // There are never 2³² nodes: scripts create them, and reach their memory limit long before.
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        if let NodeData::Element(element) = &data
            && element.name.ns == ns!(html)
            && element.name.local == local_name!("img")
            && element.attributes.iter().any(|it| it.name.local == local_name!("src"))
        {
            self.created_images.push(id);
        }
        self.nodes.push(Node { parent: None, children: Vec::new(), data });
        id
    }

    pub(super) fn create_html_element(&mut self, local_name: &str) -> NodeId {
        let name = QualName::new(None, ns!(html), LocalName::from(local_name));
        self.create_element(name, Vec::new(), false)
    }

    fn create_element(
        &mut self,
        name: QualName,
        attributes: Vec<Attribute>,
        integration_point: bool,
    ) -> NodeId {
        let is_template = name.ns == ns!(html) && name.local == local_name!("template");
        let contents = is_template.then(|| self.create(NodeData::DocumentFragment));
        let already_started = false;
        let element = Element { name, attributes, contents, integration_point, already_started };
        self.create(NodeData::Element(element))
    }

    /// Whether the arena has this node. A script can pass the number of another document's node.
    pub(super) fn exists(&self, node: NodeId) -> bool {
        (node.0 as usize) < self.nodes.len()
    }

    fn node(&self, node: NodeId) -> &Node {
        &self.nodes[node.0 as usize]
    }

    fn node_mut(&mut self, node: NodeId) -> &mut Node {
        &mut self.nodes[node.0 as usize]
    }

    pub(super) fn data(&self, node: NodeId) -> &NodeData {
        &self.node(node).data
    }

    /// Sets the data of a text or comment node.
    pub(super) fn set_character_data(&mut self, node: NodeId, data: String) {
        if let NodeData::Text(old) | NodeData::Comment(old) = &mut self.node_mut(node).data {
            let old = std::mem::replace(old, data);
            self.record(node, |_| Mutation::CharacterData { old });
        }
    }

    fn text_mut(&mut self, node: NodeId) -> Option<&mut String> {
        match &mut self.node_mut(node).data {
            NodeData::Text(data) => Some(data),
            _ => None,
        }
    }

    pub(super) fn element(&self, node: NodeId) -> Option<&Element> {
        match &self.node(node).data {
            NodeData::Element(element) => Some(element),
            _ => None,
        }
    }

    pub(super) fn element_mut(&mut self, node: NodeId) -> Option<&mut Element> {
        match &mut self.node_mut(node).data {
            NodeData::Element(element) => Some(element),
            _ => None,
        }
    }

    /// Whether `node` is an HTML element with this local name.
    pub(super) fn has_local_name(&self, node: NodeId, local_name: &LocalName) -> bool {
        self.element(node).is_some_and(|it| it.name.ns == ns!(html) && it.name.local == *local_name)
    }

    pub(super) fn attribute(&self, node: NodeId, name: &str) -> Option<&str> {
        let attributes = &self.element(node)?.attributes;
        attributes.iter().find(|it| &*it.name.local == name).map(|it| &*it.value)
    }

    pub(super) fn set_attribute(&mut self, node: NodeId, name: &str, value: &str) {
        self.record_attribute(node, name);
        let Some(element) = self.element_mut(node) else { return };
        match element.attributes.iter_mut().find(|it| &*it.name.local == name) {
            Some(attribute) => attribute.value = value.into(),
            None => element.attributes.push(Attribute {
                name: QualName::new(None, Namespace::from(""), LocalName::from(name)),
                value: value.into(),
            }),
        }
    }

    fn record_attribute(&mut self, node: NodeId, name: &str) {
        self.record(node, |dom| {
            let old = dom.attribute(node, name).map(str::to_owned);
            Mutation::Attribute { name: name.to_owned(), old }
        });
    }

    pub(super) fn remove_attribute(&mut self, node: NodeId, name: &str) {
        if self.attribute(node, name).is_none() {
            return;
        }
        self.record_attribute(node, name);
        if let Some(element) = self.element_mut(node) {
            element.attributes.retain(|it| &*it.name.local != name);
        }
    }

    pub(super) fn parent(&self, node: NodeId) -> Option<NodeId> {
        self.node(node).parent
    }

    pub(super) fn children(&self, node: NodeId) -> &[NodeId] {
        &self.node(node).children
    }

    /// The node itself, its parent, and so on.
    fn ancestors(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        std::iter::successors(Some(node), |node| self.parent(*node))
    }

    pub(super) fn is_inclusive_ancestor(&self, root: NodeId, node: NodeId) -> bool {
        self.ancestors(node).any(|ancestor| ancestor == root)
    }

    /// All descendants of `root`, in tree order.
    pub(super) fn descendants(&self, root: NodeId) -> impl Iterator<Item = NodeId> {
        let mut stack: Vec<_> = self.children(root).iter().rev().copied().collect();
        std::iter::from_fn(move || {
            let node = stack.pop()?;
            stack.extend(self.children(node).iter().rev());
            Some(node)
        })
    }

    pub(super) fn is_connected(&self, node: NodeId) -> bool {
        self.ancestors(node).any(|ancestor| ancestor == Self::DOCUMENT)
    }

    /// The [descendant text content](https://dom.spec.whatwg.org/#concept-descendant-text-content)
    pub(super) fn text_content(&self, node: NodeId) -> String {
        let texts = self.descendants(node).filter_map(|node| match self.data(node) {
            NodeData::Text(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    /// [Pre-inserts](https://dom.spec.whatwg.org/#concept-node-pre-insert) `node`, or the children of a
    /// fragment, into `parent`: before `child`, or at the end.
    pub(super) fn pre_insert(
        &mut self,
        parent: NodeId,
        node: NodeId,
        child: Option<NodeId>,
    ) -> Result<(), DomError> {
        let is_parent = matches!(
            self.data(parent),
            NodeData::Document | NodeData::DocumentFragment | NodeData::Element(_)
        );
        let is_host = self.is_inclusive_ancestor(node, parent);
        if !is_parent || is_host || matches!(self.data(node), NodeData::Document) {
            return Err(DomError::HierarchyRequest);
        }
        if child.is_some_and(|child| self.parent(child) != Some(parent)) {
            return Err(DomError::NotFound);
        }
        // Step 2. A node that is to stand before itself goes before its next sibling.
        let child = if child == Some(node) { self.next_sibling(node) } else { child };
        if matches!(self.data(node), NodeData::DocumentFragment) {
            let nodes = self.children(node).to_vec();
            self.detach_all(node);
            self.insert_all(parent, nodes, child);
        } else {
            self.insert(parent, node, child);
        }
        Ok(())
    }

    pub(super) fn next_sibling(&self, node: NodeId) -> Option<NodeId> {
        let siblings = self.children(self.parent(node)?);
        let at = siblings.iter().position(|it| *it == node)?;
        siblings.get(at + 1).copied()
    }

    fn insert(&mut self, parent: NodeId, node: NodeId, before: Option<NodeId>) {
        self.detach(node);
        self.insert_all(parent, vec![node], before);
    }

    /// Inserts nodes that have no parent.
    fn insert_all(&mut self, parent: NodeId, nodes: Vec<NodeId>, before: Option<NodeId>) {
        let siblings = &mut self.node_mut(parent).children;
        let at = before.and_then(|before| siblings.iter().position(|it| *it == before));
        let at = at.unwrap_or(siblings.len());
        let previous = at.checked_sub(1).map(|at| siblings[at]);
        siblings.splice(at..at, nodes.iter().copied());
        let is_connected = self.is_connected(parent);
        for &node in &nodes {
            self.node_mut(node).parent = Some(parent);
            if is_connected {
                let subtree = std::iter::once(node).chain(self.descendants(node));
                let elements: Vec<_> = subtree.filter(|it| self.element(*it).is_some()).collect();
                self.connected.extend(elements);
            }
        }
        let (added, removed) = (nodes, Vec::new());
        self.record(parent, |_| {
            Mutation::ChildList(ChildList { added, removed, previous, next: before })
        });
    }

    pub(super) fn detach(&mut self, node: NodeId) {
        let Some(parent) = self.parent(node) else { return };
        self.record(parent, |dom| {
            let siblings = dom.children(parent);
            let at = siblings.iter().position(|it| *it == node).unwrap_or_default();
            let (added, removed) = (Vec::new(), vec![node]);
            let previous = at.checked_sub(1).map(|at| siblings[at]);
            let next = siblings.get(at + 1).copied();
            Mutation::ChildList(ChildList { added, removed, previous, next })
        });
        self.node_mut(node).parent = None;
        self.node_mut(parent).children.retain(|it| *it != node);
    }

    /// Removes all children of a node.
    fn detach_all(&mut self, parent: NodeId) {
        let removed = self.children(parent).to_vec();
        if removed.is_empty() {
            return;
        }
        for &child in &removed {
            self.node_mut(child).parent = None;
        }
        self.record(parent, |_| {
            let (added, previous, next) = (Vec::new(), None, None);
            Mutation::ChildList(ChildList { added, removed, previous, next })
        });
        self.node_mut(parent).children.clear();
    }

    /// The nodes among `nodes` that are connected, in tree order.
    pub(super) fn connected_in_order(&self, nodes: impl Iterator<Item = NodeId>) -> Vec<NodeId> {
        let mut connected: Vec<_> = nodes.filter(|node| self.is_connected(*node)).collect();
        if connected.len() > 1 {
            let wanted: HashSet<_> = connected.iter().copied().collect();
            let all = self.descendants(Self::DOCUMENT);
            connected = all.filter(|node| wanted.contains(node)).collect();
        }
        connected
    }

    /// Takes the images that were created with a `src` since the last call. Those in the contents of a template are left out:
    /// their document is inert.
    pub(super) fn take_created_images(&mut self) -> Vec<NodeId> {
        let mut images = std::mem::take(&mut self.created_images);
        if !images.is_empty() {
            let contents: HashSet<_> = self.nodes.iter().filter_map(Node::contents).collect();
            images.retain(|image| !self.ancestors(*image).any(|it| contents.contains(&it)));
        }
        images
    }

    /// Takes the elements that were connected since the last call and still are.
    pub(super) fn take_connected(&mut self) -> Vec<NodeId> {
        let connected = std::mem::take(&mut self.connected);
        connected.into_iter().filter(|node| self.is_connected(*node)).collect()
    }
}
