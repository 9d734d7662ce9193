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
    const fetch = {
      fail: reject,
      respond(head, source) {
        fetch.fail = (error) => bodySource.fail(source, error);
        resolve(internal.responseOf(head, source));
      },
    };
    const abort = start(packed(request), { respond: fetch.respond, fail: (error) => fetch.fail(error) });
    onAbort(signal, () => {
      fetch.fail(signal.reason);
      abort();
    });
    return promise;
  }),
});

// Starts a fetch. `respond` gets the head of the response and the source of its body, and `fail` gets the error if the fetch
// ends before its body has ended. Returns the steps that abort the fetch.
function start(request, { respond, fail }) {
  if (isLocal(request)) return startLocally(request, respond, fail);
  const id = native.fetch(request);
  running.set(id, { respond, fail, keepalive: request.keepalive, source: null });
  return () => { if (running.delete(id)) native.abortFetch(id); };
}

function startLocally(request, respond, fail) {
  let isAborted = false;
  internal.startTask(() => {
    if (isAborted) return;
    const local = fetchLocally(request);
    if (local === undefined) {
      fail(new TypeError(`Failed to fetch ${request.url}`));
      return;
    }
    const source = bodySource.create(() => {}, () => {});
    if (local.body.length > 0) bodySource.enqueue(source, local.body);
    bodySource.end(source);
    respond(local.head, source);
  });
  return () => { isAborted = true; };
}

function packed(request) {
  const { list } = headersSlot.get(request.headers);
  return { __proto__: null, ...request, headers: list, body: request.body === null ? null : pack(request.body.converted) };
}

internal.fetch = { packed, isLocal, fetchLocally, start };

// https://fetch.spec.whatwg.org/#scheme-fetch, for the schemes that need no network. Returns the head and the body of the
// response, or undefined for a network error. The directive is that of the request's destination.
function isLocal({ url }) { return /^(blob|data):/.test(url); }
function fetchLocally({ method, url }, directive = "connect-src") {
  if (native.isBlockedByCsp(directive, url)) return undefined;
  const isBlob = url.startsWith("blob:");
  const { bytes, type } = (isBlob ? blobAt(url) : native.decodeDataUrl(url)) ?? NOTHING;
  if (bytes === undefined || (isBlob && method !== "GET")) return undefined;
  const headers = [["Content-Type", type]];
  if (isBlob) headers.unshift(["Content-Length", `${bytes.length}`]);
  const head = { status: 200, statusText: "OK", headers, url: url.split("#", 1)[0], type: "basic", redirected: false };
  return { head, body: method === "HEAD" ? new Uint8Array(0) : new Uint8Array(bytes) };
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
  fetch.source = source;
  fetch.respond(response, source);
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
