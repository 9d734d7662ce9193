// The functions of Object and Reflect that read or define an own property, for a WindowProxy.
// https://html.spec.whatwg.org/multipage/nav-history-apis.html#windowproxy-defineownproperty
//
// A WindowProxy shows the properties of the active window, and the next window need not have a property that cannot be
// configured. A Proxy of the engine must not show such a property. So these functions go past the Proxy.

const { global } = internal;
const engine = {
  defineProperty: Reflect.defineProperty, getOwnPropertyDescriptor: Reflect.getOwnPropertyDescriptor, ownKeys: Reflect.ownKeys,
};
const { defineProperty: defineOrThrow, defineProperties, getOwnPropertyDescriptor: getDescriptor, getOwnPropertyDescriptors } =
  Object;

const define = (proxy, key, attributes) => agent.ofWindowProxy.defineProperty(global, proxy, key, attributes);
const toKey = (key) => (typeof key === "symbol" ? key : `${key}`);

const ofObject = {
  defineProperty(target, key, attributes) {
    if (!agent.ofWindowProxy.is(target)) return defineOrThrow(target, key, attributes);
    const name = toKey(key);
    if (!define(target, name, attributes)) throw new TypeError(`Cannot define the property '${String(name)}' of a window.`);
    return target;
  },
  defineProperties(target, properties) {
    if (!agent.ofWindowProxy.is(target)) return defineProperties(target, properties);
    const own = Object(properties);
    for (const key of engine.ownKeys(own)) {
      if (getDescriptor(own, key)?.enumerable) ofObject.defineProperty(target, key, own[key]);
    }
    return target;
  },
  getOwnPropertyDescriptor(target, key) {
    if (!agent.ofWindowProxy.is(target)) return getDescriptor(target, key);
    return agent.ofWindowProxy.getOwnPropertyDescriptor(global, target, toKey(key));
  },
  getOwnPropertyDescriptors(target) {
    if (!agent.ofWindowProxy.is(target)) return getOwnPropertyDescriptors(target);
    const keys = engine.ownKeys(target);
    return Object.fromEntries(keys.map((key) => [key, ofObject.getOwnPropertyDescriptor(target, key)]));
  },
};

const ofReflect = {
  defineProperty(target, key, attributes) {
    if (!agent.ofWindowProxy.is(target)) return engine.defineProperty(target, key, attributes);
    return define(target, toKey(key), attributes);
  },
  getOwnPropertyDescriptor(target, key) {
    if (!agent.ofWindowProxy.is(target)) return engine.getOwnPropertyDescriptor(target, key);
    return ofObject.getOwnPropertyDescriptor(target, key);
  },
};

for (const [holder, functions] of [[Object, ofObject], [Reflect, ofReflect]]) {
  for (const [name, value] of Object.entries(functions)) {
    engine.defineProperty(holder, name, { value, writable: true, enumerable: false, configurable: true });
  }
}
