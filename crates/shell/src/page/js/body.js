// The BodyInit union and the Body mixin.
// https://fetch.spec.whatwg.org/#bodyinit-unions

const { USVString, promised } = internal.webidl;
const { isBufferSource, copy, toBase64 } = internal.bufferSource;
const { slot: blobSlot, fileSlot, bytesOf, createBlob, withoutBom } = internal.blob;
const { slot: formDataSlot, entriesOf } = internal.formData;
const { slot: streamSlot, lock } = internal.stream;
const { addCursor, read, ofStream, streamOf } = internal.bodySource;
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
  return { converted, stream: converted.stream ?? null, type: typeOf(converted), used: false };
}

const isUnusable = (body) => body !== null && (isUsed(body) ||
  (body.stream !== null && streamSlot.get(body.stream).reader !== null));
const isUsed = (body) => body.used || (body.stream !== null && streamSlot.get(body.stream).disturbed);

function toBytes({ kind, text, bytes, blob, list }) {
  switch (kind) {
    case "text": return new Uint8Array(native.encodeUtf8(text));
    case "bytes": return bytes;
    case "blob": return bytesOf(blob);
    default: return new Uint8Array(native.encodeUtf8(native.serializeUrlencoded(list)));
  }
}

// https://fetch.spec.whatwg.org/#body-fully-read
function fullyRead(body, succeed, fail) {
  const { converted, stream } = body;
  if (!stream && converted.kind !== "arriving") {
    succeed(toBytes(converted));
    return;
  }
  const chunks = [];
  const readNext = stream ? readerOf(lock(stream)) : (request) => read(converted.cursor, request);
  const request = {
    chunk(chunk) {
      if (!(chunk instanceof Uint8Array)) {
        fail(new TypeError("A chunk is not a Uint8Array."));
        return;
      }
      chunks.push(chunk);
      readNext(request);
    },
    close() { succeed(bytesOf(new Blob(chunks))); },
    error: fail,
  };
  readNext(request);
}
const readerOf = (stream) => (request) => internal.stream.read(stream, request);

// https://fetch.spec.whatwg.org/#concept-body-consume-body. `convert` makes the result of the bytes.
function consume(state, convert) {
  const { promise, resolve, reject } = Promise.withResolvers();
  const succeed = (bytes) => {
    try {
      resolve(convert(bytes));
    } catch (exception) {
      reject(exception);
    }
  };
  const { body } = state;
  if (isUnusable(body)) {
    reject(new TypeError("body stream already read"));
  } else if (body === null) {
    succeed(new Uint8Array(0));
  } else {
    body.used = true;
    fullyRead(body, succeed, reject);
  }
  return promise;
}

function streamFor(state) {
  const { body } = state;
  if (body === null) return null;
  if (body.stream === null) {
    const { converted } = body;
    body.stream = converted.kind === "arriving" ? streamOf(converted.cursor) : lazyStream(converted);
    // The stream stays locked to its reader.
    if (body.used) lock(body.stream);
  }
  return body.stream;
}

const lazyStream = (converted) => new ReadableStream({
  __proto__: null,
  pull(controller) {
    const bytes = toBytes(converted);
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
      return body !== null && isUsed(body);
    },
    text() { return consume(slot.get(this), decode); },
    json() { return consume(slot.get(this), (bytes) => JSON.parse(decode(bytes))); },
    arrayBuffer() { return consume(slot.get(this), (bytes) => bytes.slice().buffer); },
    bytes() { return consume(slot.get(this), (bytes) => bytes.slice()); },
    blob() {
      const state = slot.get(this);
      return consume(state, (bytes) => createBlob(bytes.slice(), mimeTypeOf(state) ?? ""));
    },
    formData() {
      const state = slot.get(this);
      return consume(state, (bytes) => internal.parseFormData(mimeTypeOf(state) ?? "", bytes));
    },
  };
  ["text", "json", "arrayBuffer", "bytes", "blob", "formData"].forEach((name) => promised(members[name]));
  Object.defineProperties(prototype, Object.getOwnPropertyDescriptors(members));
}

// https://fetch.spec.whatwg.org/#concept-body-clone. Instead of the two branches of a tee, both bodies get a cursor of the
// same source.
function clone(body) {
  if (body === null) return null;
  if (isUnusable(body)) throw new TypeError("Body has already been consumed.");
  if (body.converted.kind === "stream") {
    const source = ofStream(body.stream);
    Object.assign(body, { converted: arriving(source), stream: null });
  }
  const { converted } = body;
  const copy = converted.kind !== "arriving" ? converted
    : arriving(converted.cursor.source, (chunk) => internal.structuredClone(chunk, []));
  return { ...body, converted: copy, stream: null };
}

// https://fetch.spec.whatwg.org/#dom-request, step 41: the body of a request that is made of the request with `body`.
function proxyOf(body) {
  const { converted } = body;
  const taken = converted.kind === "stream" ? arriving(ofStream(body.stream)) : converted;
  body.used = true;
  if (body.stream && converted.kind !== "stream") lock(body.stream);
  return { ...body, converted: taken, stream: null, used: false };
}

const arriving = (source, copy) => ({ __proto__: null, kind: "arriving", cursor: addCursor(source, copy) });

internal.body = { convert, convertNullable, pack, toBytes, extract, arriving, isUnusable, mixin, clone, proxyOf };
