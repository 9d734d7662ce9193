// Web IDL: the conversions of values.
// https://webidl.spec.whatwg.org/#javascript-binding

const { apply, ownKeys } = Reflect;
const { getOwnPropertyDescriptor } = Object;
const toWellFormed = Function.prototype.call.bind(String.prototype.toWellFormed);

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
  if (value === undefined || value === null) return { __proto__: null };
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

// Throws a DOMException.
const { DOMException } = globalThis;
const fail = (name, message) => { throw new DOMException(message, name); };

internal.webidl = {
  DOMString, USVString, ByteString, unsignedLong, long, longLong, clampedLongLong, double, enumeration,
  dictionary, sequence, record, callback, required, fail, DOMException,
};
