//! [Dynamic markup insertion](https://html.spec.whatwg.org/multipage/dynamic-markup-insertion.html):
//! `document.open()`, `write()` and `close()`.

use std::{cell::RefCell, rc::Rc};

use html5ever::{
    interface::TokenizerResult,
    tendril::StrTendril,
    tokenizer::{BufferQueue, Tokenizer, TokenizerOpts},
    tree_builder::{TreeBuilder, TreeBuilderOpts},
};
use rquickjs::Ctx;

use super::{
    dom::{Dom, NodeId, Sink},
    navigable,
    realm::Realm,
    tree_changes::tell_scripts,
    window::Stage,
};

/// A [script-created parser](https://html.spec.whatwg.org/multipage/parsing.html#script-created-parser)
pub(super) struct ScriptCreatedParser {
    tokenizer: Tokenizer<TreeBuilder<NodeId, Sink>>,
    input: BufferQueue,
    /// The scripts that run at the end.
    deferred: RefCell<Vec<NodeId>>,
}

/// The [document open steps](https://html.spec.whatwg.org/multipage/dynamic-markup-insertion.html#document-open-steps)
/// from 5 on. Returns false for a document that stays unchanged: it is being parsed, or it is being unloaded.
pub(super) fn open(ctx: &Ctx<'_>, realm: &Rc<Realm>) -> bool {
    let window = realm.window();
    // Steps 5 and 6.
    if window.stage.get() == Stage::Parsing || window.unload_counter.get() > 0 {
        return false;
    }
    // Step 12.
    let frames: Vec<_> = window.frames.borrow().keys().copied().collect();
    let children = window.document.dom().children(Dom::DOCUMENT).to_vec();
    for child in children {
        window.document.dom_mut().detach(child);
    }
    window.document.note_removal();
    window.apply_tree_changes();
    navigable::removed(ctx, realm, &frames);
    tell_scripts(ctx, window);
    // Steps 14 to 19.
    window.is_initial.set(false);
    window.stage.set(Stage::Parsing);
    if let Some(navigable) = window.navigable() {
        navigable.delay_load();
    }
    let builder = TreeBuilder::new(Sink::new(Rc::clone(window)), TreeBuilderOpts::default());
    window.parser.replace(Some(Rc::new(ScriptCreatedParser {
        tokenizer: Tokenizer::new(builder, TokenizerOpts::default()),
        input: BufferQueue::default(),
        deferred: RefCell::default(),
    })));
    true
}

/// The [document write steps](https://html.spec.whatwg.org/multipage/dynamic-markup-insertion.html#document-write-steps)
/// from 9 on.
///
/// NB: text that a script writes while a parser runs that script is parsed after the script has ended.
pub(super) fn write(ctx: &Ctx<'_>, realm: &Rc<Realm>, text: &str) {
    let window = realm.window();
    // There is no parser, and none may be created.
    if window.stage.get() != Stage::Parsing && window.unload_counter.get() > 0 {
        return;
    }
    let parser = window.parser.borrow().clone();
    let Some(parser) = parser.filter(|_| !window.is_in_parser_script.get()) else {
        window.written.borrow_mut().push_str(text);
        return;
    };
    parser.input.push_back(StrTendril::from(text));
    while let TokenizerResult::Script(script) = parser.tokenizer.feed(&parser.input) {
        window.apply_tree_changes();
        navigable::connected(ctx, realm);
        tell_scripts(ctx, window);
        if window.is_deferred(script) {
            parser.deferred.borrow_mut().push(script);
            continue;
        }
        window.is_in_parser_script.set(true);
        realm.call_in(ctx, "runParserScript", (script.0,));
        window.is_in_parser_script.set(false);
        parser.input.push_front(StrTendril::from(window.written.take()));
        // The script may have closed or unloaded the document.
        if window.parser.borrow().is_none() {
            return;
        }
    }
    window.apply_tree_changes();
    navigable::connected(ctx, realm);
    tell_scripts(ctx, window);
}

/// [`document.close()`](https://html.spec.whatwg.org/multipage/dynamic-markup-insertion.html#dom-document-close)
pub(super) fn close(ctx: &Ctx<'_>, realm: &Rc<Realm>) {
    let window = realm.window();
    let Some(parser) = window.parser.take() else { return };
    parser.tokenizer.end();
    window.apply_tree_changes();
    navigable::connected(ctx, realm);
    tell_scripts(ctx, window);
    let deferred = parser.deferred.take();
    window.shared().queue.post(realm.id(), |realm| {
        if let Some(realm) = realm.event_loop().realm(realm.id()) {
            navigable::the_end(&realm, deferred);
        }
    });
}
