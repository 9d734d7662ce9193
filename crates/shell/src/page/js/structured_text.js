// The serialized form of a message as text, for a window of another process.
// https://html.spec.whatwg.org/multipage/structured-data.html#structuredserializeinternal
//
// The text is a JSON array: the value, and then a record for each object in it. A string, a boolean, null, and a finite
// number except -0 stand for themselves. Each other primitive value is an array of its type and a string. An object is the
// array `["object", n]`, and the record n says what it is.

const { fail } = internal.webidl;
const { isArrayBuffer, isShared } = internal.bufferSource;
const { slot: blobSlot, fileSlot, bytesOf, createBlob, createFile } = internal.blob;
const { parse, stringify } = JSON;
const toBase64 = Function.prototype.call.bind(Uint8Array.prototype.toBase64);
const { fromBase64 } = Uint8Array;
const bytesFrom = (text) => fromBase64.call(Uint8Array, text);
const { defineProperty, setPrototypeOf } = Object;
const MAX_LENGTH = 16 * 1024 * 1024;
const ERRORS = { __proto__: null, Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };
const BOXED = { __proto__: null, Boolean, Number, String, BigInt };
const VIEWS = {
  __proto__: null, DataView, Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, BigInt64Array,
  BigUint64Array, Float16Array, Float32Array, Float64Array,
};
// `toJSON` of a prototype must not see the records.
const bare = (array) => setPrototypeOf(array, null);
const nameIn = (types, value) => Object.keys(types).find((name) => value instanceof types[name]);

// The text of a message that `internal.serialize` has made.
internal.toText = ({ data, ports }) => {
  if (ports.length > 0) fail("DataCloneError", "A port cannot go to another process.");
  const records = [];
  const numbers = new Map();
  const encode = (value) => {
    if (typeof value === "object" && value !== null) return bare(["object", numberOf(value)]);
    if (typeof value === "number" && (!Number.isFinite(value) || Object.is(value, -0))) {
      return bare(["number", Object.is(value, -0) ? "-0" : `${value}`]);
    }
    if (typeof value === "bigint") return bare(["bigint", `${value}`]);
    return value === undefined ? bare(["undefined", ""]) : value;
  };
  const numberOf = (object) => {
    if (!numbers.has(object)) {
      numbers.set(object, records.length);
      const at = records.push(null) - 1;
      records[at] = bare(recordOf(object));
    }
    return numbers.get(object);
  };
  const pairs = (entries) => bare(entries.map(([key, value]) => bare([encode(key), encode(value)])));
  const recordOf = (object) => {
    if (isShared(object)) fail("DataCloneError", "Shared memory cannot go to another process.");
    if (isArrayBuffer(object)) return ["ArrayBuffer", toBase64(new Uint8Array(object))];
    if (ArrayBuffer.isView(object)) {
      const length = object instanceof DataView ? object.byteLength : object.length;
      return ["View", nameIn(VIEWS, object), encode(object.buffer), object.byteOffset, length];
    }
    if (blobSlot.has(object)) {
      const { name, lastModified } = fileSlot.has(object) ? fileSlot.get(object) : {};
      return ["Blob", toBase64(bytesOf(object)), blobSlot.get(object).type, name ?? null, lastModified ?? 0];
    }
    if (object instanceof Date) return ["Date", encode(object.getTime())];
    if (object instanceof RegExp) return ["RegExp", object.source, object.flags];
    const boxed = nameIn(BOXED, object);
    if (boxed !== undefined) return ["Boxed", encode(object.valueOf())];
    if (object instanceof Error) {
      const name = ERRORS[object.name] ? object.name : "Error";
      const cause = "cause" in object ? bare([encode(object.cause)]) : null;
      return ["Error", name, `${object.message}`, `${object.stack}`, cause];
    }
    if (object instanceof Map) return ["Map", pairs([...object])];
    if (object instanceof Set) return ["Set", bare([...object].map(encode))];
    if (Array.isArray(object)) return ["Array", object.length, pairs(Object.entries(object))];
    return ["Object", pairs(Object.entries(object))];
  };
  const text = stringify(bare([encode(data), bare(records)]));
  if (text.length > MAX_LENGTH) fail("DataCloneError", "The message is too large for another process.");
  return text;
};

// The value of a text. It throws if the text, which comes from another process, is not well-formed.
internal.fromText = (text) => {
  const [data, records] = parse(text);
  const made = new Map();
  const decode = (value) => {
    if (!Array.isArray(value)) return value;
    const [type, content] = value;
    switch (type) {
      case "object": return objectOf(content);
      case "number": return Number(content);
      case "bigint": return BigInt(content);
      case "undefined": return undefined;
      default: throw new TypeError("The type of a value is unknown.");
    }
  };
  const objectOf = (number) => {
    if (made.has(number)) return made.get(number);
    const [type, ...fields] = records[number];
    const remember = (object) => {
      made.set(number, object);
      return object;
    };
    const set = (object, entries) => {
      for (const [key, value] of entries) {
        defineProperty(object, decode(key),
          { __proto__: null, value: decode(value), writable: true, enumerable: true, configurable: true });
      }
      return object;
    };
    switch (type) {
      case "ArrayBuffer": return remember(bytesFrom(fields[0]).buffer);
      case "View": return remember(new VIEWS[fields[0]](decode(fields[1]), fields[2], fields[3]));
      case "Blob": return remember(blobOf(fields));
      case "Date": return remember(new Date(decode(fields[0])));
      case "RegExp": return remember(new RegExp(fields[0], fields[1]));
      case "Boxed": return remember(Object(decode(fields[0])));
      case "Error": return errorOf(remember, decode, fields);
      case "Map": {
        const map = remember(new Map());
        for (const [key, value] of fields[0]) map.set(decode(key), decode(value));
        return map;
      }
      case "Set": {
        const set = remember(new Set());
        for (const value of fields[0]) set.add(decode(value));
        return set;
      }
      case "Array": return set(remember(new Array(fields[0])), fields[1]);
      case "Object": return set(remember({}), fields[0]);
      default: throw new TypeError("The type of an object is unknown.");
    }
  };
  return decode(data);
};

function blobOf([base64, type, name, lastModified]) {
  const blob = createBlob(bytesFrom(base64), `${type}`);
  return name === null ? blob : createFile(blob, `${name}`, Number(lastModified));
}

function errorOf(remember, decode, [name, message, stack, cause]) {
  const error = remember(new ERRORS[name](message));
  if (cause !== null) error.cause = decode(cause[0]);
  defineProperty(error, "stack", { __proto__: null, value: stack, writable: true, configurable: true });
  return error;
}
