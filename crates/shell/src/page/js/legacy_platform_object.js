// Web IDL: legacy platform objects, which have indexed and named properties.
// https://webidl.spec.whatwg.org/#js-legacy-platform-objects

const isArrayIndex = (key) => typeof key === "string" && /^(0|[1-9]\d{0,9})$/.test(key) && Number(key) < 2 ** 32 - 1;

// Creates a Proxy that has the interface of `prototype`, an item for each index below `length()`, and a value for each of
// `names()`. All of them are read-only, unless there is `setNamed`. An own property or a property of the prototypes hides a
// named one, unless `overridesBuiltIns`.
function createLegacyPlatformObject(prototype,
  { length, item, names = () => [], named = () => undefined, setNamed, overridesBuiltIns = false }) {
  const supports = (key) => Number(key) < length();
  const isNamed = (target, key) =>
    typeof key === "string" && (overridesBuiltIns || !(key in target)) && names().includes(key);
  const descriptor = (value, enumerable) => ({ value, writable: setNamed !== undefined, enumerable, configurable: true });
  return new Proxy(Object.create(prototype), {
    __proto__: null,
    get(target, key, receiver) {
      if (isArrayIndex(key)) return supports(key) ? item(Number(key)) : undefined;
      return isNamed(target, key) ? named(key) : Reflect.get(target, key, receiver);
    },
    has(target, key) { return isArrayIndex(key) ? supports(key) : key in target || isNamed(target, key); },
    getOwnPropertyDescriptor(target, key) {
      if (isArrayIndex(key)) return supports(key) ? descriptor(item(Number(key)), true) : undefined;
      return isNamed(target, key) ? descriptor(named(key), false) : Reflect.getOwnPropertyDescriptor(target, key);
    },
    ownKeys(target) {
      const indices = Array.from({ length: length() }, (_, index) => `${index}`);
      return [...new Set([...indices, ...names().filter((name) => !(name in target)), ...Reflect.ownKeys(target)])];
    },
    set(target, key, value, receiver) {
      if (setNamed && isNamed(target, key)) {
        setNamed(key, value);
        return true;
      }
      return !isArrayIndex(key) && !isNamed(target, key) && Reflect.set(target, key, value, receiver);
    },
    defineProperty(target, key, given) {
      return !isArrayIndex(key) && !isNamed(target, key) && Reflect.defineProperty(target, key, given);
    },
    deleteProperty(target, key) {
      if (isArrayIndex(key)) return !supports(key);
      return !isNamed(target, key) && Reflect.deleteProperty(target, key);
    },
    preventExtensions() { return false; },
  });
}

// Defines the iterator of an interface with indexed properties, and for a value iterator also entries(), keys(), values()
// and forEach(): https://webidl.spec.whatwg.org/#js-iterable. They are those of Array, as the standard says.
function valueIterable({ prototype }, isIterable = true) {
  const names = isIterable ? ["entries", "keys", "values", "forEach"] : [];
  for (const name of names) define(prototype, name, Array.prototype[name], true);
  define(prototype, Symbol.iterator, Array.prototype.values, false);
}
const define = (target, key, value, enumerable) =>
  Object.defineProperty(target, key, { value, writable: true, enumerable, configurable: true });

Object.assign(internal.webidl, { createLegacyPlatformObject, valueIterable });
