// The interface WritableStream with its default writer and controller.
// https://streams.spec.whatwg.org/#ws-class
//
// NB: a chunk is written as soon as the sink has taken the one before. So `ready` is pending while chunks wait.

const { callback, dictionary, expose, illegalConstructor, promised, required } = internal.webidl;
const slot = agent.slot("WritableStream");
const writerSlot = agent.slot("WritableStreamDefaultWriter");
const controllerSlot = agent.slot("WritableStreamDefaultController");

class WritableStream {
  constructor(underlyingSink = undefined, strategy = undefined) {
    const sink = dictionary(underlyingSink, "UnderlyingSink");
    const { highWaterMark } = dictionary(strategy, "QueuingStrategy");
    if (sink.type !== undefined) throw new RangeError("An underlying sink has no type.");
    const controller = Object.create(WritableStreamDefaultController.prototype);
    const method = (name) => (sink[name] === undefined ? () => {} : callback(sink[name]).bind(sink));
    const [write, close, abort] = ["write", "close", "abort"].map(method);
    const stream = {
      state: "writable", error: undefined, writer: null, controller, write, close, abort, waiting: 0, last: null,
      highWaterMark: highWaterMark === undefined ? 1 : +highWaterMark,
    };
    slot.set(this, stream);
    controllerSlot.set(controller, stream);
    stream.last = new Promise((resolve) => resolve(method("start")(controller)));
    stream.last.catch((reason) => fail(stream, reason));
  }

  get locked() { return slot.get(this).writer !== null; }
  async abort(reason = undefined) {
    requireUnlocked(slot.get(this));
    return abort(slot.get(this), reason);
  }
  async close() {
    requireUnlocked(slot.get(this));
    return close(slot.get(this));
  }
  getWriter() { return new WritableStreamDefaultWriter(this); }
}

class WritableStreamDefaultController {
  constructor() { illegalConstructor(); }
  error(reason = undefined) { fail(controllerSlot.get(this), reason); }
}
expose(WritableStreamDefaultController, controllerSlot);

class WritableStreamDefaultWriter {
  constructor(stream) {
    required(arguments.length, 1, "construct 'WritableStreamDefaultWriter'");
    if (!slot.has(stream)) throw new TypeError("parameter 1 is not of type 'WritableStream'.");
    const state = slot.get(stream);
    requireUnlocked(state);
    state.writer = this;
    const closed = Promise.withResolvers();
    closed.promise.catch(() => {});
    writerSlot.set(this, { stream: state, closed });
    settle(state);
  }

  get closed() { return writerSlot.get(this).closed.promise; }
  get desiredSize() {
    const stream = streamOf(this);
    if (stream.state === "errored") return null;
    return stream.state === "closed" ? 0 : stream.highWaterMark - stream.waiting;
  }
  get ready() {
    const { stream } = writerSlot.get(this);
    return stream === null || stream.waiting < stream.highWaterMark ? Promise.resolve() : stream.last.then(() => {});
  }

  async write(chunk = undefined) { return write(streamOf(this), chunk); }
  async close() { return close(streamOf(this)); }
  async abort(reason = undefined) { return abort(streamOf(this), reason); }
  releaseLock() {
    const state = writerSlot.get(this);
    if (state.stream === null) return;
    state.stream.writer = null;
    state.stream = null;
    state.closed.reject(new TypeError("This writer has been released"));
  }
}
expose(WritableStreamDefaultWriter, writerSlot);
expose(WritableStream, slot);

function requireUnlocked({ writer }) {
  if (writer !== null) throw new TypeError("The WritableStream is locked");
}

function streamOf(writer) {
  const { stream } = writerSlot.get(writer);
  if (stream === null) throw new TypeError("This writer has been released");
  return stream;
}

function settle(stream) {
  if (stream.writer === null) return;
  const { closed } = writerSlot.get(stream.writer);
  if (stream.state === "closed") closed.resolve();
  if (stream.state === "errored") closed.reject(stream.error);
}

// Runs the steps after those of all earlier operations, unless one of them has failed.
function enqueue(stream, steps) {
  stream.waiting++;
  const done = stream.last.then(() => {
    if (stream.state === "errored") throw stream.error;
    return steps();
  });
  stream.last = done.catch((reason) => fail(stream, reason)).finally(() => { stream.waiting--; });
  return done;
}

// https://streams.spec.whatwg.org/#writable-stream-default-writer-write
async function write(stream, chunk) {
  if (stream.state === "errored") throw stream.error;
  if (stream.state !== "writable") throw new TypeError("The stream is closing or closed");
  return enqueue(stream, () => stream.write(chunk, stream.controller));
}

// https://streams.spec.whatwg.org/#writable-stream-close
async function close(stream) {
  if (stream.state === "errored") throw stream.error;
  if (stream.state !== "writable") throw new TypeError("The stream is closing or closed");
  stream.state = "closing";
  await enqueue(stream, () => stream.close());
  stream.state = "closed";
  settle(stream);
}

// https://streams.spec.whatwg.org/#writable-stream-abort
async function abort(stream, reason) {
  if (stream.state === "closed" || stream.state === "errored") return;
  fail(stream, reason);
  await stream.abort(reason);
}

function fail(stream, reason) {
  if (stream.state === "errored" || stream.state === "closed") return;
  Object.assign(stream, { state: "errored", error: reason });
  settle(stream);
}

// https://streams.spec.whatwg.org/#readable-stream-pipe-to
async function pipe(readable, writable, { preventClose, preventAbort, preventCancel, signal }) {
  const source = internal.stream.lock(readable);
  const destination = slot.get(writable);
  const writer = new WritableStreamDefaultWriter(writable);
  const read = () => new Promise((resolve, reject) => internal.stream.read(source, {
    chunk(value) { resolve({ __proto__: null, value }); }, close() { resolve(undefined); }, error: reject,
  }));
  try {
    for (;;) {
      signal?.throwIfAborted();
      const chunk = await read().catch(async (reason) => {
        if (!preventAbort) await abort(destination, reason);
        throw reason;
      });
      if (chunk === undefined) break;
      await write(destination, chunk.value);
    }
  } catch (reason) {
    if (!preventAbort && signal?.aborted) await abort(destination, reason);
    if (!preventCancel && source.state === "readable") await internal.stream.cancel(source, reason);
    throw reason;
  } finally {
    internal.stream.release(source);
    writer.releaseLock();
  }
  if (!preventClose) await close(destination);
}

internal.webidl.attributes(ReadableStream.prototype, internal.stream.slot, {
  pipeTo: promised(function (destination, options = undefined) {
    if (!slot.has(destination)) throw new TypeError("parameter 1 is not of type 'WritableStream'.");
    if (this.locked || destination.locked) throw new TypeError("Cannot pipe a locked stream");
    return pipe(this, destination, dictionary(options, "StreamPipeOptions"));
  }),
  pipeThrough(transform, options = undefined) {
    const { readable, writable } = dictionary(transform, "ReadableWritablePair");
    if (!internal.stream.slot.has(readable) || !slot.has(writable)) throw new TypeError("The pair has no two streams.");
    if (this.locked || writable.locked) throw new TypeError("Cannot pipe a locked stream");
    pipe(this, writable, dictionary(options, "StreamPipeOptions")).catch(() => {});
    return readable;
  },
});
