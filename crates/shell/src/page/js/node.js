// The interfaces Node, CharacterData, Text, Comment and DocumentFragment, and the mixins of the node tree.
// https://dom.spec.whatwg.org/#interface-node
//
// A node object holds the number of a node in the native tree. Each node has at most one node object.

const { DOMString, constants, expose, fail, illegalConstructor } = internal.webidl;
const { slot: targetSlot, createState, fire, reportException } = internal.eventTarget;
const { runModule } = internal;
const slot = agent.slot("Node");
const characterSlot = agent.slot("CharacterData");
const fragmentSlot = agent.slot("DocumentFragment");
const elementSlot = agent.slot("Element");
const idOf = (node) => slot.get(node).id;
const objects = new Map();
const [ELEMENT, TEXT, COMMENT, DOCUMENT, DOCTYPE, FRAGMENT] = [1, 3, 8, 9, 10, 11];

class Node extends EventTarget {
  constructor() { illegalConstructor(); }

  get nodeType() { return native.nodeType(idOf(this)); }
  get nodeName() { return nodeName(this); }
  get isConnected() { return native.isConnected(idOf(this)); }
  get baseURI() { return native.baseUrl(); }
  get ownerDocument() { return this.nodeType === DOCUMENT ? null : internal.document; }
  get parentNode() { return wrap(native.parent(idOf(this))); }
  get parentElement() {
    const parent = native.parent(idOf(this));
    return parent !== undefined && native.nodeType(parent) === ELEMENT ? wrap(parent) : null;
  }
  // TODO(spec): `childNodes` is a copy of the list, not a live NodeList.
  get childNodes() { return childNodes(this); }
  get firstChild() { return wrap(native.children(idOf(this))[0]); }
  get lastChild() { return wrap(native.children(idOf(this)).at(-1)); }
  get nextSibling() { return wrap(native.nextSibling(idOf(this))); }
  get previousSibling() {
    const siblings = this.parentNode?.childNodes ?? [];
    return siblings[siblings.indexOf(this) - 1] ?? null;
  }
  get nodeValue() { return native.data(idOf(this)) ?? null; }
  set nodeValue(value) { setData(this, value === null ? "" : value); }

  get textContent() {
    if ([DOCUMENT, DOCTYPE].includes(this.nodeType)) return null;
    return characterSlot.has(this) ? native.data(idOf(this)) : native.textContent(idOf(this));
  }
  set textContent(value) {
    if (characterSlot.has(this)) setData(this, value === null ? "" : value);
    else if (this.nodeType !== DOCUMENT) replaceAll(this, value === null ? [] : toNodes([value]));
  }

  hasChildNodes() { return native.children(idOf(this)).length > 0; }
  getRootNode() {
    let root = this;
    while (root.parentNode !== null) root = root.parentNode;
    return root;
  }
  contains(other) {
    for (let node = other; node !== null; node = node.parentNode) if (node === this) return true;
    return false;
  }
  appendChild(node) { return insert(this, requireNode(node), null); }
  insertBefore(node, child) {
    return insert(this, requireNode(node), child === null ? null : requireNode(child));
  }
  removeChild(child) {
    if (requireNode(child).parentNode !== this) fail("NotFoundError", "The node is not a child.");
    return remove(child);
  }
  cloneNode(deep = false) {
    if (this.nodeType === DOCUMENT) fail("NotSupportedError", "This shell cannot clone a document.");
    return copyOf(this, !!deep);
  }
  replaceChild(node, child) {
    if (requireNode(child).parentNode !== this) fail("NotFoundError", "The node is not a child.");
    asOneMutation(this, () => {
      insert(this, requireNode(node), child);
      remove(child);
    });
    return child;
  }
}
constants(Node, { ELEMENT_NODE: ELEMENT, TEXT_NODE: TEXT, COMMENT_NODE: COMMENT,
  DOCUMENT_NODE: DOCUMENT, DOCUMENT_TYPE_NODE: DOCTYPE, DOCUMENT_FRAGMENT_NODE: FRAGMENT });
expose(Node, slot);

// https://dom.spec.whatwg.org/#interface-childnode
const childNode = {
  remove() { remove(this); },
  before(...nodes) { insertAll(this.parentNode, nodes, this); },
  after(...nodes) { insertAll(this.parentNode, nodes, this.nextSibling); },
  replaceWith(...nodes) {
    insertAll(this.parentNode, nodes, this);
    remove(this);
  },
};

// https://dom.spec.whatwg.org/#interface-parentnode
const parentNode = {
  get children() { return childNodes(this).filter((node) => node.nodeType === ELEMENT); },
  get firstElementChild() { return this.children[0] ?? null; },
  get lastElementChild() { return this.children.at(-1) ?? null; },
  get childElementCount() { return this.children.length; },
  append(...nodes) { insertAll(this, nodes, null); },
  prepend(...nodes) { insertAll(this, nodes, this.firstChild); },
  replaceChildren(...nodes) { replaceAll(this, toNodes(nodes)); },
  querySelector(selectors) { return query(this, selectors)[0] ?? null; },
  querySelectorAll(selectors) { return query(this, selectors); },
  getElementsByTagName(name) { return query(this, DOMString(name)); },
  getElementsByClassName(names) { return query(this, `.${DOMString(names).trim().split(/\s+/).join(".")}`); },
};

const mixin = (Interface, members) =>
  Object.defineProperties(Interface.prototype, Object.getOwnPropertyDescriptors(members));

class CharacterData extends Node {
  get data() { return native.data(idOf(this)); }
  set data(value) { setData(this, value === null ? "" : value); }
  get length() { return native.data(idOf(this)).length; }
}
mixin(CharacterData, childNode);
expose(CharacterData, characterSlot);

class Text extends CharacterData {
  constructor(data = "") { return wrap(native.createText(DOMString(data).toWellFormed())); }
}
expose(Text, characterSlot);

class Comment extends CharacterData {
  constructor(data = "") { return wrap(native.createComment(DOMString(data).toWellFormed())); }
}
expose(Comment, characterSlot);

class DocumentType extends Node {
  get name() { return native.data(idOf(this)); }
}
mixin(DocumentType, childNode);
expose(DocumentType, slot);

class DocumentFragment extends Node {
  constructor() { return wrap(native.createFragment()); }
}
mixin(DocumentFragment, parentNode);
expose(DocumentFragment, fragmentSlot);

function wrap(id) {
  if (id === undefined || id === null) return null;
  const known = objects.get(id);
  if (known) return known;
  const type = native.nodeType(id);
  const ofElement = type === ELEMENT ? internal.elementInterface(native.localName(id)) : undefined;
  const prototype = ofElement ? ofElement.prototype : prototypeOf(type);
  const node = ofElement?.create ? ofElement.create(prototype) : Object.create(prototype);
  slot.set(node, { id });
  targetSlot.set(node, createState((event) => agent.realmOf(node).node.eventParent(node, type, event)));
  if (ofElement) {
    elementSlot.set(node, {});
    if (!ofElement.slot.has(node)) ofElement.slot.set(node, {});
  } else if (type === TEXT || type === COMMENT) characterSlot.set(node, {});
  else if (type === FRAGMENT) fragmentSlot.set(node, {});
  else if (type === DOCUMENT) agent.slot("Document").set(node, {});
  objects.set(id, node);
  return node;
}

// The number of a node object whose document was replaced: no node has it.
const NO_NODE = 2 ** 32 - 1;
function forget() {
  for (const node of objects.values()) slot.get(node).id = NO_NODE;
  objects.clear();
}

function prototypeOf(type) {
  switch (type) {
    case TEXT: return Text.prototype;
    case COMMENT: return Comment.prototype;
    case DOCUMENT: return internal.documentPrototype;
    case DOCTYPE: return DocumentType.prototype;
    default: return DocumentFragment.prototype;
  }
}

// https://dom.spec.whatwg.org/#get-the-parent. A `load` event does not propagate to the window.
function eventParent(node, type, event) {
  if (type !== DOCUMENT) return wrap(native.parent(idOf(node)));
  return event.type === "load" ? null : internal.global;
}

function nodeName(node) {
  switch (node.nodeType) {
    case ELEMENT: return node.tagName;
    case TEXT: return "#text";
    case COMMENT: return "#comment";
    case DOCUMENT: return "#document";
    case DOCTYPE: return node.name;
    default: return "#document-fragment";
  }
}

function requireNode(value) {
  if (!slot.has(value)) throw new TypeError("parameter 1 is not of type 'Node'.");
  return value;
}

const childNodes = (node) => native.children(idOf(node)).map(wrap);
const setData = (node, value) => native.setData(idOf(node), DOMString(value).toWellFormed());

// https://dom.spec.whatwg.org/#converting-nodes-into-a-node
const toNodes = (values) => values.map((it) => (slot.has(it) ? it : new Text(it)));

// https://dom.spec.whatwg.org/#concept-node-pre-insert. Then it runs the inserted scripts.
function insert(parent, node, child) {
  const isForeign = (it) => it !== null && agent.realmOf(it) !== internal;
  if (isForeign(child)) fail("NotFoundError", "The node is not a child.");
  if (isForeign(node)) return insertForeign(parent, node, child);
  const result = native.insert(idOf(parent), idOf(node), child === null ? undefined : idOf(child));
  if (typeof result === "string") fail(result, "The node cannot be inserted there.");
  result.forEach(runScript);
  return node;
}

// Inserts a node of another document.
function insertForeign(parent, node, child) {
  const isParent = [ELEMENT, DOCUMENT, FRAGMENT].includes(native.nodeType(idOf(parent)));
  if (!isParent || node.nodeType === DOCUMENT) fail("HierarchyRequestError", "The node cannot be inserted there.");
  if (child !== null && wrap(native.parent(idOf(child))) !== parent) fail("NotFoundError", "The node is not a child.");
  if (!fragmentSlot.has(node)) return insert(parent, adopt(node), child);
  // The nodes of a fragment are adopted, but not the fragment itself.
  const fragment = new DocumentFragment();
  for (const it of node.childNodes) insert(fragment, adopt(it), null);
  insert(parent, fragment, child);
  return node;
}

// https://dom.spec.whatwg.org/#concept-node-adopt, for a node of another document that is no document itself
function adopt(node) {
  const { node: old } = agent.realmOf(node);
  const released = old.release(node);
  for (const [before, after] of native.graft()) {
    const object = released.get(before);
    if (object === undefined) continue;
    slot.get(object).id = after;
    objects.set(after, object);
    agent.moveToRealm(object, internal);
  }
  // A node whose document was replaced has no native half.
  agent.moveToRealm(node, internal);
  return node;
}

// A copy of a node of any document, for this document: https://dom.spec.whatwg.org/#concept-node-clone
function copyOf(node, isDeep) {
  const { node: old } = agent.realmOf(node);
  old.copySubtree(node, isDeep);
  const pairs = native.graft();
  for (const [before, after] of pairs) {
    const original = old.objectOf(before);
    if (original !== undefined && elementSlot.has(original)) internal.cloningSteps(wrap(after), original);
  }
  return wrap(pairs[0]?.[1]);
}

// Removes a node that another document adopts from this one. The native half of the subtree waits for `native.graft`.
// Returns the objects of the subtree's nodes, by the numbers that the nodes had.
function release(node) {
  const id = idOf(node);
  native.remove(id);
  // Records name nodes by their numbers, which the nodes lose.
  internal.mutations.drain();
  const released = new Map();
  for (const it of native.takeSubtree(id)) {
    if (objects.has(it)) released.set(it, objects.get(it));
    objects.delete(it);
  }
  return released;
}

function insertAll(parent, values, child) {
  if (parent === null) return;
  const nodes = toNodes(values);
  // An inserted node cannot mark the place of insertion.
  let before = child;
  while (before !== null && nodes.includes(before)) before = before.nextSibling;
  for (const node of nodes) insert(parent, node, before);
}

// https://dom.spec.whatwg.org/#concept-node-replace-all
function replaceAll(parent, nodes) {
  asOneMutation(parent, () => {
    childNodes(parent).forEach(remove);
    insertAll(parent, nodes, null);
  });
}

// Runs steps whose changes of the children of `parent` are one mutation record.
function asOneMutation(parent, steps) {
  const count = native.mutationCount();
  steps();
  native.mergeMutations(idOf(parent), count);
}

function remove(node) {
  native.remove(idOf(node));
  return node;
}

// https://html.spec.whatwg.org/multipage/scripting.html#prepare-the-script-element
function runScript(id) {
  const script = native.prepareScript(id);
  if (script === undefined) return;
  const element = wrap(id);
  if (script.error === undefined && !script.isExternal && !script.isModule) evaluate(element, script);
  else evaluateLater(element, script);
}

// Evaluates a script in a later task, for which the document's `load` event waits.
function evaluateLater(element, script) {
  native.delayLoad();
  internal.startTask(() => {
    evaluate(element, script);
    native.stopDelayingLoad();
  });
}

function evaluate(element, { text, name, isExternal, isModule, error }) {
  const failure = error ?? (isModule ? runModule(name, text) : runClassic(name, text));
  if (failure !== undefined) {
    native.console("error", failure);
    fire(element, "error");
  } else if (isExternal) {
    fire(element, "load");
  }
}

function runClassic(name, text) {
  try {
    native.evaluate(text, name);
  } catch (exception) {
    reportException(exception);
  }
}

function query(root, selectors) {
  const found = native.query(idOf(root), DOMString(selectors).toWellFormed());
  if (found === undefined) fail("SyntaxError", `'${selectors}' is not a selector this shell knows.`);
  return found.map(wrap);
}

// Runs a script that the parser of document.write() has reached.
internal.hooks.runParserScript = (id) => {
  const script = native.prepareScript(id);
  if (script?.isModule) evaluateLater(wrap(id), script);
  else if (script !== undefined) evaluate(wrap(id), script);
};
internal.hooks.fireAtNode = (id, type) => { fire(wrap(id), type, {}, { fromHost: true }); };
internal.node = { slot, wrap, idOf, insert, adopt, release, runScript, mixin, childNode, parentNode, replaceAll,
  forget, eventParent, copyOf, objectOf: (id) => objects.get(id), copySubtree: (node, isDeep) => native.copySubtree(idOf(node), isDeep) };
