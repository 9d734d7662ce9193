// Location and History.
// https://html.spec.whatwg.org/multipage/nav-history-apis.html

const { DOMString, USVString, expose, fail, illegalConstructor } = internal.webidl;
const { fire } = internal.eventTarget;
const slot = agent.slot("Location");
const historySlot = agent.slot("History");

class Location {
  constructor() { illegalConstructor(); }

  get href() { return native.documentUrl(); }
  set href(value) { assign(value); }
  get origin() { return native.urlComponent(native.documentUrl(), "origin"); }
  assign(url) { assign(url); }
  replace(url) { assign(url); }
  reload() { native.navigate(native.documentUrl()); }
  toString() { return native.documentUrl(); }
}

for (const name of ["protocol", "host", "hostname", "port", "pathname", "search", "hash"]) {
  Object.defineProperty(Location.prototype, name, {
    configurable: true,
    get() { return native.urlComponent(native.documentUrl(), name); },
    set(value) { navigate(native.setUrlComponent(native.documentUrl(), name, USVString(value))); },
  });
}
expose(Location, slot);

function assign(value) {
  const url = native.resolveUrl(USVString(value));
  if (url === undefined) fail("SyntaxError", `'${value}' is not a valid URL.`);
  navigate(url);
}

// https://html.spec.whatwg.org/multipage/browsing-the-web.html#navigate
function navigate(url) {
  const oldURL = native.documentUrl();
  const withoutFragment = (it) => native.setUrlComponent(it, "hash", "");
  // https://html.spec.whatwg.org/multipage/browsing-the-web.html#navigate-fragid
  if (url.includes("#") && withoutFragment(url) === withoutFragment(oldURL)) {
    native.setDocumentUrl(url);
    internal.startTimer(() => fire(globalThis, "hashchange"), 0);
    return;
  }
  native.navigate(url);
}

class History {
  constructor() { illegalConstructor(); }
  get length() { return historySlot.get(this).length; }
  get state() { return historySlot.get(this).state; }
  get scrollRestoration() { return "auto"; }
  set scrollRestoration(_) {}
  pushState(data, _unused, url = null) {
    update(this, data, url);
    historySlot.get(this).length++;
  }
  replaceState(data, _unused, url = null) { update(this, data, url); }
  // TODO(spec): no traversal; there is one document and no journey.
  go() {}
  back() {}
  forward() {}
}
expose(History, historySlot);

// https://html.spec.whatwg.org/multipage/nav-history-apis.html#shared-history-push/replace-state-steps
function update(history, data, url) {
  const state = internal.structuredClone(data, []);
  if (url !== null && url !== undefined) {
    const target = native.resolveUrl(USVString(url));
    if (target === undefined || !canHaveUrlRewritten(target)) {
      fail("SecurityError", `A history state object with URL '${DOMString(url)}' cannot be created.`);
    }
    native.setDocumentUrl(target);
  }
  historySlot.get(history).state = state;
}

// https://html.spec.whatwg.org/multipage/nav-history-apis.html#can-have-its-url-rewritten
function canHaveUrlRewritten(target) {
  const current = native.documentUrl();
  const same = (name) => native.urlComponent(target, name) === native.urlComponent(current, name);
  if (!["protocol", "username", "password", "host"].every(same)) return false;
  return /^https?:/.test(current) || (same("pathname") && same("search"));
}

internal.location = slot.set(Object.create(Location.prototype), {});
internal.history = historySlot.set(Object.create(History.prototype), { length: 1, state: null });
internal.navigate = navigate;
