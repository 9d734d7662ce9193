// The interface EventTarget, and event dispatch.
// https://dom.spec.whatwg.org/#interface-eventtarget

const { DOMString, dictionary, expose, fail, globals } = internal.webidl;
const { slot: eventSlot, initializeAttributes } = internal.event;
const slot = agent.slot("EventTarget");
const mouseSlot = agent.slot("MouseEvent");

// The state of a target. `parent` is its "get the parent" algorithm. `handlers` are its event handlers.
const createState = (parent = () => null) => ({ listeners: [], handlers: new Map(), parent });

class EventTarget {
  constructor() {
    slot.set(this, createState());
  }

  addEventListener(type, listener, options = undefined) {
    type = DOMString(type);
    const { capture, once, passive, signal } = flatten(options);
    requireListener(listener);
    if (signal?.aborted || listener === null || listener === undefined) return;
    const { listeners } = slot.get(this);
    if (find(listeners, type, listener, capture) !== undefined) return;
    listeners.push({ type, listener, capture, once, passive, removed: false });
    signal?.addEventListener("abort", () => remove(this, type, listener, capture));
  }

  removeEventListener(type, listener, options = undefined) {
    requireListener(listener);
    remove(this, DOMString(type), listener, flatten(options).capture);
  }

  dispatchEvent(event) {
    if (!eventSlot.has(event)) {
      throw new TypeError("Failed to execute 'dispatchEvent' on 'EventTarget': " +
        "parameter 1 is not of type 'Event'.");
    }
    const state = eventSlot.get(event);
    if (state.dispatching || !state.initialized) {
      fail("InvalidStateError", "The event is already being dispatched.");
    }
    state.isTrusted = false;
    return dispatch(this, event);
  }
}
expose(EventTarget, slot);

// The conversion to a nullable callback interface.
function requireListener(listener) {
  if (listener !== null && listener !== undefined && typeof listener !== "function" && typeof listener !== "object") {
    throw new TypeError("The listener is not an object.");
  }
}

// https://dom.spec.whatwg.org/#event-flatten-more
function flatten(options) {
  if (typeof options === "boolean") options = { __proto__: null, capture: options };
  const init = dictionary(options, "AddEventListenerOptions");
  return { capture: !!init.capture, once: !!init.once, passive: !!init.passive, signal: init.signal };
}

function find(listeners, type, listener, capture) {
  return listeners.find((it) =>
    it.type === type && it.listener === listener && it.capture === capture);
}

function remove(target, type, listener, capture) {
  const state = slot.get(target);
  const found = find(state.listeners, type, listener, capture);
  if (found) drop(state, found);
}

function drop(state, listener) {
  listener.removed = true;
  state.listeners = state.listeners.filter((it) => it !== listener);
}

// https://dom.spec.whatwg.org/#concept-event-dispatch. `fromHost` says that no script runs, so that a microtask
// checkpoint follows each callback. `targetOverride` is the target that the event shows instead of the real one, as a
// window's `load` event shows the document. Returns false if the event was canceled.
function dispatch(target, event, { fromHost = false, targetOverride = target } = {}) {
  const state = eventSlot.get(event);
  state.dispatching = true;
  state.target = targetOverride;
  const path = [];
  for (let at = target; at !== null; at = slot.get(at).parent(event)) path.push(at);
  const activate = activationOf(event, state, path);
  state.path = path;
  for (const object of path.toReversed()) {
    invoke(object, event, state, object === target ? 2 : 1, true, fromHost);
  }
  for (const object of path) {
    if (object !== target && !state.bubbles) break;
    invoke(object, event, state, object === target ? 2 : 3, false, fromHost);
  }
  Object.assign(state, {
    phase: 0, currentTarget: null, path: [], dispatching: false, stopPropagation: false,
    stopImmediate: false,
  });
  // Step 12.
  if (!state.canceled) activate?.();
  return !state.canceled;
}

// Steps 5.3 to 5.9.9: the activation behavior that a click starts, if there is one. It is that of the target, or for an
// event that bubbles that of its nearest ancestor.
function activationOf(event, state, path) {
  if (state.type !== "click" || !mouseSlot.has(event)) return undefined;
  for (const object of state.bubbles ? path : path.slice(0, 1)) {
    const behavior = agent.realmOf(object).activationBehavior?.(object);
    if (behavior) return behavior;
  }
  return undefined;
}

// https://dom.spec.whatwg.org/#concept-event-listener-invoke
function invoke(object, event, state, phase, capture, fromHost) {
  if (state.stopPropagation) return;
  state.phase = phase;
  state.currentTarget = object;
  const target = slot.get(object);
  agent.realmOf(object).activateContentHandler(object, state.type);
  for (const listener of [...target.listeners]) {
    if (listener.removed || listener.type !== state.type || listener.capture !== capture) continue;
    if (listener.once) drop(target, listener);
    state.inPassiveListener = listener.passive;
    callWithCurrentEvent(object, event, listener.listener);
    state.inPassiveListener = false;
    if (fromHost) native.microtaskCheckpoint();
    if (state.stopImmediate) return;
  }
}

// Steps 8 to 12 of https://dom.spec.whatwg.org/#concept-event-listener-inner-invoke: the event is the window's current event.
// NB: the window is that of the target. The standard takes that of the listener.
function callWithCurrentEvent(object, event, listener) {
  const there = agent.realmOf(object);
  const { currentEvent } = there;
  there.currentEvent = event;
  call(object, event, listener);
  there.currentEvent = currentEvent;
}

// https://webidl.spec.whatwg.org/#call-a-user-objects-operation
function call(object, event, listener) {
  try {
    if (typeof listener === "function") Reflect.apply(listener, agent.expose(object), [event]);
    else listener.handleEvent(event);
  } catch (exception) {
    reportException(exception);
  }
}

// https://dom.spec.whatwg.org/#concept-event-fire. The event is trusted.
function fire(target, type, init = { __proto__: null }, options = undefined) {
  const { Interface = internal.interfaces.Event, ...given } = init;
  const rest = { __proto__: null, ...given };
  const event = new Interface(type, rest);
  initializeAttributes(event, rest);
  return fireEvent(target, event, options);
}

function fireEvent(target, event, options) {
  eventSlot.get(event).isTrusted = true;
  return dispatch(target, event, options);
}

// https://html.spec.whatwg.org/multipage/webappapis.html#report-an-exception
let reporting = false;
function reportException(exception) {
  const description = native.describe(exception);
  let notHandled = true;
  if (!reporting) {
    reporting = true;
    const [message] = description.split("\n");
    const init = { Interface: internal.interfaces.ErrorEvent, cancelable: true,
      message: `Uncaught ${message}`, ...internal.placeOf(description), error: exception };
    notHandled = fire(internal.global, "error", init);
    reporting = false;
  }
  if (notHandled) internal.reportToOwner?.(`Uncaught ${description.split("\n")[0]}`, internal.placeOf(description));
  if (notHandled) native.console("error", `Uncaught ${description}`);
}

globals({
  reportError(exception) { reportException(exception); },
});

// The original methods, which pages may replace.
const { Event, ErrorEvent, HashChangeEvent, MessageEvent, PageTransitionEvent, PopStateEvent,
  SecurityPolicyViolationEvent, StorageEvent, BeforeUnloadEvent, MouseEvent, ProgressEvent, PromiseRejectionEvent, SubmitEvent, FormDataEvent } =
  globalThis;
internal.interfaces = {
  Event, ErrorEvent, HashChangeEvent, MessageEvent, PageTransitionEvent, PopStateEvent,
  SecurityPolicyViolationEvent, StorageEvent, BeforeUnloadEvent, MouseEvent, ProgressEvent, PromiseRejectionEvent, SubmitEvent, FormDataEvent,
};
internal.hooks.reportException = reportException;
internal.eventTarget = { slot, createState, dispatch, fire, fireEvent, reportException };
