// The interfaces Blob and File.
// https://w3c.github.io/FileAPI/#blob-section

const { DOMString, USVString, clampedLongLong, dictionary, enumeration, expose, longLong, required,
  sequence } = internal.webidl;
const { isBufferSource, copy, toBase64 } = internal.bufferSource;
const slot = agent.slot("Blob");
const fileSlot = agent.slot("File");
const bytesOf = (blob) => slot.get(blob).bytes;

class Blob {
  constructor(blobParts = undefined, options = undefined) {
    const parts = blobParts === undefined ? [] : sequence(blobParts, toBlobPart);
    const init = dictionary(options, "BlobPropertyBag");
    // Web IDL reads the members in lexicographical order.
    const endings = init.endings === undefined
      ? "transparent" : enumeration(init.endings, "EndingType", ["transparent", "native"]);
    const type = init.type === undefined ? "" : DOMString(init.type);
    slot.set(this, { bytes: processParts(parts, endings), type: normalizeType(type) });
  }

  get size() { return bytesOf(this).length; }
  get type() { return slot.get(this).type; }

  slice(start = undefined, end = undefined, contentType = undefined) {
    const bytes = bytesOf(this);
    const from = start === undefined ? 0 : clampedLongLong(start);
    const to = end === undefined ? bytes.length : clampedLongLong(end);
    const type = contentType === undefined ? "" : normalizeType(DOMString(contentType));
    // As for slice(), a negative offset of `subarray` counts from the end. The bytes never change, so blobs can share them.
    return createBlob(bytes.subarray(from, to), type);
  }

  stream() { return internal.streamOf(bytesOf(this).slice()); }
  async text() { return native.decodeUtf8(toBase64(withoutBom(bytesOf(this))), false); }
  async arrayBuffer() { return bytesOf(this).slice().buffer; }
  async bytes() { return bytesOf(this).slice(); }
}
expose(Blob, slot);

class File extends Blob {
  constructor(fileBits, fileName, options = undefined) {
    required(arguments.length, 2, "construct 'File'");
    const init = dictionary(options, "FilePropertyBag");
    if (fileBits === undefined) throw new TypeError("The provided value cannot be converted to a sequence.");
    super(fileBits, init);
    const name = USVString(fileName);
    const lastModified =
      init.lastModified === undefined ? Date.now() : longLong(init.lastModified);
    fileSlot.set(this, { name, lastModified });
  }

  get name() { return fileSlot.get(this).name; }
  get lastModified() { return fileSlot.get(this).lastModified; }
  get webkitRelativePath() { return ""; }
}
expose(File, fileSlot);

// Decodes UTF-8 and removes a byte order mark ("UTF-8 decode").
function withoutBom(bytes) {
  const hasBom = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  return hasBom ? bytes.subarray(3) : bytes;
}

// The Web IDL conversion to (BufferSource or Blob or USVString).
function toBlobPart(value) {
  if (slot.has(value)) return bytesOf(value);
  if (isBufferSource(value)) return copy(value);
  return USVString(value);
}

// https://w3c.github.io/FileAPI/#process-blob-parts
function processParts(parts, endings) {
  const chunks = parts.map((part) => {
    if (typeof part !== "string") return part;
    const text = endings === "native" ? part.replaceAll(/\r\n|\r/g, "\n") : part;
    return new Uint8Array(native.encodeUtf8(text));
  });
  const bytes = new Uint8Array(chunks.reduce((size, chunk) => size + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

// https://w3c.github.io/FileAPI/#constructorBlob, step 3.1
const normalizeType = (type) => (/[^\x20-\x7e]/.test(type) ? "" : type.toLowerCase());

function createBlob(bytes, type) {
  const blob = new Blob();
  Object.assign(slot.get(blob), { bytes, type });
  return blob;
}

// Creates a File with the bytes of `blob`.
function createFile(blob, name, lastModified = Date.now()) {
  const file = new File([], name, { __proto__: null, lastModified });
  Object.assign(slot.get(file), { bytes: bytesOf(blob), type: slot.get(blob).type });
  return file;
}

internal.blob = { slot, fileSlot, bytesOf, createBlob, createFile, withoutBom };
