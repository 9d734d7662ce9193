//! [Parsing HTML documents](https://html.spec.whatwg.org/multipage/parsing.html). The parser pauses at each script to
//! run it.

use std::{cell::RefCell, rc::Rc};

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use html5ever::{
    LocalName, QualName,
    driver::{ParseOpts, parse_fragment},
    interface::TokenizerResult,
    local_name, ns,
    tendril::{StrTendril, TendrilSink},
    tokenizer::{
        BufferQueue, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
    },
    tree_builder::{TreeBuilder, TreeBuilderOpts},
};

use super::{
    dom::{Dom, NodeId, Sink},
    navigable,
    realm::Realm,
    tree_changes::tell_scripts,
    window::Window,
};

/// Decodes a response body. Returns the text and its encoding: that of a byte order mark, else `charset`, else
/// `fallback`.
pub(super) fn decode(
    bytes: &[u8],
    charset: Option<&str>,
    fallback: &'static Encoding,
) -> (String, &'static Encoding) {
    let label = charset.and_then(|label| Encoding::for_label(label.as_bytes()));
    let (text, encoding, _) = label.unwrap_or(fallback).decode(bytes);
    (text.into_owned(), encoding)
}

/// Decodes an HTML document. Without a `charset`, a `<meta>` element may name the encoding.
pub(super) fn decode_html(bytes: &[u8], charset: Option<&str>) -> (String, &'static Encoding) {
    match charset {
        Some(_) => decode(bytes, charset, UTF_8),
        None => decode(bytes, prescan(bytes).as_deref(), UTF_8),
    }
}

/// [Prescan a byte stream to determine its encoding](https://html.spec.whatwg.org/multipage/parsing.html#prescan-a-byte-stream-to-determine-its-encoding):
/// the encoding that a `<meta>` within the first 1,024 bytes names.
///
/// NB: this uses html5ever's tokenizer instead of the simpler scanner that the standard describes.
fn prescan(bytes: &[u8]) -> Option<String> {
    let head = WINDOWS_1252.decode_without_bom_handling(&bytes[..bytes.len().min(1024)]).0;
    let tokenizer = Tokenizer::new(MetaCharset::default(), TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(StrTendril::from(&*head));
    // The tokenizer runs to the end, because the sink never asks it to pause for a script.
    let _ = tokenizer.feed(&input);
    let label = tokenizer.sink.0.take()?;
    // A document whose `<meta>` can be read as ASCII is not UTF-16: the standard takes UTF-8 instead.
    Some(if label.to_ascii_lowercase().starts_with("utf-16") { "utf-8".to_owned() } else { label })
}

/// A token sink that finds the first encoding that a `<meta>` names.
#[derive(Default)]
struct MetaCharset(RefCell<Option<String>>);

impl TokenSink for MetaCharset {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut found = self.0.borrow_mut();
        if let Token::TagToken(tag) = token
            && found.is_none()
            && tag.kind == TagKind::StartTag
            && tag.name == local_name!("meta")
        {
            let attribute = |name| tag.attrs.iter().find(|it| it.name.local == name);
            let content = || {
                let is_type = attribute(local_name!("http-equiv"))?
                    .value
                    .eq_ignore_ascii_case("content-type");
                let content = attribute(local_name!("content")).filter(|_| is_type)?;
                let type_: data_url::mime::Mime = content.value.parse().ok()?;
                type_.get_parameter("charset").map(str::to_owned)
            };
            let charset = attribute(local_name!("charset")).map(|it| it.value.to_string());
            *found =
                charset.or_else(content).filter(|it| Encoding::for_label(it.as_bytes()).is_some());
        }
        TokenSinkResult::Continue
    }
}

/// Parses `html` into the document of `realm`, and runs its scripts as the parser reaches them.
/// Returns the deferred scripts, for [`the_end`](navigable::the_end).
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
                apply_tree_changes(realm);
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
    apply_tree_changes(realm);
    deferred
}

/// Runs the insertion steps of the elements that the parser has inserted, and creates navigables for frames.
fn apply_tree_changes(realm: &Rc<Realm>) {
    realm.window().apply_tree_changes();
    realm.run(|ctx, _| {
        navigable::connected(ctx, realm);
        tell_scripts(ctx, realm.window());
        Ok(())
    });
}

/// The [fragment parsing algorithm](https://html.spec.whatwg.org/multipage/parsing.html#parsing-html-fragments)
/// with `context` as the context element. Returns the resulting nodes, which have no parent yet.
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

/// Marks the scripts of a fragment as already started: the standard does not run them.
fn never_run_scripts(dom: &mut Dom, root: NodeId) {
    let subtree: Vec<_> = std::iter::once(root).chain(dom.descendants(root)).collect();
    for node in subtree {
        if let Some(element) = dom.element_mut(node) {
            element.already_started = true;
        }
    }
}
