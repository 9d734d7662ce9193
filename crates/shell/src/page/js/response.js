// The interface Response.
// https://fetch.spec.whatwg.org/#response-class

const { ByteString, USVString, dictionary, expose } = internal.webidl;
const { slot: headersSlot, create: createHeaders, fill, append, get: getHeader } = internal.headers;
const { arriving, convertNullable, extract, mixin, clone } = internal.body;
const slot = agent.slot("Response");

class Response {
  constructor(body = null, init = undefined) {
    const converted = convertNullable(body);
    const extracted = converted && extract(converted);
    slot.set(this, initialState(extracted, extracted?.type, init));
  }

  static error() {
    const response = new Response();
    Object.assign(slot.get(response), { type: "error", status: 0, headers: createHeaders("immutable") });
    return response;
  }

  static redirect(url, status = 302) {
    const location = native.resolveUtf8Url(USVString(url));
    if (location === undefined) throw new TypeError(`Invalid URL: ${url}`);
    const code = status & 0xffff;
    if (![301, 302, 303, 307, 308].includes(code)) throw new RangeError("Invalid status code");
    const response = new Response();
    Object.assign(slot.get(response),
      { status: code, headers: createHeaders("immutable", [["Location", location]]) });
    return response;
  }

  static json(data, init = undefined) {
    const text = JSON.stringify(data);
    if (text === undefined) throw new TypeError("The data is not JSON serializable");
    const response = new Response();
    const body = extract({ __proto__: null, kind: "text", text: USVString(text) });
    Object.assign(slot.get(response), initialState(body, "application/json", init));
    return response;
  }

  get type() { return slot.get(this).type; }
  get url() { return slot.get(this).url; }
  get redirected() { return slot.get(this).redirected; }
  get status() { return slot.get(this).status; }
  get ok() { return slot.get(this).status >= 200 && slot.get(this).status <= 299; }
  get statusText() { return slot.get(this).statusText; }
  get headers() { return slot.get(this).headers; }

  clone() {
    const copy = new Response();
    const { headers, body, ...rest } = slot.get(this);
    const { list, guard } = headersSlot.get(headers);
    Object.assign(slot.get(copy), rest,
      { body: clone(body), headers: createHeaders(guard, [...list]) });
    return copy;
  }
}
mixin(Response.prototype, slot);
expose(Response, slot);

// https://fetch.spec.whatwg.org/#initialize-a-response
function initialState(body, type, value) {
  const init = dictionary(value, "ResponseInit");
  const status = init.status === undefined ? 200 : init.status & 0xffff;
  const statusText = init.statusText === undefined ? "" : ByteString(init.statusText);
  if (status < 200 || status > 599) {
    throw new RangeError("The status provided is outside the range [200, 599].");
  }
  if (!/^[\t \x21-\x7e\x80-\xff]*$/.test(statusText)) throw new TypeError("Invalid statusText");
  const headers = createHeaders("response");
  if (init.headers !== undefined) fill(headers, init.headers);
  if (body !== null && [101, 103, 204, 205, 304].includes(status)) {
    throw new TypeError("Response with null body status cannot have body");
  }
  if (type && getHeader(headersSlot.get(headers).list, "content-type") === null) {
    append(headers, "Content-Type", type);
  }
  return { type: "default", url: "", redirected: false, status, statusText, headers, body };
}

// Creates the Response of a fetch. Its body comes from `source`.
internal.responseOf = (fetched, source) => {
  const response = new Response();
  const { status, statusText, headers, url, type, redirected } = fetched;
  const isNull = type.startsWith("opaque") || [101, 103, 204, 205, 304].includes(status);
  Object.assign(slot.get(response), {
    status, statusText, url, type, redirected,
    headers: createHeaders("immutable", headers),
    body: isNull ? null : extract(arriving(source)),
  });
  return response;
};
