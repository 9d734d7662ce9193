// page.js includes this file, which uses the names that page.js declares above that place.
// `fetch()` with `keepalive`.
let isLeaving = false;
let waiting = []; // What to do when the page comes back from the back/forward cache.
const whenBack = (action) => defineProperty(waiting, waiting.length, { __proto__: null, value: action, configurable: true });
const allowed = {
  __proto__: null,
  method: /^(GET|HEAD|POST)$/,
  mode: /^(cors|no-cors|same-origin)$/,
  credentials: /^(omit|same-origin|include)$/,
  keepalive: /^true$/,
  priority: /^/,
  headers: /^/,
  body: /^/,
};
const requestFields = (method, mode, credentials, headers) =>
  `,"request":{"method":${json(method)}${string("mode", mode)}${string("credentials", credentials)},"headers":[${headers}]}`;
const packFetch = (input, options) => {
  for (const name in options) {
    const isAllowed = allowed[name] ? matches(allowed[name], `${options[name]}`) : isNative && name === "signal";
    if (!isAllowed) return undefined;
  }
  const { method = "GET", mode = "cors", credentials = "same-origin", headers, body } = options;
  const url = parse(input);
  const hasBody = body !== undefined && body !== null;
  if (!isHttp(url) || isMixed(url) || matches(/@/, urlHref(url)) || (hasBody && method !== "POST")) return undefined;
  let list = "";
  eachHeader(new Native.Headers(headers), (value, name) => (list += `${list && ","}[${json(name)},${json(value)}]`));
  return { url, method, credentials, body: pack(body), fields: requestFields(method, mode, credentials, list) };
};
const failed = (why) => new Native.TypeError(`fetch: ${why}`);

// In a webview the app sends it while the page is dismissed, when nobody can read its response. If the page comes back,
// the promise is rejected, as when the connection breaks.
let isOurs = () => isLeaving;
let send = (fields) => {
  const isSent = tell("fetch", fields);
  return isSent && new Native.Promise((_, reject) => whenBack(() => reject(failed("the document was left"))));
};
NATIVE_FETCH;
wrap(window, "fetch", (native, self, args) => {
  const options = args[1];
  let packed;
  if (typeof args[0] === "string" && typeof options === "object" && options?.keepalive === true) {
    try {
      const found = packFetch(args[0], options);
      if (found && isOurs(found, options.signal)) packed = found;
    } catch {
      // The webview's own throws what there is to throw.
    }
  }
  if (!packed) return apply(native, self, args);
  const { url, body, fields } = packed;
  const urlBytes = sentUrl(url);
  let sent = false;
  if (urlBytes <= 65534 && admit(body.bytes, urlBytes)) {
    tellSettings();
    sent = send(`${request(url, body, urlBytes)}${fields}`, packed.method, options.signal);
  }
  if (sent === null) return apply(native, self, args);
  return sent || new Native.Promise((_, reject) => reject(failed("there is no room for another keepalive request")));
});
