// The interface FileReader.
// https://w3c.github.io/FileAPI/#dfn-filereader

const { DOMString, constants, expose, fail } = internal.webidl;
const { fire } = internal.eventTarget;
const { slot: blobSlot, bytesOf } = internal.blob;
const { toBase64 } = internal.bufferSource;
const slot = agent.slot("FileReader");
const STATES = { EMPTY: 0, LOADING: 1, DONE: 2 };
const { EMPTY, LOADING, DONE } = STATES;

class FileReader extends EventTarget {
  constructor() {
    super();
    slot.set(this, { state: EMPTY, result: null, read: undefined });
  }

  readAsArrayBuffer(blob) { start(this, blob, (bytes) => bytes.slice().buffer); }
  readAsBinaryString(blob) { start(this, blob, (bytes) => atob(toBase64(bytes))); }
  // https://w3c.github.io/FileAPI/#readAsText
  readAsText(blob, encoding = undefined) {
    const given = encoding === undefined ? undefined : DOMString(encoding).toWellFormed();
    start(this, blob, (bytes, type) => {
      const labels = [given, native.mimeCharset(type)].filter((it) => it !== undefined);
      return native.decode(toBase64(bytes), labels.find((it) => native.outputEncoding(it) !== undefined) ?? "utf-8");
    });
  }
  // https://w3c.github.io/FileAPI/#readAsDataURL
  readAsDataURL(blob) {
    start(this, blob, (bytes, type) => `data:${type || "application/octet-stream"};base64,${toBase64(bytes)}`);
  }

  // https://w3c.github.io/FileAPI/#abort
  abort() {
    const reader = slot.get(this);
    const wasLoading = reader.state === LOADING;
    Object.assign(reader, { result: null, read: undefined });
    if (!wasLoading) return;
    reader.state = DONE;
    fireProgress(this, "abort", 0);
    if (reader.state !== LOADING) fireProgress(this, "loadend", 0);
  }

  get readyState() { return slot.get(this).state; }
  get result() { return slot.get(this).result; }
  // A blob is in memory, so reading it never fails.
  get error() { return null; }
}
expose(FileReader, slot);
constants(FileReader, STATES);
internal.handlers.attributes(FileReader.prototype, slot, ["loadstart", "progress", "load", "abort", "error", "loadend"]);

const fireProgress = (target, type, length) => fire(target, type,
  { Interface: internal.interfaces.ProgressEvent, lengthComputable: length > 0, loaded: length, total: length });

// https://w3c.github.io/FileAPI/#readOperation
function start(object, blob, convert) {
  const reader = slot.get(object);
  if (!blobSlot.has(blob)) throw new TypeError("parameter 1 is not of type 'Blob'.");
  if (reader.state === LOADING) fail("InvalidStateError", "The object is reading a blob already.");
  const read = {};
  Object.assign(reader, { state: LOADING, result: null, read });
  const bytes = bytesOf(blob);
  // A task of its own for each event. None of them runs after an abort.
  const queue = (steps) => internal.startTask(() => { if (reader.read === read) steps(); });
  queue(() => fireProgress(object, "loadstart", 0));
  if (bytes.length > 0) queue(() => fireProgress(object, "progress", bytes.length));
  queue(() => {
    Object.assign(reader, { state: DONE, result: convert(bytes, blobSlot.get(blob).type) });
    fireProgress(object, "load", bytes.length);
    if (reader.state !== LOADING) fireProgress(object, "loadend", bytes.length);
  });
}
