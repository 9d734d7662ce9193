// In a content process, keepalive_fetch.js includes this file, which uses the names that are declared above that place.
// The app sends every keepalive `fetch()` with simple options, and its response comes from the app.
const parseJson = JSON.parse;
const { fromBase64 } = Native.Uint8Array;
const ownOrigin = origin;
const urlOrigin = getter(URL.prototype, "origin");
const isAborted = getter(AbortSignal.prototype, "aborted");
const abortReason = getter(AbortSignal.prototype, "reason");
const viewOf = getter(Document.prototype, "defaultView");
const headersOf = getter(Response.prototype, "headers");
const appendHeader = method(Headers.prototype, "append");
const enqueue = method(ReadableStreamDefaultController.prototype, "enqueue");
const closeStream = method(ReadableStreamDefaultController.prototype, "close");
const breakStream = method(ReadableStreamDefaultController.prototype, "error");
const { Response: NativeResponse, ReadableStream: NativeStream } = window;
const workers = navigator.serviceWorker;
const workerOf = workers && getter(ServiceWorkerContainer.prototype, "controller");

// The functions that the extension calls. The extension has only weak references to them, because strong ones would keep
// the page alive. This set keeps them.
const deliveries = new Native.Set();

// What script reads from a response of the app, in place of the values of WebKit's object.
const shown = new Native.WeakMap();
const show = (name) => {
  const descriptor = getOwnPropertyDescriptor(NativeResponse.prototype, name);
  const of = (get, self, args) => {
    const it = weakGet(shown, self);
    return it ? it[name] : apply(get, self, args);
  };
  const get = new Native.Proxy(descriptor.get, { __proto__: null, apply: of });
  defineProperty(NativeResponse.prototype, name, { ...descriptor, get });
};
const names = ["type", "url", "redirected", "status", "ok"];
for (let i = 0; i < names.length; i++) show(names[i]);
wrap(NativeResponse.prototype, "clone", (native, self, args) => {
  const clone = apply(native, self, args);
  const it = weakGet(shown, self);
  if (it) weakSet(shown, clone, it);
  return clone;
});

// While the page is not dismissed, these are the webview's: what a service worker may answer, and what may need cookies that
// the app does not send.
isOurs = ({ url, credentials }, signal) => {
  if (!fromBase64 || (signal !== undefined && signal !== null && isAborted(signal))) return false;
  const isLocal = urlOrigin(url) === ownOrigin || credentials !== "include";
  return isLeaving || (isLocal && !(workers && workerOf(workers)));
};
send = (fields, method, signal) => {
  let resolve, reject, stream;
  const promise = new Native.Promise((yes, no) => {
    resolve = yes;
    reject = no;
  });
  let isOver = false;
  const finish = () => {
    isOver = true;
    setDelete(deliveries, deliver);
    if (signal) unlisten(signal, "abort", onAbort);
  };
  const fail = (error) => {
    finish();
    reject(error);
    if (stream) breakStream(stream, error);
  };
  const onAbort = () => {
    abort();
    fail(abortReason(signal));
  };
  const respond = ({ headers, hasBody, statusText, ...rest }) => {
    const source = { __proto__: null, start: (it) => (stream = it), cancel: () => (finish(), abort()) };
    const body = hasBody && method !== "HEAD" ? new NativeStream(source) : null;
    // The constructor refuses other statuses. It takes the type of the body from the header.
    const status = rest.status >= 200 && rest.status <= 599 ? rest.status : 200;
    const init = { __proto__: null, status, statusText, headers: { __proto__: null } };
    const type = "content-type";
    for (let i = 0; i < headers.length; i++) if (headers[i][0] === type) init.headers[type] = headers[i][1];
    const response = new NativeResponse(body, init);
    for (let i = 0; i < headers.length; i++) {
      if (headers[i][0] !== type) appendHeader(headersOf(response), headers[i][0], headers[i][1]);
    }
    weakSet(shown, response, { __proto__: null, ...rest });
    resolve(response);
    if (!stream) finish();
  };
  // The app calls this with each part of the response. While the page is in the back/forward cache, no script of it may
  // run, so the part waits.
  const deliver = (kind, text) => {
    if (isOver) return;
    if (isLeaving) return whenBack(() => deliver(kind, text));
    if (viewOf(page) === null) return;
    if (kind === "head") {
      try {
        respond(parseJson(text));
      } catch {
        fail(failed("the webview does not take the response"));
      }
    } else if (kind === "failed") fail(failed("the request has failed"));
    else if (stream && kind === "chunk") enqueue(stream, apply(fromBase64, Native.Uint8Array, [text]));
    else if (stream && kind === "end") {
      finish();
      closeStream(stream);
    }
  };
  const abort = tell("fetch", fields, deliver);
  if (!abort) return abort;
  setAdd(deliveries, deliver);
  if (signal) listen(signal, "abort", onAbort);
  return promise;
};
