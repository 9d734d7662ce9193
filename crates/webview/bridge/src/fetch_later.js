// A part of page.js: it has what stands above it there.
// `fetchLater()` for a main frame whose webview has none.
//
// NB: a frame would share the quota of the documents around it, which its script cannot see.
if (!("fetchLater" in window) && window === window.top) {
  const requestUrl = getter(Request.prototype, "url");
  const requestMethod = getter(Request.prototype, "method");
  const requestMode = getter(Request.prototype, "mode");
  const requestCredentials = getter(Request.prototype, "credentials");
  const requestHeaders = getter(Request.prototype, "headers");
  const requestSignal = getter(Request.prototype, "signal");
  const isAborted = getter(AbortSignal.prototype, "aborted");
  const abortReason = getter(AbortSignal.prototype, "reason");
  const urlOrigin = getter(URL.prototype, "origin");
  const { create } = Object;
  const { isFinite } = Number;
  // What a document may have deferred, and one destination of it. The rest of the standard's quota is for frames.
  const quota = { bytes: 512 << 10, ofOrigin: 64 << 10, memory: 4 << 20 };
  const perRequest = 112; // What the standard counts for `about:client`, and at most for a `Content-Type`.
  const usual = { __proto__: null, cache: "default", integrity: "", redirect: "follow", referrer: "about:client", referrerPolicy: "" };
  const identifiers = new Native.WeakMap();
  let last = 0;
  let newest = null; // A list of those that are not sent.
  const isActivated = (id) => {
    if (isNative) return tell("activated", `,"id":${id}`) !== false;
    if (id > deferred.last) return false;
    for (let i = 0; i < deferred.waiting.length; i++) if (deferred.waiting[i] === id) return false;
    return true;
  };
  const remove = (isGone) => {
    let kept = null;
    for (let it = newest; it; it = it.next) if (!isGone(it.id)) kept = { __proto__: null, ...it, next: kept };
    newest = kept;
  };
  const hasRoom = (origin, bytes) => {
    remove(isActivated);
    let [all, ofOrigin, requests] = [bytes, bytes, 1];
    for (let it = newest; it; it = it.next) {
      all += it.bytes;
      requests += 1;
      if (it.origin === origin) ofOrigin += it.bytes;
    }
    // NB: `all` has the URLs, the bodies and the headers.
    const memory = memoryOf(requests, 0, all);
    return !isFull && all <= quota.bytes && ofOrigin <= quota.ofOrigin && memory <= quota.memory;
  };
  class FetchLaterResult {
    constructor() {
      throw new Native.TypeError("Illegal constructor");
    }
    get activated() {
      const id = weakGet(identifiers, this);
      if (id === undefined) throw new Native.TypeError("Illegal invocation");
      return isActivated(id);
    }
  }
  const { prototype } = FetchLaterResult;
  const { fetchLater } = {
    fetchLater(input, init = undefined) {
      if (arguments.length === 0) throw new Native.TypeError("fetchLater: not enough arguments");
      const options = { __proto__: null, ...init };
      const given = typeof input === "object" && input !== null && is(requestUrl, input) ? input : `${input}`;
      const { activateAfter, body } = options;
      const after = activateAfter === undefined ? null : +activateAfter;
      if (after !== null && !isFinite(after)) throw new Native.TypeError("fetchLater: activateAfter is not finite");
      for (const name in usual) {
        if (options[name] !== undefined && options[name] !== usual[name]) {
          throw new Native.TypeError(`fetchLater: this webview does not have the option ${name}`);
        }
      }
      const hasBody = body !== undefined && body !== null;
      if (typeof given === "object" && !hasBody && given.body) throw new Native.TypeError("fetchLater: pass the body itself");
      if (hasBody && typeof body === "object" && is(streamLocked, body)) throw new Native.TypeError("fetchLater: the body is a stream");
      // It throws what `new Request()` throws. The second one has no `Content-Type` of the body.
      new Native.Request(given, options);
      options.body = undefined;
      const checked = new Native.Request(given, options);
      const signal = options.signal ?? (typeof given === "object" ? requestSignal(given) : undefined);
      if (signal && isAborted(signal)) throw abortReason(signal);
      if (after < 0) throw new Native.RangeError("fetchLater: activateAfter is negative");
      const url = new Native.URL(requestUrl(checked));
      if (!isHttp(url)) throw new Native.TypeError("fetchLater: the scheme of the URL is not http or https");
      if (urlProtocol(url) === "http:" && !isOfMachine(url)) throw new Native.TypeError("fetchLater: the URL is not trustworthy");
      let packed;
      try {
        packed = pack(body);
      } catch (error) {
        if (error === unread) throw new Native.TypeError("fetchLater: the body cannot be read at once");
        throw error;
      }
      const urlBytes = sentUrl(url);
      let list = "";
      let bytes = perRequest + urlBytes + packed.bytes;
      eachHeader(requestHeaders(checked), (value, name) => {
        list += `${list && ","}[${json(name)},${json(value)}]`;
        bytes += name.length + value.length;
      });
      const origin = urlOrigin(url);
      if (!isNative && !hasRoom(origin, bytes)) {
        throw new Native.DOMException("fetchLater: there is no room in the quota", "QuotaExceededError");
      }
      tellSettings();
      const id = ++last;
      const fields = requestFields(requestMethod(checked), requestMode(checked), requestCredentials(checked), list);
      const answer = tell("defer", `,"id":${id}${request(url, packed, urlBytes)}${fields},"activateAfter":${after}`);
      if (answered(answer) === null) throw new Native.TypeError("fetchLater: the document's policies are not known yet");
      if (!isNative) newest = { __proto__: null, id, origin, bytes, next: newest };
      if (signal) {
        listen(signal, "abort", () => {
          if (isActivated(id)) return;
          tell("abort", `,"id":${id}`);
          remove((it) => it === id);
        });
      }
      const result = create(prototype);
      weakSet(identifiers, result, id);
      return result;
    },
  };
  defineProperty(prototype, "activated", { enumerable: true });
  defineProperty(prototype, Symbol.toStringTag, { value: "FetchLaterResult", configurable: true });
  defineProperty(window, "FetchLaterResult", { value: FetchLaterResult, writable: true, configurable: true });
  defineProperty(window, "fetchLater", { value: fetchLater, writable: true, configurable: true, enumerable: true });
}
