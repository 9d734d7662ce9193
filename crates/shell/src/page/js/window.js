// Window
// https://html.spec.whatwg.org/multipage/nav-history-apis.html#the-window-object

const { callback, dictionary, expose, globals, illegalConstructor } = internal.webidl;
const { slot: targetSlot, createState, fire } = internal.eventTarget;
const slot = agent.slot("Window");
const window = globalThis;

class Window extends EventTarget {
  constructor() { illegalConstructor(); }
}
expose(Window, slot);
Object.setPrototypeOf(window, Window.prototype);
// The engine's, which says "global".
delete window[Symbol.toStringTag];
slot.set(window, {});
targetSlot.set(window, createState());
internal.handlers.attributes(window, [...internal.handlers.GLOBAL, ...internal.handlers.WINDOW]);

// [LegacyUnforgeable]
for (const [name, get] of Object.entries({
  window: () => window, document: () => internal.document, top: () => window,
})) {
  Object.defineProperty(window, name, { get, enumerable: true, configurable: false });
}
Object.defineProperty(window, "location", {
  get: () => internal.location,
  set(value) { internal.location.href = value; },
  enumerable: true, configurable: false,
});

globals({
  get navigator() { return internal.navigator; },
  get history() { return internal.history; },
  get origin() { return native.environment().origin; },
  get isSecureContext() { return native.environment().isSecureContext; },
  get crossOriginIsolated() { return native.environment().crossOriginIsolated; },
  get closed() { return false; },
  get opener() { return null; },
  get frameElement() { return null; },
  stop() {},
  requestAnimationFrame(steps) {
    callback(steps);
    return internal.startTimer(() => steps(performance.now()), 16);
  },
  cancelAnimationFrame(handle) { clearTimeout(handle); },

  // https://html.spec.whatwg.org/multipage/web-messaging.html#window-post-message-steps
  postMessage(message, targetOrigin = {}, transfer = []) {
    const options = typeof targetOrigin === "string"
      ? { targetOrigin, transfer } : dictionary(targetOrigin, "WindowPostMessageOptions");
    const wanted = options.targetOrigin ?? "/";
    const { origin } = native.environment();
    const data = internal.structuredClone(message, [...(options.transfer ?? [])]);
    if (wanted !== "*" && wanted !== "/") {
      const url = native.parseUrl(wanted, undefined);
      if (url === undefined) internal.webidl.fail("SyntaxError", `'${wanted}' is not an origin.`);
      if (native.urlComponent(url, "origin") !== origin) return;
    }
    internal.startTimer(() => fire(window, "message", { Interface: internal.interfaces.MessageEvent,
      data, origin, source: window }), 0);
  },
});

// [Replaceable]: an assignment puts a plain property in the place.
for (const [name, get] of Object.entries({
  self: () => window, frames: () => window, parent: () => window, length: () => 0,
})) {
  Object.defineProperty(window, name, {
    get, enumerable: true, configurable: true,
    set(value) {
      Object.defineProperty(window, name, { value, writable: true, enumerable: true, configurable: true });
    },
  });
}
let windowName = "";
Object.defineProperty(window, "name", {
  get: () => windowName,
  set(value) { windowName = `${value}`; },
  enumerable: true, configurable: true,
});

// https://html.spec.whatwg.org/multipage/document-sequences.html#cross-origin-isolation
internal.hooks.initialize = () => {
  if (!native.environment().crossOriginIsolated) delete window.SharedArrayBuffer;
};
