// The interface FormData.
// https://xhr.spec.whatwg.org/#interface-formdata

const { USVString, expose, pairIterable } = internal.webidl;
const { slot: blobSlot, fileSlot, createFile } = internal.blob;
const slot = agent.slot("FormData");
const entriesOf = (formData) => slot.get(formData).entries;

class FormData {
  constructor(form = undefined, submitter = null) {
    if (form !== undefined && internal.formData.ofForm === undefined) {
      throw new TypeError("Failed to construct 'FormData': there are no forms here.");
    }
    slot.set(this, { entries: form === undefined ? [] : internal.formData.ofForm(form, submitter) });
  }

  append(name, value, filename = undefined) {
    entriesOf(this).push(createEntry("append", arguments.length, name, value, filename));
  }

  set(name, value, filename = undefined) {
    const entry = createEntry("set", arguments.length, name, value, filename);
    const entries = entriesOf(this);
    const first = entries.findIndex(([it]) => it === entry[0]);
    if (first < 0) {
      entries.push(entry);
      return;
    }
    const kept = entries.filter(([it], i) => i <= first || it !== entry[0]);
    kept[first] = entry;
    slot.get(this).entries = kept;
  }

  delete(name) {
    const wanted = USVString(name);
    slot.get(this).entries = entriesOf(this).filter(([it]) => it !== wanted);
  }

  get(name) {
    const wanted = USVString(name);
    return entriesOf(this).find(([it]) => it === wanted)?.[1] ?? null;
  }

  getAll(name) {
    const wanted = USVString(name);
    return entriesOf(this).filter(([it]) => it === wanted).map(([, value]) => value);
  }

  has(name) {
    const wanted = USVString(name);
    return entriesOf(this).some(([it]) => it === wanted);
  }
}
expose(FormData, slot);
pairIterable(FormData, slot, entriesOf);

// https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#create-an-entry. It first chooses between the
// overloads for strings and for blobs.
function createEntry(method, count, name, value, filename) {
  if (!blobSlot.has(value)) {
    if (count > 2) {
      throw new TypeError(`Failed to execute '${method}' on 'FormData': ` +
        "parameter 2 is not of type 'Blob'.");
    }
    return [USVString(name), USVString(value)];
  }
  const entryName = USVString(name);
  const given = filename === undefined ? undefined : USVString(filename);
  if (fileSlot.has(value) && given === undefined) return [entryName, value];
  return [entryName, createFile(value, given ?? "blob")];
}

internal.formData = { slot, entriesOf, createEntry };
