// The interface ReadableStream with its default reader and controller. There are no byte streams and no tees.
// https://streams.spec.whatwg.org/#rs-class

const { callback, dictionary, expose, illegalConstructor, promised, required } = internal.webidl;
const slot = agent.slot("ReadableStream");
const readerSlot = agent.slot("ReadableStreamDefaultReader");
const controllerSlot = agent.slot("ReadableStreamDefaultController");

class ReadableStream {
  constructor(underlyingSource = undefined, strategy = undefined) {
    const source = dictionary(underlyingSource, "UnderlyingSource");
    const { highWaterMark } = dictionary(strategy, "QueuingStrategy");
    if (source.type !== undefined) {
      throw new RangeError(`The stream type '${source.type}' is not supported.`);
    }
    const controller = Object.create(ReadableStreamDefaultController.prototype);
    const stream = {
      state: "readable", error: undefined, disturbed: false, reader: null, controller,
      queue: [], requests: [], closeRequested: false, started: false, pulling: false, pullAgain: false, closed: null,
      highWaterMark: highWaterMark === undefined ? 1 : +highWaterMark,
      pull: method(source, "pull"), cancel: method(source, "cancel"),
    };
    slot.set(this, stream);
    controllerSlot.set(controller, stream);
    const started = method(source, "start")?.(controller);
    Promise.resolve(started).then(() => {
      stream.started = true;
      pullIfNeeded(stream);
    }, (reason) => fail(stream, reason));
  }

  get locked() { return slot.get(this).reader !== null; }

  async cancel(reason = undefined) {
    if (slot.get(this).reader) throw new TypeError("Cannot cancel a locked stream");
    return cancel(slot.get(this), reason);
  }

  getReader(options = undefined) {
    if (dictionary(options, "ReadableStreamGetReaderOptions").mode !== undefined) {
      throw new TypeError("Only a stream of bytes has a byob reader.");
    }
    return new ReadableStreamDefaultReader(this);
  }

  async *[Symbol.asyncIterator]() {
    const reader = this.getReader();
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        yield value;
      }
    } finally {
      reader.releaseLock();
    }
  }
}
Object.defineProperty(ReadableStream.prototype, "values", {
  value: ReadableStream.prototype[Symbol.asyncIterator], writable: true, configurable: true,
});

class ReadableStreamDefaultController {
  constructor() { illegalConstructor(); }
  get desiredSize() { return desiredSize(controllerSlot.get(this)); }

  close() {
    const stream = controllerSlot.get(this);
    requireOpen(stream, "close");
    stream.closeRequested = true;
    closeIfDrained(stream);
  }

  enqueue(chunk = undefined) {
    const stream = controllerSlot.get(this);
    requireOpen(stream, "enqueue");
    const request = stream.requests.shift();
    if (request) request.chunk(chunk);
    else stream.queue.push(chunk);
    pullIfNeeded(stream);
  }

  error(reason = undefined) { fail(controllerSlot.get(this), reason); }
}
expose(ReadableStreamDefaultController, controllerSlot);

class ReadableStreamDefaultReader {
  constructor(stream) {
    required(arguments.length, 1, "construct 'ReadableStreamDefaultReader'");
    if (!slot.has(stream)) throw new TypeError("parameter 1 is not of type 'ReadableStream'.");
    const state = slot.get(stream);
    if (state.reader) throw new TypeError("ReadableStreamDefaultReader is locked");
    state.reader = this;
    state.closed = Promise.withResolvers();
    state.closed.promise.catch(() => {});
    settleClosed(state);
    readerSlot.set(this, { stream: state, closed: state.closed.promise });
  }

  get closed() { return readerSlot.get(this).closed; }

  read() {
    const { stream } = readerSlot.get(this);
    const { promise, resolve, reject } = Promise.withResolvers();
    if (stream) {
      read(stream, {
        chunk(value) { resolve({ value, done: false }); },
        close() { resolve({ value: undefined, done: true }); },
        error: reject,
      });
    } else {
      reject(new TypeError("This reader has been released"));
    }
    return promise;
  }

  async cancel(reason = undefined) {
    const { stream } = readerSlot.get(this);
    if (!stream) throw new TypeError("This reader has been released");
    return cancel(stream, reason);
  }

  releaseLock() {
    const state = readerSlot.get(this);
    if (!state.stream) return;
    for (const request of state.stream.requests.splice(0)) {
      request.error(new TypeError("Releasing the reader"));
    }
    state.stream.reader = null;
    state.stream = null;
  }
}
promised(ReadableStreamDefaultReader.prototype.read);
expose(ReadableStreamDefaultReader, readerSlot);
expose(ReadableStream, slot);

const method = (source, name) => source[name] === undefined ? undefined
  : callback(source[name]).bind(source);

function requireOpen(stream, operation) {
  if (stream.state !== "readable" || stream.closeRequested) {
    throw new TypeError(`Cannot ${operation} a stream that is not readable`);
  }
}

function desiredSize(stream) {
  if (stream.state === "errored") return null;
  return stream.state === "closed" ? 0 : stream.highWaterMark - stream.queue.length;
}

function settleClosed(stream) {
  if (stream.state === "closed") stream.closed?.resolve();
  if (stream.state === "errored") stream.closed?.reject(stream.error);
}

function closeIfDrained(stream) {
  if (!stream.closeRequested || stream.queue.length > 0 || stream.state !== "readable") return;
  stream.state = "closed";
  for (const request of stream.requests.splice(0)) request.close();
  settleClosed(stream);
}

function fail(stream, reason) {
  if (stream.state !== "readable") return;
  Object.assign(stream, { state: "errored", error: reason, queue: [] });
  for (const request of stream.requests.splice(0)) request.error(reason);
  settleClosed(stream);
}

// https://streams.spec.whatwg.org/#readable-stream-default-reader-read. The functions of `request` get the next chunk, the
// end of the stream, or its error.
function read(stream, request) {
  stream.disturbed = true;
  if (stream.queue.length > 0) {
    const value = stream.queue.shift();
    closeIfDrained(stream);
    pullIfNeeded(stream);
    request.chunk(value);
  } else if (stream.state === "closed") {
    request.close();
  } else if (stream.state === "errored") {
    request.error(stream.error);
  } else {
    stream.requests.push(request);
    pullIfNeeded(stream);
  }
}

// https://streams.spec.whatwg.org/#readable-stream-cancel
async function cancel(stream, reason) {
  stream.disturbed = true;
  if (stream.state === "closed") return;
  if (stream.state === "errored") throw stream.error;
  Object.assign(stream, { queue: [], closeRequested: true });
  closeIfDrained(stream);
  await stream.cancel?.(reason);
}

// https://streams.spec.whatwg.org/#readable-stream-default-controller-call-pull-if-needed
function pullIfNeeded(stream) {
  if (!stream.started || !stream.pull || stream.closeRequested || stream.state !== "readable") return;
  if (stream.requests.length === 0 && desiredSize(stream) <= 0) return;
  if (stream.pulling) {
    stream.pullAgain = true;
    return;
  }
  stream.pulling = true;
  new Promise((resolve) => resolve(stream.pull(stream.controller))).then(() => {
    stream.pulling = false;
    if (stream.pullAgain) {
      stream.pullAgain = false;
      pullIfNeeded(stream);
    }
  }, (reason) => fail(stream, reason));
}

// Creates a stream with one chunk.
internal.streamOf = (bytes) => new ReadableStream({
  __proto__: null,
  start(controller) {
    if (bytes.length > 0) controller.enqueue(bytes);
    controller.close();
  },
});
internal.stream = {
  slot, read, cancel,
  // Locks a stream to a reader that no script has.
  lock(object) {
    new ReadableStreamDefaultReader(object);
    return slot.get(object);
  },
  // Ends what `lock` has begun.
  release(stream) { stream.reader = null; },
  fail(object, reason) { fail(slot.get(object), reason); },
};
