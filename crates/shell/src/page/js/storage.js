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
  // Makes a change, and tells the other documents of it. Returns whether there is room.
  const change = (key, newValue) => {
    const { isStored, isChanged, oldValue = null } = area.change(key, newValue);
    if (isChanged) {
      const told = { key: key ?? null, oldValue, newValue: newValue ?? null };
      agent.broadcastStorage(internal, name, told);
    }
    return isStored;
  };
  return {
    ...area,
    set: change,
    remove(key) { change(key); },
    clear() { change(); },
  };
}

const localStorage = storage(broadcasting(native.localStorage, "localStorage"));
const sessionStorage = storage(broadcasting(native.sessionStorage, "sessionStorage"));
const fireStorage = (name, change) => {
  const storageArea = name === "localStorage" ? localStorage : sessionStorage;
  const init = { ...change, storageArea, Interface: internal.interfaces.StorageEvent };
  fire(internal.global, "storage", init);
};
internal.fireStorage = (name, change) => internal.startTask(() => fireStorage(name, change));
// A document of another process has made a change. This runs as a task of its own.
internal.hooks.fireStorage = (key = null, oldValue = null, newValue = null, url) => {
  fireStorage("localStorage", { key, oldValue, newValue, url });
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
