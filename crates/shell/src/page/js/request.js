// The interface Request.
// https://fetch.spec.whatwg.org/#request-class

const { ByteString, USVString, DOMString, dictionary, enumeration, expose, required } = internal.webidl;
const { slot: headersSlot, create: createHeaders, fill, append, get: getHeader } = internal.headers;
const { convertNullable, extract, isUnusable, mixin, clone, proxyOf } = internal.body;
const signalSlot = internal.abort.slot;
const slot = agent.slot("Request");
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const ENUMERATIONS = {
  __proto__: null,
  cache: ["RequestCache",
    ["default", "no-store", "reload", "no-cache", "force-cache", "only-if-cached"]],
  credentials: ["RequestCredentials", ["omit", "same-origin", "include"]],
  duplex: ["RequestDuplex", ["half"]],
  mode: ["RequestMode", ["navigate", "same-origin", "no-cors", "cors"]],
  priority: ["RequestPriority", ["high", "low", "auto"]],
  redirect: ["RequestRedirect", ["follow", "error", "manual"]],
  referrerPolicy: ["ReferrerPolicy", ["", "no-referrer", "no-referrer-when-downgrade", "same-origin",
    "origin", "strict-origin", "origin-when-cross-origin", "strict-origin-when-cross-origin",
    "unsafe-url"]],
};

class Request {
  constructor(input, init = undefined) {
    required(arguments.length, 1, "construct 'Request'");
    const source = slot.has(input) ? slot.get(input) : null;
    const url = source ? null : USVString(input);
    const options = convertInit(init);
    const request = source ? copyOf(source) : fromUrl(url);
    applyInit(request, options);
    const signal = options.signal === undefined ? source?.signal : options.signal;
    request.signal = signal ? AbortSignal.any([signal]) : new AbortController().signal;
    request.headers = createHeaders(request.mode === "no-cors" ? "request-no-cors" : "request");
    fillHeaders(request, source, options);
    request.body = bodyFor(request, source, options);
    slot.set(this, request);
  }

  get method() { return slot.get(this).method; }
  get url() { return slot.get(this).url; }
  get headers() { return slot.get(this).headers; }
  get destination() { return ""; }
  get referrer() { return slot.get(this).referrer; }
  get referrerPolicy() { return slot.get(this).referrerPolicy; }
  get mode() { return slot.get(this).mode; }
  get credentials() { return slot.get(this).credentials; }
  get cache() { return slot.get(this).cache; }
  get redirect() { return slot.get(this).redirect; }
  get integrity() { return slot.get(this).integrity; }
  get keepalive() { return slot.get(this).keepalive; }
  get signal() { return slot.get(this).signal; }
  get duplex() { return "half"; }
  get isReloadNavigation() { return false; }
  get isHistoryNavigation() { return false; }

  clone() {
    const copy = new Request(this.url);
    const { signal, headers, body, ...rest } = slot.get(this);
    const { list, guard } = headersSlot.get(headers);
    Object.assign(slot.get(copy), rest, {
      body: clone(body), headers: createHeaders(guard, [...list]), signal: AbortSignal.any([signal]),
    });
    return copy;
  }
}
mixin(Request.prototype, slot);
expose(Request, slot);

// The Web IDL conversion to RequestInit, which reads the members in the order of their names.
function convertInit(value) {
  const init = dictionary(value, "RequestInit");
  const options = { __proto__: null };
  const member = (name, convert) => {
    const given = init[name];
    if (given === undefined) return;
    options[name] = ENUMERATIONS[name] ? enumeration(given, ...ENUMERATIONS[name]) : convert(given);
    options.isEmpty = false;
  };
  options.isEmpty = true;
  member("body", convertNullable);
  member("cache");
  member("credentials");
  member("duplex");
  member("headers", (it) => it);
  member("integrity", DOMString);
  member("keepalive", Boolean);
  member("method", ByteString);
  member("mode");
  member("priority");
  member("redirect");
  member("referrer", USVString);
  member("referrerPolicy");
  member("signal", (it) => {
    if (it !== null && !signalSlot.has(it)) {
      throw new TypeError("member signal is not of type 'AbortSignal'.");
    }
    return it;
  });
  member("window", (it) => it);
  return options;
}

// Steps 5 and 6: the request that the constructor starts from.
function fromUrl(input) {
  const url = native.resolveUtf8Url(input);
  if (url === undefined) throw new TypeError(`Failed to parse URL from ${input}`);
  if (native.urlComponent(url, "username") || native.urlComponent(url, "password")) {
    throw new TypeError(`Request cannot be constructed from a URL that includes credentials: ${input}`);
  }
  return {
    __proto__: null, method: "GET", url, mode: "cors", credentials: "same-origin", cache: "default", redirect: "follow",
    referrer: "about:client", referrerPolicy: "", integrity: "", keepalive: false, priority: "auto",
  };
}

function copyOf(source) {
  const { headers, body, signal, ...rest } = source;
  return { __proto__: null, ...rest };
}

// Steps 10 to 25.
function applyInit(request, options) {
  if (options.window !== undefined && options.window !== null) {
    throw new TypeError("RequestInit's window can only be null.");
  }
  if (!options.isEmpty) {
    if (request.mode === "navigate") request.mode = "same-origin";
    Object.assign(request, { referrer: "about:client", referrerPolicy: "" });
  }
  if (options.referrer !== undefined) request.referrer = referrerFor(options.referrer);
  if (options.mode === "navigate") throw new TypeError("Cannot construct a Request with mode 'navigate'.");
  for (const name of ["referrerPolicy", "mode", "credentials", "cache", "redirect", "integrity",
    "keepalive", "priority"]) {
    if (options[name] !== undefined) request[name] = options[name];
  }
  if (request.cache === "only-if-cached" && request.mode !== "same-origin") {
    throw new TypeError("'only-if-cached' can be set only with 'same-origin' mode");
  }
  if (options.method !== undefined) request.method = methodFor(options.method);
}

// Step 14.
function referrerFor(referrer) {
  if (referrer === "") return "";
  const url = native.resolveUtf8Url(referrer);
  if (url === undefined) throw new TypeError(`Referrer '${referrer}' is not a valid URL.`);
  const isClient = url.startsWith("about:client");
  const { origin } = native.environment();
  return isClient || native.urlComponent(url, "origin") !== origin ? "about:client" : url;
}

// Step 25.
function methodFor(method) {
  const upper = method.toUpperCase();
  if (!TOKEN.test(method)) throw new TypeError(`'${method}' is not a valid HTTP method.`);
  if (["CONNECT", "TRACE", "TRACK"].includes(upper)) {
    throw new TypeError(`'${method}' HTTP method is unsupported.`);
  }
  return ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"].includes(upper) ? upper : method;
}

// Steps 32 and 33.
function fillHeaders(request, source, options) {
  if (request.mode === "no-cors" && !["GET", "HEAD", "POST"].includes(request.method)) {
    throw new TypeError(`'${request.method}' is unsupported in no-cors mode.`);
  }
  if (options.headers !== undefined) {
    fill(request.headers, options.headers);
  } else if (source) {
    for (const [name, value] of headersSlot.get(source.headers).list) append(request.headers, name, value);
  }
}

// Steps 34 to 43.
function bodyFor(request, source, options) {
  const given = options.body ?? null;
  const inherited = options.body === undefined || options.body === null ? source?.body ?? null : null;
  if ((given !== null || inherited !== null) && ["GET", "HEAD"].includes(request.method)) {
    throw new TypeError("Request with GET/HEAD method cannot have body.");
  }
  if (given === null) {
    if (inherited === null) return null;
    if (isUnusable(inherited)) {
      throw new TypeError("Cannot construct a Request with a Request object that has already been used.");
    }
    return proxyOf(inherited);
  }
  const body = extract(given, request.keepalive);
  const { type } = body;
  const { list } = headersSlot.get(request.headers);
  if (type !== null && getHeader(list, "content-type") === null) {
    append(request.headers, "Content-Type", type);
  }
  if (given.kind === "stream") {
    if (options.duplex === undefined) {
      throw new TypeError("The `duplex` member must be specified for a request with a streaming body");
    }
    if (request.mode !== "same-origin" && request.mode !== "cors") {
      throw new TypeError("A streaming body needs mode 'same-origin' or 'cors'.");
    }
  }
  return body;
}

internal.request = { slot };
