// The interfaces XMLHttpRequestEventTarget, XMLHttpRequestUpload and XMLHttpRequest.
// https://xhr.spec.whatwg.org/

const { ByteString, DOMString, USVString, constants, expose, fail, illegalConstructor, unsignedLong } = internal.webidl;
const { slot: targetSlot, createState, fire } = internal.eventTarget;
const { TOKEN, get: getHeader, isForbidden, normalize, sortAndCombine } = internal.headers;
const { convert, extract, pack, toBytes } = internal.body;
const { addCursor, read } = internal.bodySource;
const { isLocal, fetchLocally, start } = internal.fetch;
const { bytesOf, createBlob } = internal.blob;
const { toBase64 } = internal.bufferSource;
const slot = agent.slot("XMLHttpRequest");
const eventTargetSlot = agent.slot("XMLHttpRequestEventTarget");
const documentSlot = agent.slot("Document");
const STATES = { UNSENT: 0, OPENED: 1, HEADERS_RECEIVED: 2, LOADING: 3, DONE: 4 };
const { UNSENT, OPENED, HEADERS_RECEIVED, LOADING, DONE } = STATES;
const RESPONSE_TYPES = ["", "arraybuffer", "blob", "document", "json", "text"];
// https://xhr.spec.whatwg.org/#xmlhttprequest-response: the response of a request that has not been answered, or has failed.
const NETWORK_ERROR = { status: 0, statusText: "", headers: [], url: "", isNetworkError: true };
// How many milliseconds pass between two `progress` events, at the least.
const PROGRESS_INTERVAL = 50;

class XMLHttpRequestEventTarget extends EventTarget {
  constructor() { illegalConstructor(); }
}
expose(XMLHttpRequestEventTarget, eventTargetSlot);
internal.handlers.attributes(XMLHttpRequestEventTarget.prototype, eventTargetSlot,
  ["loadstart", "progress", "abort", "error", "load", "timeout", "loadend"]);

class XMLHttpRequestUpload extends XMLHttpRequestEventTarget {
  constructor() { illegalConstructor(); }
}
expose(XMLHttpRequestUpload, eventTargetSlot);

const initializeTarget = (object) => eventTargetSlot.set(targetSlot.set(object, createState()), {});

class XMLHttpRequest extends XMLHttpRequestEventTarget {
  // https://xhr.spec.whatwg.org/#constructors
  constructor() {
    const xhr = initializeTarget(Object.create(new.target.prototype));
    slot.set(xhr, {
      upload: initializeTarget(Object.create(XMLHttpRequestUpload.prototype)),
      state: UNSENT, isSent: false, timeout: 0, withCredentials: false, responseType: "", override: null, isSync: false,
      request: null, hasUploadListeners: false, isUploaded: true, uploadLength: 0, stop() {}, restartTimer() {},
      ...received(NETWORK_ERROR),
    });
    return xhr;
  }

  get readyState() { return slot.get(this).state; }
  get upload() { return slot.get(this).upload; }

  // https://xhr.spec.whatwg.org/#the-open()-method
  open(method, url, ...rest) {
    const xhr = slot.get(this);
    const [name, address] = [ByteString(method), USVString(url)];
    const [async, username, password] = [rest.length === 0 || !!rest[0], ...rest.slice(1, 3).map(nullableString)];
    if (internal.document && !internal.isFullyActive()) fail("InvalidStateError", "The document is not active.");
    // Steps 2 to 4.
    if (!TOKEN.test(name)) fail("SyntaxError", `'${name}' is not a valid HTTP method.`);
    const upper = name.toUpperCase();
    if (["CONNECT", "TRACE", "TRACK"].includes(upper)) fail("SecurityError", `'${name}' HTTP method is unsupported.`);
    // Steps 5 and 6.
    let target = native.resolveUrl(address);
    if (target === undefined) fail("SyntaxError", `'${address}' is not a valid URL.`);
    // Step 8.
    if (native.urlComponent(target, "hostname")) {
      if (typeof username === "string") target = native.setUrlComponent(target, "username", username);
      if (typeof password === "string") target = native.setUrlComponent(target, "password", password);
    }
    // Step 9.
    if (!async && internal.document && (xhr.timeout !== 0 || xhr.responseType !== "")) {
      fail("InvalidAccessError", "A synchronous request of a window has no timeout and no response type.");
    }
    // Steps 10 and 11.
    xhr.stop();
    Object.assign(xhr, received(NETWORK_ERROR), {
      isSent: false, hasUploadListeners: false, isSync: !async,
      request: { method: METHODS.includes(upper) ? upper : name, url: target, headers: [] },
    });
    // Step 12.
    if (xhr.state !== OPENED) changeState(this, OPENED);
  }

  // https://xhr.spec.whatwg.org/#the-setrequestheader()-method
  setRequestHeader(name, value) {
    const xhr = slot.get(this);
    const [key, given] = [ByteString(name), normalize(ByteString(value))];
    requireOpened(xhr);
    if (!TOKEN.test(key)) fail("SyntaxError", `'${key}' is not a legal HTTP header name.`);
    // eslint-disable-next-line no-control-regex
    if (/[\0\n\r]/.test(given)) fail("SyntaxError", `'${given}' is not a legal HTTP header value.`);
    if (isForbidden(key.toLowerCase(), given)) return;
    // Step 6: https://fetch.spec.whatwg.org/#concept-header-list-combine
    const old = xhr.request.headers.find(([it]) => it.toLowerCase() === key.toLowerCase());
    if (old === undefined) xhr.request.headers.push([key, given]);
    else old[1] += `, ${given}`;
  }

  // https://xhr.spec.whatwg.org/#the-timeout-attribute
  get timeout() { return slot.get(this).timeout; }
  set timeout(value) {
    const xhr = slot.get(this);
    const timeout = unsignedLong(value);
    if (xhr.isSync && internal.document) fail("InvalidAccessError", "A synchronous request of a window has no timeout.");
    xhr.timeout = timeout;
    xhr.restartTimer();
  }

  // https://xhr.spec.whatwg.org/#the-withcredentials-attribute
  get withCredentials() { return slot.get(this).withCredentials; }
  set withCredentials(value) {
    const xhr = slot.get(this);
    const isIncluded = !!value;
    if (xhr.state > OPENED || xhr.isSent) fail("InvalidStateError", "The request is sent.");
    xhr.withCredentials = isIncluded;
  }

  // https://xhr.spec.whatwg.org/#the-send()-method
  send(body = null) {
    const xhr = slot.get(this);
    // Steps 1 and 2.
    requireOpened(xhr);
    const { request } = xhr;
    // Steps 3 and 4.
    const isBodyless = ["GET", "HEAD"].includes(request.method) || body === null || body === undefined;
    const extracted = isBodyless ? null : extractBody(body, request.headers);
    // Steps 5 to 10.
    const types = targetSlot.get(xhr.upload).listeners;
    Object.assign(xhr, {
      isSent: true, isUploaded: extracted === null, hasUploadListeners: types.length > 0,
      uploadLength: extracted === null ? 0 : toBytes(extracted.converted).length,
    });
    const packed = {
      __proto__: null, ...request, body: extracted && pack(extracted.converted), mode: "cors",
      credentials: xhr.withCredentials ? "include" : "same-origin", cache: "default", redirect: "follow",
      referrer: "about:client", referrerPolicy: "", integrity: "", keepalive: false, priority: "auto",
      isXhr: true, useCorsPreflight: xhr.hasUploadListeners,
    };
    if (xhr.isSync) sendSync(this, xhr, packed);
    else sendAsync(this, xhr, packed);
  }

  // https://xhr.spec.whatwg.org/#the-abort()-method
  abort() {
    const xhr = slot.get(this);
    xhr.stop();
    if ((xhr.state === OPENED && xhr.isSent) || xhr.state === HEADERS_RECEIVED || xhr.state === LOADING) {
      requestErrorSteps(this, xhr, "abort");
    }
    if (xhr.state === DONE) Object.assign(xhr, received(NETWORK_ERROR), { state: UNSENT });
  }

  get responseURL() { return slot.get(this).head.url; }
  get status() { return slot.get(this).head.status; }
  get statusText() { return slot.get(this).head.statusText; }

  // https://xhr.spec.whatwg.org/#the-getresponseheader()-method
  getResponseHeader(name) { return getHeader(slot.get(this).head.headers, ByteString(name).toLowerCase()); }

  // https://xhr.spec.whatwg.org/#the-getallresponseheaders()-method
  getAllResponseHeaders() {
    const sorted = sortAndCombine(slot.get(this).head.headers).sort(([a], [b]) => (a.toUpperCase() < b.toUpperCase() ? -1 : 1));
    return sorted.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  }

  // https://xhr.spec.whatwg.org/#the-overridemimetype()-method
  overrideMimeType(mime) {
    const xhr = slot.get(this);
    const given = DOMString(mime);
    if (xhr.state === LOADING || xhr.state === DONE) fail("InvalidStateError", "The response is arriving already.");
    xhr.override = native.extractMimeType([given.toWellFormed()]) ?? "application/octet-stream";
  }

  // https://xhr.spec.whatwg.org/#the-responsetype-attribute
  get responseType() { return slot.get(this).responseType; }
  set responseType(value) {
    const xhr = slot.get(this);
    const type = DOMString(value);
    if (!RESPONSE_TYPES.includes(type) || (!internal.document && type === "document")) return;
    if (xhr.state === LOADING || xhr.state === DONE) fail("InvalidStateError", "The response is arriving already.");
    if (internal.document && xhr.isSync) fail("InvalidAccessError", "A synchronous request of a window has no response type.");
    xhr.responseType = type;
  }

  // https://xhr.spec.whatwg.org/#the-response-attribute
  get response() {
    const xhr = slot.get(this);
    if (xhr.responseType === "" || xhr.responseType === "text") return this.responseText;
    if (xhr.state !== DONE || xhr.object === null) return null;
    xhr.object ??= responseObject(xhr);
    return xhr.object;
  }

  // https://xhr.spec.whatwg.org/#the-responsetext-attribute
  get responseText() {
    const xhr = slot.get(this);
    if (xhr.responseType !== "" && xhr.responseType !== "text") fail("InvalidStateError", "The response is no text.");
    return xhr.state === LOADING || xhr.state === DONE ? textResponse(xhr) : "";
  }

  // https://xhr.spec.whatwg.org/#the-responsexml-attribute
  // TODO(spec): a response is never parsed to a document, because each document of the shell has a window.
  get responseXML() {
    const { responseType } = slot.get(this);
    if (responseType !== "" && responseType !== "document") fail("InvalidStateError", "The response is no document.");
    return null;
  }
}
expose(XMLHttpRequest, slot);
constants(XMLHttpRequest, STATES);
internal.handlers.attributes(XMLHttpRequest.prototype, slot, ["readystatechange"]);

const METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"];
const nullableString = (value) => (value === null || value === undefined ? value : USVString(value));

// The parts of the state that belong to a response. `object` is undefined until it is made of the bytes, and null if that
// has failed.
const received = (head) => ({ head, chunks: [], length: 0, text: undefined, object: undefined });

function requireOpened(xhr) {
  if (xhr.state !== OPENED || xhr.isSent) fail("InvalidStateError", "The object's state must be OPENED.");
}

function changeState(object, state) {
  slot.get(object).state = state;
  fire(object, "readystatechange");
}

// Step 4 of send(): extracts the body, and sets the header `Content-Type`.
function extractBody(given, headers) {
  const isDocument = documentSlot.has(given);
  const converted = isDocument
    ? { __proto__: null, kind: "text", text: given.documentElement?.outerHTML.toWellFormed() ?? "" } : convert(given);
  const body = extract(converted);
  const author = getHeader(headers, "content-type");
  if (author === null) {
    const type = isDocument ? "text/html;charset=UTF-8" : body.type;
    if (type !== null) headers.push(["Content-Type", type]);
  } else if (converted.kind === "text") {
    const header = headers.find(([name]) => name.toLowerCase() === "content-type");
    header[1] = native.withCharsetUtf8(author) ?? author;
  }
  return body;
}

// https://xhr.spec.whatwg.org/#concept-event-fire-progress
function fireProgress(target, type, transmitted, length) {
  fire(target, type, { Interface: internal.interfaces.ProgressEvent, loaded: transmitted, total: length,
    lengthComputable: length !== 0 });
}

// Step 11 of send().
function sendAsync(object, xhr, packed) {
  fireProgress(object, "loadstart", 0, 0);
  if (!xhr.isUploaded && xhr.hasUploadListeners) fireProgress(xhr.upload, "loadstart", 0, xhr.uploadLength);
  if (xhr.state !== OPENED || !xhr.isSent) return;
  const fetch = { isOver: false, started: performance.now(), timer: undefined };
  const ifOngoing = (steps) => (...args) => { if (!fetch.isOver) steps(...args); };
  const abort = start(packed, {
    respond: ifOngoing((head, source) => processResponse(object, xhr, head, source, ifOngoing)),
    fail: ifOngoing(() => endWith(object, xhr, "error")),
  });
  const stopTimer = () => { if (fetch.timer !== undefined) internal.stopTimer(fetch.timer); };
  xhr.stop = () => {
    fetch.isOver = true;
    stopTimer();
    abort();
    Object.assign(xhr, { stop() {}, restartTimer() {} });
  };
  // Step 11.11. A script may change the timeout later: then it counts from the beginning, too.
  xhr.restartTimer = () => {
    stopTimer();
    if (xhr.timeout === 0) return;
    const left = xhr.timeout - (performance.now() - fetch.started);
    fetch.timer = internal.startTimer(ifOngoing(() => endWith(object, xhr, "timeout")), Math.max(left, 0));
  };
  xhr.restartTimer();
}

// https://xhr.spec.whatwg.org/#handle-errors
function endWith(object, xhr, type) {
  xhr.stop();
  if (xhr.isSent) requestErrorSteps(object, xhr, type);
}

// https://xhr.spec.whatwg.org/#request-error-steps, for an asynchronous request
function requestErrorSteps(object, xhr, type) {
  Object.assign(xhr, { isSent: false }, received(NETWORK_ERROR));
  changeState(object, DONE);
  if (!xhr.isUploaded) {
    xhr.isUploaded = true;
    if (xhr.hasUploadListeners) for (const it of [type, "loadend"]) fireProgress(xhr.upload, it, 0, 0);
  }
  for (const it of [type, "loadend"]) fireProgress(object, it, 0, 0);
}

// Steps 11.7 to 11.9 of send(): processRequestEndOfBody and processResponse.
// NB: the library does not say when the request's body is sent, so the events of the upload come with the response.
function processResponse(object, xhr, head, source, ifOngoing) {
  if (!xhr.isUploaded) {
    xhr.isUploaded = true;
    const types = xhr.hasUploadListeners ? ["progress", "load", "loadend"] : [];
    for (const type of types) fireProgress(xhr.upload, type, xhr.uploadLength, xhr.uploadLength);
  }
  xhr.head = head;
  changeState(object, HEADERS_RECEIVED);
  if (xhr.state !== HEADERS_RECEIVED) return;
  const length = Number(getHeader(head.headers, "content-length") ?? 0) || 0;
  let lastProgress = -Infinity;
  const cursor = addCursor(source);
  const request = {
    chunk: ifOngoing((chunk) => {
      xhr.chunks.push(chunk);
      xhr.length += chunk.length;
      const now = performance.now();
      if (now - lastProgress >= PROGRESS_INTERVAL) {
        lastProgress = now;
        if (xhr.state === HEADERS_RECEIVED) xhr.state = LOADING;
        fire(object, "readystatechange");
        fireProgress(object, "progress", xhr.length, length);
      }
      ifOngoing(read)(cursor, request);
    }),
    close: ifOngoing(() => endOfBody(object, xhr, length)),
    error: ifOngoing(() => endWith(object, xhr, "error")),
  };
  read(cursor, request);
}

// https://xhr.spec.whatwg.org/#handle-response-end-of-body
function endOfBody(object, xhr, length) {
  if (!xhr.isSync) {
    xhr.stop();
    fireProgress(object, "progress", xhr.length, length);
  }
  xhr.isSent = false;
  changeState(object, DONE);
  for (const type of ["load", "loadend"]) fireProgress(object, type, xhr.length, length);
}

// Step 12 of send().
function sendSync(object, xhr, packed) {
  const { head, body, isTimeout } = isLocal(packed) ? fetchLocally(packed) ?? {} : native.fetchSync(packed, xhr.timeout);
  xhr.isUploaded = true;
  if (head === undefined) {
    Object.assign(xhr, { state: DONE, isSent: false }, received(NETWORK_ERROR));
    fail(isTimeout ? "TimeoutError" : "NetworkError", `Failed to load '${packed.url}'.`);
  }
  const bytes = new Uint8Array(body);
  Object.assign(xhr, { head, chunks: [bytes], length: bytes.length });
  endOfBody(object, xhr, Number(getHeader(head.headers, "content-length") ?? 0) || 0);
}

const receivedBytes = ({ chunks }) => bytesOf(new Blob(chunks));

// https://xhr.spec.whatwg.org/#final-mime-type-override
const finalMimeType = ({ head, override }) => override ??
  native.extractMimeType(head.headers.filter(([name]) => name.toLowerCase() === "content-type").map(([, value]) => value)) ??
  "text/xml";

// https://xhr.spec.whatwg.org/#text-response. It is kept until more bytes arrive.
function textResponse(xhr) {
  if (xhr.text?.length !== xhr.length) {
    const value = native.decode(toBase64(receivedBytes(xhr)), native.mimeCharset(finalMimeType(xhr)) ?? "utf-8");
    xhr.text = { length: xhr.length, value };
  }
  return xhr.text.value;
}

// The response object of step 5 of the getter of `response`, or null.
function responseObject(xhr) {
  const bytes = receivedBytes(xhr);
  switch (xhr.responseType) {
    case "arraybuffer": return bytes.slice().buffer;
    case "blob": return createBlob(bytes, finalMimeType(xhr));
    case "json": return jsonOf(bytes);
    default: return null;
  }
}

function jsonOf(bytes) {
  try {
    return bytes.length === 0 ? null : JSON.parse(native.decode(toBase64(bytes), "utf-8"));
  } catch {
    return null;
  }
}
