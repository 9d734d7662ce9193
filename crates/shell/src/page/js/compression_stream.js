// The interfaces CompressionStream and DecompressionStream.
// https://compression.spec.whatwg.org/
//
// NB: the codec gets all bytes when the writable side is closed, so the readable side has one chunk.

const { enumeration, expose, required } = internal.webidl;
const { isBufferSource, copy, toBase64 } = internal.bufferSource;
const { bytesOf } = internal.blob;
const FORMATS = ["deflate", "deflate-raw", "gzip"];

// Declares one of the two interfaces. `convert` takes base64 and a format, and returns a buffer or undefined.
function declare(name, convert) {
  const slot = agent.slot(name);
  const Interface = { [name]: class {
    constructor(format) {
      required(arguments.length, 1, `construct '${name}'`);
      slot.set(this, transform(enumeration(format, "CompressionFormat", FORMATS), convert));
    }

    get readable() { return slot.get(this).readable; }
    get writable() { return slot.get(this).writable; }
  } }[name];
  expose(Interface, slot);
}

function transform(format, convert) {
  const chunks = [];
  let controller;
  const readable = new ReadableStream({ __proto__: null, start(it) { controller = it; } });
  const failed = (error) => {
    controller.error(error);
    throw error;
  };
  const writable = new WritableStream({
    __proto__: null,
    write(chunk) {
      if (!isBufferSource(chunk)) failed(new TypeError("A chunk is no BufferSource."));
      chunks.push(copy(chunk));
    },
    close() {
      const bytes = convert(toBase64(bytesOf(new Blob(chunks))), format);
      if (bytes === undefined) failed(new TypeError(`The bytes are not valid for the format '${format}'.`));
      if (bytes.byteLength > 0) controller.enqueue(new Uint8Array(bytes));
      controller.close();
    },
    abort(reason) { controller.error(reason); },
  });
  return { readable, writable };
}

declare("CompressionStream", native.compress);
declare("DecompressionStream", native.decompress);
