// The interfaces MutationObserver and MutationRecord.
// https://dom.spec.whatwg.org/#mutation-observers
//
// The native tree writes records of all changes below the nodes that may have a registered observer. The records are given
// to the observers before a script is told, and before a script changes what is observed.

const { DOMString, callback, dictionary, expose, illegalConstructor, required, sequence } = internal.webidl;
const { reportException } = internal.eventTarget;
const { slot: nodeSlot, wrap, idOf } = internal.node;
const slot = agent.slot("MutationObserver");
const recordSlot = agent.slot("MutationRecord");
// https://dom.spec.whatwg.org/#registered-observer: the lists of this document's nodes. An item has `source` if it is a
// transient registered observer.
const registered = new Map();
// The observers of this document's nodes that have records, in the order in which they were created.
const pending = new Set();
let isQueued = false;

class MutationObserver {
  constructor(steps) {
    required(arguments.length, 1, "construct 'MutationObserver'");
    callback(steps);
    slot.set(this, { steps, nodes: new Set(), records: [], number: agent.nextMutationObserver() });
  }

  // https://dom.spec.whatwg.org/#dom-mutationobserver-observe
  observe(target, options = undefined) {
    if (!nodeSlot.has(target)) throw new TypeError("parameter 1 is not of type 'Node'.");
    const init = convertInit(dictionary(options, "MutationObserverInit"));
    agent.realmOf(target).mutations.register(this, target, init);
  }

  disconnect() {
    const { nodes, records } = slot.get(this);
    for (const node of nodes) agent.realmOf(node).mutations.unregister(this, node);
    nodes.clear();
    records.splice(0);
  }

  takeRecords() {
    const { nodes, records } = slot.get(this);
    for (const node of nodes) agent.realmOf(node).mutations.drain();
    return records.splice(0);
  }
}
expose(MutationObserver, slot);

class MutationRecord {
  constructor() { illegalConstructor(); }
  get type() { return recordSlot.get(this).type; }
  get target() { return recordSlot.get(this).target; }
  get addedNodes() { return recordSlot.get(this).addedNodes; }
  get removedNodes() { return recordSlot.get(this).removedNodes; }
  get previousSibling() { return recordSlot.get(this).previousSibling; }
  get nextSibling() { return recordSlot.get(this).nextSibling; }
  get attributeName() { return recordSlot.get(this).attributeName; }
  get attributeNamespace() { return null; }
  get oldValue() { return recordSlot.get(this).oldValue; }
}
expose(MutationRecord, recordSlot);

// The conversion to MutationObserverInit, and steps 1 to 6 of observe().
function convertInit(given) {
  const flag = (name) => (given[name] === undefined ? undefined : !!given[name]);
  const init = { attributeFilter: given.attributeFilter };
  for (const name of ["attributeOldValue", "attributes", "characterData", "characterDataOldValue", "childList", "subtree"]) {
    init[name] = flag(name);
  }
  if (init.attributeFilter !== undefined) init.attributeFilter = sequence(init.attributeFilter, DOMString);
  if (init.attributeOldValue !== undefined || init.attributeFilter !== undefined) init.attributes ??= true;
  if (init.characterDataOldValue !== undefined) init.characterData ??= true;
  if (!init.childList && !init.attributes && !init.characterData) {
    throw new TypeError("The options must have at least one of 'attributes', 'characterData' and 'childList'.");
  }
  if ((init.attributeOldValue || init.attributeFilter) && !init.attributes) {
    throw new TypeError("The options have 'attributes: false', and members for attributes.");
  }
  if (init.characterDataOldValue && !init.characterData) {
    throw new TypeError("The options have 'characterData: false', and 'characterDataOldValue'.");
  }
  return init;
}

// Steps 7 and 8 of observe().
function register(observer, target, options) {
  drain();
  const list = listOf(target);
  const existing = list.find((it) => it.observer === observer && it.source === undefined);
  if (existing) {
    removeTransient((it) => it.source === existing);
    existing.options = options;
  } else {
    list.push({ observer, options });
    slot.get(observer).nodes.add(target);
  }
}

function unregister(observer, target) {
  drain();
  keepOnly(target, (it) => it.observer !== observer);
}

function listOf(node) {
  if (!registered.has(node)) {
    registered.set(node, []);
    native.observeMutations(idOf(node));
  }
  return registered.get(node);
}

// Removes the items of a node's list that do not satisfy `predicate`.
function keepOnly(node, predicate) {
  const list = (registered.get(node) ?? []).filter(predicate);
  if (list.length > 0) {
    registered.set(node, list);
  } else {
    registered.delete(node);
    native.unobserveMutations(idOf(node));
  }
}

function removeTransient(predicate) {
  for (const [node, list] of registered) {
    if (list.some((it) => it.source && predicate(it))) keepOnly(node, (it) => !it.source || !predicate(it));
  }
}

// https://dom.spec.whatwg.org/#queue-a-mutation-record, for each record that the tree has written.
function drain() {
  for (const record of native.takeMutations()) {
    const interested = new Map();
    for (const id of record.observed) {
      for (const item of registered.get(wrap(id)) ?? []) {
        if (!isInterested(item.options, record, id)) continue;
        const wantsOld = record.type === "attributes" ? item.options.attributeOldValue : item.options.characterDataOldValue;
        interested.set(item.observer, interested.get(item.observer) || !!wantsOld);
      }
    }
    const shared = convertRecord(record);
    for (const [observer, wantsOld] of interested) {
      const own = { ...shared, oldValue: wantsOld ? record.oldValue ?? null : null };
      slot.get(observer).records.push(recordSlot.set(Object.create(MutationRecord.prototype), own));
      pending.add(observer);
    }
    (record.removed ?? []).forEach((id) => addTransient(id, record.observed));
  }
}

// Step 2.
function isInterested(options, { type, target, name }, id) {
  if (id !== target && !options.subtree) return false;
  if (type === "attributes") return !!options.attributes && (options.attributeFilter?.includes(name) ?? true);
  return !!options[type];
}

function convertRecord({ type, target, name = null, added = [], removed = [], previous, next }) {
  return {
    type, target: wrap(target), attributeName: name, addedNodes: added.map(wrap), removedNodes: removed.map(wrap),
    previousSibling: wrap(previous), nextSibling: wrap(next),
  };
}

// https://dom.spec.whatwg.org/#concept-node-remove, step 15
function addTransient(id, ancestors) {
  const items = ancestors.flatMap((ancestor) => registered.get(wrap(ancestor)) ?? []).filter((it) => it.options.subtree);
  const node = wrap(id);
  for (const source of items) listOf(node).push({ observer: source.observer, options: source.options, source });
  // The tree has begun to write records of a removed node.
  if (!registered.has(node)) native.unobserveMutations(id);
}

// https://dom.spec.whatwg.org/#queue-a-mutation-observer-compound-microtask
internal.hooks.queueMutationObserverMicrotask = () => {
  if (isQueued) return;
  isQueued = true;
  internal.queueMicrotask(notify);
};

// https://dom.spec.whatwg.org/#notify-mutation-observers
function notify() {
  isQueued = false;
  drain();
  const observers = [...pending].sort((a, b) => slot.get(a).number - slot.get(b).number);
  pending.clear();
  for (const observer of observers) {
    const { records, steps } = slot.get(observer);
    removeTransient((it) => it.observer === observer);
    const taken = records.splice(0);
    if (taken.length === 0) continue;
    try {
      Reflect.apply(steps, observer, [taken, observer]);
    } catch (exception) {
      reportException(exception);
    }
  }
}

// The document is replaced.
function forget() {
  registered.clear();
  pending.clear();
}

internal.mutations = { register, unregister, drain, forget };
