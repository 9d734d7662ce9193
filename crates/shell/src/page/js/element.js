// The interfaces Element and HTMLElement.
// https://dom.spec.whatwg.org/#interface-element
// https://html.spec.whatwg.org/multipage/dom.html#htmlelement

const { DOMString, expose, fail } = internal.webidl;
const { wrap, idOf, insert, runScript, mixin, childNode, parentNode, replaceAll } = internal.node;
const { fireEvent } = internal.eventTarget;
const slot = agent.slot("Element");
// The elements whose click() runs.
const clicking = new Set();
// https://dom.spec.whatwg.org/#valid-attribute-local-name
// eslint-disable-next-line no-control-regex
const ATTRIBUTE_NAME = /^[^\t\n\f\r \0/=>]+$/;

class Element extends Node {
  get localName() { return native.localName(idOf(this)); }
  get tagName() { return native.localName(idOf(this)).toUpperCase(); }
  get id() { return this.getAttribute("id") ?? ""; }
  set id(value) { setAttribute(this, "id", value); }
  get className() { return this.getAttribute("class") ?? ""; }
  set className(value) { setAttribute(this, "class", value); }
  get innerHTML() { return native.innerHtml(idOf(this)); }
  set innerHTML(value) {
    const html = value === null ? "" : DOMString(value).toWellFormed();
    replaceAll(this, native.parseFragment(idOf(this), html).map(wrap));
  }

  getAttribute(name) { return native.attribute(idOf(this), attributeName(name)) ?? null; }
  hasAttribute(name) { return native.attribute(idOf(this), attributeName(name)) !== undefined; }
  getAttributeNames() { return native.attributeNames(idOf(this)); }
  setAttribute(name, value) { setAttribute(this, name, value); }
  removeAttribute(name) { removeAttribute(this, attributeName(name)); }
  toggleAttribute(name, force = undefined) {
    const wanted = force === undefined ? !this.hasAttribute(name) : !!force;
    if (!wanted) this.removeAttribute(name);
    else if (!this.hasAttribute(name)) setAttribute(this, name, "");
    return wanted;
  }

  matches(selectors) {
    const matches = native.matches(idOf(this), DOMString(selectors).toWellFormed());
    if (matches === undefined) fail("SyntaxError", `'${selectors}' is not a selector this shell knows.`);
    return matches;
  }

  closest(selectors) {
    let element = this;
    while (element !== null && !element.matches(selectors)) element = element.parentElement;
    return element;
  }

  insertAdjacentElement(where, element) {
    const [parent, child] = adjacent(this, DOMString(where).toLowerCase());
    return parent === null ? null : insert(parent, element, child);
  }
}
mixin(Element, childNode);
mixin(Element, parentNode);
expose(Element, slot);

class HTMLElement extends Element {
  get title() { return this.getAttribute("title") ?? ""; }
  set title(value) { setAttribute(this, "title", value); }
  get innerText() { return this.textContent; }
  set innerText(value) { this.textContent = value; }
  get hidden() { return this.hasAttribute("hidden"); }
  set hidden(value) { this.toggleAttribute("hidden", !!value); }
  get dataset() { return dataset(this); }

  // https://html.spec.whatwg.org/multipage/interaction.html#dom-click
  click() {
    if (internal.isDisabledControl(this) || clicking.has(this)) return;
    clicking.add(this);
    const { MouseEvent } = internal.interfaces;
    const event = new MouseEvent("click", { __proto__: null, bubbles: true, cancelable: true, composed: true });
    fireEvent(this, event);
    clicking.delete(this);
  }
}
expose(HTMLElement, slot);
const { setAttribute: setAttributeFunction } = Element.prototype;
internal.handlers.attributes(HTMLElement.prototype, slot, internal.handlers.GLOBAL);

const attributeName = (name) => DOMString(name).toWellFormed().toLowerCase();

function setAttribute(element, name, value) {
  const lower = attributeName(name);
  if (!ATTRIBUTE_NAME.test(lower)) {
    fail("InvalidCharacterError", `'${name}' is not a valid attribute name.`);
  }
  native.setAttribute(idOf(element), lower, DOMString(value).toWellFormed());
  attributeChanged(element, lower);
}

function removeAttribute(element, name) {
  if (attribute(element, name) === undefined) return;
  native.removeAttribute(idOf(element), name);
  attributeChanged(element, name);
}

// The attribute change steps of elements, by their names: https://dom.spec.whatwg.org/#concept-element-attributes-change-ext
const attributeChangeSteps = {
  __proto__: null,
  // A script may get its src after it was inserted:
  // https://html.spec.whatwg.org/multipage/scripting.html#script-processing-model
  script(element, name) { if (name === "src") runScript(idOf(element)); },
};
const attributeChanged = (element, name) => attributeChangeSteps[native.localName(idOf(element))]?.(element, name);

// https://dom.spec.whatwg.org/#insert-adjacent
function adjacent(element, where) {
  switch (where) {
    case "beforebegin": return [element.parentNode, element];
    case "afterbegin": return [element, element.firstChild];
    case "beforeend": return [element, null];
    case "afterend": return [element.parentNode, element.nextSibling];
    default: return fail("SyntaxError", `'${where}' is not a place.`);
  }
}

// https://html.spec.whatwg.org/multipage/dom.html#dom-dataset
function dataset(element) {
  const setAttributeOf = (self, args) => Reflect.apply(setAttributeFunction, self, args);
  const nameOf = (key) => `data-${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  const keyOf = (name) => name.slice(5).replace(/-([a-z])/g, (_, letter) => letter.toUpperCase());
  const keys = () => element.getAttributeNames().filter((it) => it.startsWith("data-")).map(keyOf);
  return new Proxy({}, {
    get: (_, key) => typeof key === "string" ? element.getAttribute(nameOf(key)) ?? undefined : undefined,
    has: (_, key) => typeof key === "string" && element.hasAttribute(nameOf(key)),
    set(_, key, value) {
      // By the element's function, because another document may have adopted the element.
      setAttributeOf(element, [nameOf(key), value]);
      return true;
    },
    deleteProperty(_, key) {
      element.removeAttribute(nameOf(key));
      return true;
    },
    ownKeys: keys,
    getOwnPropertyDescriptor: (_, key) => keys().includes(key)
      ? { value: element.getAttribute(nameOf(key)), writable: true, enumerable: true, configurable: true }
      : undefined,
  });
}

internal.contentAttribute = (target, name) => slot.has(target) ? attribute(target, name) : undefined;
const attribute = (element, name) => native.attribute(idOf(element), name);
internal.element = { slot, attribute, setAttribute, attributeChangeSteps };
