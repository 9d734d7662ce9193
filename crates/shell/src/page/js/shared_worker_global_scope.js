// The interface SharedWorkerGlobalScope.
// https://html.spec.whatwg.org/multipage/workers.html#shared-workers-and-the-sharedworkerglobalscope-interface

const { globals } = internal.webidl;
const { fire } = internal.eventTarget;
const { global } = internal;

internal.createWorkerGlobalScope("SharedWorkerGlobalScope", ["connect"]);
globals({
  // https://html.spec.whatwg.org/multipage/workers.html#close-a-worker
  close() { native.closeSharedWorker(); },
});

// A document has connected: `end` is the worker's end of the channel.
internal.hooks.connect = (end) => {
  const port = internal.portOf(end);
  internal.startTask(() => fire(global, "connect",
    { Interface: internal.interfaces.MessageEvent, data: "", ports: [port], source: port }));
};
