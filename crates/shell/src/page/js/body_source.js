// The sources of bodies whose bytes are arriving.
//
// Each body that reads from a source has a cursor: clone() makes a second body with the same source.

const { read: readStream, lock } = internal.stream;

// Creates a source. `pull` asks for the next chunk, and `cancel(reason)` says that no body wants more chunks. The source
// pulls while a body waits for a chunk, and while it has fewer than `limit` bytes that no body has read.
function create(pull, cancel, limit = 0) {
  return {
    pull, cancel, limit, chunks: [], hasEnded: false, hasFailed: false, error: undefined, isPulling: false, waiting: [],
    cursors: 0, furthest: 0, unread: 0, listeners: [],
  };
}

function pullIfWanted(source) {
  const isWanted = source.waiting.length > 0 || source.unread < source.limit;
  if (!isWanted || source.isPulling || source.hasEnded || source.hasFailed) return;
  source.isPulling = true;
  source.pull();
}

function addCursor(source, copy = (chunk) => chunk) {
  source.cursors++;
  return { source, at: 0, copy };
}

// Reads the next chunk. The functions of `request` get the chunk, the end of the body, or its error.
function read(cursor, request) {
  const { source } = cursor;
  const { chunks } = source;
  const isAtEnd = cursor.at === chunks.length;
  if (isAtEnd && source.hasEnded) {
    request.close();
  } else if (source.hasFailed) {
    request.error(source.error);
  } else if (isAtEnd) {
    source.waiting.push([cursor, request]);
    pullIfWanted(source);
  } else {
    const chunk = chunks[cursor.at];
    // No other body reads this chunk: a body cannot be cloned once it was read from.
    if (source.cursors === 1) chunks[cursor.at] = undefined;
    cursor.at++;
    if (cursor.at > source.furthest) {
      source.furthest = cursor.at;
      source.unread -= chunk.byteLength ?? 0;
    }
    request.chunk(cursor.copy(chunk));
    pullIfWanted(source);
  }
}

function serve(source) {
  source.isPulling = false;
  for (const [cursor, request] of source.waiting.splice(0)) read(cursor, request);
  pullIfWanted(source);
}

function enqueue(source, chunk) {
  source.chunks.push(chunk);
  source.unread += chunk.byteLength ?? 0;
  serve(source);
}

function end(source) {
  source.hasEnded = true;
  serve(source);
}

// Also a source that has ended fails, for the bodies that are not read to the end.
function fail(source, error) {
  if (source.hasFailed) return;
  Object.assign(source, { hasFailed: true, error });
  serve(source);
  for (const listener of source.listeners.splice(0)) listener(error);
}

// https://streams.spec.whatwg.org/#readable-stream-cancel, for a body that may have clones.
function cancel({ source }, reason) {
  source.cursors--;
  if (source.cursors === 0) source.cancel(reason);
}

// The stream of a body that was not read from yet.
const streamOf = (cursor) => {
  const stream = new ReadableStream({
    __proto__: null,
    pull(controller) {
      return new Promise((resolve, reject) => read(cursor, {
        chunk(chunk) { controller.enqueue(chunk); resolve(); },
        close() { controller.close(); resolve(); },
        error: reject,
      }));
    },
    cancel(reason) { cancel(cursor, reason); },
  }, { __proto__: null, highWaterMark: 0 });
  cursor.source.listeners.push((error) => {
    const isClosed = cursor.source.hasEnded && cursor.at === cursor.source.chunks.length;
    if (!isClosed) internal.stream.fail(stream, error);
  });
  return stream;
};

// A source that reads from the stream of a script, which it locks.
function ofStream(stream) {
  const state = lock(stream);
  const source = create(() => readStream(state, {
    chunk(chunk) { enqueue(source, chunk); },
    close() { end(source); },
    error(error) { fail(source, error); },
  }), (reason) => internal.stream.cancel(state, reason));
  return source;
}

internal.bodySource = { create, pullIfWanted, addCursor, read, enqueue, end, fail, streamOf, ofStream };
