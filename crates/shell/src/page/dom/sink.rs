//! `Sink`, by which html5ever's tree builder creates and moves the nodes of a document.

use std::{borrow::Cow, rc::Rc};

use html5ever::{
    Attribute, ExpandedName, LocalName, Namespace, QualName,
    interface::{ElemName, ElementFlags, NodeOrText, QuirksMode, TreeSink},
    local_name,
    tendril::StrTendril,
};

use super::{Dom, NodeData, NodeId};
use crate::page::window::Window;

/// The tree builder's access to the document of `window`.
///
/// Each method borrows the tree for its own duration only, because scripts run between two calls.
pub(in crate::page) struct Sink {
    window: Rc<Window>,
    root: NodeId,
}

impl Sink {
    pub(in crate::page) fn new(window: Rc<Window>) -> Self {
        Self { window, root: Dom::DOCUMENT }
    }

    /// A sink for a fragment, whose nodes get a new root outside of the document.
    pub(in crate::page) fn for_fragment(window: Rc<Window>) -> Self {
        let root = window.document.dom_mut().create(NodeData::DocumentFragment);
        Self { window, root }
    }

    /// Inserts `child` into `parent`. Text is appended to a text node that stands before it.
    fn place(&self, parent: NodeId, child: NodeOrText<NodeId>, before: Option<NodeId>) {
        let mut dom = self.window.document.dom_mut();
        let node = match child {
            NodeOrText::AppendNode(node) => node,
            NodeOrText::AppendText(text) => {
                let siblings = dom.children(parent);
                let at = before.and_then(|it| siblings.iter().position(|child| *child == it));
                let at = at.unwrap_or(siblings.len());
                let previous = at.checked_sub(1).map(|at| siblings[at]);
                if let Some(data) = previous.and_then(|node| dom.text_mut(node)) {
                    data.push_str(&text);
                    return;
                }
                dom.create(NodeData::Text(text.to_string()))
            }
        };
        dom.insert(parent, node, before);
    }
}

/// A copy of an element's name, so that the tree is not borrowed while the parser uses the name.
#[derive(Debug)]
pub(in crate::page) struct Name(QualName);

impl ElemName for Name {
    fn ns(&self) -> &Namespace {
        &self.0.ns
    }

    fn local_name(&self) -> &LocalName {
        &self.0.local
    }

    fn expanded(&self) -> ExpandedName<'_> {
        self.0.expanded()
    }
}

impl TreeSink for Sink {
    type Handle = NodeId;
    type Output = NodeId;
    type ElemName<'a> = Name;

    fn finish(self) -> NodeId {
        self.root
    }

    fn parse_error(&self, _message: Cow<'static, str>) {}

    fn get_document(&self) -> NodeId {
        self.root
    }

    fn elem_name(&self, target: &NodeId) -> Name {
        let dom = self.window.document.dom();
        let element = dom.element(*target).expect("the tree builder asks elements for their names");
        Name(element.name.clone())
    }

    fn create_element(
        &self,
        name: QualName,
        attributes: Vec<Attribute>,
        flags: ElementFlags,
    ) -> NodeId {
        let needs_realms = matches!(name.local, local_name!("script") | local_name!("iframe"));
        if needs_realms || attributes.iter().any(|it| it.name.local.starts_with("on")) {
            self.window.shared().expects_scripts.set(true);
        }
        let integration_point = flags.mathml_annotation_xml_integration_point;
        self.window.document.dom_mut().create_element(name, attributes, integration_point)
    }

    fn create_comment(&self, text: StrTendril) -> NodeId {
        self.window.document.dom_mut().create(NodeData::Comment(text.to_string()))
    }

    fn create_pi(&self, _target: StrTendril, data: StrTendril) -> NodeId {
        // HTML has no processing instructions: the tokenizer turns them into comments.
        self.create_comment(data)
    }

    fn append(&self, parent: &NodeId, child: NodeOrText<NodeId>) {
        self.place(*parent, child, None);
    }

    fn append_based_on_parent_node(
        &self,
        element: &NodeId,
        previous: &NodeId,
        child: NodeOrText<NodeId>,
    ) {
        let parent = self.window.document.dom().parent(*element);
        match parent {
            Some(parent) => self.place(parent, child, Some(*element)),
            None => self.place(*previous, child, None),
        }
    }

    fn append_before_sibling(&self, sibling: &NodeId, child: NodeOrText<NodeId>) {
        let parent = self.window.document.dom().parent(*sibling);
        // A script may have removed the sibling after the parser has inserted it.
        if let Some(parent) = parent {
            self.place(parent, child, Some(*sibling));
        }
    }

    fn append_doctype_to_document(
        &self,
        name: StrTendril,
        _public: StrTendril,
        _system: StrTendril,
    ) {
        let mut dom = self.window.document.dom_mut();
        let doctype = dom.create(NodeData::Doctype { name: name.to_string() });
        dom.insert(self.root, doctype, None);
    }

    fn mark_script_already_started(&self, node: &NodeId) {
        if let Some(element) = self.window.document.dom_mut().element_mut(*node) {
            element.already_started = true;
        }
    }

    fn get_template_contents(&self, target: &NodeId) -> NodeId {
        let dom = self.window.document.dom();
        let contents = dom.element(*target).and_then(|element| element.contents);
        contents.expect("the tree builder asks templates for their contents")
    }

    fn same_node(&self, a: &NodeId, b: &NodeId) -> bool {
        a == b
    }

    fn set_quirks_mode(&self, _mode: QuirksMode) {}

    fn add_attrs_if_missing(&self, target: &NodeId, attributes: Vec<Attribute>) {
        let mut dom = self.window.document.dom_mut();
        let Some(element) = dom.element_mut(*target) else { return };
        for attribute in attributes {
            if !element.attributes.iter().any(|it| it.name == attribute.name) {
                element.attributes.push(attribute);
            }
        }
    }

    fn remove_from_parent(&self, target: &NodeId) {
        self.window.document.dom_mut().detach(*target);
    }

    fn reparent_children(&self, node: &NodeId, new_parent: &NodeId) {
        let mut dom = self.window.document.dom_mut();
        for child in dom.children(*node).to_vec() {
            dom.insert(*new_parent, child, None);
        }
    }

    fn is_mathml_annotation_xml_integration_point(&self, node: &NodeId) -> bool {
        let dom = self.window.document.dom();
        dom.element(*node).is_some_and(|element| element.integration_point)
    }
}
