// Event handlers (`onload` and so on), as IDL attributes and as content attributes.
// https://html.spec.whatwg.org/multipage/webappapis.html#event-handler-attributes

const { slot } = internal.eventTarget;
const { slot: eventSlot, cancel } = internal.event;
const beforeUnloadSlot = agent.slot("BeforeUnloadEvent");
const { global } = internal;

const GLOBAL = ["abort", "blur", "change", "click", "close", "error", "focus", "formdata", "input", "keydown",
  "keyup", "load", "mousedown", "mouseup", "reset", "resize", "scroll", "select", "submit",
  "securitypolicyviolation", "toggle"];
const WINDOW = ["afterprint", "beforeprint", "beforeunload", "hashchange", "languagechange",
  "message", "messageerror", "offline", "online", "pagehide", "pageshow", "popstate",
  "rejectionhandled", "storage", "unhandledrejection", "unload"];
const DOCUMENT = ["readystatechange", "visibilitychange", "freeze", "resume"];
// The event handlers of a body element that belong to the window.
const BODY_TO_WINDOW = [...WINDOW, "blur", "error", "focus", "load", "resize", "scroll"];

// https://html.spec.whatwg.org/multipage/webappapis.html#the-event-handler-processing-algorithm
function process(target, type, event) {
  const handler = slot.get(target).handlers.get(type)?.value;
  if (typeof handler !== "function") return;
  const isWindowError = type === "error" && target === global;
  const args = isWindowError
    ? [event.message, event.filename, event.lineno, event.colno, event.error]
    : [event];
  const returned = Reflect.apply(handler, agent.expose(target), args);
  // The return type of OnBeforeUnloadEventHandler is a nullable string.
  const isBeforeUnload = type === "beforeunload";
  const result = isBeforeUnload && returned !== null && returned !== undefined ? `${returned}` : returned;
  if (isBeforeUnload && beforeUnloadSlot.has(event) && eventSlot.get(event).type === "beforeunload") {
    if (result === null || result === undefined) return;
    cancel(eventSlot.get(event));
    beforeUnloadSlot.get(event).returnValue ||= result;
  } else if (isWindowError ? result === true : result === false) {
    cancel(eventSlot.get(event));
  }
}

// https://html.spec.whatwg.org/multipage/webappapis.html#activate-an-event-handler. The listener keeps its place among
// the other listeners when the handler's value changes.
function set(target, type, value, content) {
  const { handlers, listeners } = slot.get(target);
  const handler = handlers.get(type);
  if (handler) {
    Object.assign(handler, { value, content });
    return;
  }
  if (value === null) return;
  handlers.set(type, { value, content });
  listeners.push({
    type, capture: false, once: false, passive: false, removed: false,
    listener(event) { process(target, type, event); },
  });
}

const get = (target, type) => slot.get(target).handlers.get(type)?.value ?? null;

// [LegacyTreatNonObjectAsNull]
function setHandler(target, type, value) {
  const isObject = typeof value === "function" || (typeof value === "object" && value !== null);
  set(target, type, isObject ? value : null);
}

// Defines the IDL attributes on `target`, a prototype or the global object, whose objects have the slot `ofTarget`. `of`
// finds the object whose event handlers they are.
function handlerAttributes(target, ofTarget, types, of = (self) => self) {
  const members = {};
  for (const type of types) {
    Object.defineProperty(members, `on${type}`, {
      get() {
        const owner = of(this);
        internal.activateContentHandler(owner, type);
        return get(owner, type);
      },
      set(value) { setHandler(of(this), type, value); },
    });
  }
  internal.webidl.attributes(target, ofTarget, members);
}

// Compiles a content attribute when its event is fired for the first time.
// https://html.spec.whatwg.org/multipage/webappapis.html#getting-the-current-value-of-the-event-handler
internal.activateContentHandler = (target, type) => {
  if (!native.environment().scripting) return;
  let element = target;
  if (target === global) {
    element = BODY_TO_WINDOW.includes(type) ? internal.bodyElement?.() : null;
  } else if (internal.isBody?.(target) && BODY_TO_WINDOW.includes(type)) {
    return;
  }
  const source = element && internal.contentAttribute?.(element, `on${type}`);
  if (typeof source !== "string") return;
  const existing = slot.get(target).handlers.get(type);
  // A script has set the handler since then, or it is compiled already.
  if (existing && (existing.content === undefined || existing.content === source)) return;
  try {
    const parameters = type === "error" && target === global
      ? ["event", "source", "lineno", "colno", "error"] : ["event"];
    set(target, type, new Function(...parameters, source), source);
  } catch (exception) {
    internal.eventTarget.reportException(exception);
  }
};

internal.handlers = { attributes: handlerAttributes, get, set: setHandler, GLOBAL, WINDOW, DOCUMENT, BODY_TO_WINDOW };
