// The method fetch().
// https://fetch.spec.whatwg.org/#fetch-method

const { globals } = internal.webidl;
const { fire } = internal.eventTarget;
const { slot: requestSlot } = internal.request;
const { slot: headersSlot } = internal.headers;
const { pack, isUnusable } = internal.body;
const { onAbort } = internal.abort;
const { slot: blobSlot, bytesOf } = internal.blob;
const { toBase64 } = internal.bufferSource;
const running = new Map();
const NOTHING = { __proto__: null };

globals({
  async fetch(input, init = undefined) {
    const request = requestSlot.get(new Request(input, init));
    const { signal } = request;
    if (signal.aborted) throw signal.reason;
    if (isUnusable(request.body)) throw new TypeError("The body has already been used.");
    const local = fetchLocally(request);
    if (local !== undefined) return internal.responseOf(local);
    const id = native.fetch(packed(request));
    const outcome = Promise.withResolvers();
    running.set(id, { ...outcome, keepalive: request.keepalive });
    onAbort(signal, () => {
      if (!running.delete(id)) return;
      outcome.reject(signal.reason);
      native.abortFetch(id);
    });
    return outcome.promise;
  },
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
  for (const [id, { keepalive, reject }] of running) {
    if (keepalive) continue;
    running.delete(id);
    native.abortFetch(id);
    reject(new TypeError("The page has stopped loading."));
  }
};

function end(id, settle) {
  const outcome = running.get(id);
  // The page has aborted the fetch.
  if (running.delete(id)) settle(outcome);
}

internal.hooks.fulfillFetch = (id, response) =>
  end(id, ({ resolve }) => resolve(internal.responseOf(response)));
internal.hooks.rejectFetch = (id, message) =>
  end(id, ({ reject }) => reject(new TypeError(message)));

// https://w3c.github.io/webappsec-csp/#report-violation, step 3. The target is the document or the worker's global scope,
// because a violation by a request has no element.
internal.hooks.fireViolation = (blockedURI, effectiveDirective, originalPolicy, disposition) => {
  fire(internal.document ?? internal.global, "securitypolicyviolation", {
    Interface: internal.interfaces.SecurityPolicyViolationEvent, bubbles: true, composed: true,
    documentURI: native.documentUrl(), referrer: native.environment().referrer, blockedURI, effectiveDirective,
    violatedDirective: effectiveDirective, originalPolicy, disposition, statusCode: 200,
  }, { fromHost: true });
};
