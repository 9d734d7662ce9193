// The interface Document.
// https://dom.spec.whatwg.org/#interface-document
// https://html.spec.whatwg.org/multipage/dom.html#the-document-object

const { DOMString, USVString, attributes, expose, fail } = internal.webidl;
const { slot: nodeSlot, wrap, idOf, adopt, copyOf, mixin, parentNode } = internal.node;
const { slot: targetSlot } = internal.eventTarget;
const slot = agent.slot("Document");
// The parts of the lifecycle that scripts can see. lifecycle.js changes them.
const state = { readyState: "loading", visibilityState: "visible" };
// https://dom.spec.whatwg.org/#valid-element-local-name, for names that the HTML parser accepts
// eslint-disable-next-line no-control-regex
const ELEMENT_NAME = /^[A-Za-z][^\t\n\f\r \0/>]*$/;

// The live collections of the document's elements, by their selectors.
const collections = new Map();
function collection(selectors) {
  if (!collections.has(selectors)) {
    const elements = () => (native.query(0, selectors) ?? []).map(wrap);
    collections.set(selectors, internal.collections.createCollection(elements));
  }
  return collections.get(selectors);
}

class Document extends Node {
  get URL() { return native.documentUrl(); }
  get documentURI() { return native.documentUrl(); }
  get referrer() { return native.environment().referrer; }
  // https://html.spec.whatwg.org/multipage/browsers.html#dom-document-domain
  get domain() { return native.urlComponent(native.environment().origin, "hostname") ?? ""; }
  get characterSet() { return native.encoding(); }
  get charset() { return native.encoding(); }
  get inputEncoding() { return native.encoding(); }
  get contentType() { return native.environment().contentType; }
  get compatMode() { return "CSS1Compat"; }
  get readyState() { return state.readyState; }
  get visibilityState() { return state.visibilityState; }
  get hidden() { return state.visibilityState === "hidden"; }
  get defaultView() { return native.navigable("self") === undefined ? null : internal.windowProxy; }
  get currentScript() { return null; }
  // https://html.spec.whatwg.org/multipage/dom.html#dom-document-cookie
  get cookie() {
    if (isCookieAverse(this)) return "";
    internal.requireTupleOrigin("cookie");
    return native.cookies();
  }
  set cookie(value) {
    const cookie = USVString(value);
    if (isCookieAverse(this)) return;
    internal.requireTupleOrigin("cookie");
    native.setCookie(cookie);
  }

  get doctype() { return this.childNodes.find((it) => it.nodeType === Node.DOCUMENT_TYPE_NODE) ?? null; }
  get documentElement() { return this.children[0] ?? null; }
  get head() { return childOf(this.documentElement, "HEAD"); }
  get body() { return childOf(this.documentElement, "BODY"); }
  set body(value) {
    if (value?.tagName !== "BODY") fail("HierarchyRequestError", "The new body is no body element.");
    if (this.body) this.body.replaceWith(value);
    else this.documentElement.appendChild(value);
  }

  // https://html.spec.whatwg.org/multipage/dom.html#document.title
  get title() {
    const text = this.querySelector("title")?.textContent ?? "";
    return text.replace(/[\t\n\f\r ]+/g, " ").trim();
  }
  set title(value) {
    const text = DOMString(value);
    let title = this.querySelector("title");
    if (title === null) {
      if (this.head === null) return;
      title = this.head.appendChild(this.createElement("title"));
    }
    title.textContent = text;
  }

  get scripts() { return collection("script"); }
  get images() { return collection("img"); }
  get links() { return collection("a[href], area[href]"); }
  get forms() { return collection("form"); }
  // https://html.spec.whatwg.org/multipage/dom.html#dom-document-getelementsbyname
  getElementsByName(elementName) {
    const name = DOMString(elementName);
    return this.querySelectorAll("[name]").filter((it) => it.getAttribute("name") === name);
  }

  getElementById(id) { return wrap(native.elementById(DOMString(id).toWellFormed())); }
  createTextNode(data) { return new Text(data); }
  createComment(data) { return new Comment(data); }
  createDocumentFragment() { return new DocumentFragment(); }
  createElement(localName) {
    const name = DOMString(localName).toWellFormed();
    if (!ELEMENT_NAME.test(name)) {
      fail("InvalidCharacterError", `'${name}' is not a valid element name.`);
    }
    return wrap(native.createElement(name.toLowerCase()));
  }
  // https://dom.spec.whatwg.org/#dom-document-adoptnode
  adoptNode(node) {
    if (!nodeSlot.has(node)) throw new TypeError("parameter 1 is not of type 'Node'.");
    if (node.nodeType === Node.DOCUMENT_NODE) fail("NotSupportedError", "A document cannot be adopted.");
    if (agent.realmOf(node) !== internal) return adopt(node);
    native.remove(idOf(node));
    return node;
  }
  // https://dom.spec.whatwg.org/#dom-document-importnode
  importNode(node, deep = false) {
    if (!nodeSlot.has(node)) throw new TypeError("parameter 1 is not of type 'Node'.");
    if (node.nodeType === Node.DOCUMENT_NODE) fail("NotSupportedError", "A document cannot be imported.");
    return copyOf(node, !!deep);
  }
  hasFocus() { return state.visibilityState === "visible"; }

  // https://dom.spec.whatwg.org/#dom-document-createevent
  createEvent(name) {
    const interfaces = { event: "Event", events: "Event", htmlevents: "Event", customevent: "CustomEvent",
      messageevent: "MessageEvent", mouseevent: "MouseEvent", uievent: "UIEvent" };
    const lower = DOMString(name).toLowerCase();
    if (lower === "beforeunloadevent") return new internal.interfaces.BeforeUnloadEvent(internal);
    const Interface = internal.global[interfaces[lower]];
    if (Interface === undefined) fail("NotSupportedError", `There is no event of type '${name}'.`);
    return new Interface("");
  }
}
mixin(Document, parentNode);
expose(Document, slot);
internal.handlers.attributes(Document.prototype, slot,
  [...internal.handlers.GLOBAL, ...internal.handlers.DOCUMENT]);

// https://html.spec.whatwg.org/multipage/dynamic-markup-insertion.html, on behalf of the document of the
// calling script.
attributes(Document.prototype, slot, {
  get location() { return internal.location; },
  set location({ caller, value }) { internal.setLocation(caller, value); },
  open(caller, ...args) {
    if (args.length > 2) return caller.open(...args);
    open(caller);
    return internal.document;
  },
  write(caller, ...texts) { write(caller, concatenate(texts)); },
  writeln(caller, ...texts) { write(caller, `${concatenate(texts)}\n`); },
  close(_caller) { native.closeDocument(); },
}, { isCallerAware: true });

function open(caller) {
  if (!native.openDocument(caller.document.URL)) return;
  // Steps 9 and 10.
  for (const target of [internal.document, internal.global]) {
    Object.assign(targetSlot.get(target), { listeners: [], handlers: new Map() });
  }
  state.readyState = "loading";
}

function write(caller, text) {
  open(caller);
  native.writeDocument(text);
}
const concatenate = (args) => args.map((it) => DOMString(it)).join("").toWellFormed();

// https://html.spec.whatwg.org/multipage/dom.html#cookie-averse-document-object: no window shows the document any more.
const isCookieAverse = (document) => document !== internal.document || native.navigable("self") === undefined;

const childOf = (parent, tagName) =>
  parent?.childNodes.find((node) => node.nodeType === Node.ELEMENT_NODE && node.tagName === tagName) ??
  null;

class HTMLDocument extends Document {}
expose(HTMLDocument, slot);

// A document with an opaque origin has no cookies and no storage.
internal.requireTupleOrigin = (name) => {
  if (native.environment().origin === "null") fail("SecurityError", `There is no ${name} for an opaque origin.`);
};
internal.documentPrototype = HTMLDocument.prototype;
internal.documentState = state;
// Creates the objects of the window's new document.
internal.createDocument = () => {
  internal.node.forget();
  internal.mutations?.forget();
  Object.assign(state, { readyState: "loading" });
  internal.startNavigationTiming();
  internal.startPaintTiming();
  internal.document = wrap(0);
};
internal.createDocument();
internal.bodyElement = () => internal.document.body;
