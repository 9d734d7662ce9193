// The interfaces Location and History.
// https://html.spec.whatwg.org/multipage/nav-history-apis.html

const { DOMString, USVString, attributes, expose, fail, illegalConstructor, long } = internal.webidl;
const { fire } = internal.eventTarget;
const slot = agent.slot("Location");
const historySlot = agent.slot("History");

class Location {
  constructor() { illegalConstructor(); }

  get origin() { return native.urlComponent(native.documentUrl(), "origin"); }
  toString() { return native.documentUrl(); }
}
expose(Location, slot);

// https://html.spec.whatwg.org/multipage/nav-history-apis.html#location-object-navigate. The URL is relative to the
// document of the calling script, whose `internal` object is `source` and which is the source of the navigation.
internal.setLocation = (source, value, replace = false) => {
  const target = native.navigable("self");
  if (target !== undefined) source.navigate(target, USVString(value), replace);
};

// The members that change the location know their caller.
const changing = {
  get href() { return native.documentUrl(); },
  set href({ caller, value }) { internal.setLocation(caller, value); },
  assign(caller, url) { internal.setLocation(caller, url); },
  replace(caller, url) { internal.setLocation(caller, url, true); },
  reload(_caller) { native.reload(); },
};
for (const name of ["protocol", "host", "hostname", "port", "pathname", "search", "hash"]) {
  Object.defineProperty(changing, name, {
    enumerable: true,
    get() { return native.urlComponent(native.documentUrl(), name); },
    set({ caller, value }) {
      internal.setLocation(caller, native.setUrlComponent(native.documentUrl(), name, USVString(value)));
    },
  });
}
attributes(Location.prototype, slot, changing, { isCallerAware: true });

// Navigates this document's navigable, or another one, to `url`, which is relative to this document.
internal.navigate = (target, url, replace) => {
  const parsed = native.resolveUrl(url);
  if (parsed === undefined) fail("SyntaxError", `'${url}' is not a valid URL.`);
  if (!native.navigate(target, parsed, replace)) {
    fail("SecurityError", "The document is sandboxed: it may not navigate that.");
  }
};

// Starts the timer of a declarative refresh.
internal.hooks.refresh = (url, seconds) => {
  internal.startTimer(() => native.navigate(native.navigable("self"), url, true), seconds * 1000);
};

// https://html.spec.whatwg.org/multipage/browsing-the-web.html#navigate-fragid
internal.hooks.navigateToFragment = () => {
  fire(internal.global, "popstate",
    { Interface: internal.interfaces.PopStateEvent, state: currentState() });
};
internal.hooks.fireHashChange = (oldURL, newURL) => {
  fire(internal.global, "hashchange",
    { Interface: internal.interfaces.HashChangeEvent, oldURL, newURL }, { fromHost: true });
};

class History {
  constructor() { illegalConstructor(); }
  get length() { return native.historyLength(); }
  get state() { return currentState(); }
  get scrollRestoration() { return "auto"; }
  set scrollRestoration(_) {}
  pushState(data, _unused, url = null) { update(data, url, false); }
  replaceState(data, _unused, url = null) { update(data, url, true); }
  go(delta = 0) { go(long(delta)); }
  back() { go(-1); }
  forward() { go(1); }
}
expose(History, historySlot);

// https://html.spec.whatwg.org/multipage/nav-history-apis.html#delta-traverse
function go(delta) {
  if (delta === 0) native.reload();
  else native.traverse(delta);
}

// The state of the current entry: an object of this realm. It is the same object until the entry changes.
let current = { entry: undefined, state: null };
function currentState() {
  const entry = native.historyEntry();
  if (entry !== current.entry) {
    const serialized = agent.historyStates.get(entry);
    current = { entry, state: serialized ? internal.deserialize(serialized).data : null };
  }
  return current.state;
}

// https://html.spec.whatwg.org/multipage/nav-history-apis.html#shared-history-push/replace-state-steps
function update(data, url, replace) {
  const serialized = internal.serialize(data, []);
  let target = native.documentUrl();
  if (url !== null && url !== undefined) {
    target = native.resolveUrl(USVString(url));
    if (target === undefined || !canHaveUrlRewritten(target)) {
      fail("SecurityError", `A history state object with URL '${DOMString(url)}' cannot be created.`);
    }
  }
  const previous = native.historyEntry();
  const entry = native.updateHistory(target, replace);
  if (entry === undefined) fail("SecurityError", "The document is not fully active.");
  if (replace) agent.historyStates.delete(previous);
  agent.historyStates.set(entry, serialized);
}

// https://html.spec.whatwg.org/multipage/browsing-the-web.html#update-document-for-history-step-application
internal.hooks.restoreState = (oldURL, newURL) => {
  fire(internal.global, "popstate",
    { Interface: internal.interfaces.PopStateEvent, state: currentState() }, { fromHost: true });
  // NB: the standard compares only the fragments. Browsers fire no `hashchange` if another part of the URL differs.
  const [[oldRest, oldHash], [newRest, newHash]] = [oldURL, newURL].map((url) => url.split(/#(.*)/s));
  if (oldRest === newRest && oldHash !== newHash) internal.hooks.fireHashChange(oldURL, newURL);
};

// https://html.spec.whatwg.org/multipage/nav-history-apis.html#can-have-its-url-rewritten
function canHaveUrlRewritten(target) {
  const current = native.documentUrl();
  const same = (name) => native.urlComponent(target, name) === native.urlComponent(current, name);
  if (!["protocol", "username", "password", "host"].every(same)) return false;
  return /^https?:/.test(current) || (same("pathname") && same("search"));
}

const location = slot.set(Object.create(Location.prototype), {});
internal.location = slot.set(agent.locationProxy(internal.global, location), {});
internal.history = historySlot.set(Object.create(History.prototype), {});
