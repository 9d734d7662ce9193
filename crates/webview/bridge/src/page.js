// Puts the beacons of this document in the app's hands. It runs before every script of the page.
//
// In a webview it runs in the main frame, posts messages, and answers from a mirror of the app's ledger. In a content
// process it runs in every frame, and `post` is a native function that answers.
//
// The page's scripts may replace every function later. So this script takes what it needs now, builds its messages as
// text, and lets the secret touch nothing but `post`. A page that breaks its own arrays or typed arrays breaks only its
// own beacons: the app counts again.
(() => {
  "use strict";
  const secret = "MESSAGE_SECRET";
  const token = "TELL_SECRET";
  const post = POST_MESSAGE;
  const isNative = IS_NATIVE;
  const ofCreator = REMEMBERED_BLOBS;
  if (!post || (!isNative && location.protocol === "about:") || "__sendbeacon" in window) return;

  const { apply, construct, defineProperty, getOwnPropertyDescriptor } = Reflect;
  const method = (owner, name) => {
    const it = owner[name];
    return (self, ...args) => apply(it, self, args);
  };
  const getter = (owner, name) => {
    const { get } = getOwnPropertyDescriptor(owner, name);
    return (self) => apply(get, self, []);
  };
  const is = (brand, value) => {
    try {
      brand(value);
      return true;
    } catch {
      return false;
    }
  };

  const json = JSON.stringify;
  const { fromCharCode } = String;
  const { isView } = ArrayBuffer;
  const base64OfText = btoa;
  const Native = {
    ArrayBuffer, Blob, DOMException, File, FormData, Headers, Promise, Proxy, RangeError, Request, Set, TypeError, URL,
    Uint8Array, WeakMap,
  };
  const replace = method(String.prototype, "replace");
  const toWellFormed = method(String.prototype, "toWellFormed");
  const encoder = new TextEncoder();
  const encodeText = method(TextEncoder.prototype, "encode");
  const encode = (text) => encodeText(encoder, text);
  const bufferLength = getter(ArrayBuffer.prototype, "byteLength");
  const sliceBuffer = method(ArrayBuffer.prototype, "slice");
  const subarray = method(Uint8Array.prototype, "subarray");
  const setBytes = method(Uint8Array.prototype, "set");
  const weakGet = method(WeakMap.prototype, "get");
  const weakSet = method(WeakMap.prototype, "set");
  const setAdd = method(Set.prototype, "add");
  const setDelete = method(Set.prototype, "delete");
  const blobSize = getter(Blob.prototype, "size");
  const blobType = getter(Blob.prototype, "type");
  const fileName = getter(File.prototype, "name");
  const fileModified = getter(File.prototype, "lastModified");
  const eachHeader = method(Headers.prototype, "forEach");
  const formHas = method(FormData.prototype, "has");
  const formEach = method(FormData.prototype, "forEach");
  const paramsText = method(URLSearchParams.prototype, "toString");
  const streamLocked = getter(ReadableStream.prototype, "locked");
  const documentUrl = getter(Document.prototype, "URL");
  const documentBase = getter(Node.prototype, "baseURI");
  const documentState = getter(Document.prototype, "visibilityState");
  const attribute = method(Element.prototype, "getAttribute");
  const urlHref = getter(URL.prototype, "href");
  const urlHash = getter(URL.prototype, "hash");
  const urlHost = getter(URL.prototype, "hostname");
  const urlProtocol = getter(URL.prototype, "protocol");
  const persisted = getter(PageTransitionEvent.prototype, "persisted");
  const listen = method(EventTarget.prototype, "addEventListener");
  const unlisten = method(EventTarget.prototype, "removeEventListener");
  const matches = method(RegExp.prototype, "test");
  const exec = method(RegExp.prototype, "exec");
  const then = method(Promise.prototype, "then");
  const page = document;
  const isSecure = isSecureContext;
  // The live list of the page's `meta` elements.
  const metas = page.getElementsByTagName("meta");

  let identifier = "";
  const random = crypto.getRandomValues(new Uint8Array(8));
  for (let i = 0; i < 8; i++) identifier += (random[i] + 256).toString(16).slice(1);

  const prefix = isNative ? "" : `${secret}1${identifier}`;
  const tell = (op, fields, deliver) => {
    // NB: a window may get a second document, which has other policies. The webview's own functions are right for it.
    if (isNative && page !== document) return null;
    const text = `${prefix}{"op":"${op}"${fields}}`;
    if (isNative) return deliver ? post(text, deliver) : post(text);
    const answer = post(text);
    // An app that answers messages may refuse to.
    if (typeof answer === "object" && answer !== null) then(answer, undefined, () => {});
    return true;
  };
  const string = (name, value) => `,"${name}":${json(value)}`;

  // The settings object, as far as it may change. The extension calls it with the document around a new frame, which
  // inherits what is told now if that is this script's document, and the remembered blobs.
  let told = "";
  const tellSettings = (...given) => {
    if (given.length > 0 && given[0] !== page) return undefined;
    let policies = "";
    let referrer = "";
    for (let i = 0; metas[i]; i++) {
      const content = attribute(metas[i], "content");
      if (content === null) continue;
      const name = attribute(metas[i], "name");
      const equiv = attribute(metas[i], "http-equiv");
      if (name !== null && matches(/^referrer$/i, name)) referrer += (referrer && ",") + json(content);
      if (equiv !== null && matches(/^content-security-policy$/i, equiv)) policies += (policies && ",") + json(content);
    }
    const url = documentUrl(page);
    const base = documentBase(page);
    const fields = `${string("url", url)}${string("base", base)},"referrerPolicies":[${referrer}],"policies":[${policies}]`;
    if (fields !== told) tell("settings", fields);
    told = fields;
    return remembered;
  };

  // The mirror of the app's ledger: what was sent, less what the app has told is done. The app frees room in its ledger
  // before it tells this script. So the app's ledger has room for whatever has room here. The app's memory may still be
  // full: see isFull.
  const limit = { bytes: 65536, requests: 4096, urlBytes: 4 << 20, memory: 8 << 20 };
  const sent = { bytes: 0, requests: 0, urlBytes: 0 };
  const done = { bytes: 0, requests: 0, urlBytes: 0 };
  let isFull = false;
  // The deferred fetches that the app has not sent, and the last one that it knows.
  const deferred = { waiting: [], last: 0 };
  // What the app counts.
  const memoryOf = (requests, bytes, urlBytes) => 2048 * requests + bytes + 2 * urlBytes;
  const fits = (name, more) => more === 0 || sent[name] - done[name] + more <= limit[name];
  const admit = (bytes, urlBytes) => {
    if (isNative) return bytes <= limit.bytes;
    if (isFull || !(fits("bytes", bytes) && fits("requests", 1) && fits("urlBytes", urlBytes))) return false;
    const requests = sent.requests - done.requests + 1;
    const memory = memoryOf(requests, sent.bytes - done.bytes + bytes, sent.urlBytes - done.urlBytes + urlBytes);
    if (memory > limit.memory) return false;
    sent.bytes += bytes;
    sent.requests += 1;
    sent.urlBytes += urlBytes;
    return true;
  };
  defineProperty(window, "__sendbeacon", {
    value: (key, document, bytes, requests, urlBytes, full, waiting, last) => {
      if (isNative || key !== token || document !== identifier) return;
      done.bytes = bytes;
      done.requests = requests;
      done.urlBytes = urlBytes;
      isFull = full;
      deferred.waiting = waiting;
      deferred.last = last;
    },
  });

  // Blobs that script makes are remembered, up to what a beacon can carry: while a page is dismissed, nothing reads a
  // blob at once. A frame at `about:` mostly gets them from the document around it.
  const remembered = ofCreator ?? new Native.WeakMap();
  const bytesOfBuffer = (data) => {
    const isBuffer = !isView(data);
    const buffer = isBuffer ? data : data.buffer;
    const [start, length] = isBuffer ? [0, bufferLength(data)] : [data.byteOffset, data.byteLength];
    bufferLength(buffer); // It throws if the memory is shared.
    // A detached buffer is empty, and cannot be viewed.
    return length === 0 ? new Native.Uint8Array(0) : new Native.Uint8Array(buffer, start, length);
  };
  const join = (chunks, count, total) => {
    const all = new Native.Uint8Array(total);
    for (let i = 0, at = 0; i < count; at += chunks[i].length, i++) setBytes(all, chunks[i], at);
    return all;
  };
  // Replaces what is to become text by text, so that it becomes text once. Returns the bytes, if they are to remember.
  const bytesOfParts = (parts, count) => {
    const chunks = [];
    let total = 0;
    let isKnown = true;
    for (let i = 0; i < count; i++) {
      const part = parts[i];
      let bytes;
      if (typeof part === "object" && part !== null && is(blobSize, part)) {
        bytes = weakGet(remembered, part);
      } else if (typeof part === "object" && part !== null && (isView(part) || is(bufferLength, part))) {
        bytes = is(bytesOfBuffer, part) ? bytesOfBuffer(part) : undefined;
      } else {
        const text = `${part}`;
        defineProperty(parts, i, { value: text });
        // NB: a text has at least as many bytes as units.
        bytes = isKnown && text.length <= limit.bytes ? encode(text) : undefined;
      }
      isKnown &&= bytes !== undefined && (total += bytes.length) <= limit.bytes;
      if (isKnown) defineProperty(chunks, i, { value: bytes });
    }
    return isKnown ? join(chunks, count, total) : undefined;
  };
  const remembering = (Original, optionsAt) =>
    new Native.Proxy(Original, {
      __proto__: null,
      construct(target, args, newTarget) {
        const given = args[0];
        let bytes = args.length === 0 || given === undefined ? new Native.Uint8Array(0) : undefined;
        if (typeof given === "object" && given !== null) {
          const parts = [];
          let count = 0;
          for (const part of given) defineProperty(parts, count++, { value: part, writable: true, configurable: true, enumerable: true });
          bytes = bytesOfParts(parts, count);
          args[0] = parts;
        }
        const blob = construct(target, args, newTarget);
        const hasEndings = args[optionsAt]?.endings === "native";
        if (bytes && !hasEndings && bytes.length === blobSize(blob)) weakSet(remembered, blob, bytes);
        return blob;
      },
    });
  const redefine = (owner, name, value) => {
    const { enumerable } = getOwnPropertyDescriptor(owner, name);
    defineProperty(owner, name, { value, enumerable, writable: true, configurable: true });
  };
  const wrap = (owner, name, handler) => {
    redefine(owner, name, new Native.Proxy(owner[name], { __proto__: null, apply: handler }));
  };
  const constructors = [[Native.Blob, 1], [Native.File, 2]];
  for (let i = 0; i < 2; i++) {
    const Original = constructors[i][0];
    const Remembering = remembering(Original, constructors[i][1]);
    redefine(window, Original.name, Remembering);
    redefine(Original.prototype, "constructor", Remembering);
  }
  wrap(Blob.prototype, "slice", (slice, self, args) => {
    // NB: the numbers become numbers once.
    for (let i = 0; i < 2 && i < args.length; i++) if (args[i] !== undefined) args[i] = +args[i];
    const blob = apply(slice, self, args);
    const bytes = weakGet(remembered, self);
    if (bytes) {
      const at = (given, otherwise) => {
        if (given === undefined) return otherwise;
        const it = given === given ? (given < 0 ? bytes.length + given : given) : 0;
        return it < 0 ? 0 : it > bytes.length ? bytes.length : it - (it % 1);
      };
      const start = at(args[0], 0);
      const end = at(args[1], bytes.length);
      const part = subarray(bytes, start, end < start ? start : end);
      if (part.length === blobSize(blob)) weakSet(remembered, blob, part);
    }
    return blob;
  });
  // A form makes a `File` of a blob. This one is made here, so that it is remembered, and kept for as long as the form.
  const filesOfForms = new Native.WeakMap();
  const appended = (native, self, args) => {
    const value = args[1];
    const bytes = typeof value === "object" && value !== null ? weakGet(remembered, value) : undefined;
    if (bytes && is(blobSize, value)) {
      const isFile = is(fileName, value);
      let file = value;
      if (!isFile || args.length > 2) {
        const name = args.length > 2 ? `${args[2]}` : "blob";
        const options = { __proto__: null, type: blobType(value) };
        if (isFile) options.lastModified = fileModified(value);
        file = new Native.File([value], name, options);
        weakSet(remembered, file, bytes);
      }
      const result = apply(native, self, [args[0], file]);
      const files = weakGet(filesOfForms, self) ?? new Native.Set();
      weakSet(filesOfForms, self, files);
      setAdd(files, file);
      return result;
    }
    return apply(native, self, args);
  };
  wrap(FormData.prototype, "append", appended);
  wrap(FormData.prototype, "set", appended);

  const base64 = (bytes) => {
    let text = "";
    for (let i = 0; i < bytes.length; i += 8192) text += apply(fromCharCode, null, subarray(bytes, i, i + 8192));
    return json(base64OfText(text));
  };
  const unread = {}; // What `pack` throws if it cannot read the body at once.
  const known = (blob) => {
    const bytes = weakGet(remembered, blob);
    if (!bytes) throw unread;
    return bytes;
  };
  // What the app's library makes of a form, whose boundary is 58 bytes long.
  const boundary = 58;
  const newlines = (text) => replace(text, /\r\n?|\n/g, "\r\n");
  const escaped = (text) => replace(replace(replace(text, /\n/g, "%0A"), /\r/g, "%0D"), /"/g, "%22");
  const packForm = (form) => {
    let bytes = boundary + 6;
    let text = "";
    formEach(form, (value, name) => {
      bytes += boundary + 43 + encode(escaped(newlines(name))).length;
      text += `${text && ","}{"name":${json(name)}`;
      if (typeof value === "string") {
        bytes += 6 + encode(newlines(value)).length;
        text += `${string("value", value)}}`;
      } else {
        const content = known(value);
        const name = fileName(value);
        const type = blobType(value);
        bytes += 35 + encode(escaped(name)).length + encode(type || "application/octet-stream").length + content.length;
        text += `,"base64":${base64(content)}${string("type", type)}${string("filename", name)}}`;
      }
    });
    return { bytes, text: () => `{"kind":"form","entries":[${text}]}` };
  };
  // The length of a body, and a function that returns the body for a message. The function is called if there is room.
  const pack = (data) => {
    if (data === undefined || data === null) return { bytes: 0, text: () => "null" };
    if (typeof data === "object" || typeof data === "function") {
      if (isView(data) || is(bufferLength, data)) {
        const content = bytesOfBuffer(data);
        return { bytes: content.length, text: () => `{"kind":"bytes","base64":${base64(content)}}` };
      }
      if (is(blobSize, data)) {
        const content = known(data);
        const type = string("type", blobType(data));
        return { bytes: content.length, text: () => `{"kind":"blob","base64":${base64(content)}${type}}` };
      }
      if (is((form) => formHas(form, ""), data)) return packForm(data);
      if (is(paramsText, data)) {
        const content = paramsText(data);
        return { bytes: content.length, text: () => `{"kind":"parameters"${string("text", content)}}` };
      }
      if (is(streamLocked, data)) throw unread;
    }
    const content = toWellFormed(`${data}`);
    // NB: a text has at least as many bytes as units, so a long one is refused without being encoded.
    const bytes = content.length > limit.bytes ? content.length : encode(content).length;
    return { bytes, text: () => `{"kind":"text"${string("text", content)}}` };
  };

  const isOfMachine = (url) => matches(/^(localhost|.*\.localhost|127\..*|\[::1\])$/, urlHost(url));
  const isMixed = (url) => isSecure && urlProtocol(url) === "http:" && !isOfMachine(url);
  const parse = (url) => new Native.URL(url, documentBase(page));
  const isHttp = (url) => urlProtocol(url) === "http:" || urlProtocol(url) === "https:";
  const sentUrl = (url) => urlHref(url).length - urlHash(url).length;

  const request = (url, body, urlBytes) =>
    `,"sending":{"url":${json(urlHref(url))},"bytes":${body.bytes},"urlBytes":${urlBytes},"body":${body.text()}}`;

  // A text of a native function is an exception: its name, a colon and its message.
  const answered = (answer) => {
    if (typeof answer !== "string") return answer;
    const parts = exec(/^(\w+):(.*)$/s, answer);
    const Exception = parts[1] === "TypeError" ? Native.TypeError : parts[1] === "RangeError" ? Native.RangeError : undefined;
    throw Exception ? new Exception(parts[2]) : new Native.DOMException(parts[2], parts[1]);
  };

  const self = navigator;
  wrap(Navigator.prototype, "sendBeacon", (native, navigator, args) => {
    if (navigator !== self || args.length === 0) return apply(native, navigator, args);
    args[0] = `${args[0]}`;
    let url, body;
    try {
      url = parse(args[0]);
    } catch {
      throw new Native.TypeError("sendBeacon: the URL is not valid");
    }
    if (!isHttp(url)) throw new Native.TypeError("sendBeacon: the scheme of the URL is not http or https");
    // What the app cannot send is the webview's: mixed content, a stream, and what cannot be read at once.
    if (isMixed(url)) return apply(native, navigator, args);
    try {
      body = pack(args[1]);
    } catch (error) {
      if (error === unread) return apply(native, navigator, args);
      throw error;
    }
    const urlBytes = sentUrl(url);
    if (urlBytes > 65534 || !admit(body.bytes, urlBytes)) return false;
    tellSettings();
    return answered(tell("beacon", request(url, body, urlBytes))) ?? apply(native, navigator, args);
  });

  KEEPALIVE_FETCH;

  FETCH_LATER;

  // NB: a script may dispatch such events, too.
  listen(window, "pagehide", (event) => {
    if (!event.isTrusted) return;
    isLeaving = true;
    tell("pagehide", `,"persisted":${persisted(event)}`);
  }, true);
  listen(window, "pageshow", (event) => {
    if (!event.isTrusted) return;
    isLeaving = false;
    const gone = waiting;
    waiting = [];
    for (let i = 0; i < gone.length; i++) gone[i]();
    tell("pageshow", `,"persisted":${persisted(event)}`);
  }, true);
  listen(page, "visibilitychange", () => tell("visibility", string("state", documentState(page))), true);

  const languages = `${navigator.languages}`;
  let ancestors = "";
  const origins = location.ancestorOrigins;
  for (let i = 0; i < origins.length; i++) ancestors += (ancestors && ",") + json(origins[i]);
  tell("hello", `${string("origin", origin)},"ancestors":[${ancestors}],"isSecure":${isSecure}${string("referrer", page.referrer)}${string("languages", languages)}`);
  tellSettings();
  return tellSettings;
})();
