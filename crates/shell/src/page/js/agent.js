// The object that all realms of an event loop share. It holds the internal slots of objects, so that a function of one
// realm recognises an object of another realm.
// https://webidl.spec.whatwg.org/#implements

// A slot is a private field of a class, because no page can see or fake a private field. A base class whose constructor
// returns its argument lets the class put its field on any object.
const ReturnObject = function (object) { return object; };

function createSlot() {
  class Slot extends ReturnObject {
    #value;

    constructor(object, value) {
      super(object);
      this.#value = value;
    }

    static has(object) {
      return ((typeof object === "object" && object !== null) || typeof object === "function") &&
        #value in object;
    }

    static get(object) {
      return object.#value;
    }

    static replace(object, value) {
      object.#value = value;
    }
  }
  return {
    has: Slot.has,
    get: Slot.get,
    set(object, value) { new Slot(object, value); return object; },
    replace: Slot.replace,
  };
}

let lastMutationObserver = 0;
const slots = { __proto__: null };
// The slot of the relevant realm of an object. Its value is the `internal` object of the realm.
const realms = createSlot();

return {
  slot(name) { return slots[name] ??= createSlot(); },
  // This object as the files of a realm see it: an object belongs to the realm whose file has filled its first slot.
  forRealm(internal) {
    const slot = (name) => {
      const shared = this.slot(name);
      const set = (object, value) => {
        if (!realms.has(object)) realms.set(object, internal);
        return shared.set(object, value);
      };
      return { ...shared, set };
    };
    return { __proto__: this, slot };
  },
  // https://html.spec.whatwg.org/multipage/webappapis.html#concept-relevant-realm
  realmOf(object) { return realms.get(object); },
  moveToRealm(object, internal) { realms.replace(object, internal); },
  // https://w3c.github.io/FileAPI/#blob-url-store
  blobUrls: new Map(),
  broadcastChannels: new Set(),
  // A number for a new mutation observer.
  nextMutationObserver() { return ++lastMutationObserver; },
  // The serialized states of session history entries, by the number of the entry.
  historyStates: new Map(),
};
