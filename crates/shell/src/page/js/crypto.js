// The interface Crypto.
// https://w3c.github.io/webcrypto/#crypto-interface

const { expose, fail, illegalConstructor } = internal.webidl;
const { isBufferSource, look } = internal.bufferSource;
const slot = agent.slot("Crypto");
const INTEGER_ARRAYS = ["Int8Array", "Uint8Array", "Uint8ClampedArray", "Int16Array", "Uint16Array",
  "Int32Array", "Uint32Array", "BigInt64Array", "BigUint64Array"];
const typedArrayName = Function.prototype.call.bind(Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag).get);

class Crypto {
  constructor() { illegalConstructor(); }

  getRandomValues(array) {
    if (!isBufferSource(array) || !ArrayBuffer.isView(array)) {
      throw new TypeError("Failed to execute 'getRandomValues' on 'Crypto': " +
        "parameter 1 is not of type 'ArrayBufferView'.");
    }
    if (!INTEGER_ARRAYS.includes(typedArrayName(array))) {
      fail("TypeMismatchError", "The provided ArrayBufferView is not an integer array type");
    }
    const bytes = look(array);
    if (bytes.length > 65536) {
      fail("QuotaExceededError", "The requested length exceeds 65536 bytes.");
    }
    bytes.set(new Uint8Array(native.randomBytes(bytes.length)));
    return array;
  }

  // https://w3c.github.io/webcrypto/#Crypto-method-randomUUID
  randomUUID() {
    const bytes = new Uint8Array(native.randomBytes(16));
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = bytes.toHex();
    return [[0, 8], [8, 12], [12, 16], [16, 20], [20, 32]].map(([a, b]) => hex.slice(a, b)).join("-");
  }
}
expose(Crypto, slot);

const crypto = slot.set(Object.create(Crypto.prototype), {});
internal.webidl.globals({ get crypto() { return crypto; } });
