// The Web IDL type BufferSource: https://webidl.spec.whatwg.org/#BufferSource

const getter = (prototype, name) => Function.prototype.call.bind(
  Object.getOwnPropertyDescriptor(prototype, name).get);
const TypedArray = Object.getPrototypeOf(Uint8Array);
const isShared = brand(getter(SharedArrayBuffer.prototype, "byteLength"));
const isBuffer = brand(getter(ArrayBuffer.prototype, "byteLength"));
const isDataView = brand(getter(DataView.prototype, "buffer"));
const isResizable = getter(ArrayBuffer.prototype, "resizable");
const isDetached = getter(ArrayBuffer.prototype, "detached");
const part = {
  typedArray: ["buffer", "byteOffset", "byteLength"].map((it) => getter(TypedArray.prototype, it)),
  dataView: ["buffer", "byteOffset", "byteLength"].map((it) => getter(DataView.prototype, it)),
};
const { isView } = ArrayBuffer;
const toBase64 = Function.prototype.call.bind(Uint8Array.prototype.toBase64);
const slice = Function.prototype.call.bind(Uint8Array.prototype.slice);

// A getter throws if the object does not have the internal slot. It recognises objects of every realm.
function brand(get) {
  return (value) => {
    try {
      get(value);
      return true;
    } catch {
      return false;
    }
  };
}

const isBufferSource = (value) => typeof value === "object" && value !== null &&
  (isView(value) || isBuffer(value) || isShared(value));

// A Uint8Array over the bytes of `value`, which is empty if the buffer is detached. It throws for a shared or resizable
// buffer, because no API here has [AllowShared] or [AllowResizable].
// https://webidl.spec.whatwg.org/#js-buffer-source-types
function look(value) {
  let buffer = value, offset = 0, length;
  if (isView(value)) {
    const [getBuffer, getOffset, getLength] = isDataView(value) ? part.dataView : part.typedArray;
    buffer = getBuffer(value);
    refuse(buffer, "ArrayBufferView");
    if (isDetached(buffer)) return new Uint8Array(0);
    offset = getOffset(value);
    length = getLength(value);
  } else {
    refuse(buffer, "ArrayBuffer");
    if (isDetached(buffer)) return new Uint8Array(0);
  }
  return new Uint8Array(buffer, offset, length);
}

function refuse(buffer, type) {
  if (isShared(buffer)) throw new TypeError(`The provided ${type} value must not be shared.`);
  if (isResizable(buffer)) throw new TypeError(`The provided ${type} value must not be resizable.`);
}

function requireBufferSource(value) {
  if (!isBufferSource(value)) {
    throw new TypeError("The provided value is not of type '(ArrayBuffer or ArrayBufferView)'.");
  }
  return look(value);
}

internal.bufferSource = {
  isBufferSource,
  isArrayBuffer: (value) => typeof value === "object" && value !== null && isBuffer(value),
  isShared: (value) => typeof value === "object" && value !== null && isShared(value),
  look,
  require: requireBufferSource,
  // https://webidl.spec.whatwg.org/#dfn-get-buffer-source-copy
  copy: (value) => slice(look(value)),
  toBase64,
};
