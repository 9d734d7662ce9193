// The method structuredClone(), and structured serialization.
// https://html.spec.whatwg.org/multipage/structured-data.html#structured-cloning

const { dictionary, fail, globals, sequence } = internal.webidl;
const { isArrayBuffer, isShared } = internal.bufferSource;
const { slot: blobSlot, fileSlot, bytesOf, createBlob, createFile } = internal.blob;
const transferBuffer = Function.prototype.call.bind(ArrayBuffer.prototype.transfer);
const isDetached = Function.prototype.call.bind(
  Object.getOwnPropertyDescriptor(ArrayBuffer.prototype, "detached").get);
const ERRORS = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };
const portSlot = agent.slot("MessagePort");
// The slot of a holder, the object that stands for a transferred port in a message. It holds the end of the channel.
const holderSlot = agent.slot("TransferredPort");
const { defineProperty } = Object;
const BOXED = [Boolean, Number, String, BigInt];

globals({
  structuredClone(value, options = undefined) {
    const { transfer } = dictionary(options, "StructuredSerializeOptions");
    const list = transfer === undefined ? [] : sequence(transfer, (it) => it);
    return structuredClone(value, list);
  },
});

// The transferable objects are array buffers and message ports.
const structuredClone = (value, transfer) => deserialize(serialize(value, transfer)).data;

// https://html.spec.whatwg.org/multipage/structured-data.html#structuredserializewithtransfer. The serialized form is a
// clone of the value, in which a holder stands for each transferred port.
function serialize(value, transfer) {
  if (new Set(transfer).size !== transfer.length) refuse("an object is in the transfer list twice");
  for (const object of transfer) {
    const isTransferable = portSlot.has(object)
      ? !portSlot.get(object).isDetached : isArrayBuffer(object) && !isDetached(object);
    if (!isTransferable) refuse("value in the transfer list");
  }
  const ports = transfer.filter(portSlot.has);
  const buffers = transfer.filter(isArrayBuffer);
  // The value is cloned before anything is transferred, so that a failure changes nothing. Copies of the buffers and
  // holders of the ports stand in the clone.
  const transferring = new Map(buffers.map((buffer) => [buffer, buffer.slice()]));
  for (const port of ports) transferring.set(port, holderSlot.set({}, portSlot.get(port)));
  const data = clone(value, new Map(), transferring);
  for (const buffer of buffers) transferBuffer(buffer);
  for (const port of ports) internal.detachPort(port);
  return { data, ports: ports.map((port) => transferring.get(port)) };
}

// https://html.spec.whatwg.org/multipage/structured-data.html#structureddeserializewithtransfer. The objects belong to
// this realm.
function deserialize({ data, ports }) {
  const memory = new Map();
  return { data: clone(data, memory, new Map()), ports: ports.map((it) => clone(it, memory, new Map())) };
}

const refuse = (what) => fail("DataCloneError", `${what} could not be cloned.`);

function clone(value, memory, transferring) {
  if (typeof value === "symbol" || typeof value === "function") refuse(String(value));
  if (typeof value !== "object" || value === null) return value;
  if (memory.has(value)) return memory.get(value);
  const remember = (copy) => {
    memory.set(value, copy);
    return copy;
  };
  const inner = (it) => clone(it, memory, transferring);

  if (transferring.has(value)) return remember(transferring.get(value));
  if (holderSlot.has(value)) return remember(internal.portOf(holderSlot.get(value)));
  if (isShared(value)) return remember(value);
  if (isArrayBuffer(value)) {
    if (isDetached(value)) refuse("A detached ArrayBuffer");
    return remember(value.slice());
  }
  if (ArrayBuffer.isView(value)) {
    const length = value instanceof DataView ? value.byteLength : value.length;
    return remember(new value.constructor(inner(value.buffer), value.byteOffset, length));
  }
  if (value instanceof Date) return remember(new Date(value));
  if (value instanceof RegExp) return remember(new RegExp(value.source, value.flags));
  if (BOXED.some((Type) => value instanceof Type)) return remember(Object(value.valueOf()));
  if (blobSlot.has(value)) return remember(cloneBlob(value));
  if (value instanceof Error) return remember(cloneError(value, inner));
  if (value instanceof Map) {
    const copy = remember(new Map());
    for (const [key, item] of [...value]) copy.set(inner(key), inner(item));
    return copy;
  }
  if (value instanceof Set) {
    const copy = remember(new Set());
    for (const item of [...value]) copy.add(inner(item));
    return copy;
  }
  const tag = Object.prototype.toString.call(value);
  if (!Array.isArray(value) && tag !== "[object Object]") refuse(tag);
  const copy = remember(Array.isArray(value) ? new Array(value.length) : {});
  for (const key of Object.keys(value)) {
    defineProperty(copy, key,
      { __proto__: null, value: inner(value[key]), writable: true, enumerable: true, configurable: true });
  }
  return copy;
}

function cloneBlob(blob) {
  const copy = createBlob(bytesOf(blob), blobSlot.get(blob).type);
  if (!fileSlot.has(blob)) return copy;
  const { name, lastModified } = fileSlot.get(blob);
  return createFile(copy, name, lastModified);
}

function cloneError(error, inner) {
  const copy = new (ERRORS[error.name] ?? Error)(error.message);
  if ("cause" in error) copy.cause = inner(error.cause);
  defineProperty(copy, "stack", { __proto__: null, value: error.stack, writable: true, configurable: true });
  return copy;
}

Object.assign(internal, { structuredClone, serialize, deserialize });
