// The BodyInit union and the Body mixin.
// https://fetch.spec.whatwg.org/#bodyinit-unions

const { DOMException, USVString } = internal.webidl;
const { isBufferSource, copy, toBase64 } = internal.bufferSource;
const { slot: blobSlot, fileSlot, bytesOf, createBlob, withoutBom } = internal.blob;
const { slot: formDataSlot, entriesOf } = internal.formData;
const { slot: streamSlot } = internal.stream;
const headersSlot = agent.slot("Headers");
const paramsSlot = agent.slot("URLSearchParams");

// The Web IDL conversion to (ReadableStream or XMLHttpRequestBodyInit). It copies the lists of a form and of search
// parameters. https://webidl.spec.whatwg.org/#js-union
function convert(value) {
  if (streamSlot.has(value)) return { __proto__: null, kind: "stream", stream: value };
  if (blobSlot.has(value)) return { __proto__: null, kind: "blob", blob: value };
  if (isBufferSource(value)) return { __proto__: null, kind: "bytes", bytes: copy(value) };
  if (formDataSlot.has(value)) return { __proto__: null, kind: "formData", entries: [...entriesOf(value)] };
  if (paramsSlot.has(value)) return { __proto__: null, kind: "urlSearchParams", list: [...paramsSlot.get(value).list] };
  return { __proto__: null, kind: "text", text: USVString(value) };
}

const convertNullable = (value) => (value === null || value === undefined ? null : convert(value));

// The type of an extracted body: https://fetch.spec.whatwg.org/#concept-bodyinit-extract
function typeOf(body) {
  switch (body.kind) {
    case "text": return "text/plain;charset=UTF-8";
    case "urlSearchParams": return "application/x-www-form-urlencoded;charset=UTF-8";
    case "blob": return blobSlot.get(body.blob).type || null;
    default: return body.type ?? null;
  }
}

// Converts a body to the form that the native functions take.
function pack(body) {
  switch (body.kind) {
    case "text": return { __proto__: null, kind: "text", text: body.text };
    case "bytes": return { __proto__: null, kind: "bytes", base64: toBase64(body.bytes) };
    case "blob": return { __proto__: null, kind: "blob", ...packBlob(body.blob) };
    case "formData": return { __proto__: null, kind: "formData", entries: body.entries.map(packEntry) };
    case "urlSearchParams": return { __proto__: null, kind: "urlSearchParams", list: body.list };
    default: return { __proto__: null, kind: "stream" };
  }
}

const packBlob = (blob) => ({ base64: toBase64(bytesOf(blob)), type: blobSlot.get(blob).type });
const packEntry = ([name, value]) => typeof value === "string"
  ? { __proto__: null, name, text: value } : { __proto__: null, name, filename: fileSlot.get(value).name, ...packBlob(value) };

// Extracts a body, and its type: https://fetch.spec.whatwg.org/#concept-bodyinit-extract
function extract(converted, keepalive = false) {
  if (converted.kind === "stream") {
    const { disturbed, reader } = streamSlot.get(converted.stream);
    if (keepalive) throw new TypeError("A keepalive request cannot have a ReadableStream body.");
    if (disturbed || reader) throw new TypeError("The ReadableStream is locked or has been read from.");
  }
  if (converted.kind === "formData") {
    const { bytes, type } = native.encodeFormData(pack(converted));
    return extract({ __proto__: null, kind: "bytes", bytes: new Uint8Array(bytes), type });
  }
  return { converted, stream: converted.stream ?? null, type: typeOf(converted) };
}

const isUnusable = (body) => body !== null && (isUsed(body) ||
  (body.stream !== null && streamSlot.get(body.stream).reader !== null));
const isUsed = (body) => body.used || (body.stream !== null && streamSlot.get(body.stream).disturbed);

async function toBytes({ kind, text, bytes, blob, list }) {
  switch (kind) {
    case "text": return new Uint8Array(native.encodeUtf8(text));
    case "bytes": return bytes;
    case "blob": return bytesOf(blob);
    default: return new Uint8Array(native.encodeUtf8(native.serializeUrlencoded(list)));
  }
}

async function readAll(stream) {
  const reader = stream.getReader();
  const chunks = [];
  for (let result = await reader.read(); !result.done; result = await reader.read()) {
    if (!(result.value instanceof Uint8Array)) throw new TypeError("A chunk is not a Uint8Array.");
    chunks.push(result.value);
  }
  return bytesOf(new Blob(chunks));
}

// https://fetch.spec.whatwg.org/#concept-body-consume-body
async function consume(state) {
  if (isUnusable(state.body)) throw new TypeError("body stream already read");
  if (state.body === null) return new Uint8Array(0);
  const { converted, stream } = state.body;
  state.body.used = true;
  return stream ? readAll(stream) : toBytes(converted);
}

function streamFor(state) {
  const { body } = state;
  if (body === null) return null;
  if (body.stream === null) {
    body.stream = lazyStream(body.converted);
    // The stream stays locked to its reader.
    if (body.used) body.stream.getReader();
  }
  return body.stream;
}

const lazyStream = (converted) => new ReadableStream({
  __proto__: null,
  async pull(controller) {
    const bytes = await toBytes(converted);
    if (bytes.length > 0) controller.enqueue(bytes.slice());
    controller.close();
  },
}, { __proto__: null, highWaterMark: 0 });

const decode = (bytes) => native.decodeUtf8(toBase64(withoutBom(bytes)), false);

// https://fetch.spec.whatwg.org/#concept-body-mime-type
const mimeTypeOf = ({ headers }) => native.extractMimeType(headersSlot.get(headers).list
  .filter(([name]) => name.toLowerCase() === "content-type").map(([, value]) => value));

// https://fetch.spec.whatwg.org/#body-mixin
function mixin(prototype, slot) {
  const members = {
    get body() { return streamFor(slot.get(this)); },
    get bodyUsed() {
      const { body } = slot.get(this);
      return body !== null && !!isUsed(body);
    },
    async text() { return decode(await consume(slot.get(this))); },
    async json() { return JSON.parse(decode(await consume(slot.get(this)))); },
    async arrayBuffer() { return (await consume(slot.get(this))).slice().buffer; },
    async bytes() { return (await consume(slot.get(this))).slice(); },
    async blob() {
      const type = mimeTypeOf(slot.get(this)) ?? "";
      return createBlob((await consume(slot.get(this))).slice(), type);
    },
    async formData() {
      const type = mimeTypeOf(slot.get(this)) ?? "";
      return internal.parseFormData(type, await consume(slot.get(this)));
    },
  };
  Object.defineProperties(prototype, Object.getOwnPropertyDescriptors(members));
}

// https://fetch.spec.whatwg.org/#concept-body-clone. The stream of a script cannot be cloned.
function clone(body) {
  if (body === null) return null;
  if (isUnusable(body)) throw new TypeError("Body has already been consumed.");
  if (body.converted.kind === "stream") {
    throw new DOMException("A streamed body cannot be cloned here.", "NotSupportedError");
  }
  return { ...body, stream: null };
}

internal.body = { convertNullable, pack, extract, isUnusable, mixin, clone };
