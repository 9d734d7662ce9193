// The interface Worker.
// https://html.spec.whatwg.org/multipage/workers.html#dedicated-workers-and-the-worker-interface

const { DOMString, USVString, dictionary, enumeration, expose, fail, required, sequence } = internal.webidl;
const { fire } = internal.eventTarget;
const slot = agent.slot("Worker");
// The workers that run or will run, by their number.
const workers = new Map();

class Worker extends EventTarget {
  constructor(scriptURL, options = undefined) {
    required(arguments.length, 1, "construct 'Worker'");
    const given = USVString(scriptURL);
    const { name, type, credentials } = convert(dictionary(options, "WorkerOptions"));
    const url = native.resolveUrl(given);
    if (url === undefined) fail("SyntaxError", `'${given}' is not a valid URL.`);
    super();
    const id = native.startWorker(url, internal.blobText(url), type === "module" ? credentials : undefined, name);
    const worker = { id, object: this, port: null, waiting: [] };
    slot.set(this, worker);
    workers.set(id, worker);
  }

  postMessage(message, options = undefined) {
    const serialized = internal.serialize(message, transferOf(options));
    const { port, waiting } = slot.get(this);
    if (port) port.receive(serialized);
    else waiting.push(serialized);
  }

  terminate() { end(slot.get(this).id); }
}
expose(Worker, slot);
internal.handlers.attributes(Worker.prototype, slot, ["message", "messageerror", "error"]);

// The conversion to WorkerOptions. Each member is read once.
function convert({ credentials = "same-origin", name = "", type = "classic" }) {
  return {
    credentials: enumeration(credentials, "RequestCredentials", ["omit", "same-origin", "include"]),
    name: DOMString(name),
    type: enumeration(type, "WorkerType", ["classic", "module"]),
  };
}

function transferOf(options) {
  const list = Array.isArray(options) ? options
    : dictionary(options, "StructuredSerializeOptions").transfer ?? [];
  return sequence(list, (it) => it);
}

function end(id) {
  if (workers.delete(id)) native.stopWorker(id);
}

// Connects a new worker: `port` are the hooks of its realm, and the worker gets the functions below. Returns false if the
// page has terminated the worker already.
internal.hooks.connectWorker = (id, port) => {
  const worker = workers.get(id);
  if (worker === undefined) return false;
  worker.port = port;
  port.connect({
    receive(serialized) {
      internal.startTask(() => tell(id, "message",
        { Interface: internal.interfaces.MessageEvent, ...internal.deserialize(serialized) }));
    },
    report(message, place) {
      internal.startTask(() =>
        tell(id, "error", { Interface: internal.interfaces.ErrorEvent, message, ...place, cancelable: true }));
    },
    // The messages that the worker has sent before still arrive.
    close() {
      worker.port = { receive() {} };
      native.stopWorker(id);
    },
  });
  for (const serialized of worker.waiting.splice(0)) port.receive(serialized);
  return true;
};

// Fires an event at a Worker, unless it is terminated.
function tell(id, type, init) {
  const worker = workers.get(id);
  if (worker) fire(worker.object, type, init);
}

// The worker's script could not be fetched.
internal.hooks.failWorker = (id) => {
  tell(id, "error", { cancelable: true });
  workers.delete(id);
};
internal.convertWorkerOptions = convert;
internal.transferOf = transferOf;
