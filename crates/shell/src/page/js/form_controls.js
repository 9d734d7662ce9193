// The form controls: the parts of them that decide what a form submits.
// https://html.spec.whatwg.org/multipage/forms.html

const { DOMString, attributes, expose } = internal.webidl;
const { wrap, idOf } = internal.node;
const { slot, setAttribute } = internal.element;
const stateSlot = agent.slot("FormControl");
const CONTROLS = "button, input, select, textarea";

// The values that a script has set: the dirty value, the checkedness and the selectedness.
function stateOf(element) {
  return stateSlot.has(element) ? stateSlot.get(element) : stateSlot.get(stateSlot.set(element, {}));
}
const localName = (element) => native.localName(idOf(element));
const attribute = (element, name) => native.attribute(idOf(element), name);
const descendants = (root, selectors) => (native.query(idOf(root), selectors) ?? []).map(wrap);
const ancestor = (element, name) => {
  let found = native.parent(idOf(element));
  while (found !== undefined && native.localName(found) !== name) found = native.parent(found);
  return wrap(found);
};

// https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#form-owner
function ownerOf(element) {
  const id = attribute(element, "form");
  if (id === undefined || !native.isConnected(idOf(element))) return ancestor(element, "form");
  const owner = wrap(native.elementById(id));
  return owner !== null && localName(owner) === "form" ? owner : null;
}

// The controls whose form owner is `form`, in tree order.
// NB: a control can hide every property of its form, so the prelude uses none.
const controlsOf = (form) => descendants(rootOf(form), CONTROLS).filter((element) => ownerOf(element) === form);
function rootOf(node) {
  let root = idOf(node);
  for (let parent = root; parent !== undefined; parent = native.parent(root)) root = parent;
  return wrap(root);
}

// https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#concept-fe-disabled
function isDisabled(element) {
  if (attribute(element, "disabled") !== undefined) return true;
  for (let set = ancestor(element, "fieldset"); set !== null; set = ancestor(set, "fieldset")) {
    const legend = native.children(idOf(set)).find((id) => native.localName(id) === "legend");
    const isExempt = legend !== undefined && wrap(legend).contains(element);
    if (attribute(set, "disabled") !== undefined && !isExempt) return true;
  }
  return false;
}

const INPUT_TYPES = ("hidden text search tel url email password date month week time datetime-local number range " +
  "color checkbox radio file submit image reset button").split(" ");
const BUTTON_TYPES = ["submit", "reset", "button"];
function typeOf(element) {
  const given = (attribute(element, "type") ?? "").toLowerCase();
  switch (localName(element)) {
    case "input": return INPUT_TYPES.includes(given) ? given : "text";
    case "button": return BUTTON_TYPES.includes(given) ? given : "submit";
    case "select": return attribute(element, "multiple") === undefined ? "select-one" : "select-multiple";
    default: return "textarea";
  }
}

// https://html.spec.whatwg.org/multipage/forms.html#concept-submit-button
const isSubmitButton = (element) => ["button", "input"].includes(localName(element)) &&
  ["submit", "image"].includes(typeOf(element));

const hasDefaultValue = (type) =>
  ["hidden", "checkbox", "radio", "submit", "image", "reset", "button"].includes(type);
// https://html.spec.whatwg.org/multipage/input.html#dom-input-value
function valueOf(element) {
  if (localName(element) === "textarea") {
    const value = stateOf(element).value ?? native.textContent(idOf(element));
    return value.replace(/\r\n?/g, "\n");
  }
  const given = attribute(element, "value");
  if (localName(element) === "button") return given ?? "";
  const type = typeOf(element);
  if (type === "file") return "";
  if (type === "checkbox" || type === "radio") return given ?? "on";
  if (hasDefaultValue(type)) return given ?? "";
  return (stateOf(element).value ?? given ?? "").replace(/[\r\n]/g, "");
}

const isChecked = (input) => stateOf(input).checked ?? attribute(input, "checked") !== undefined;
function check(input, value) {
  stateOf(input).checked = value;
  if (!value || typeOf(input) !== "radio" || !attribute(input, "name")) return;
  // https://html.spec.whatwg.org/multipage/input.html#radio-button-group
  const owner = ownerOf(input);
  for (const other of descendants(rootOf(input), "input")) {
    const isOfGroup = other !== input && typeOf(other) === "radio" && ownerOf(other) === owner &&
      attribute(other, "name") === attribute(input, "name");
    if (isOfGroup) stateOf(other).checked = false;
  }
}

const textOf = (option) => native.textContent(idOf(option)).replace(/[\t\n\f\r ]+/g, " ").trim();
const optionValue = (option) => attribute(option, "value") ?? textOf(option);
const optionsOf = (select) => descendants(select, "option");
// https://html.spec.whatwg.org/multipage/form-elements.html#selectedness-setting-algorithm
function selectedOptions(select) {
  const options = optionsOf(select);
  const selected = options.filter((it) => stateOf(it).selected ?? attribute(it, "selected") !== undefined);
  if (typeOf(select) === "select-multiple") return selected;
  const first = options.find((it) => attribute(it, "disabled") === undefined);
  const isUnset = options.some((it) => stateOf(it).selected === false);
  return selected.length > 0 ? selected.slice(-1) : first && !isUnset ? [first] : [];
}
function selectOnly(select, wanted) {
  for (const option of optionsOf(select)) stateOf(option).selected = option === wanted;
}

const form = { get form() { return ownerOf(this); } };
const members = (Interface, own) => attributes(Interface.prototype, agent.slot(Interface.name),
  Object.defineProperties({}, { ...Object.getOwnPropertyDescriptors(form), ...Object.getOwnPropertyDescriptors(own) }));

members(HTMLInputElement, {
  get type() { return typeOf(this); },
  set type(value) { setAttribute(this, "type", value); },
  get defaultValue() { return attribute(this, "value") ?? ""; },
  set defaultValue(value) { setAttribute(this, "value", value); },
  get value() { return valueOf(this); },
  set value(value) {
    const string = value === null ? "" : DOMString(value);
    if (hasDefaultValue(typeOf(this))) setAttribute(this, "value", string);
    else stateOf(this).value = string;
  },
  get checked() { return isChecked(this); },
  set checked(value) { check(this, !!value); },
});
members(HTMLButtonElement, {
  get type() { return typeOf(this); },
  set type(value) { setAttribute(this, "type", value); },
});
members(HTMLTextAreaElement, {
  get type() { return "textarea"; },
  get value() { return valueOf(this); },
  set value(value) { stateOf(this).value = value === null ? "" : DOMString(value); },
});
members(HTMLSelectElement, {
  get type() { return typeOf(this); },
  get options() { return optionsCollection(this); },
  get length() { return optionsOf(this).length; },
  item(index) { return optionsOf(this)[index >>> 0] ?? null; },
  add(option, before = null) { add(this, option, before); },
  get selectedOptions() { return selectedOptions(this); },
  get selectedIndex() { return optionsOf(this).indexOf(selectedOptions(this)[0]); },
  set selectedIndex(index) { selectOnly(this, optionsOf(this)[index]); },
  get value() {
    const [option] = selectedOptions(this);
    return option === undefined ? "" : optionValue(option);
  },
  set value(value) {
    const wanted = DOMString(value);
    selectOnly(this, optionsOf(this).find((option) => optionValue(option) === wanted));
  },
});
attributes(HTMLOptionElement.prototype, agent.slot("HTMLOptionElement"), {
  get text() { return textOf(this); },
  get value() { return optionValue(this); },
  set value(value) { setAttribute(this, "value", value); },
  get selected() {
    const select = ancestor(this, "select");
    return select === null ? stateOf(this).selected ?? attribute(this, "selected") !== undefined
      : selectedOptions(select).includes(this);
  },
  set selected(value) {
    const select = ancestor(this, "select");
    if (value && select !== null && typeOf(select) === "select-one") selectOnly(select, this);
    else stateOf(this).selected = !!value;
  },
});

// https://html.spec.whatwg.org/multipage/common-dom-interfaces.html#the-htmloptionscollection-interface
const { slot: collectionSlot, createCollection } = internal.collections;
class HTMLOptionsCollection extends HTMLCollection {
  get selectedIndex() { return selectOf(this).selectedIndex; }
  set selectedIndex(index) { selectOf(this).selectedIndex = index; }
  add(option, before = null) { add(selectOf(this), option, before); }
  remove(index) { optionsOf(selectOf(this))[index >>> 0]?.remove(); }
}
expose(HTMLOptionsCollection, collectionSlot);
const optionSlot = agent.slot("HTMLOptionsCollection");
const selectOf = (collection) => optionSlot.get(collection).select;
const optionsCollections = agent.slot("HTMLOptionsCollection of a select");
function optionsCollection(select) {
  if (!optionsCollections.has(select)) {
    const collection = createCollection(() => agent.realmOf(select).formControls.optionsOf(select), HTMLOptionsCollection.prototype);
    optionsCollections.set(select, optionSlot.set(collection, { select }));
  }
  return optionsCollections.get(select);
}

// https://html.spec.whatwg.org/multipage/common-dom-interfaces.html#dom-htmloptionscollection-add
function add(select, option, before) {
  const reference = typeof before === "number" ? optionsOf(select)[before] ?? null : before;
  (reference?.parentNode ?? select).insertBefore(option, reference);
}

// https://html.spec.whatwg.org/multipage/form-elements.html#dom-option
function Option(text = "", value = undefined, defaultSelected = false, selected = false) {
  if (new.target === undefined) throw new TypeError("Please use the 'new' operator.");
  const option = wrap(native.createElement("option"));
  const string = DOMString(text);
  if (string !== "") option.append(string);
  if (value !== undefined) setAttribute(option, "value", value);
  if (defaultSelected) setAttribute(option, "selected", "");
  stateOf(option).selected = !!selected;
  return option;
}
Object.defineProperty(Option, "prototype", { value: HTMLOptionElement.prototype, writable: false });
Object.defineProperty(internal.global, "Option", { value: Option, writable: true, configurable: true, enumerable: false });

// https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#concept-form-reset-control: the control has the
// state that its attributes and its content give it.
function resetControl(control) {
  const elements = localName(control) === "select" ? optionsOf(control) : [control];
  for (const element of elements) {
    if (stateSlot.has(element)) for (const key of Object.keys(stateSlot.get(element))) delete stateSlot.get(element)[key];
  }
}

// https://html.spec.whatwg.org/multipage/input.html#the-input-element:concept-node-clone-ext, for all controls
internal.cloningSteps = (copy, node) => {
  if (stateSlot.has(node)) Object.assign(stateOf(copy), stateSlot.get(node));
};

internal.isDisabledControl = (element) =>
  ["button", "input", "select", "textarea"].includes(localName(element)) && isDisabled(element);
internal.formControls = { localName, attribute, ownerOf, controlsOf, isDisabled, typeOf, isSubmitButton, valueOf,
  isChecked, selectedOptions, optionValue, optionsOf, resetControl };
