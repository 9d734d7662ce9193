// requestIdleCallback() and the interface IdleDeadline.
// https://w3c.github.io/requestidlecallback/

const { callback, dictionary, expose, globals, illegalConstructor, unsignedLong } = internal.webidl;
const { reportException } = internal.eventTarget;
const slot = agent.slot("IdleDeadline");
// How long an idle period is at most, in milliseconds.
const IDLE_PERIOD = 50;
// https://w3c.github.io/requestidlecallback/#dfn-list-of-idle-request-callbacks
const callbacks = new Map();
let last = 0;

class IdleDeadline {
  constructor() { illegalConstructor(); }
  timeRemaining() { return Math.max(slot.get(this).deadline - performance.now(), 0); }
  get didTimeout() { return false; }
}
expose(IdleDeadline, slot);

// https://w3c.github.io/requestidlecallback/#invoke-idle-callbacks-algorithm. The event loop has no rendering to wait for,
// so it is idle as soon as it has run the tasks that are queued already, and no callback times out.
function invoke(handle) {
  const steps = callbacks.get(handle);
  if (!callbacks.delete(handle)) return;
  try {
    steps(slot.set(Object.create(IdleDeadline.prototype), { deadline: performance.now() + IDLE_PERIOD }));
  } catch (exception) {
    reportException(exception);
  }
}

globals({
  requestIdleCallback(steps, options = undefined) {
    callback(steps);
    dictionary(options, "IdleRequestOptions");
    const handle = ++last;
    callbacks.set(handle, steps);
    internal.startTask(() => invoke(handle));
    return handle;
  },
  cancelIdleCallback(handle) { callbacks.delete(unsignedLong(handle)); },
});
