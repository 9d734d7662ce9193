// The interface Headers.
// https://fetch.spec.whatwg.org/#headers-class

const { ByteString, expose, pairIterable, record, sequence } = internal.webidl;
const slot = agent.slot("Headers");
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// https://fetch.spec.whatwg.org/#forbidden-request-header
const FORBIDDEN = ["accept-charset", "accept-encoding", "access-control-request-headers",
  "access-control-request-method", "connection", "content-length", "cookie", "cookie2", "date", "dnt", "expect", "host",
  "keep-alive", "origin", "referer", "set-cookie", "te", "trailer", "transfer-encoding", "upgrade", "via"];
const METHOD_OVERRIDES = ["x-http-method", "x-http-method-override", "x-method-override"];

class Headers {
  constructor(init = undefined) {
    slot.set(this, { list: [], guard: "none", sorted: undefined });
    if (init !== undefined) fill(this, init);
  }

  append(name, value) { append(this, ByteString(name), normalize(ByteString(value))); }

  delete(name) {
    const headers = slot.get(this);
    const lower = validName(ByteString(name));
    if (!mayChange(headers, lower, "")) return;
    if (headers.guard === "request-no-cors" && !isNoCorsSafelistedName(lower)) return;
    headers.list = headers.list.filter(([it]) => it.toLowerCase() !== lower);
  }

  get(name) { return get(slot.get(this).list, validName(ByteString(name))); }

  getSetCookie() {
    const { list } = slot.get(this);
    return list.filter(([name]) => name.toLowerCase() === "set-cookie").map(([, value]) => value);
  }

  has(name) { return get(slot.get(this).list, validName(ByteString(name))) !== null; }

  set(name, value) {
    const headers = slot.get(this);
    const original = ByteString(name), bytes = normalize(ByteString(value));
    const lower = validName(original);
    validValue(bytes);
    if (!mayChange(headers, lower, bytes)) return;
    if (headers.guard === "request-no-cors" && !isNoCorsSafelisted(lower, bytes)) return;
    const first = headers.list.findIndex(([it]) => it.toLowerCase() === lower);
    if (first < 0) {
      headers.list.push([original, bytes]);
      return;
    }
    const kept = headers.list.filter(([it], i) => i <= first || it.toLowerCase() !== lower);
    kept[first] = [kept[first][0], bytes];
    headers.list = kept;
  }
}
expose(Headers, slot);
pairIterable(Headers, slot, pairs);

// The pairs to iterate over. They are kept until the list changes: script may change it between two steps of an iteration,
// and a list only becomes longer or is replaced.
function pairs(headers) {
  const state = slot.get(headers);
  const { list, sorted } = state;
  if (sorted?.list !== list || sorted.length !== list.length) {
    state.sorted = { list, length: list.length, pairs: sortAndCombine(list) };
  }
  return state.sorted.pairs;
}

// https://fetch.spec.whatwg.org/#concept-headers-append
function append(object, name, value) {
  const headers = slot.get(object);
  const lower = validName(name);
  validValue(value);
  if (!mayChange(headers, lower, value)) return;
  if (headers.guard === "request-no-cors") {
    const old = get(headers.list, lower);
    if (!isNoCorsSafelisted(lower, old === null ? value : `${old}, ${value}`)) return;
  }
  // All headers of a name have the case of the first one.
  const first = headers.list.find(([it]) => it.toLowerCase() === lower);
  headers.list.push([first ? first[0] : name, value]);
}

// https://fetch.spec.whatwg.org/#headers-validate
function mayChange({ guard }, lower, value) {
  if (guard === "immutable") throw new TypeError("Headers are immutable");
  if (guard === "request" && isForbidden(lower, value)) return false;
  return !(guard === "response" && (lower === "set-cookie" || lower === "set-cookie2"));
}

function isForbidden(lower, value) {
  if (FORBIDDEN.includes(lower) || lower.startsWith("proxy-") || lower.startsWith("sec-")) return true;
  return METHOD_OVERRIDES.includes(lower) &&
    split(value).some((it) => ["connect", "trace", "track"].includes(it.trim().toLowerCase()));
}

// https://fetch.spec.whatwg.org/#header-value-get-decode-and-split, without empty values
const split = (value) => value.match(/(?:"(?:\\[^]|[^"\\])*\\?"?|[^",])+/g) ?? [];

// https://fetch.spec.whatwg.org/#no-cors-safelisted-request-header-name
const isNoCorsSafelistedName = (lower) =>
  ["accept", "accept-language", "content-language", "content-type"].includes(lower);

// https://fetch.spec.whatwg.org/#cors-safelisted-request-header, for the no-CORS-safelisted names
function isNoCorsSafelisted(lower, value) {
  if (!isNoCorsSafelistedName(lower) || value.length > 128) return false;
  if (lower.endsWith("-language")) return /^[0-9A-Za-z *,\-.;=]*$/.test(value);
  // https://fetch.spec.whatwg.org/#cors-unsafe-request-header-byte
  // eslint-disable-next-line no-control-regex
  if (/[\x00-\x08\x0a-\x1f"():<>?@[\\\]{}\x7f]/.test(value)) return false;
  if (lower === "accept") return true;
  const essence = value.split(";")[0].trim().toLowerCase();
  return ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"].includes(essence);
}

// https://fetch.spec.whatwg.org/#concept-header-value-normalize
const normalize = (value) => value.replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");

function validName(name) {
  if (!TOKEN.test(name)) throw new TypeError(`'${name}' is not a legal HTTP header name.`);
  return name.toLowerCase();
}

function validValue(value) {
  // eslint-disable-next-line no-control-regex
  if (/[\0\n\r]/.test(value)) throw new TypeError(`'${value}' is not a legal HTTP header value.`);
}

// https://fetch.spec.whatwg.org/#concept-header-list-get
function get(list, lower) {
  const values = list.filter(([name]) => name.toLowerCase() === lower).map(([, value]) => value);
  return values.length === 0 ? null : values.join(", ");
}

// https://fetch.spec.whatwg.org/#concept-header-list-sort-and-combine
function sortAndCombine(list) {
  const values = new Map();
  for (const [name, value] of list) {
    const lower = name.toLowerCase();
    if (values.has(lower)) values.get(lower).push(value);
    else values.set(lower, [value]);
  }
  return [...values.keys()].sort().flatMap((name) => name === "set-cookie"
    ? values.get(name).map((value) => [name, value]) : [[name, values.get(name).join(", ")]]);
}

// https://fetch.spec.whatwg.org/#concept-headers-fill
function fill(headers, init) {
  if ((typeof init !== "object" && typeof init !== "function") || init === null) {
    throw new TypeError("The provided value is not of type '(sequence<sequence<ByteString>> or " +
      "record<ByteString, ByteString>)'.");
  }
  if (init[Symbol.iterator] === undefined) {
    for (const [name, value] of record(init, ByteString, ByteString)) {
      append(headers, name, normalize(value));
    }
    return;
  }
  for (const pair of sequence(init, (item) => sequence(item, ByteString))) {
    if (pair.length !== 2) throw new TypeError("Invalid value: a header is a pair.");
    append(headers, pair[0], normalize(pair[1]));
  }
}

function create(guard, list = []) {
  const headers = new Headers();
  Object.assign(slot.get(headers), { guard, list });
  return headers;
}

internal.headers = { TOKEN, slot, create, fill, append, get, isForbidden, normalize, sortAndCombine };
