// The interface Window.
// https://html.spec.whatwg.org/multipage/nav-history-apis.html#the-window-object

const { DOMString, USVString, callback, expose, fail, globals, illegalConstructor, replaceable } = internal.webidl;
const { slot: targetSlot, createState } = internal.eventTarget;
const slot = agent.slot("Window");
const window = internal.global;

class Window extends EventTarget {
  constructor() { illegalConstructor(); }
}
expose(Window, slot);
Object.setPrototypeOf(window, Window.prototype);
// The engine's own tag, which is "global".
delete window[Symbol.toStringTag];
slot.set(window, {});
targetSlot.set(window, createState());
internal.handlers.attributes(window, slot, [...internal.handlers.GLOBAL, ...internal.handlers.WINDOW]);

const related = (relation) => {
  const id = native.navigable(relation);
  return id === undefined ? null : agent.windowProxy(id);
};
globals({
  get window() { return internal.windowProxy; },
  get document() { return internal.document; },
  get top() { return related("top"); },
  get location() { return internal.location; },
  set location({ caller, value }) { internal.setLocation(caller, value); },
}, { isCallerAware: true, isUnforgeable: true });

globals({
  get navigator() { return internal.navigator; },
  get history() { return internal.history; },
  get isSecureContext() { return native.environment().isSecureContext; },
  get crossOriginIsolated() { return native.environment().crossOriginIsolated; },
  get closed() { return native.isClosing(); },
  get frameElement() { return frameElement(); },
  get name() { return native.targetName() ?? ""; },
  set name(value) { native.setTargetName(USVString(value)); },
  // https://html.spec.whatwg.org/multipage/nav-history-apis.html#dom-opener
  get opener() { return related("opener"); },
  set opener(value) {
    if (value === null) native.disownOpener();
    else Object.defineProperty(this, "opener", { value, writable: true, enumerable: true, configurable: true });
  },
  // https://html.spec.whatwg.org/multipage/nav-history-apis.html#dom-window-stop
  stop() {
    internal.stopFetches();
    native.stopLoading();
  },
  requestAnimationFrame(steps) {
    callback(steps);
    return internal.startFrame(() => steps(performance.now()));
  },
  cancelAnimationFrame(handle) { clearTimeout(handle); },
});
globals({
  close(caller) { caller.closeWindow(native.navigable("self")); },
  focus(_caller) {},
  blur(_caller) {},
  // The source of the navigation is the document of the caller.
  open(caller, ...args) { return caller.open(...args); },
  postMessage(caller, message, ...rest) { internal.postMessage(caller, [message, ...rest]); },
}, { isCallerAware: true });

// Closes the window of a navigable on behalf of this one, if that is allowed.
internal.closeWindow = (target) => { if (target !== undefined) native.close(target); };

// https://html.spec.whatwg.org/multipage/nav-history-apis.html#window-open-steps
internal.open = (url = "", target = "_blank", features = "") => {
  const wanted = tokenize(DOMString(features));
  const isSet = (name) => wanted.has(name) && !["0", "no", "false"].includes(wanted.get(name));
  const text = USVString(url);
  const parsed = text === "" ? undefined : native.resolveUrl(text);
  if (text !== "" && parsed === undefined) fail("SyntaxError", `'${text}' is not a valid URL.`);
  const noreferrer = isSet("noreferrer");
  const noopener = noreferrer || isSet("noopener");
  // NB: in the standard an empty name means `_self`. In all browsers it means `_blank` here.
  const opened = native.open(parsed, DOMString(target) || "_blank", noopener, noreferrer ? "no-referrer" : "");
  return opened === undefined || noopener ? null : agent.windowProxy(opened);
};

// https://html.spec.whatwg.org/multipage/nav-history-apis.html#concept-window-open-features-tokenize
function tokenize(features) {
  const pairs = features.toLowerCase().split(/[\s,]+/).filter((pair) => pair !== "");
  return new Map(pairs.map((pair) => {
    const [name, value = ""] = pair.split("=");
    return [name, value];
  }));
}

// https://html.spec.whatwg.org/multipage/nav-history-apis.html#dom-frameelement
function frameElement() {
  const node = native.frameElement();
  if (node === undefined) return null;
  const container = agent.activeWindow(native.navigable("parent"));
  if (!agent.isSameOrigin(window, container)) return null;
  return agent.realms.get(container).internal.node.wrap(node);
}

internal.top = () => native.navigable("top");
internal.sharesTab = (other) => internal.top() === other.top();

// The named properties object, a prototype of the window's.
// https://html.spec.whatwg.org/multipage/nav-history-apis.html#named-access-on-the-window-object
// NB: this is an object that gets a property for each new element, not a Proxy. With a Proxy among the prototypes of the
// global object, the engine would find every undeclared variable there. The property of a removed element stays, and its
// value is undefined.
const named = Object.create(EventTarget.prototype);
internal.webidl.tag(named, "WindowProperties");
Object.setPrototypeOf(Window.prototype, named);
const elementByName = (name) => internal.document.querySelectorAll("embed, form, img, object")
  .find((it) => internal.element.attribute(it, "name") === name);
internal.hooks.nameElements = (names) => {
  for (const name of names) {
    if (name in window) continue;
    Object.defineProperty(named, name, {
      configurable: true,
      get: () => internal.childWindows().find((it) => it.name === name)?.proxy ??
        internal.document.getElementById(name) ?? elementByName(name),
      set(value) {
        Object.defineProperty(window, name, { value, writable: true, enumerable: true, configurable: true });
      },
    });
  }
};

// The document-tree child navigables.
internal.childWindows = () =>
  native.childNavigables().map(([id, name]) => ({ name, proxy: agent.windowProxy(id) }));

for (const [name, get] of Object.entries({
  self: () => internal.windowProxy, frames: () => internal.windowProxy,
  parent: () => related("parent"), length: () => native.childNavigables().length,
  origin: () => native.environment().origin,
  // https://dom.spec.whatwg.org/#dom-window-event
  event: () => internal.currentEvent,
})) {
  replaceable(name, get);
}
// The operations that scripts of other origins may call:
// https://html.spec.whatwg.org/multipage/nav-history-apis.html#cross-origin-objects
internal.crossOriginOperations = {
  close(caller) { caller.closeWindow(native.navigable("self")); },
  focus() {},
  blur() {},
  postMessage(caller, args) { internal.postMessage(caller, args); },
};
internal.crossOriginFunction = (name, length, steps) => {
  const method = { [name](...args) { return steps(args); } }[name];
  return Object.defineProperty(method, "length", { value: length, configurable: true });
};

const realm = { internal, originKey: "", proxy: undefined };
agent.realms.set(window, realm);

// The window gets a document. `id` is the number of the navigable that shows it.
internal.hooks.activate = (id) => { realm.proxy = internal.windowProxy = agent.activate(id, window); };
internal.hooks.initialize = (id) => {
  const { crossOriginIsolated, originKey } = native.environment();
  realm.originKey = originKey;
  internal.hooks.activate(id);
  Object.defineProperty(window, "globalThis",
    { value: realm.proxy, writable: true, enumerable: false, configurable: true });
  internal.createDocument();
  // https://html.spec.whatwg.org/multipage/document-sequences.html#cross-origin-isolation
  if (!crossOriginIsolated) delete window.SharedArrayBuffer;
};
