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
internal.handlers.attributes(window, [...internal.handlers.GLOBAL, ...internal.handlers.WINDOW]);

// [LegacyUnforgeable]
const related = (relation) => {
  const id = native.navigable(relation);
  return id === undefined ? null : agent.windowProxy(id);
};
for (const [name, get] of Object.entries({
  window: () => internal.windowProxy, document: () => internal.document, top: () => related("top"),
})) {
  Object.defineProperty(window, name, { get, enumerable: true, configurable: false });
}
Object.defineProperty(window, "location", {
  get: () => internal.location,
  set: agent.callerAware(function location(_value) {},
    (caller, _self, [value]) => internal.setLocation(caller, value)),
  enumerable: true, configurable: false,
});

globals({
  get navigator() { return internal.navigator; },
  get history() { return internal.history; },
  get isSecureContext() { return native.environment().isSecureContext; },
  get crossOriginIsolated() { return native.environment().crossOriginIsolated; },
  get closed() { return native.isClosing(); },
  get frameElement() { return frameElement(); },
  // https://html.spec.whatwg.org/multipage/nav-history-apis.html#dom-window-stop
  stop() {
    internal.stopFetches();
    native.stopLoading();
  },
  requestAnimationFrame(steps) {
    callback(steps);
    return internal.startTimer(() => steps(performance.now()), 16);
  },
  cancelAnimationFrame(handle) { clearTimeout(handle); },
});

// https://html.spec.whatwg.org/multipage/nav-history-apis.html#dom-opener
Object.defineProperty(window, "opener", {
  get: () => related("opener"),
  set(value) {
    if (value === null) {
      native.disownOpener();
      return;
    }
    Object.defineProperty(window, "opener",
      { value, writable: true, enumerable: true, configurable: true });
  },
  enumerable: true, configurable: true,
});

// Defines an operation that knows its caller, the global object of the incumbent settings object.
function operation(name, length, steps) {
  const target = Object.defineProperty({ [name]() {} }[name], "length", { value: length });
  const value = agent.callerAware(target, (caller, self, args) => {
    const target = agent.unwrap(self ?? window);
    const there = agent.realms.has(target) ? agent.realms.get(target).internal : internal;
    return steps(there, caller, args);
  });
  Object.defineProperty(window, name, { value, writable: true, enumerable: true, configurable: true });
}
operation("close", 0, (there) => there.crossOriginOperations.close());
operation("focus", 0, () => {});
operation("blur", 0, () => {});
operation("open", 0, (there, caller, args) => internalOf(caller).open(...args));
operation("postMessage", 1, (there, caller, args) => there.postMessage(caller, args));

// The `internal` object of the caller, or of this window if the caller is not a window.
const internalOf = (caller) => (agent.realms.has(caller) ? agent.realms.get(caller).internal : internal);

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
internal.hooks.nameElements = (names) => {
  for (const name of names) {
    if (name in window) continue;
    Object.defineProperty(named, name, {
      configurable: true,
      get: () => internal.childWindows().find((it) => it.name === name)?.proxy ??
        internal.document.getElementById(name) ?? undefined,
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
})) {
  replaceable(name, get);
}
Object.defineProperty(window, "name", {
  get: () => native.targetName() ?? "",
  set(value) { native.setTargetName(USVString(value)); },
  enumerable: true, configurable: true,
});

// The operations that scripts of other origins may call:
// https://html.spec.whatwg.org/multipage/nav-history-apis.html#cross-origin-objects
internal.crossOriginOperations = {
  close() { native.close(); },
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
