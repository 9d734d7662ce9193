// WindowProxy, and the access of other origins to a window and its location.
// https://html.spec.whatwg.org/multipage/nav-history-apis.html#the-windowproxy-exotic-object
// https://html.spec.whatwg.org/multipage/nav-history-apis.html#cross-origin-objects
//
// This file runs in a realm of its own. `agent.realms` is the slot of a window: `{ internal, originKey, proxy }`.

const { getOwnPropertyDescriptor } = Object;
const realms = agent.slot("Realm");
const handlers = agent.slot("WindowProxy");
// The handler of each navigable's WindowProxy, by the navigable's number.
const navigables = new Map();

// https://html.spec.whatwg.org/multipage/nav-history-apis.html#isplatformobjectsameorigin-(-o-)
// A caller without a window is the prelude, which has access to everything.
function isSameOrigin(one, other) {
  if (one === other || !realms.has(one)) return true;
  return realms.get(one).originKey === realms.get(other).originKey;
}

const isIndex = (key) => typeof key === "string" && /^(0|[1-9]\d{0,9})$/.test(key);
const internalOf = (window) => realms.get(window).internal;
const children = (window) => internalOf(window).childWindows();
const setLocation = (caller, window, value, replace = false) =>
  internalOf(window).setLocation(internalOf(realms.has(caller) ? caller : window), value, replace);

// Throws an exception of the caller's realm.
function securityError(caller, key) {
  const { webidl } = internalOf(caller);
  webidl.fail("SecurityError", `Access to '${String(key)}' of a cross-origin object is denied.`);
}

// A function of the caller's realm. It is the same function each time.
const functions = new WeakMap();
function functionFor(caller, object, key, length, steps) {
  if (!functions.has(caller)) functions.set(caller, new WeakMap());
  const ofCaller = functions.get(caller);
  if (!ofCaller.has(object)) ofCaller.set(object, new Map());
  const ofObject = ofCaller.get(object);
  if (!ofObject.has(key)) ofObject.set(key, internalOf(caller).crossOriginFunction(key, length, steps));
  return ofObject.get(key);
}

// https://html.spec.whatwg.org/multipage/nav-history-apis.html#cross-origin-property-fallback
const FALLBACK = ["then", Symbol.toStringTag, Symbol.hasInstance, Symbol.isConcatSpreadable];

// The essential internal methods of an object of which other origins see a part. The `this` of each is the handler.
// `original` returns the object itself, and `members` returns an object with the members that other origins see.
const steps = {
  get(caller, _target, key) {
    if (this.allows(caller)) return this.ownGet(key);
    const { get, value, set } = this.crossOriginDescriptor(caller, key);
    if (set && !get) securityError(caller, key);
    return get ? get() : value;
  },

  set(caller, _target, key, value) {
    if (this.allows(caller)) return this.ownSet(caller, key, value);
    const { set } = this.crossOriginDescriptor(caller, key);
    if (!set) securityError(caller, key);
    set(value);
    return true;
  },

  has(caller, _target, key) {
    if (this.allows(caller)) return this.indexed(key) !== undefined || Reflect.has(this.original(), key);
    return this.crossOriginDescriptor(caller, key) !== undefined;
  },

  deleteProperty(caller, _target, key) {
    if (!this.allows(caller)) securityError(caller, key);
    return this.indexed(key) === undefined && Reflect.deleteProperty(this.original(), key);
  },

  defineProperty(caller, _target, key, descriptor) {
    if (!this.allows(caller)) securityError(caller, key);
    return !isIndex(key) && Reflect.defineProperty(this.original(), key, descriptor);
  },

  // The engine does not let a Proxy show a property that cannot be configured, if the target does not have it.
  // window_reflection.js shows the property as it is.
  getOwnPropertyDescriptor(caller, _target, key) {
    const descriptor = this.ownDescriptor(caller, key);
    return descriptor && { ...descriptor, configurable: true };
  },

  ownKeys(caller) {
    if (this.allows(caller)) return [...this.indices(), ...Reflect.ownKeys(this.original())];
    return [...this.indices(), ...Object.keys(this.members(caller)), ...FALLBACK];
  },

  getPrototypeOf(caller) {
    return this.allows(caller) ? Reflect.getPrototypeOf(this.original()) : null;
  },

  setPrototypeOf(caller, _target, prototype) { return prototype === steps.getPrototypeOf.call(this, caller); },
  isExtensible() { return true; },
  preventExtensions() { return false; },
};

// https://html.spec.whatwg.org/multipage/nav-history-apis.html#windowproxy-getownproperty
function ownDescriptor(caller, key) {
  if (!this.allows(caller)) return { ...this.crossOriginDescriptor(caller, key), configurable: true };
  const value = this.indexed(key);
  if (value !== undefined) return { value, writable: false, enumerable: true, configurable: true };
  return getOwnPropertyDescriptor(this.original(), key);
}

// https://html.spec.whatwg.org/multipage/nav-history-apis.html#crossorigingetownpropertyhelper-(-o,-p-)
function crossOriginDescriptor(caller, key) {
  const child = this.indexed(key) ?? this.named(key);
  if (child !== undefined) return { value: child, enumerable: true };
  const descriptor = getOwnPropertyDescriptor(this.members(caller), key);
  if (descriptor) return { ...descriptor, enumerable: false };
  if (!FALLBACK.includes(key)) securityError(caller, key);
  return { value: undefined, writable: false, enumerable: false };
}

// The prototype of the handlers: the native traps, and the steps that they call. Each kind of object adds its own functions.
const { apply, ...traps } = native.traps;
const handler = { __proto__: null, ...traps, steps, ownDescriptor, crossOriginDescriptor };

const windowHandler = {
  __proto__: handler,
  allows(caller) { return isSameOrigin(caller, this.window); },
  original() { return this.window; },
  indices() { return children(this.window).map((_, index) => `${index}`); },
  indexed(key) { return isIndex(key) ? children(this.window)[key]?.proxy : undefined; },
  named(key) { return children(this.window).find((it) => it.name === key && key !== "")?.proxy; },
  ownGet(key) { return this.indexed(key) ?? Reflect.get(this.window, key); },
  ownSet(caller, key, value) {
    if (isIndex(key)) return false;
    if (key === "location") setLocation(caller, this.window, value);
    else return Reflect.set(this.window, key, value);
    return true;
  },

  // https://html.spec.whatwg.org/multipage/nav-history-apis.html#crossoriginproperties-(-o-)
  members(caller) {
    const { window } = this;
    const operation = (name, length) => functionFor(caller, window, name, length,
      (args) => internalOf(window).crossOriginOperations[name](internalOf(caller), args));
    const get = (name) => window[name];
    return {
      get window() { return get("window"); },
      get self() { return get("self"); },
      get location() { return get("location"); },
      set location(value) { setLocation(caller, window, value); },
      get close() { return operation("close", 0); },
      get closed() { return get("closed"); },
      get focus() { return operation("focus", 0); },
      get blur() { return operation("blur", 0); },
      get frames() { return get("frames"); },
      get length() { return get("length"); },
      get top() { return get("top"); },
      get opener() { return get("opener"); },
      get parent() { return get("parent"); },
      get postMessage() { return operation("postMessage", 1); },
    };
  },
};

const locationHandler = {
  __proto__: handler,
  allows(caller) { return isSameOrigin(caller, this.window); },
  original() { return this.location; },
  indices: () => [],
  indexed: () => undefined,
  named: () => undefined,
  ownGet(key) { return Reflect.get(this.location, key, this.proxy); },
  ownSet(caller, key, value) {
    if (key === "href") setLocation(caller, this.window, value);
    else return Reflect.set(this.location, key, value);
    return true;
  },
  members(caller) {
    const { window, location } = this;
    return {
      set href(value) { setLocation(caller, window, value); },
      get replace() {
        return functionFor(caller, location, "replace", 1,
          ([url]) => setLocation(caller, window, url, true));
      },
    };
  },
};

function guard(prototype, fields) {
  const made = Object.assign(Object.create(prototype), fields);
  made.proxy = new Proxy({}, made);
  return made;
}

// Makes `window` the active window of a navigable. Returns the navigable's WindowProxy.
agent.activate = (id, window) => {
  let proxyHandler = navigables.get(id);
  if (proxyHandler === undefined) {
    proxyHandler = guard(windowHandler, { window });
    handlers.set(proxyHandler.proxy, proxyHandler);
    navigables.set(id, proxyHandler);
  }
  proxyHandler.window = window;
  return proxyHandler.proxy;
};
agent.forgetNavigable = (id) => { navigables.delete(id); };
agent.windowProxy = (id) => navigables.get(id)?.proxy ?? null;
agent.activeWindow = (id) => navigables.get(id)?.window ?? null;

agent.locationProxy = (window, location) => guard(locationHandler, { window, location }).proxy;

// `unwrap` turns a WindowProxy into its window, and `expose` turns a window into its WindowProxy. Both return everything
// else unchanged.
agent.unwrap = (object) => (handlers.has(object) ? handlers.get(object).window : object);
agent.expose = (object) => (realms.has(object) ? realms.get(object).proxy ?? object : object);

// The essential internal methods that the engine's Proxy cannot do as the standard says: see window_reflection.js.
agent.ofWindowProxy = {
  is: (object) => handlers.has(object),
  defineProperty(caller, proxy, key, attributes) {
    return steps.defineProperty.call(handlers.get(proxy), caller, undefined, key, attributes);
  },
  getOwnPropertyDescriptor: (caller, proxy, key) => handlers.get(proxy).ownDescriptor(caller, key),
};

agent.realms = realms;
agent.isSameOrigin = isSameOrigin;

// The members of a window and of a location that a function of another origin may run on them.
const CROSS_ORIGIN_MEMBERS = [
  "Window.get window", "Window.get self", "Window.get location", "Window.set location", "Window.close",
  "Window.get closed", "Window.focus", "Window.blur", "Window.get frames", "Window.get length", "Window.get top",
  "Window.get opener", "Window.get parent", "Window.postMessage", "Location.set href", "Location.replace",
];
const locations = agent.slot("Location");

// https://html.spec.whatwg.org/multipage/nav-history-apis.html#integration-with-idl. Whether a function of the realm of
// `caller` may run the member with this key on `object`.
agent.allows = (caller, object, key) => CROSS_ORIGIN_MEMBERS.includes(key) ||
  !(realms.has(object) || locations.has(object)) || isSameOrigin(caller, agent.realmOf(object).global);

// A function like `target` that calls `run` with the caller's global object, `this` and the arguments:
// https://html.spec.whatwg.org/multipage/webappapis.html#concept-incumbent-everything
agent.callerAware = (target, run) => new Proxy(target, {
  __proto__: null,
  apply,
  steps: { apply: (caller, _target, self, args) => run(caller, self, args) },
});

// Fires `storage` in the other documents of the origin; for session storage only in those of the same tab.
agent.broadcastStorage = (source, name, change) => {
  const event = { ...change, url: source.document.URL };
  for (const { window } of navigables.values()) {
    const { internal } = realms.get(window);
    if (internal === source || !isSameOrigin(source.global, window)) continue;
    if (name === "localStorage" || internal.sharesTab(source)) internal.fireStorage(name, event);
  }
};
