// The method fetch().
// https://fetch.spec.whatwg.org/#fetch-method

const { globals, promised } = internal.webidl;
const { fire } = internal.eventTarget;
const { slot: requestSlot } = internal.request;
const { slot: headersSlot } = internal.headers;
const { pack, isUnusable } = internal.body;
const { onAbort } = internal.abort;
const { slot: blobSlot, bytesOf } = internal.blob;
const { toBase64 } = internal.bufferSource;
const { bodySource, stream: streams } = internal;
const streamSlot = streams.slot;
const running = new Map();
const NOTHING = { __proto__: null };

globals({
  fetch: promised(function (input, init = undefined) {
    const { promise, resolve, reject } = Promise.withResolvers();
    const request = requestSlot.get(new Request(input, init));
    const { body, signal } = request;
    if (signal.aborted) {
      if (body?.stream) streams.cancel(streamSlot.get(body.stream), signal.reason);
      reject(signal.reason);
      return promise;
    }
    if (isUnusable(body)) throw new TypeError("The body has already been used.");
    const local = fetchLocally(request);
    if (local !== undefined) {
      resolve(internal.responseOf(local));
      return promise;
    }
    const id = native.fetch(packed(request));
    const fetch = { resolve, keepalive: request.keepalive, fail: reject, source: null };
    running.set(id, fetch);
    onAbort(signal, () => {
      fetch.fail(signal.reason);
      if (running.delete(id)) native.abortFetch(id);
    });
    return promise;
  }),
});

function packed(request) {
  const { list } = headersSlot.get(request.headers);
  return { __proto__: null, ...request, headers: list, body: request.body === null ? null : pack(request.body.converted) };
}

internal.fetch = { packed };

// https://fetch.spec.whatwg.org/#scheme-fetch, for the schemes that need no network.
function fetchLocally({ method, url }) {
  const [scheme] = url.split(":", 1);
  if (scheme !== "blob" && scheme !== "data") return undefined;
  const { bytes, type } = (scheme === "blob" ? blobAt(url) : native.decodeDataUrl(url)) ?? NOTHING;
  if (bytes === undefined || (scheme === "blob" && method !== "GET")) throw new TypeError(`Failed to fetch ${url}`);
  const headers = [["Content-Type", type]];
  if (scheme === "blob") headers.unshift(["Content-Length", `${bytes.length}`]);
  return { status: 200, statusText: "OK", headers, url: url.split("#", 1)[0], type: "basic", redirected: false,
    body: method === "HEAD" ? new Uint8Array(0) : bytes };
}

// The text of a script at a blob URL, or undefined.
internal.blobText = (url) => {
  const { bytes } = blobAt(url) ?? NOTHING;
  return bytes && native.decodeUtf8(toBase64(bytes), false);
};

// https://w3c.github.io/FileAPI/#blob-url-resolve
function blobAt(url) {
  const blob = agent.blobUrls.get(url.split("#", 1)[0]);
  return blob && { bytes: bytesOf(blob), type: blobSlot.get(blob).type };
}

// The bytes of a document at a blob URL, as base64, and their type.
internal.hooks.blobDocument = (url) => {
  const { bytes, type } = blobAt(url) ?? NOTHING;
  return bytes && [toBase64(bytes), type];
};

// https://html.spec.whatwg.org/multipage/document-lifecycle.html#abort-a-document. Keepalive fetches go on.
internal.stopFetches = () => {
  for (const [id, { keepalive, fail }] of running) {
    if (keepalive) continue;
    running.delete(id);
    native.abortFetch(id);
    fail(new TypeError("The page has stopped loading."));
  }
};

// How many bytes of a response arrive before the page reads them.
const READ_AHEAD = 65536;

// The source of the body of a response.
function createSource(id) {
  const cancel = () => { if (running.delete(id)) native.abortFetch(id); };
  return bodySource.create(() => native.readBody(id), cancel, READ_AHEAD);
}

// The response is there. `running` has the fetch until its body has ended.
internal.hooks.fulfillFetch = (id, response) => {
  const fetch = running.get(id);
  // The page has aborted the fetch.
  if (fetch === undefined) return;
  const source = createSource(id);
  Object.assign(fetch, { source, fail(error) { bodySource.fail(source, error); } });
  fetch.resolve(internal.responseOf(response, source));
  if (response.type !== "opaque" && response.type !== "opaqueredirect") bodySource.pullIfWanted(source);
};
// The fetch has failed before its response was there, or while its body arrived.
internal.hooks.failFetch = (id, message) => {
  const fetch = running.get(id);
  if (running.delete(id)) fetch.fail(new TypeError(message));
};
internal.hooks.receiveChunk = (id, bytes) => {
  const fetch = running.get(id);
  if (fetch !== undefined) bodySource.enqueue(fetch.source, new Uint8Array(bytes));
};
internal.hooks.endBody = (id) => {
  const fetch = running.get(id);
  if (running.delete(id)) bodySource.end(fetch.source);
};

// https://w3c.github.io/webappsec-csp/#report-violation, step 3. The target is the document or the worker's global scope,
// because a violation by a request has no element.
internal.hooks.fireViolation = (blockedURI, effectiveDirective, originalPolicy, disposition) => {
  fire(internal.document ?? internal.global, "securitypolicyviolation", {
    Interface: internal.interfaces.SecurityPolicyViolationEvent, bubbles: true, composed: true,
    documentURI: native.documentUrl(), referrer: native.environment().referrer, blockedURI, effectiveDirective,
    violatedDirective: effectiveDirective, originalPolicy, disposition, statusCode: 200,
  }, { fromHost: true });
};
