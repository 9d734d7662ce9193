// The interface HTMLCollection.
// https://dom.spec.whatwg.org/#interface-htmlcollection

const { DOMString, createLegacyPlatformObject, expose, illegalConstructor, valueIterable } = internal.webidl;
const { attribute } = internal.element;
const slot = agent.slot("HTMLCollection");

class HTMLCollection {
  constructor() { illegalConstructor(); }
  get length() { return elementsOf(this).length; }
  item(index) { return elementsOf(this)[index >>> 0] ?? null; }
  namedItem(name) { return namedItem(this, DOMString(name)); }
}
expose(HTMLCollection, slot);
valueIterable(HTMLCollection, false);

const elementsOf = (collection) => slot.get(collection).elements();

// https://dom.spec.whatwg.org/#dom-htmlcollection-nameditem-key
function namedItem(collection, name) {
  if (name === "") return null;
  return elementsOf(collection).find((it) => attribute(it, "id") === name || attribute(it, "name") === name) ?? null;
}

// https://dom.spec.whatwg.org/#ref-for-dfn-supported-property-names: the identifiers and names of elements.
const namesOf = (elements) => {
  const names = elements.flatMap((it) => [attribute(it, "id"), attribute(it, "name")]);
  return [...new Set(names.filter((name) => name))];
};

// Creates a live collection of the elements that `elements()` returns. Its interface may be derived from HTMLCollection, and
// then `named` may return something else for a name than the first element.
function createCollection(elements, prototype = HTMLCollection.prototype, named = undefined) {
  const collection = createLegacyPlatformObject(prototype, {
    length: () => elements().length, item: (index) => elements()[index],
    names: () => namesOf(elements()), named: named ?? ((name) => namedItem(collection, name)),
  });
  return slot.set(collection, { elements });
}

internal.collections = { slot, namesOf, createCollection };
