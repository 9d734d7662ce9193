// The interface HTMLFormElement, and form submission.
// https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#form-submission-2

const { DOMString, attributes, createLegacyPlatformObject, expose, fail, illegalConstructor, valueIterable } = internal.webidl;
const { slot: nodeSlot, idOf } = internal.node;
const { slot: collectionSlot, namesOf, createCollection } = internal.collections;
const { slot, setAttribute } = internal.element;
const { fire } = internal.eventTarget;
const { entriesOf, createEntry } = internal.formData;
const { toBase64 } = internal.bufferSource;
const { pack } = internal.body;
const { bytesOf } = internal.blob;
const { localName, attribute, ownerOf, controlsOf, isDisabled, typeOf, isSubmitButton, valueOf, isChecked,
  selectedOptions, optionValue, resetControl } = internal.formControls;
const formSlot = agent.slot("HTMLFormElement");
const METHODS = ["get", "post", "dialog"];
const URLENCODED = "application/x-www-form-urlencoded";
const ENCTYPES = [URLENCODED, "multipart/form-data", "text/plain"];
// The forms whose entry list is being constructed, and the forms that are firing `submit`.
const constructing = new Set();
const firing = new Set();

const oneOf = (value, values) => (values.includes(value?.toLowerCase()) ? value.toLowerCase() : values[0]);
attributes(HTMLFormElement.prototype, formSlot, {
  get action() { return native.resolveUrl(attribute(this, "action") || native.documentUrl()) ?? attribute(this, "action"); },
  set action(value) { setAttribute(this, "action", value); },
  get method() { return oneOf(attribute(this, "method"), METHODS); },
  set method(value) { setAttribute(this, "method", value); },
  get enctype() { return oneOf(attribute(this, "enctype"), ENCTYPES); },
  set enctype(value) { setAttribute(this, "enctype", value); },
  get elements() { return collectionOf(this); },
  get length() { return listedElements(this).length; },
  submit() { submit(this, this, true); },
  requestSubmit(submitter = null) {
    requireSubmitter(this, submitter);
    submit(this, submitter ?? this, false);
  },
  reset() { reset(this); },
});

// https://html.spec.whatwg.org/multipage/forms.html#dom-form-elements
const listedElements = (form) => controlsOf(form).filter((it) => localName(it) !== "input" || typeOf(it) !== "image");
// The listed elements of a form that another document may have adopted.
const elementsOf = (form) => agent.realmOf(form).formControls.listedElements(form);
internal.formControls.listedElements = listedElements;
const collections = agent.slot("HTMLFormControlsCollection of a form");
const collectionOf = (form) => {
  if (!collections.has(form)) {
    const elements = () => elementsOf(form);
    const create = () => createCollection(elements, HTMLFormControlsCollection.prototype, (name) => namedControl(elements(), name));
    collections.set(form, create());
  }
  return collections.get(form);
};

// https://html.spec.whatwg.org/multipage/common-dom-interfaces.html#the-htmlformcontrolscollection-interface
class HTMLFormControlsCollection extends HTMLCollection {
  namedItem(name) { return namedControl(collectionSlot.get(this).elements(), DOMString(name)); }
}
expose(HTMLFormControlsCollection, collectionSlot);

// https://html.spec.whatwg.org/multipage/common-dom-interfaces.html#radionodelist
const radioSlot = agent.slot("RadioNodeList");
class RadioNodeList {
  constructor() { illegalConstructor(); }
  get length() { return radioSlot.get(this).elements().length; }
  item(index) { return radioSlot.get(this).elements()[index >>> 0] ?? null; }
  get value() {
    const checked = radioSlot.get(this).elements().find((it) => isRadio(it) && isChecked(it));
    return checked === undefined ? "" : valueOf(checked);
  }
  set value(value) {
    const wanted = DOMString(value);
    const radio = radioSlot.get(this).elements().find((it) => isRadio(it) && valueOf(it) === wanted);
    if (radio !== undefined) radio.checked = true;
  }
}
expose(RadioNodeList, radioSlot);
valueIterable(RadioNodeList);
const isRadio = (element) => localName(element) === "input" && typeOf(element) === "radio";

// https://html.spec.whatwg.org/multipage/common-dom-interfaces.html#dom-htmlformcontrolscollection-nameditem
function namedControl(elements, name) {
  if (name === "") return null;
  const find = () => elements.filter((it) => attribute(it, "id") === name || attribute(it, "name") === name);
  if (find().length < 2) return find()[0] ?? null;
  const list = createLegacyPlatformObject(RadioNodeList.prototype,
    { length: () => find().length, item: (index) => find()[index] });
  return radioSlot.set(list, { elements: find });
}

// A form has its controls as properties: https://html.spec.whatwg.org/multipage/forms.html#dom-form-nameditem
internal.createForm = (prototype) => {
  const elements = () => (nodeSlot.has(form) ? elementsOf(form) : []);
  const form = createLegacyPlatformObject(prototype, {
    length: () => elements().length, item: (index) => elements()[index],
    names: () => namesOf(elements()), named: (name) => namedControl(elements(), name), overridesBuiltIns: true,
  });
  return form;
};

// https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#concept-form-reset
const resetting = new Set();
function reset(form) {
  if (resetting.has(form)) return;
  resetting.add(form);
  if (fire(form, "reset", { bubbles: true, cancelable: true })) controlsOf(form).forEach(resetControl);
  resetting.delete(form);
}

// The check of a submitter in FormData's constructor and in requestSubmit().
function requireSubmitter(form, submitter) {
  if (submitter === null) return;
  const isButton = slot.has(submitter) && agent.realmOf(submitter).formControls.isSubmitButton(submitter);
  if (!isButton) throw new TypeError("The submitter is no submit button.");
  const isOfDocument = agent.realmOf(submitter) === internal;
  if (!isOfDocument || ownerOf(submitter) !== form) fail("NotFoundError", "The submitter is of another form.");
}

// https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#constructing-the-form-data-set
function constructEntryList(form, submitter, encoding = "UTF-8") {
  if (constructing.has(form)) return null;
  constructing.add(form);
  const list = [];
  const add = (name, value) => list.push(createEntry("append", 2, name, value));
  for (const field of controlsOf(form)) {
    const type = typeOf(field);
    const isButton = ["submit", "image", "reset", "button"].includes(type);
    const isUnchecked = ["checkbox", "radio"].includes(type) && !isChecked(field);
    const name = attribute(field, "name") ?? "";
    if (isDisabled(field) || (isButton && field !== submitter) || isUnchecked) continue;
    if (type === "image") {
      const prefix = name === "" ? "" : `${name}.`;
      add(`${prefix}x`, "0");
      add(`${prefix}y`, "0");
      continue;
    }
    if (name === "") continue;
    if (type.startsWith("select-")) {
      const options = selectedOptions(field).filter((it) => attribute(it, "disabled") === undefined);
      options.forEach((option) => add(name, optionValue(option)));
    } else if (type === "file") {
      add(name, new File([], "", { __proto__: null, type: "application/octet-stream" }));
    } else if (type === "hidden" && name.toLowerCase() === "_charset_") {
      add(name, encoding);
    } else {
      add(name, valueOf(field));
    }
  }
  const formData = new FormData();
  entriesOf(formData).push(...list);
  fire(form, "formdata", { Interface: internal.interfaces.FormDataEvent, bubbles: true, formData });
  constructing.delete(form);
  return [...entriesOf(formData)];
}

// https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#form-submission-algorithm
// TODO(spec): a form's constraints are not validated.
function submit(form, submitter, isByMethod) {
  // Steps 1 to 3.
  if (!native.isConnected(idOf(form)) || constructing.has(form) || native.environment().forbidsForms) return;
  const button = submitter === form ? null : submitter;
  // Step 6.
  if (!isByMethod) {
    if (firing.has(form)) return;
    firing.add(form);
    const goesOn = fire(form, "submit",
      { Interface: internal.interfaces.SubmitEvent, bubbles: true, cancelable: true, submitter: button });
    firing.delete(form);
    if (!goesOn || !native.isConnected(idOf(form))) return;
  }
  // Steps 8 to 10.
  const encoding = pickEncoding(form);
  const entries = constructEntryList(form, button, encoding);
  if (entries === null) return;
  // Steps 11 to 20. The attributes of a submitter override those of the form.
  const of = (name) => (button && attribute(button, `form${name}`)) ?? attribute(form, name);
  const method = oneOf(of("method"), METHODS);
  const url = native.resolveUrl(of("action") || native.documentUrl());
  if (method === "dialog" || url === undefined) return;
  const target = of("target") ?? internal.baseTarget();
  const { noopener, noreferrer } = internal.relOf(form, target);
  const go = (to, post) => native.open(to, target, noopener, noreferrer ? "no-referrer" : "", post);
  // Steps 21 and 22.
  const isNetwork = /^https?:/.test(url);
  if (method === "get" && (isNetwork || url.startsWith("data:"))) {
    go(native.setUrlComponent(url, "search", `?${native.serializeUrlencoded(pairs(entries), encoding)}`));
  } else if (method === "post" && isNetwork) {
    go(url, entityBody(entries, oneOf(of("enctype"), ENCTYPES), encoding));
  } else {
    go(url);
  }
}

// https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#convert-to-a-list-of-name-value-pairs
const toCrLf = (text) => text.replace(/\r\n|\r|\n/g, "\r\n");
const pairs = (entries) => entries.map(([name, value]) =>
  [toCrLf(name), toCrLf(typeof value === "string" ? value : value.name)]);

// https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#submit-body. Returns the type and the bytes.
function entityBody(entries, enctype, encoding) {
  if (enctype === "multipart/form-data" && encoding !== "UTF-8") return multipartBody(entries, encoding);
  if (enctype === "multipart/form-data") {
    const { bytes, type } = native.encodeFormData(pack({ kind: "formData", entries }));
    return [type, toBase64(new Uint8Array(bytes))];
  }
  const text = enctype === URLENCODED ? native.serializeUrlencoded(pairs(entries), encoding)
    : pairs(entries).map(([name, value]) => `${name}=${value}\r\n`).join("");
  return [enctype, toBase64(new Uint8Array(native.encode(text, encoding)))];
}

// https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data, for an encoding that the
// library's encoder, which is for `fetch()`, does not have.
function multipartBody(entries, encoding) {
  const boundary = `----formboundary${new Uint8Array(native.randomBytes(12)).toHex()}`;
  const escape = (text) => text.replaceAll("\n", "%0A").replaceAll("\r", "%0D").replaceAll('"', "%22");
  const parts = entries.flatMap(([name, value]) => {
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="${escape(toCrLf(name))}"`;
    const bytes = (text) => new Uint8Array(native.encode(text, encoding));
    if (typeof value === "string") return [bytes(`${head}\r\n\r\n${toCrLf(value)}\r\n`)];
    const type = value.type || "application/octet-stream";
    const ofFile = `; filename="${escape(value.name)}"\r\nContent-Type: ${type}\r\n\r\n`;
    return [bytes(`${head}${ofFile}`), bytesOf(value), bytes("\r\n")];
  });
  parts.push(new Uint8Array(native.encodeUtf8(`--${boundary}--\r\n`)));
  return [`multipart/form-data; boundary=${boundary}`, toBase64(bytesOf(new Blob(parts)))];
}

// https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#picking-an-encoding-for-the-form
function pickEncoding(form) {
  const labels = (attribute(form, "accept-charset") ?? "").split(/[\t\n\f\r ]+/);
  return labels.map(native.outputEncoding).find((it) => it !== undefined)
    ?? native.outputEncoding(native.encoding());
}

// The activation behavior of a button. Returns false if the element is not a button.
internal.activateButton = (element) => {
  if (!["button", "input"].includes(localName(element))) return false;
  const form = ownerOf(element);
  if (isDisabled(element) || form === null) return true;
  if (isSubmitButton(element)) submit(form, element, false);
  else if (typeOf(element) === "reset") reset(form);
  return true;
};
// https://xhr.spec.whatwg.org/#dom-formdata. The form may be of another document.
internal.formData.ofForm = (form, submitter) => {
  if (!formSlot.has(form)) {
    throw new TypeError("Failed to construct 'FormData': parameter 1 is not of type 'HTMLFormElement'.");
  }
  return agent.realmOf(form).formData.entriesOfForm(form, submitter);
};
internal.formData.entriesOfForm = (form, submitter) => {
  requireSubmitter(form, submitter);
  const entries = constructEntryList(form, submitter);
  if (entries === null) fail("InvalidStateError", "The form's entry list is being constructed.");
  return entries;
};
