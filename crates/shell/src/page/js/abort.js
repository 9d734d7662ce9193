// The interfaces AbortController and AbortSignal.
// https://dom.spec.whatwg.org/#aborting-ongoing-activities

const { DOMException, expose, illegalConstructor, sequence } = internal.webidl;
const { fire } = internal.eventTarget;
const slot = agent.slot("AbortSignal");
const controllerSlot = agent.slot("AbortController");

class AbortSignal extends EventTarget {
  constructor(token) {
    if (token !== internal) illegalConstructor();
    super();
    slot.set(this, { aborted: false, reason: undefined, algorithms: [] });
  }

  static abort(reason = undefined) {
    const signal = new AbortSignal(internal);
    Object.assign(slot.get(signal), { aborted: true, reason: orAbortError(reason) });
    return signal;
  }

  static timeout(milliseconds) {
    const signal = new AbortSignal(internal);
    const reason = () => new DOMException("The operation timed out.", "TimeoutError");
    internal.startTimer(() => abort(signal, reason()), +milliseconds);
    return signal;
  }

  static any(signals) {
    const sources = sequence(signals, (it) => it);
    for (const source of sources) {
      if (!slot.has(source)) throw new TypeError("Failed to convert value to 'AbortSignal'.");
    }
    const signal = new AbortSignal(internal);
    const aborted = sources.find((it) => it.aborted);
    if (aborted) return AbortSignal.abort(aborted.reason);
    for (const source of sources) onAbort(source, () => abort(signal, source.reason));
    return signal;
  }

  get aborted() { return slot.get(this).aborted; }
  get reason() { return slot.get(this).reason; }
  throwIfAborted() { if (slot.get(this).aborted) throw slot.get(this).reason; }
}
expose(AbortSignal, slot);
internal.handlers.attributes(AbortSignal.prototype, slot, ["abort"]);

class AbortController {
  constructor() {
    controllerSlot.set(this, { signal: new AbortSignal(internal) });
  }

  get signal() { return controllerSlot.get(this).signal; }
  abort(reason = undefined) { abort(controllerSlot.get(this).signal, reason); }
}
expose(AbortController, controllerSlot);

const orAbortError = (reason) => reason === undefined
  ? new DOMException("signal is aborted without reason", "AbortError") : reason;

// https://dom.spec.whatwg.org/#abortsignal-signal-abort
function abort(signal, reason) {
  const state = slot.get(signal);
  if (state.aborted) return;
  state.aborted = true;
  state.reason = orAbortError(reason);
  for (const algorithm of state.algorithms.splice(0)) algorithm();
  fire(signal, "abort");
}

// https://dom.spec.whatwg.org/#abortsignal-add
function onAbort(signal, algorithm) {
  const state = slot.get(signal);
  if (state.aborted) return;
  state.algorithms.push(algorithm);
}

internal.abort = { slot, onAbort };
