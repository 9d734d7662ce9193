// The interface URL.
// https://url.spec.whatwg.org/#api and https://w3c.github.io/FileAPI/#creating-revoking

const { USVString, expose, required } = internal.webidl;
const slot = agent.slot("URL");
const blobSlot = agent.slot("Blob");
const { blobUrls } = agent;

class URL {
  constructor(url, base = undefined) {
    required(arguments.length, 1, "construct 'URL'");
    const href = parse(url, base);
    if (href === undefined) throw new TypeError("Failed to construct 'URL': Invalid URL");
    slot.set(this, { href, searchParams: null });
  }

  static parse(url, base = undefined) {
    return parse(url, base) === undefined ? null : new URL(url, base);
  }

  static canParse(url, base = undefined) { return parse(url, base) !== undefined; }

  static createObjectURL(object) {
    if (!blobSlot.has(object)) {
      throw new TypeError("Failed to execute 'createObjectURL' on 'URL': " +
        "parameter 1 is not of type 'Blob'.");
    }
    const url = `blob:${native.environment().origin}/${crypto.randomUUID()}`;
    blobUrls.set(url, object);
    return url;
  }

  static revokeObjectURL(url) {
    const name = USVString(url);
    const { origin } = native.environment();
    if (name.startsWith(`blob:${origin}/`)) blobUrls.delete(name);
  }

  get href() { return slot.get(this).href; }
  set href(value) {
    const href = parse(value, undefined);
    if (href === undefined) throw new TypeError("Failed to set the 'href' property on 'URL': Invalid URL");
    update(this, href);
  }

  get origin() { return native.urlComponent(slot.get(this).href, "origin"); }

  get searchParams() {
    const state = slot.get(this);
    state.searchParams ??= internal.searchParamsOf(native.urlComponent(state.href, "search"),
      (query) => { state.href = native.setUrlComponent(state.href, "search", query); });
    return state.searchParams;
  }

  toString() { return slot.get(this).href; }
  toJSON() { return slot.get(this).href; }
}

for (const name of ["protocol", "username", "password", "host", "hostname", "port", "pathname",
  "search", "hash"]) {
  Object.defineProperty(URL.prototype, name, {
    configurable: true,
    get() { return native.urlComponent(slot.get(this).href, name); },
    set(value) { update(this, native.setUrlComponent(slot.get(this).href, name, USVString(value))); },
  });
}
expose(URL, slot);

function parse(url, base) {
  return native.parseUrl(USVString(url), base === undefined ? undefined : USVString(base));
}

function update(url, href) {
  const state = slot.get(url);
  state.href = href;
  if (state.searchParams) {
    internal.resetSearchParams(state.searchParams, native.urlComponent(href, "search"));
  }
}
