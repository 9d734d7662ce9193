// The interface WorkerGlobalScope, and what both kinds of worker have in common.
// https://html.spec.whatwg.org/multipage/workers.html#the-workerglobalscope-common-interface

const { USVString, expose, fail, globals, illegalConstructor, replaceable } = internal.webidl;
const { slot: targetSlot, createState } = internal.eventTarget;
const { global } = internal;
const slot = agent.slot("WorkerGlobalScope");
const locationSlot = agent.slot("WorkerLocation");
const navigatorSlot = agent.slot("WorkerNavigator");
let name = "";
// Whether the worker's script is a module.
let isModule = false;

class WorkerGlobalScope extends EventTarget {
  constructor() { illegalConstructor(); }
}
expose(WorkerGlobalScope, slot);

// Makes the global object implement the interface of this name, which inherits from WorkerGlobalScope. `events` are those
// for which the interface has event handlers.
internal.createWorkerGlobalScope = (interfaceName, events) => {
  const Interface = { [interfaceName]: class extends WorkerGlobalScope {
    constructor() { illegalConstructor(); }
  } }[interfaceName];
  expose(Interface, slot);
  Object.setPrototypeOf(global, Interface.prototype);
  internal.handlers.attributes(global, slot, ["error", "languagechange", "offline", "online", "rejectionhandled",
    "securitypolicyviolation", "unhandledrejection", ...events]);
};
// The engine's own tag, which is "global".
delete global[Symbol.toStringTag];
slot.set(global, {});
targetSlot.set(global, createState());
internal.windowProxy = global;

class WorkerLocation {
  constructor() { illegalConstructor(); }
  get href() { return native.documentUrl(); }
  toString() { return native.documentUrl(); }
}
for (const part of ["origin", "protocol", "host", "hostname", "port", "pathname", "search", "hash"]) {
  Object.defineProperty(WorkerLocation.prototype, part, {
    configurable: true, get() { return native.urlComponent(native.documentUrl(), part); },
  });
}
expose(WorkerLocation, locationSlot);

class WorkerNavigator {
  constructor() { illegalConstructor(); }
  get userAgent() { return native.environment().userAgent; }
  get language() { return native.environment().languages[0] ?? "en"; }
  get languages() {
    return navigatorSlot.get(this).languages ??= Object.freeze([...native.environment().languages]);
  }
  get onLine() { return native.environment().onLine; }
}
expose(WorkerNavigator, navigatorSlot);

const location = locationSlot.set(Object.create(WorkerLocation.prototype), {});
const navigator = navigatorSlot.set(Object.create(WorkerNavigator.prototype), {});
globals({
  get self() { return global; },
  get location() { return location; },
  get navigator() { return navigator; },
  get isSecureContext() { return native.environment().isSecureContext; },
  get crossOriginIsolated() { return native.environment().crossOriginIsolated; },

  // https://html.spec.whatwg.org/multipage/workers.html#import-scripts-into-worker-global-scope
  importScripts(...urls) {
    if (isModule) throw new TypeError("A module worker has no importScripts().");
    const parsed = urls.map((it) => {
      const url = native.resolveUrl(USVString(it));
      return url ?? fail("SyntaxError", `'${it}' is not a valid URL.`);
    });
    for (const url of parsed) {
      const source = internal.blobText(url) ?? native.loadScript(url);
      if (source === undefined) fail("NetworkError", `The script at '${url}' could not be loaded.`);
      native.evaluate(source, url);
    }
  },
});

replaceable("name", () => name);
replaceable("origin", () => native.environment().origin);

internal.hooks.initialize = (givenName, givenIsModule) => { [name, isModule] = [givenName, givenIsModule]; };
internal.isFullyActive = () => true;
