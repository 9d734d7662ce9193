// The interface CSSStyleDeclaration, for the declarations of `style` attributes.
// https://drafts.csswg.org/cssom/#the-cssstyledeclaration-interface
//
// TODO(spec): the shell has no style sheets, and does not parse the values of properties.

const { DOMString, attributes, createLegacyPlatformObject, expose, globals, illegalConstructor } = internal.webidl;
const { slot: elementSlot } = internal.element;
const slot = agent.slot("CSSStyleDeclaration");

class CSSStyleDeclaration {
  constructor() { illegalConstructor(); }
  get cssText() { return serialize(declarationsOf(this)); }
  set cssText(value) { update(this, parse(DOMString(value))); }
  get length() { return declarationsOf(this).length; }
  get parentRule() { return null; }
  item(index) { return declarationsOf(this)[index >>> 0]?.name ?? ""; }
  getPropertyValue(property) { return find(this, DOMString(property))?.value ?? ""; }
  getPropertyPriority(property) { return find(this, DOMString(property))?.priority ?? ""; }
  setProperty(property, value, priority = "") { setProperty(this, DOMString(property), value, DOMString(priority)); }
  removeProperty(property) {
    const name = DOMString(property);
    const old = this.getPropertyValue(name);
    setProperty(this, name, "", "");
    return old;
  }
}
expose(CSSStyleDeclaration, slot);

// The properties that have an attribute.
const PROPERTIES = ("align-content align-items align-self animation animation-duration animation-name appearance " +
  "background background-color background-image background-position background-repeat background-size border " +
  "border-bottom border-collapse border-color border-left border-radius border-right border-style border-top " +
  "border-width bottom box-shadow box-sizing clear clip clip-path color content cursor direction display filter flex " +
  "flex-basis flex-direction flex-flow flex-grow flex-shrink flex-wrap font font-family font-size font-style " +
  "font-variant font-weight gap grid grid-area grid-column grid-row grid-template height justify-content left " +
  "letter-spacing line-height list-style list-style-type margin margin-bottom margin-left margin-right margin-top " +
  "max-height max-width min-height min-width object-fit opacity order outline outline-color outline-style " +
  "outline-width overflow overflow-x overflow-y padding padding-bottom padding-left padding-right padding-top " +
  "perspective pointer-events position resize right scroll-behavior table-layout text-align text-decoration " +
  "text-indent text-overflow text-shadow text-transform top touch-action transform transform-origin transition " +
  "transition-delay transition-duration transition-property transition-timing-function user-select vertical-align " +
  "visibility white-space width will-change word-break word-spacing word-wrap z-index zoom float").split(" ");

// https://drafts.csswg.org/cssom/#dom-cssstyledeclaration-camel_cased_attribute: the properties, by the names of their
// attributes. They are named properties and not attributes of the prototype, because those would take longer to set up than
// the rest of the window.
const camelCase = (property) => property.replace(/-([a-z])/g, (_, letter) => letter.toUpperCase());
const byAttribute = new Map([["cssFloat", "float"]]);
for (const property of PROPERTIES) byAttribute.set(property, property).set(camelCase(property), property);

const declarationsOf = (style) => parse(slot.get(style).element.getAttribute("style") ?? "");
const find = (style, property) => {
  const name = nameOf(property);
  return declarationsOf(style).find((it) => it.name === name);
};
const nameOf = (property) => (property.startsWith("--") ? property : property.toLowerCase());

// The declarations of a block: https://drafts.csswg.org/css-syntax/#parse-block-contents. A semicolon within quotes or
// parentheses belongs to a value.
function parse(text) {
  const pieces = text.replace(/\/\*[^]*?\*\//g, "").match(/(?:"[^"]*"?|'[^']*'?|\([^)]*\)?|[^;"'(])+/g) ?? [];
  const declarations = new Map();
  for (const piece of pieces) {
    const [, property, rest] = piece.match(/^\s*([-\w]+)\s*:([^]*)$/) ?? [];
    const [, value, important] = rest?.match(/^\s*([^]*?)\s*(!\s*important\s*)?$/i) ?? [];
    if (!value) continue;
    const name = nameOf(property);
    declarations.delete(name);
    declarations.set(name, { name, value, priority: important ? "important" : "" });
  }
  return [...declarations.values()];
}

// https://drafts.csswg.org/cssom/#serialize-a-css-declaration-block
const serialize = (declarations) =>
  declarations.map(({ name, value, priority }) => `${name}: ${value}${priority && " !important"};`).join(" ");

const update = (style, declarations) => slot.get(style).element.setAttribute("style", serialize(declarations));

// https://drafts.csswg.org/cssom/#dom-cssstyledeclaration-setproperty
function setProperty(style, property, given, priority) {
  const name = nameOf(property);
  const value = given === null ? "" : DOMString(given).trim();
  const declarations = declarationsOf(style);
  const old = declarations.findIndex((it) => it.name === name);
  if (value === "") {
    if (old >= 0) update(style, declarations.toSpliced(old, 1));
    return;
  }
  if ((!name.startsWith("--") && !PROPERTIES.includes(name)) || !["", "important"].includes(priority.toLowerCase())) return;
  const declaration = { name, value, priority: priority.toLowerCase() };
  update(style, old >= 0 ? declarations.with(old, declaration) : [...declarations, declaration]);
}

const create = (element) => {
  const style = createLegacyPlatformObject(CSSStyleDeclaration.prototype, {
    length: () => declarationsOf(style).length, item: (index) => declarationsOf(style)[index].name,
    names: () => [...byAttribute.keys()], named: (name) => find(style, byAttribute.get(name))?.value ?? "",
    setNamed(name, value) { setProperty(style, byAttribute.get(name), value, ""); },
  });
  return slot.set(style, { element });
};
const styles = agent.slot("CSSStyleDeclaration of an element");
const styleOf = (element) => styles.get(styles.has(element) ? element : styles.set(element, create(element)));

// https://drafts.csswg.org/cssom/#the-elementcssinlinestyle-mixin
attributes(HTMLElement.prototype, elementSlot, {
  get style() { return styleOf(this); },
  set style(value) { styleOf(this).cssText = value; },
});

globals({
  // https://drafts.csswg.org/cssom/#dom-window-getcomputedstyle
  // NB: an element has the values that its `style` attribute gives it, and no others.
  getComputedStyle(element) {
    if (!elementSlot.has(element)) throw new TypeError("parameter 1 is not of type 'Element'.");
    return create(element);
  },
});
