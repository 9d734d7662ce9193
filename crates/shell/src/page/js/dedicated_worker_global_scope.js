// The interface DedicatedWorkerGlobalScope.
// https://html.spec.whatwg.org/multipage/workers.html#dedicated-workers-and-the-dedicatedworkerglobalscope-interface

const { globals } = internal.webidl;
const { fire } = internal.eventTarget;
const { global } = internal;
// The functions by which the worker reaches the document or worker that has started it.
let owner = null;

internal.createWorkerGlobalScope("DedicatedWorkerGlobalScope", ["message", "messageerror"]);
globals({
  postMessage(message, options = undefined) {
    const serialized = internal.serialize(message, internal.transferOf(options));
    owner?.receive(serialized);
  },
  // https://html.spec.whatwg.org/multipage/workers.html#close-a-worker
  close() {
    owner?.close();
    owner = null;
  },
});

internal.hooks.connect = (ends) => { owner = ends; };
internal.hooks.receive = (serialized) => {
  internal.startTask(() => fire(global, "message",
    { Interface: internal.interfaces.MessageEvent, ...internal.deserialize(serialized) }));
};
// https://html.spec.whatwg.org/multipage/workers.html#runtime-script-errors-2
internal.reportToOwner = (message, place) => owner?.report(message, place);
