//! [Parsing HTML documents](https://html.spec.whatwg.org/multipage/parsing.html), stopping at each
//! script to run it.

use std::rc::Rc;

use encoding_rs::{Encoding, UTF_8};
use html5ever::{
    LocalName, QualName,
    driver::{ParseOpts, parse_fragment},
    interface::TokenizerResult,
    ns,
    tendril::{StrTendril, TendrilSink},
    tokenizer::{BufferQueue, Tokenizer, TokenizerOpts},
    tree_builder::{TreeBuilder, TreeBuilderOpts},
};

use super::{
    dom::{Dom, NodeId, Sink},
    navigable,
    realm::Realm,
    window::Window,
};

/// Decodes a response body. A byte order mark wins over `charset`, and UTF-8 is what remains.
pub(super) fn decode(bytes: &[u8], charset: Option<&str>) -> String {
    // TODO(spec): no prescan for `<meta charset>`; a response without a charset is UTF-8.
    let label = charset.and_then(|label| Encoding::for_label(label.as_bytes()));
    label.unwrap_or(UTF_8).decode(bytes).0.into_owned()
}

/// Parses `html` into the document of `realm`, and runs its scripts where the parser reaches them.
/// Returns the scripts that are to wait for the end.
pub(super) fn parse_document(realm: &Rc<Realm>, html: &str) -> Vec<NodeId> {
    let sink = Sink::new(Rc::clone(realm.window()));
    let builder = TreeBuilder::new(sink, TreeBuilderOpts::default());
    let tokenizer = Tokenizer::new(builder, TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(StrTendril::from(html));
    let mut deferred = Vec::new();
    loop {
        match tokenizer.feed(&input) {
            TokenizerResult::Done => break,
            TokenizerResult::EncodingIndicator(_) => {}
            TokenizerResult::Script(script) => {
                settle(realm);
                if realm.window().is_deferred(script) {
                    deferred.push(script);
                } else {
                    realm.execute_script_element(script);
                }
                // https://html.spec.whatwg.org/multipage/parsing.html#abort-a-parser
                if realm.window().navigable.get().is_none() {
                    return Vec::new();
                }
                input.push_front(StrTendril::from(realm.window().written.take()));
            }
        }
    }
    tokenizer.end();
    settle(realm);
    deferred
}

/// Takes note of what the parser has put into the tree: frames get their navigables.
fn settle(realm: &Rc<Realm>) {
    realm.window().settle();
    realm.run(|ctx, _| {
        navigable::connected(ctx, realm);
        Ok(())
    });
}

/// The [fragment parsing algorithm](https://html.spec.whatwg.org/multipage/parsing.html#parsing-html-fragments)
/// with `context` as the context element: the resulting nodes, which have no parent yet.
pub(super) fn parse_html_fragment(window: &Rc<Window>, context: NodeId, html: &str) -> Vec<NodeId> {
    let name = {
        let dom = window.document.dom();
        let element = dom.exists(context).then(|| dom.element(context)).flatten();
        element.map(|element| element.name.clone())
    };
    let name = name.unwrap_or_else(|| QualName::new(None, ns!(html), LocalName::from("body")));
    let sink = Sink::for_fragment(Rc::clone(window));
    let parser = parse_fragment(sink, ParseOpts::default(), name, Vec::new(), true);
    let root = parser.one(html);
    let mut dom = window.document.dom_mut();
    let html_element = dom.children(root).first().copied();
    let nodes = html_element.map(|it| dom.children(it).to_vec()).unwrap_or_default();
    for &node in &nodes {
        dom.detach(node);
        never_run_scripts(&mut dom, node);
    }
    nodes
}

/// Scripts of a fragment are parser-inserted, but no parser runs them.
fn never_run_scripts(dom: &mut Dom, root: NodeId) {
    let subtree: Vec<_> = std::iter::once(root).chain(dom.descendants(root)).collect();
    for node in subtree {
        if let Some(element) = dom.element_mut(node) {
            element.already_started = true;
        }
    }
}
