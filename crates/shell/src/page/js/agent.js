// Internal slots, shared by all realms of an event loop, so that an object of one realm is what it
// is to the functions of another.
// https://webidl.spec.whatwg.org/#implements

// Private fields are what no page can see or fake. A constructor that returns its argument lets a
// class put its field on any object.
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

const slots = { __proto__: null };

return {
  slot(name) { return slots[name] ??= createSlot(); },
  // https://w3c.github.io/FileAPI/#blob-url-store
  blobUrls: new Map(),
  broadcastChannels: new Set(),
  // The states of session history entries, serialized, by the number of the entry.
  historyStates: new Map(),
};
