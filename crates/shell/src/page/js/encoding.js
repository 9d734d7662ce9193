// TextEncoder and TextDecoder, for UTF-8 only, and atob() and btoa().
// https://encoding.spec.whatwg.org/#api
// https://html.spec.whatwg.org/multipage/webappapis.html#atob

const { DOMString, USVString, dictionary, expose, fail, globals } = internal.webidl;
const { require: requireBufferSource, toBase64, isBufferSource } = internal.bufferSource;
const { withoutBom } = internal.blob;
const encoderSlot = agent.slot("TextEncoder");
const slot = agent.slot("TextDecoder");
const UTF_8_LABELS = ["unicode-1-1-utf-8", "unicode11utf8", "unicode20utf8", "utf-8", "utf8",
  "x-unicode20utf8"];

class TextEncoder {
  constructor() { encoderSlot.set(this, {}); }
  get encoding() { return "utf-8"; }
  encode(input = "") { return new Uint8Array(native.encodeUtf8(USVString(input))); }

  encodeInto(source, destination) {
    const text = USVString(source);
    if (!(isBufferSource(destination) && destination instanceof Uint8Array)) {
      throw new TypeError("Failed to execute 'encodeInto' on 'TextEncoder': " +
        "parameter 2 is not of type 'Uint8Array'.");
    }
    let read = 0, written = 0;
    for (const character of text) {
      const bytes = new Uint8Array(native.encodeUtf8(character));
      if (written + bytes.length > destination.length) break;
      destination.set(bytes, written);
      written += bytes.length;
      read += character.length;
    }
    return { read, written };
  }
}
expose(TextEncoder, encoderSlot);

class TextDecoder {
  constructor(label = "utf-8", options = undefined) {
    const name = DOMString(label).trim().toLowerCase();
    const init = dictionary(options, "TextDecoderOptions");
    // TODO(spec): TextDecoder does not know the legacy encodings.
    if (!UTF_8_LABELS.includes(name)) {
      throw new RangeError(`Failed to construct 'TextDecoder': '${label}' is not supported.`);
    }
    slot.set(this, { fatal: !!init.fatal, ignoreBOM: !!init.ignoreBOM, pending: null, bomSeen: false });
  }

  get encoding() { return "utf-8"; }
  get fatal() { return slot.get(this).fatal; }
  get ignoreBOM() { return slot.get(this).ignoreBOM; }

  decode(input = undefined, options = undefined) {
    const state = slot.get(this);
    const stream = !!dictionary(options, "TextDecodeOptions").stream;
    let bytes = input === undefined ? new Uint8Array(0) : requireBufferSource(input);
    if (state.pending) bytes = concat(state.pending, bytes);
    const rest = stream ? native.incompleteUtf8(toBase64(bytes)) : 0;
    state.pending = rest ? bytes.slice(bytes.length - rest) : null;
    bytes = bytes.subarray(0, bytes.length - rest);
    if (!state.bomSeen && !state.ignoreBOM) bytes = withoutBom(bytes);
    state.bomSeen = stream && (state.bomSeen || bytes.length > 0);
    const text = native.decodeUtf8(toBase64(bytes), state.fatal);
    if (text === undefined) {
      throw new TypeError("Failed to execute 'decode' on 'TextDecoder': The encoded data was not valid.");
    }
    return text;
  }
}
expose(TextDecoder, slot);

function concat(a, b) {
  const bytes = new Uint8Array(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  return bytes;
}

globals({
  atob(data) {
    const decoded = native.decodeBase64(DOMString(data).toWellFormed());
    if (decoded === undefined) {
      fail("InvalidCharacterError", "The string to be decoded is not correctly encoded.");
    }
    return decoded;
  },
  btoa(data) {
    const string = DOMString(data);
    const bytes = new Uint8Array(string.length);
    for (let i = 0; i < string.length; i++) {
      bytes[i] = string.charCodeAt(i);
      if (string.charCodeAt(i) > 255) {
        fail("InvalidCharacterError", "The string has characters outside of the Latin1 range.");
      }
    }
    return toBase64(bytes);
  },
});
