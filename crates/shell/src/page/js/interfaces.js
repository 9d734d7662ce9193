// Web IDL: the form of interface objects, and the functions of their members.
// https://webidl.spec.whatwg.org/#js-interfaces

const { apply, ownKeys } = Reflect;
const { defineProperty, getOwnPropertyDescriptor, getOwnPropertyDescriptors, getPrototypeOf } = Object;
const { callback, fail, required } = internal.webidl;
const global = globalThis;
// The global object itself. In the scripts of a page, `globalThis` is the WindowProxy.
internal.global = global;
const globalSlot = agent.slot("GlobalObject");
globalSlot.set(global, {});
// The steps of each member of an interface in this realm, by the member's key. A key is the same in every realm.
const members = new Map();
internal.members = members;
internal.exceptions = { DOMException: internal.webidl.DOMException, TypeError, RangeError, SyntaxError };

function illegalConstructor() {
  throw new TypeError("Illegal constructor");
}

// The object for which a member's function with the `this` value `self` runs the member's steps. Null and undefined become
// the global object, and a WindowProxy becomes its window.
function receiver(key, slot, self) {
  const object = agent.unwrap(self ?? global);
  if (!slot.has(object)) throw new TypeError("Illegal invocation");
  if (agent.realmOf(object) !== internal && !agent.allows(global, object, key)) {
    fail("SecurityError", `Access to '${key}' of a cross-origin object is denied.`);
  }
  return object;
}

// Runs a member's steps. The standards let a member act on the relevant realm of `this`, not on the realm of the function.
// The steps use the native functions of the realm that they were created in, so these are the steps of the realm of `this`.
// An exception belongs to the function's realm.
function run(key, object, args) {
  const there = agent.realmOf(object);
  if (there === internal) return apply(members.get(key), object, args);
  try {
    return apply(there.members.get(key), object, args);
  } catch (exception) {
    throw ownException(there, exception);
  }
}

// An exception like `exception` in this realm, if it is one that steps in the realm `there` have made.
// NB: it could also be one that a script has made there, and that a callback of the page throws.
function ownException(there, exception) {
  const isOf = (name) => typeof exception === "object" && exception !== null &&
    getPrototypeOf(exception) === there.exceptions[name].prototype;
  if (isOf("DOMException")) return new internal.exceptions.DOMException(exception.message, exception.name);
  const name = ["TypeError", "RangeError", "SyntaxError"].find(isOf);
  return name === undefined ? exception : new internal.exceptions[name](exception.message);
}

const IteratorPrototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));
const AsyncFunction = (async () => {}).constructor;
const { Promise } = globalThis;
const reject = Promise.reject.bind(Promise);
const promising = new WeakSet();
// Says that the return type of an operation is a promise, although its steps are no async function.
function promised(steps) {
  promising.add(steps);
  return steps;
}

// https://webidl.spec.whatwg.org/#dfn-create-operation-function
// `steps.length` counts the parameters without a default, which are the required arguments. An operation without a slot is
// static. If it is caller-aware, its steps take the `internal` object of the calling script's realm before the arguments.
function operation(interfaceName, name, steps, slot, isCallerAware = false) {
  const key = `${interfaceName}.${String(name)}`;
  const length = isCallerAware ? steps.length - 1 : steps.length;
  if (slot) members.set(key, steps);
  const call = (self, args, caller) => {
    const object = slot ? receiver(key, slot, self) : self;
    if (args.length < length) required(args.length, length, `execute '${String(name)}' on '${interfaceName}'`);
    return slot ? run(key, object, isCallerAware ? [caller, ...args] : args) : apply(steps, object, args);
  };
  // An exception becomes a rejected promise of this realm.
  const callForPromise = (self, args) => {
    try {
      const promise = call(self, args);
      return promise instanceof Promise ? promise : new Promise((resolve) => resolve(promise));
    } catch (exception) {
      return reject(exception);
    }
  };
  // Method syntax, because methods have no [[Construct]].
  const method = steps instanceof AsyncFunction || promising.has(steps)
    ? { [name](...args) { return callForPromise(this, args); } }[name]
    : { [name](...args) { return call(this, args); } }[name];
  defineProperty(method, "length", { value: length, configurable: true });
  if (!isCallerAware) return method;
  return agent.callerAware(method, (caller, self, args) => call(self, args, internalOf(caller)));
}

// The `internal` object of a caller, or of this realm if the caller is no window.
const internalOf = (caller) => (agent.realms.has(caller) ? agent.realms.get(caller).internal : internal);

// https://webidl.spec.whatwg.org/#dfn-attribute-getter. The steps of a caller-aware setter take `{ caller, value }`,
// where `caller` is the `internal` object of the calling script's realm.
function attribute(interfaceName, name, { get, set }, slot, isCallerAware) {
  const getKey = `${interfaceName}.get ${String(name)}`;
  if (slot) members.set(getKey, get);
  if (!set) {
    const readOnly = { get [name]() { return slot ? run(getKey, receiver(getKey, slot, this), []) : apply(get, this, []); } };
    return getOwnPropertyDescriptor(readOnly, name);
  }
  const setKey = `${interfaceName}.set ${String(name)}`;
  members.set(setKey, set);
  const descriptor = getOwnPropertyDescriptor({
    get [name]() { return run(getKey, receiver(getKey, slot, this), []); },
    set [name](value) { run(setKey, receiver(setKey, slot, this), [value]); },
  }, name);
  if (isCallerAware) {
    descriptor.set = agent.callerAware(descriptor.set, (caller, self, [value]) =>
      run(setKey, receiver(setKey, slot, self), [{ caller: internalOf(caller), value }]));
  }
  return descriptor;
}

// Gives `target` members in their Web IDL form, which are given by the descriptors of their steps.
function define(target, interfaceName, slot, given, { isCallerAware = false, isUnforgeable = false } = {}) {
  for (const key of ownKeys(given)) {
    const { get, value: steps } = given[key];
    if (get) {
      const descriptor = attribute(interfaceName, key, given[key], slot, isCallerAware);
      descriptor.configurable = !isUnforgeable;
      defineProperty(target, key, descriptor);
    } else if (typeof steps === "function") {
      const value = operation(interfaceName, key, steps, slot, isCallerAware);
      defineProperty(target, key, { value, writable: true, configurable: true, enumerable: typeof key !== "symbol" });
    }
  }
}

// Gives `target` more members of the interface that it is the prototype of.
function attributes(target, slot, given, options) {
  define(target, target[Symbol.toStringTag], slot, getOwnPropertyDescriptors(given), options);
}

// Puts members on the global object.
function globals(given, options) {
  define(global, "Window", globalSlot, getOwnPropertyDescriptors(given), options);
}

// Gives the members of `target` (a prototype, or a class for its statics) their Web IDL form.
function shape(target, interfaceName, slot) {
  const own = getOwnPropertyDescriptors(target);
  for (const key of slot ? ["constructor"] : ["prototype", "name", "length"]) delete own[key];
  define(target, interfaceName, slot, own);
}

// Turns a class into an interface: https://webidl.spec.whatwg.org/#es-interfaces
function expose(Interface, slot) {
  shape(Interface.prototype, Interface.name, slot);
  shape(Interface, Interface.name, undefined);
  tag(Interface.prototype, Interface.name);
  defineProperty(global, Interface.name,
    { value: Interface, writable: true, configurable: true, enumerable: false });
}

function tag(prototype, name) {
  defineProperty(prototype, Symbol.toStringTag, { value: name, configurable: true });
}

// https://webidl.spec.whatwg.org/#es-constants
function constants(Interface, values) {
  for (const [name, value] of Object.entries(values)) {
    for (const target of [Interface, Interface.prototype]) {
      defineProperty(target, name, { value, enumerable: true });
    }
  }
}

// Defines entries(), keys(), values() and forEach() over a list of pairs: https://webidl.spec.whatwg.org/#js-iterable
// Call it after `expose`.
function pairIterable(Interface, slot, pairsOf) {
  const { prototype, name } = Interface;
  // https://webidl.spec.whatwg.org/#es-default-iterator-object
  const iteratorPrototype = Object.create(IteratorPrototype);
  const iteratorSlot = agent.slot(`${name} Iterator`);
  tag(iteratorPrototype, `${name} Iterator`);
  attributes(iteratorPrototype, iteratorSlot, {
    next() {
      const state = iteratorSlot.get(this);
      const pair = pairsOf(state.object)[state.index++];
      return { value: pair && state.pick(pair), done: pair === undefined };
    },
  });
  const iterate = (object, pick) =>
    iteratorSlot.set(Object.create(iteratorPrototype), { object, pick, index: 0 });
  attributes(prototype, slot, {
    entries() { return iterate(this, ([key, value]) => [key, value]); },
    keys() { return iterate(this, ([key]) => key); },
    values() { return iterate(this, ([, value]) => value); },
    forEach(steps, thisArg = undefined) {
      callback(steps);
      for (let i = 0; i < pairsOf(this).length; i++) {
        const [key, value] = pairsOf(this)[i];
        apply(steps, thisArg, [value, key, this]);
      }
    },
  });
  defineProperty(prototype, Symbol.iterator,
    { value: prototype.entries, writable: true, configurable: true });
}

// https://webidl.spec.whatwg.org/#Replaceable. An assignment replaces the attribute by a plain property.
function replaceable(name, get) {
  globals(Object.defineProperty({}, name, {
    get,
    set(value) { defineProperty(this, name, { value, writable: true, enumerable: true, configurable: true }); },
  }));
}

Object.assign(internal.webidl,
  { illegalConstructor, promised, expose, tag, constants, pairIterable, attributes, globals, replaceable });
