// The method fetchLater().
// https://fetch.spec.whatwg.org/#dom-window-fetchlater

const { DOMException, dictionary, double, expose, globals, illegalConstructor } = internal.webidl;
const { slot: requestSlot } = internal.request;
const { packed } = internal.fetch;
const { onAbort } = internal.abort;
const slot = agent.slot("FetchLaterResult");
const quotaSlot = agent.slot("QuotaExceededError");

// https://webidl.spec.whatwg.org/#quotaexceedederror
class QuotaExceededError extends DOMException {
  constructor(message = "", options = undefined) {
    const given = dictionary(options, "QuotaExceededErrorOptions");
    super(`${message}`, "QuotaExceededError");
    const member = (name) => given[name] === undefined ? null : double(given[name]);
    const [quota, requested] = [member("quota"), member("requested")];
    if (quota < 0 || requested < 0 || quota !== null && requested !== null && requested < quota) {
      throw new RangeError("A quota and what was requested are no less than 0, and that no less than the quota.");
    }
    quotaSlot.set(this, { quota, requested });
  }

  get quota() { return quotaSlot.get(this).quota; }
  get requested() { return quotaSlot.get(this).requested; }
}
expose(QuotaExceededError, quotaSlot);

class FetchLaterResult {
  constructor() { illegalConstructor(); }

  // The value changes only between tasks: if a task has seen false, it sees false until it ends.
  get activated() {
    const state = slot.get(this);
    if (!state.activated && native.isActivated(state.id)) {
      state.activated = state.seenIn !== native.task();
    }
    if (!state.activated) state.seenIn = native.task();
    return state.activated;
  }
}
expose(FetchLaterResult, slot);

globals({
  fetchLater(input, init = undefined) {
    const { activateAfter } = dictionary(init, "DeferredRequestInit");
    const after = activateAfter === undefined ? null : double(activateAfter);
    const request = requestSlot.get(new Request(input, init));
    const { signal } = request;
    if (signal.aborted) throw signal.reason;
    const { id, error } = native.fetchLater(packed(request), after);
    if (error) throw exception(error);
    onAbort(signal, () => native.abortDeferred(id));
    const result = Object.create(FetchLaterResult.prototype);
    slot.set(result, { id, activated: false, seenIn: native.task() });
    return result;
  },
});

function exception({ name, message, quota, requested }) {
  switch (name) {
    case "QuotaExceededError": return new QuotaExceededError(message, { quota, requested });
    case "RangeError": return new RangeError(message);
    default: return new TypeError(message);
  }
}

// [SecureContext]
const { initialize } = internal.hooks;
internal.hooks.initialize = (navigable) => {
  initialize(navigable);
  if (!native.environment().isSecureContext) delete globalThis.fetchLater;
};
