// Web IDL: the conversions of values, and the form of interface objects.
// https://webidl.spec.whatwg.org/#javascript-binding

const { apply, ownKeys } = Reflect;
const { defineProperty, getOwnPropertyDescriptor } = Object;
const toWellFormed = Function.prototype.call.bind(String.prototype.toWellFormed);
const global = globalThis;

// https://webidl.spec.whatwg.org/#js-DOMString. It throws for a Symbol, as the standard demands.
const DOMString = (value) => `${value}`;
// https://webidl.spec.whatwg.org/#js-USVString
const USVString = (value) => toWellFormed(`${value}`);

// https://webidl.spec.whatwg.org/#js-ByteString
function ByteString(value) {
  const string = `${value}`;
  for (let i = 0; i < string.length; i++) {
    if (string.charCodeAt(i) > 255) throw new TypeError("The string has a character above U+00FF.");
  }
  return string;
}

// https://webidl.spec.whatwg.org/#js-unsigned-long: modulo 2^32
const unsignedLong = (value) => value >>> 0;
// https://webidl.spec.whatwg.org/#js-long
const long = (value) => value | 0;

// https://webidl.spec.whatwg.org/#js-long-long, exact up to 2^53
function longLong(value) {
  const number = Math.trunc(+value);
  return Number.isFinite(number) ? Number(BigInt.asIntN(64, BigInt(number))) : 0;
}

// https://webidl.spec.whatwg.org/#Clamp on a long long
function clampedLongLong(value) {
  const number = Math.min(Math.max(+value, Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER);
  return Number.isNaN(number) ? 0 : Math.round(number);
}

// https://webidl.spec.whatwg.org/#js-double
function double(value) {
  const number = +value;
  if (!Number.isFinite(number)) throw new TypeError("The provided double value is non-finite.");
  return number;
}

// https://webidl.spec.whatwg.org/#js-enumeration
function enumeration(value, name, values) {
  const string = `${value}`;
  if (!values.includes(string)) {
    throw new TypeError(`The provided value '${string}' is not a valid enum value of type ${name}.`);
  }
  return string;
}

// https://webidl.spec.whatwg.org/#js-dictionary
function dictionary(value, name) {
  if (value === undefined || value === null) return {};
  if (typeof value !== "object" && typeof value !== "function") {
    throw new TypeError(`The provided value is not of type '${name}'.`);
  }
  return value;
}

// https://webidl.spec.whatwg.org/#js-sequence
function sequence(value, convert) {
  if (typeof value !== "object" && typeof value !== "function" || value === null) {
    throw new TypeError("The provided value cannot be converted to a sequence.");
  }
  const method = value[Symbol.iterator];
  if (typeof method !== "function") {
    throw new TypeError("The object must have a callable @@iterator property.");
  }
  const list = [];
  for (const item of { [Symbol.iterator]: () => apply(method, value, []) }) list.push(convert(item));
  return list;
}

// https://webidl.spec.whatwg.org/#js-record
function record(value, convertKey, convertValue) {
  const list = [];
  for (const key of ownKeys(value)) {
    if (getOwnPropertyDescriptor(value, key)?.enumerable) {
      list.push([convertKey(key), convertValue(value[key])]);
    }
  }
  return list;
}

// https://webidl.spec.whatwg.org/#js-callback-function
function callback(value) {
  if (typeof value !== "function") throw new TypeError("The provided value is not a function.");
  return value;
}

// Throws if there are too few arguments: https://webidl.spec.whatwg.org/#dfn-effective-overload-set
function required(count, minimum, where) {
  if (count < minimum) {
    throw new TypeError(`Failed to ${where}: ${minimum} argument${minimum === 1 ? "" : "s"} ` +
      `required, but only ${count} present.`);
  }
}

function illegalConstructor() {
  throw new TypeError("Illegal constructor");
}

// The `this` of an operation. Null and undefined become the global object, and a WindowProxy becomes its window.
function receiver(self, slot) {
  const object = agent.unwrap(self ?? global);
  if (slot && !slot.has(object)) throw new TypeError("Illegal invocation");
  return object;
}

const IteratorPrototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));
const AsyncFunction = (async () => {}).constructor;

// https://webidl.spec.whatwg.org/#dfn-create-operation-function
// `steps.length` counts the parameters without a default, which are the required arguments.
function operation(interfaceName, name, steps, slot) {
  const where = `execute '${String(name)}' on '${interfaceName}'`;
  const call = (self, args) => {
    const object = receiver(self, slot);
    required(args.length, steps.length, where);
    return apply(steps, object, args);
  };
  // Method syntax, because methods have no [[Construct]].
  const method = steps instanceof AsyncFunction
    ? { async [name](...args) { return call(this, args); } }[name]
    : { [name](...args) { return call(this, args); } }[name];
  defineProperty(method, "length", { value: steps.length, configurable: true });
  return method;
}

// https://webidl.spec.whatwg.org/#dfn-attribute-getter
function attribute(name, { get, set }, slot) {
  const descriptor = { enumerable: true, configurable: true };
  descriptor.get = { [name]() { return apply(get, receiver(this, slot), []); } }[name];
  defineProperty(descriptor.get, "name", { value: `get ${String(name)}`, configurable: true });
  if (set) {
    descriptor.set = { [name](value) { apply(set, receiver(this, slot), [value]); } }[name];
    defineProperty(descriptor.set, "name", { value: `set ${String(name)}`, configurable: true });
  }
  return descriptor;
}

// Gives the members of `target` (a prototype, or a class for its statics) their Web IDL form.
function shape(target, interfaceName, slot) {
  for (const key of ownKeys(target)) {
    if (["constructor", "prototype", "name", "length"].includes(key)) continue;
    const descriptor = getOwnPropertyDescriptor(target, key);
    if (descriptor.get || descriptor.set) {
      defineProperty(target, key, attribute(key, descriptor, slot));
    } else if (typeof descriptor.value === "function") {
      const value = operation(interfaceName, key, descriptor.value, slot);
      defineProperty(target, key,
        { value, writable: true, configurable: true, enumerable: typeof key !== "symbol" });
    }
  }
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
// Call it after `expose`, which would give these methods the form of operations.
function pairIterable(Interface, slot, pairsOf) {
  const { prototype, name } = Interface;
  // https://webidl.spec.whatwg.org/#es-default-iterator-object
  const iteratorPrototype = Object.create(IteratorPrototype);
  const iteratorSlot = agent.slot(`${name} Iterator`);
  defineProperty(iteratorPrototype, "next", {
    value: operation(`${name} Iterator`, "next", function () {
      const state = iteratorSlot.get(this);
      const pair = pairsOf(state.object)[state.index++];
      return { value: pair && state.pick(pair), done: pair === undefined };
    }, iteratorSlot),
    writable: true, configurable: true, enumerable: true,
  });
  tag(iteratorPrototype, `${name} Iterator`);
  const iterate = (object, pick) =>
    iteratorSlot.set(Object.create(iteratorPrototype), { object, pick, index: 0 });
  const members = {
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
  };
  for (const [key, steps] of Object.entries(members)) {
    const value = operation(name, key, steps, slot);
    defineProperty(prototype, key, { value, writable: true, configurable: true, enumerable: true });
  }
  defineProperty(prototype, Symbol.iterator,
    { value: prototype.entries, writable: true, configurable: true });
}

// Gives `target` more members, in their Web IDL form.
function attributes(target, slot, members) {
  for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(members))) {
    if (descriptor.get || descriptor.set) {
      defineProperty(target, name, attribute(name, descriptor, slot));
    } else {
      const value = operation(target[Symbol.toStringTag], name, descriptor.value, slot);
      defineProperty(target, name, { value, writable: true, configurable: true, enumerable: true });
    }
  }
}

// Puts an object's members on the global object, in their Web IDL form.
function globals(members, enumerable = true) {
  for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(members))) {
    if (descriptor.get || descriptor.set) {
      defineProperty(global, name, attribute(name, descriptor));
    } else {
      const value = operation("Window", name, descriptor.value);
      defineProperty(global, name, { value, writable: true, configurable: true, enumerable });
    }
  }
}

// https://webidl.spec.whatwg.org/#Replaceable. An assignment replaces the attribute by a plain property.
function replaceable(name, get) {
  defineProperty(global, name, {
    enumerable: true, configurable: true,
    get: { [name]() { return get(); } }[name],
    set(value) {
      defineProperty(global, name, { value, writable: true, enumerable: true, configurable: true });
    },
  });
}

// Throws a DOMException.
const { DOMException } = global;
const fail = (name, message) => { throw new DOMException(message, name); };

internal.webidl = {
  DOMString, USVString, ByteString, unsignedLong, long, longLong, clampedLongLong, double, enumeration,
  dictionary, sequence, record, callback, required, illegalConstructor, expose, tag, constants,
  pairIterable, attributes, globals, replaceable, fail, DOMException,
};
// The global object itself. In the scripts of a page, `globalThis` is the WindowProxy.
internal.global = global;
