// The interface SharedWorker.
// https://html.spec.whatwg.org/multipage/workers.html#shared-workers-and-the-sharedworker-interface

const { DOMString, USVString, dictionary, enumeration, expose, fail, required } = internal.webidl;
const { fire } = internal.eventTarget;
const slot = agent.slot("SharedWorker");
// The workers that are not connected yet, by the number of the connection.
const waiting = new Map();

class SharedWorker extends EventTarget {
  constructor(scriptURL, options = undefined) {
    required(arguments.length, 1, "construct 'SharedWorker'");
    const given = USVString(scriptURL);
    const { name, type, credentials } = convert(options);
    const url = native.resolveUrl(given);
    if (url === undefined) fail("SyntaxError", `'${given}' is not a valid URL.`);
    super();
    const [outside, inside] = internal.createEnds();
    slot.set(this, { port: internal.portOf(outside) });
    const id = native.connectSharedWorker(url, internal.blobText(url), type === "module" ? credentials : undefined, name,
      `${type} ${credentials}`);
    waiting.set(id, { object: this, inside });
  }

  get port() { return slot.get(this).port; }
}
expose(SharedWorker, slot);
internal.handlers.attributes(SharedWorker.prototype, slot, ["error"]);

// The conversion to `(DOMString or WorkerOptions)`.
function convert(options) {
  const isDictionary = options === undefined || options === null || typeof options === "object" ||
    typeof options === "function";
  // TODO(spec): a worker has no `extendedLifetime` (https://github.com/whatwg/html/issues/11600). It ends with its last document.
  return internal.convertWorkerOptions(
    isDictionary ? dictionary(options, "WorkerOptions") : { __proto__: null, name: options });
}

function take(id) {
  const worker = waiting.get(id);
  waiting.delete(id);
  return worker;
}

// The worker runs, and these are the hooks of its realm.
internal.hooks.connectSharedWorker = (id, worker) => { worker.connect(take(id).inside); };
// The worker's script could not be fetched, or the worker runs with other options.
internal.hooks.failSharedWorker = (id) => { fire(take(id).object, "error"); };
