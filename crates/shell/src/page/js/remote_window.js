// The window of a document that another process runs. Scripts of this process see of it what they see of a window of
// another origin (window_proxy.js), so it has no other members.

const { defineProperty } = Object;
const { DOMException, TypeError, RangeError, SyntaxError } = globalThis;
const window = globalThis;
const members = new Map();
const related = (relation) => {
  const id = native.navigable(relation);
  return id === undefined ? null : agent.windowProxy(id);
};

Object.assign(internal,
  { global: window, members, exceptions: { DOMException, TypeError, RangeError, SyntaxError } });
for (const name of ["GlobalObject", "Window"]) agent.slot(name).set(window, {});

const location = agent.slot("Location").set(agent.locationProxy(window, {}), {});
const attributes = {
  window: () => internal.windowProxy,
  self: () => internal.windowProxy,
  frames: () => internal.windowProxy,
  location: () => location,
  closed: () => native.isClosing(),
  length: () => native.childNavigables().length,
  top: () => related("top"),
  opener: () => related("opener"),
  parent: () => related("parent"),
};
for (const [name, get] of Object.entries(attributes)) {
  defineProperty(window, name, { get, configurable: true });
  members.set(`Window.get ${name}`, get);
}

internal.crossOriginOperations = {
  close(caller) { caller.closeWindow(native.navigable("self")); },
  focus() {},
  blur() {},
  postMessage(caller, args) { caller.sendMessage(window, args); },
};
for (const [name, steps] of Object.entries(internal.crossOriginOperations)) {
  members.set(`Window.${name}`, (caller, ...args) => steps(caller, args));
}
internal.setLocation = (caller, value, replace) => {
  const target = native.navigable("self");
  if (target !== undefined) caller.navigate(target, `${value}`, replace);
};
members.set("Window.set location", ({ caller, value }) => internal.setLocation(caller, value));
members.set("Location.set href", ({ caller, value }) => internal.setLocation(caller, value));
members.set("Location.replace", (caller, url) => internal.setLocation(caller, url, true));

internal.childWindows = () =>
  native.childNavigables().map(([id, name]) => ({ name, proxy: agent.windowProxy(id) }));
internal.acceptMessage = ({ source, origin, targetOrigin }, serialized) =>
  native.postMessage(source.navigable(), origin, targetOrigin, source.toText(serialized));

// A key that no other window has, so that no script is of the same origin.
const realm = { internal, originKey: Symbol("remote"), proxy: undefined };
agent.realms.set(window, realm);

const { hooks } = internal;
hooks.initialize = (id) => { realm.proxy = internal.windowProxy = agent.activate(id, window); };
hooks.activate = hooks.initialize;
// What the hooks of lifecycle.js do, the document does in its process.
hooks.fireBeforeUnload = () => native.command("FireBeforeUnload");
hooks.unload = () => native.command("Unload");
hooks.setVisibility = (value) => native.command(value === "hidden" ? "Hide" : "Show");
hooks.freeze = () => native.command("Freeze");
hooks.resume = () => native.command("Resume");
// A document with a remote window in it is not cached.
hooks.isSalvageable = () => false;
