//! The part of a [`Document`](https://html.spec.whatwg.org/multipage/dom.html#the-document-object)
//! that requests depend on.

use std::{
    borrow::Cow,
    cell::{Cell, Ref, RefCell, RefMut},
};

use encoding_rs::{Encoding, UTF_8};
use html5ever::local_name;
use sendbeacon::Client;
use url::{EncodingOverride, Url};

use super::{
    dom::{Dom, NodeId},
    refresh::{Refresh, parse_refresh},
};

/// The parts of a document that its requests depend on and that its elements and scripts can change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentInfo {
    /// The document's URL.
    pub url: Url,
    /// The [document base URL](https://html.spec.whatwg.org/multipage/urls-and-fetching.html#document-base-url).
    pub base_url: Url,
    /// The [referrer policy](https://html.spec.whatwg.org/multipage/semantics.html#meta-referrer) that the
    /// last `meta` element has set, if any has.
    pub referrer_policy: Option<String>,
    /// The serialised Content Security Policies of [`meta` elements](https://html.spec.whatwg.org/multipage/semantics.html#attr-meta-http-equiv-content-security-policy),
    /// in order. All of them are enforced.
    pub content_security_policies: Vec<String>,
}

impl DocumentInfo {
    fn new(url: Url) -> Self {
        Self {
            base_url: url.clone(),
            url,
            referrer_policy: None,
            content_security_policies: Vec::new(),
        }
    }

    /// Adds this document's URLs and policies to the settings object that the browser has made of the response.
    #[must_use]
    pub fn client(&self, mut client: Client) -> Client {
        // A `srcdoc` document keeps the creation URL of its parent document.
        if self.url.scheme() != "about" {
            client.creation_url.clone_from(&self.url);
        }
        client.api_base_url.clone_from(&self.base_url);
        if let Some(policy) = self.referrer_policy.as_ref().and_then(|it| it.parse().ok()) {
            client.referrer_policy = policy;
        }
        for policy in &self.content_security_policies {
            client.csp_list.push_meta(policy);
        }
        client.upgrade_insecure_requests |=
            client.csp_list.enforced_directives("upgrade-insecure-requests").next().is_some();
        client
    }
}

/// A document: its nodes, its URLs, and what its elements have changed.
pub(super) struct Document {
    /// See [`Environment::about_base_url`](super::Environment::about_base_url).
    about_base_url: RefCell<Option<Url>>,
    dom: RefCell<Dom>,
    info: RefCell<DocumentInfo>,
    /// Its [encoding](https://dom.spec.whatwg.org/#concept-document-encoding).
    pub(super) encoding: Cell<&'static Encoding>,
    /// The `iframe` elements that were connected and have no navigable yet.
    connected_frames: RefCell<Vec<NodeId>>,
    /// The identifiers and frame names of connected elements that the window does not have as properties yet.
    names: RefCell<Vec<String>>,
    /// The first [declarative refresh](https://html.spec.whatwg.org/multipage/document-lifecycle.html#shared-declarative-refresh-steps),
    /// until its timer starts.
    refresh: RefCell<Option<Refresh>>,
    /// [Will declaratively refresh](https://html.spec.whatwg.org/multipage/semantics.html#will-declaratively-refresh)
    will_refresh: Cell<bool>,
    /// Whether a change of the tree or of an attribute may have changed the base URL.
    base_is_stale: Cell<bool>,
    /// Whether `info` has changed since the last [`apply_tree_changes`](Self::apply_tree_changes).
    changed: Cell<bool>,
}

impl Document {
    pub(super) fn new(url: Url) -> Self {
        Self {
            about_base_url: RefCell::default(),
            dom: RefCell::default(),
            info: RefCell::new(DocumentInfo::new(url)),
            encoding: Cell::new(UTF_8),
            connected_frames: RefCell::default(),
            names: RefCell::default(),
            refresh: RefCell::default(),
            will_refresh: Cell::new(false),
            base_is_stale: Cell::new(false),
            changed: Cell::new(false),
        }
    }

    /// Turns this into a new document without nodes.
    pub(super) fn replace(&self, url: Url, about_base_url: Option<Url>) {
        self.dom.take();
        self.connected_frames.take();
        self.encoding.set(UTF_8);
        self.refresh.take();
        self.will_refresh.set(false);
        self.about_base_url.replace(about_base_url);
        self.info.replace(DocumentInfo::new(url));
        self.update_base_url();
    }

    pub(super) fn dom(&self) -> Ref<'_, Dom> {
        self.dom.borrow()
    }

    pub(super) fn dom_mut(&self) -> RefMut<'_, Dom> {
        self.dom.borrow_mut()
    }

    pub(super) fn info(&self) -> DocumentInfo {
        self.info.borrow().clone()
    }

    pub(super) fn url(&self) -> Url {
        self.info.borrow().url.clone()
    }

    pub(super) fn base_url(&self) -> Url {
        self.info.borrow().base_url.clone()
    }

    pub(super) fn set_url(&self, url: Url) {
        if url.scheme() != "about" {
            self.about_base_url.take();
        }
        self.change(|info| info.url = url);
        self.update_base_url();
    }

    /// [Encoding-parses a URL](https://html.spec.whatwg.org/multipage/urls-and-fetching.html#encoding-parsing-a-url)
    /// relative to the document.
    pub(super) fn parse_url(&self, url: &str) -> Result<Url, url::ParseError> {
        let info = self.info.borrow();
        self.with_encoding(|encoding| {
            Url::options().base_url(Some(&info.base_url)).encoding_override(encoding).parse(url)
        })
    }

    /// Calls `parse` with what encodes the query of a URL in the document's encoding.
    pub(super) fn with_encoding<T>(&self, parse: impl FnOnce(EncodingOverride<'_>) -> T) -> T {
        let encoding = self.encoding.get().output_encoding();
        // The parser uses UTF-8 by default.
        if encoding == UTF_8 {
            parse(None)
        } else {
            parse(Some(&|text| encode_query(encoding, text)))
        }
    }

    /// The [attribute change steps](https://dom.spec.whatwg.org/#concept-element-attributes-change-ext)
    /// of `base` and `meta` elements.
    pub(super) fn attribute_changed(&self, node: NodeId) {
        let dom = self.dom.borrow();
        if dom.is_connected(node) {
            if dom.has_local_name(node, &local_name!("base")) {
                self.base_is_stale.set(true);
            }
            self.note_names(&dom, node);
            self.apply_meta_referrer(&dom, node);
        }
    }

    /// Notes that a subtree was removed, which may contain a `base` element.
    pub(super) fn note_removal(&self) {
        self.base_is_stale.set(true);
    }

    /// Runs the insertion steps of all elements that were connected since the last call.
    /// Returns whether anything has changed that requests depend on.
    pub(super) fn apply_tree_changes(&self) -> bool {
        let connected = self.dom.borrow_mut().take_connected();
        {
            let dom = self.dom.borrow();
            for node in connected {
                if dom.has_local_name(node, &local_name!("base")) {
                    self.base_is_stale.set(true);
                }
                self.note_names(&dom, node);
                if dom.has_local_name(node, &local_name!("iframe")) {
                    self.connected_frames.borrow_mut().push(node);
                }
                self.apply_meta_referrer(&dom, node);
                self.apply_meta_csp(&dom, node);
                if is_meta(&dom, node, "http-equiv", "refresh") {
                    self.refresh(dom.attribute(node, "content").unwrap_or_default());
                }
            }
        }
        if self.base_is_stale.take() {
            self.update_base_url();
        }
        self.changed.take()
    }

    /// Notes the names by which the window gives access to an element
    /// (<https://html.spec.whatwg.org/multipage/nav-history-apis.html#dom-window-nameditem-filter>).
    fn note_names(&self, dom: &Dom, node: NodeId) {
        let names = [
            local_name!("embed"),
            local_name!("form"),
            local_name!("iframe"),
            local_name!("img"),
            local_name!("object"),
        ];
        let has_named_access = names.iter().any(|name| dom.has_local_name(node, name));
        let name = dom.attribute(node, "name").filter(|_| has_named_access);
        let names = [dom.attribute(node, "id"), name].into_iter().flatten();
        let names = names.filter(|name| !name.is_empty()).map(str::to_owned);
        self.names.borrow_mut().extend(names);
    }

    /// Takes the names of elements that were noted since the last call.
    pub(super) fn take_names(&self) -> Vec<String> {
        self.names.take()
    }

    /// Returns `iframe` elements that could not get a navigable yet, for the next
    /// [`take_connected_frames`](Self::take_connected_frames).
    pub(super) fn put_connected_frames_back(&self, frames: &[NodeId]) {
        self.connected_frames.borrow_mut().splice(..0, frames.iter().copied());
    }

    pub(super) fn has_connected_frames(&self) -> bool {
        !self.connected_frames.borrow().is_empty()
    }

    /// Takes the `iframe` elements that were connected since the last call.
    pub(super) fn take_connected_frames(&self) -> Vec<NodeId> {
        self.connected_frames.take()
    }

    /// Sets the [document base URL](https://html.spec.whatwg.org/multipage/urls-and-fetching.html#document-base-url)
    /// to the `href` of the first `base` element that has one, or to the fallback base URL.
    fn update_base_url(&self) {
        let dom = self.dom.borrow();
        // https://html.spec.whatwg.org/multipage/urls-and-fetching.html#fallback-base-url
        let fallback = self.about_base_url.borrow().clone().unwrap_or_else(|| self.url());
        let href = dom
            .descendants(Dom::DOCUMENT)
            .filter(|node| dom.has_local_name(*node, &local_name!("base")))
            .find_map(|node| dom.attribute(node, "href"));
        // https://html.spec.whatwg.org/multipage/semantics.html#set-the-frozen-base-url
        let frozen = href
            .and_then(|href| fallback.join(href).ok())
            .filter(|url| !matches!(url.scheme(), "data" | "javascript"));
        self.change(|info| info.base_url = frozen.unwrap_or(fallback));
    }

    /// <https://html.spec.whatwg.org/multipage/semantics.html#meta-referrer>
    fn apply_meta_referrer(&self, dom: &Dom, node: NodeId) {
        if !is_meta(dom, node, "name", "referrer") {
            return;
        }
        let content = dom.attribute(node, "content").unwrap_or_default();
        if let Some(policy) = meta_referrer_policy(content) {
            self.change(|info| info.referrer_policy = Some(policy.to_owned()));
        }
    }

    /// <https://html.spec.whatwg.org/multipage/semantics.html#attr-meta-http-equiv-content-security-policy>
    fn apply_meta_csp(&self, dom: &Dom, node: NodeId) {
        let parent = dom.parent(node);
        let in_head = parent.is_some_and(|parent| dom.has_local_name(parent, &local_name!("head")));
        let content = dom.attribute(node, "content").unwrap_or_default();
        let is_policy = is_meta(dom, node, "http-equiv", "content-security-policy");
        if is_policy && in_head && !content.is_empty() {
            self.change(|info| info.content_security_policies.push(content.to_owned()));
        }
    }

    /// The [shared declarative refresh steps](https://html.spec.whatwg.org/multipage/document-lifecycle.html#shared-declarative-refresh-steps)
    /// without the timer. `navigable::begin_refresh` starts the timer later.
    pub(super) fn refresh(&self, input: &str) {
        // Step 1.
        if self.will_refresh.get() {
            return;
        }
        let Some((seconds, url)) = parse_refresh(input) else { return };
        // Steps 4 and 11.11 to 12.
        let url = if url.is_empty() { Ok(self.url()) } else { self.parse_url(url) };
        if let Some(url) = url.ok().filter(|url| url.scheme() != "javascript") {
            self.will_refresh.set(true);
            self.refresh.replace(Some(Refresh { seconds, url }));
        }
    }

    /// Takes the declarative refresh, to start its timer.
    pub(super) fn take_refresh(&self) -> Option<Refresh> {
        self.refresh.take()
    }

    fn change(&self, change: impl FnOnce(&mut DocumentInfo)) {
        let before = self.info();
        let mut info = self.info.borrow_mut();
        change(&mut info);
        if *info != before {
            self.changed.set(true);
        }
    }
}

/// [Percent-encode after encoding](https://url.spec.whatwg.org/#string-percent-encode-after-encoding), except for the
/// last step: the URL parser percent-encodes the bytes of this result. A character that the encoding does not have
/// becomes a percent-encoded reference (`&#…;`) here.
fn encode_query<'a>(encoding: &'static Encoding, text: &'a str) -> Cow<'a, [u8]> {
    let (encoded, _, has_unmappable) = encoding.encode(text);
    if !has_unmappable {
        return encoded;
    }
    let mut bytes = Vec::new();
    for character in text.chars() {
        match encoding.encode(character.encode_utf8(&mut [0; 4])) {
            (encoded, _, false) => bytes.extend_from_slice(&encoded),
            _ => bytes.extend_from_slice(format!("%26%23{}%3B", u32::from(character)).as_bytes()),
        }
    }
    bytes.into()
}

fn is_meta(dom: &Dom, node: NodeId, attribute: &str, value: &str) -> bool {
    dom.has_local_name(node, &local_name!("meta"))
        && dom.attribute(node, attribute).is_some_and(|it| it.eq_ignore_ascii_case(value))
}

/// The referrer policy that the `content` of a [`meta` element](https://html.spec.whatwg.org/multipage/semantics.html#meta-referrer)
/// names. Legacy names are included.
fn meta_referrer_policy(content: &str) -> Option<&'static str> {
    const POLICIES: [(&str, &str); 12] = [
        ("no-referrer", "no-referrer"),
        ("no-referrer-when-downgrade", "no-referrer-when-downgrade"),
        ("same-origin", "same-origin"),
        ("origin", "origin"),
        ("strict-origin", "strict-origin"),
        ("origin-when-cross-origin", "origin-when-cross-origin"),
        ("strict-origin-when-cross-origin", "strict-origin-when-cross-origin"),
        ("unsafe-url", "unsafe-url"),
        ("never", "no-referrer"),
        ("default", "strict-origin-when-cross-origin"),
        ("always", "unsafe-url"),
        ("origin-when-crossorigin", "origin-when-cross-origin"),
    ];
    let content = content.to_ascii_lowercase();
    POLICIES.iter().find(|(name, _)| *name == content).map(|(_, policy)| *policy)
}
