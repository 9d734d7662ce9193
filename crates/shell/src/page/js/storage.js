// The interface Storage: localStorage and sessionStorage.
// https://html.spec.whatwg.org/multipage/webstorage.html#the-storage-interface

const { USVString, expose, fail, globals, illegalConstructor, unsignedLong } = internal.webidl;
const { fire } = internal.eventTarget;
const slot = agent.slot("Storage");

class Storage {
  constructor() { illegalConstructor(); }
  get length() { return slot.get(this).keys().length; }
  key(index) { return slot.get(this).keys()[unsignedLong(index)] ?? null; }
  getItem(key) { return slot.get(this).get(USVString(key)) ?? null; }
  setItem(key, value) { store(slot.get(this), USVString(key), USVString(value)); }
  removeItem(key) { slot.get(this).remove(USVString(key)); }
  clear() { slot.get(this).clear(); }
}
expose(Storage, slot);

function store(area, key, value) {
  if (!area.set(key, value)) fail("QuotaExceededError", `There is no room for the item '${key}'.`);
}

// A legacy platform object: its items are properties, unless the object or its prototypes have a property of that name.
// https://webidl.spec.whatwg.org/#js-legacy-platform-objects
function storage(area) {
  const target = slot.set(Object.create(Storage.prototype), area);
  const isItem = (key) =>
    typeof key === "string" && !(key in target) && area.get(key) !== undefined;
  const object = new Proxy(target, {
    get: (_, key) => (isItem(key) ? area.get(key) : Reflect.get(target, key, object)),
    has: (_, key) => isItem(key) || key in target,
    set(_, key, value) {
      if (typeof key === "symbol") return Reflect.set(target, key, value);
      store(area, key.toWellFormed(), USVString(value));
      return true;
    },
    deleteProperty(_, key) {
      if (!isItem(key)) return Reflect.deleteProperty(target, key);
      area.remove(key);
      return true;
    },
    ownKeys: () => [...area.keys(), ...Reflect.ownKeys(target)],
    getOwnPropertyDescriptor: (_, key) => isItem(key)
      ? { value: area.get(key), writable: true, enumerable: true, configurable: true }
      : Reflect.getOwnPropertyDescriptor(target, key),
    defineProperty(_, key, descriptor) {
      if (typeof key === "symbol") return Reflect.defineProperty(target, key, descriptor);
      store(area, key.toWellFormed(), USVString(descriptor.value));
      return true;
    },
  });
  // Scripts call the methods on the proxy.
  return slot.set(object, area);
}

// https://html.spec.whatwg.org/multipage/webstorage.html#concept-storage-broadcast
function broadcasting(area, name) {
  const tell = (key, oldValue, newValue) => {
    if (oldValue !== newValue) agent.broadcastStorage(internal, name, { key, oldValue, newValue });
  };
  return {
    ...area,
    set(key, value) {
      const old = area.get(key) ?? null;
      const isSet = area.change(key, value);
      if (isSet) tell(key, old, value);
      return isSet;
    },
    remove(key) {
      const old = area.get(key) ?? null;
      if (old !== null && area.change(key, undefined)) tell(key, old, null);
    },
    clear() {
      if (area.keys().length !== 0 && area.change(undefined, undefined)) tell(null, undefined, null);
    },
  };
}

const localStorage = storage(broadcasting(native.localStorage, "localStorage"));
const sessionStorage = storage(broadcasting(native.sessionStorage, "sessionStorage"));
internal.fireStorage = (name, change) => internal.startTask(() => {
  const storageArea = name === "localStorage" ? localStorage : sessionStorage;
  const init = { ...change, storageArea, Interface: internal.interfaces.StorageEvent };
  fire(internal.global, "storage", init);
});
// A document of another process has made a change.
internal.hooks.fireStorage = (key = null, oldValue = null, newValue = null, url) => {
  internal.fireStorage("localStorage", { key, oldValue, newValue, url });
};
globals({
  get localStorage() {
    internal.requireTupleOrigin("localStorage");
    return localStorage;
  },
  get sessionStorage() {
    internal.requireTupleOrigin("sessionStorage");
    return sessionStorage;
  },
});
