// The interfaces Attr and NamedNodeMap, and the members of Element that use them.
// https://dom.spec.whatwg.org/#interface-attr
// https://dom.spec.whatwg.org/#interface-namednodemap
//
// TODO(spec): the attributes of an element are known by their local names. Their namespaces and prefixes are lost.

const { DOMString, attributes, createLegacyPlatformObject, expose, fail, illegalConstructor, valueIterable } = internal.webidl;
const { slot: elementSlot } = internal.element;
const slot = agent.slot("Attr");
const mapSlot = agent.slot("NamedNodeMap");

// An attribute node holds its value only as long as it has no element.
class Attr extends Node {
  constructor() { illegalConstructor(); }
  get nodeType() { return 2; }
  get nodeName() { return slot.get(this).name; }
  get namespaceURI() { return null; }
  get prefix() { return null; }
  get localName() { return slot.get(this).name; }
  get name() { return slot.get(this).name; }
  get value() { return valueOf(this); }
  set value(value) { setValue(this, value); }
  get nodeValue() { return valueOf(this); }
  set nodeValue(value) { setValue(this, value ?? ""); }
  get textContent() { return valueOf(this); }
  set textContent(value) { setValue(this, value ?? ""); }
  get ownerElement() { return slot.get(this).element; }
  get ownerDocument() { return internal.document; }
  get specified() { return true; }
}
expose(Attr, slot);

function valueOf(attr) {
  const { element, name, value } = slot.get(attr);
  return element === null ? value : element.getAttribute(name);
}

function setValue(attr, value) {
  const state = slot.get(attr);
  if (state.element === null) state.value = DOMString(value);
  else state.element.setAttribute(state.name, value);
}

class NamedNodeMap {
  constructor() { illegalConstructor(); }
  get length() { return namesIn(this).length; }
  item(index) { return itemOf(this, index >>> 0); }
  getNamedItem(qualifiedName) { return attrOf(mapSlot.get(this).element, DOMString(qualifiedName)); }
  setNamedItem(attr) { return setAttr(mapSlot.get(this).element, attr); }
  removeNamedItem(qualifiedName) {
    const { element } = mapSlot.get(this);
    const attr = attrOf(element, DOMString(qualifiedName));
    if (attr === null) fail("NotFoundError", "The element has no such attribute.");
    return removeAttr(element, attr);
  }
}
expose(NamedNodeMap, mapSlot);
valueIterable(NamedNodeMap, false);

const namesIn = (map) => mapSlot.get(map).element.getAttributeNames();
const itemOf = (map, index) => {
  const name = namesIn(map)[index];
  return name === undefined ? null : attrOf(mapSlot.get(map).element, name);
};

// The map of an element. It keeps the attribute nodes, by their names.
function mapOf(element) {
  if (!slotOfElement.has(element)) {
    const map = createLegacyPlatformObject(NamedNodeMap.prototype, {
      length: () => namesIn(map).length, item: (index) => itemOf(map, index),
      names: () => namesIn(map), named: (name) => attrOf(element, name),
    });
    slotOfElement.set(element, mapSlot.set(map, { element, attrs: new Map() }));
  }
  return slotOfElement.get(element);
}
const slotOfElement = agent.slot("NamedNodeMap of an element");
const attrsOf = (element) => mapSlot.get(mapOf(element)).attrs;

function attrOf(element, qualifiedName) {
  const name = qualifiedName.toLowerCase();
  const attrs = attrsOf(element);
  if (!element.hasAttribute(name)) {
    attrs.delete(name);
    return null;
  }
  if (!attrs.has(name)) attrs.set(name, slot.set(Object.create(Attr.prototype), { element, name, value: "" }));
  return attrs.get(name);
}

// https://dom.spec.whatwg.org/#concept-element-attributes-set
function setAttr(element, attr) {
  if (!slot.has(attr)) throw new TypeError("parameter 1 is not of type 'Attr'.");
  const state = slot.get(attr);
  if (state.element === element) return attr;
  if (state.element !== null) fail("InUseAttributeError", "The attribute belongs to another element.");
  const old = attrOf(element, state.name);
  if (old !== null) removeAttr(element, old);
  element.setAttribute(state.name, state.value);
  state.element = element;
  attrsOf(element).set(state.name, attr);
  return old;
}

// https://dom.spec.whatwg.org/#concept-element-attributes-remove
function removeAttr(element, attr) {
  const state = slot.get(attr);
  Object.assign(state, { value: valueOf(attr), element: null });
  attrsOf(element).delete(state.name);
  element.removeAttribute(state.name);
  return attr;
}

attributes(Element.prototype, elementSlot, {
  get attributes() { return mapOf(this); },
  hasAttributes() { return this.getAttributeNames().length > 0; },
  getAttributeNode(qualifiedName) { return attrOf(this, DOMString(qualifiedName)); },
  setAttributeNode(attr) { return setAttr(this, attr); },
  removeAttributeNode(attr) {
    if (!slot.has(attr) || slot.get(attr).element !== this) fail("NotFoundError", "The element has no such attribute.");
    return removeAttr(this, attr);
  },
  getAttributeNS(_namespace, localName) { return this.getAttribute(localName); },
  hasAttributeNS(_namespace, localName) { return this.hasAttribute(localName); },
  setAttributeNS(_namespace, qualifiedName, value) { this.setAttribute(DOMString(qualifiedName).split(":").at(-1), value); },
  removeAttributeNS(_namespace, localName) { this.removeAttribute(localName); },
});
attributes(Document.prototype, agent.slot("Document"), {
  createAttribute(localName) {
    return slot.set(Object.create(Attr.prototype), { element: null, name: DOMString(localName).toLowerCase(), value: "" });
  },
});
