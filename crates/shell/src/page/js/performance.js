// The interface Performance (https://w3c.github.io/hr-time/#sec-performance)
// and its timeline (https://w3c.github.io/performance-timeline/).

const { DOMString, callback, dictionary, double, expose, illegalConstructor, required, sequence } =
  internal.webidl;
const { slot: targetSlot, createState, reportException } = internal.eventTarget;
const slot = agent.slot("Performance");
const entrySlot = agent.slot("PerformanceEntry");
const observerSlot = agent.slot("PerformanceObserver");
const listSlot = agent.slot("PerformanceObserverEntryList");
// The types of the entries that the timeline can have. navigation_timing.js adds another one in a window.
const supported = ["mark", "measure", "resource"];
// https://w3c.github.io/resource-timing/#dfn-resource-timing-buffer-size-limit
const DEFAULT_BUFFER_SIZE = 250;
let entries = [];
let bufferSize = DEFAULT_BUFFER_SIZE;
const observers = new Set();

class PerformanceEntry {
  constructor() { illegalConstructor(); }
  get name() { return entrySlot.get(this).name; }
  get entryType() { return entrySlot.get(this).entryType; }
  get startTime() { return entrySlot.get(this).startTime; }
  get duration() { return entrySlot.get(this).duration; }
  toJSON() { return toJSON(this); }
}
expose(PerformanceEntry, entrySlot);

// The default toJSON steps: an object with the attributes of an entry and of its prototypes.
function toJSON(entry) {
  const json = {};
  for (let at = Object.getPrototypeOf(entry); at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const [name, { get }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (get) json[name] = entry[name];
    }
  }
  return json;
}

// Declares an interface whose attributes are the members of an entry's state.
function derive(name, members, construct = illegalConstructor, Parent = PerformanceEntry) {
  const Interface = { [name]: class extends Parent {} }[name];
  const Constructor = { [name]: function (...args) {
    if (new.target === undefined) illegalConstructor();
    return construct(...args);
  } }[name];
  Constructor.prototype = Interface.prototype;
  Object.defineProperty(Constructor, "prototype", { writable: false });
  Object.defineProperty(Constructor, "length", { value: construct.length, configurable: true });
  Object.defineProperty(Constructor.prototype, "constructor",
    { value: Constructor, writable: true, configurable: true });
  Object.setPrototypeOf(Constructor, Parent);
  for (const member of members) {
    Object.defineProperty(Constructor.prototype, member,
      { get() { return entrySlot.get(this)[member]; }, configurable: true });
  }
  expose(Constructor, entrySlot);
  return (state) => entrySlot.set(Object.create(Constructor.prototype), state);
}

const TIMES = ["workerStart", "redirectStart", "redirectEnd", "fetchStart", "domainLookupStart",
  "domainLookupEnd", "connectStart", "connectEnd", "secureConnectionStart", "requestStart",
  "responseStart", "responseEnd"];
const createResource = derive("PerformanceResourceTiming", ["initiatorType", "nextHopProtocol", ...TIMES,
  "transferSize", "encodedBodySize", "decodedBodySize", "responseStatus", "renderBlockingStatus"]);
const createMark = derive("PerformanceMark", ["detail"], (markName, markOptions = undefined) =>
  mark(markName, markOptions));
const createMeasure = derive("PerformanceMeasure", ["detail"]);

// https://w3c.github.io/user-timing/#the-performancemark-constructor
function mark(markName, markOptions) {
  const name = DOMString(markName);
  const { startTime, detail = null } = dictionary(markOptions, "PerformanceMarkOptions");
  const start = startTime === undefined ? native.now() : double(startTime);
  if (start < 0) throw new TypeError(`A mark cannot have the negative start time ${start}.`);
  return createMark({ name, entryType: "mark", startTime: start, duration: 0,
    detail: internal.structuredClone(detail, []) });
}

// https://w3c.github.io/user-timing/#convert-a-mark-to-a-timestamp
function timestamp(given) {
  if (typeof given === "number") {
    if (given < 0) throw new TypeError(`There is nothing at the negative time ${given}.`);
    return double(given);
  }
  const name = DOMString(given);
  const found = entries.findLast((it) => it.entryType === "mark" && it.name === name);
  if (found === undefined) internal.webidl.fail("SyntaxError", `The mark '${name}' does not exist.`);
  return found.startTime;
}

const selected = (list, { name, type }) => list
  .filter((it) => (name === undefined || it.name === name) && (type === undefined || it.entryType === type))
  .sort((a, b) => a.startTime - b.startTime);
const optional = (value) => (value === undefined ? undefined : DOMString(value));

class Performance extends EventTarget {
  constructor() { illegalConstructor(); }
  now() { return native.now(); }
  get timeOrigin() { return native.timeOrigin(); }
  getEntries() { return selected(entries, {}); }
  getEntriesByType(type) { return selected(entries, { type: DOMString(type) }); }
  getEntriesByName(name, type = undefined) {
    return selected(entries, { name: DOMString(name), type: optional(type) });
  }
  mark(markName, markOptions = undefined) { return queue(mark(markName, markOptions)); }
  clearMarks(markName = undefined) { clear("mark", optional(markName)); }

  // https://w3c.github.io/user-timing/#dom-performance-measure
  measure(measureName, startOrMeasureOptions = undefined, endMark = undefined) {
    const isOptions = typeof startOrMeasureOptions === "object";
    const { start, end, duration, detail = null } = isOptions
      ? dictionary(startOrMeasureOptions, "PerformanceMeasureOptions")
      : { start: startOrMeasureOptions };
    const given = endMark ?? end;
    let from = start === undefined ? undefined : timestamp(start);
    let to = given === undefined ? undefined : timestamp(given);
    if (duration !== undefined) {
      if (from !== undefined && to !== undefined) throw new TypeError("start, end and duration are one too many.");
      if (from === undefined) from = to - double(duration);
      else to = from + double(duration);
    }
    from ??= 0;
    to ??= native.now();
    return queue(createMeasure({ name: DOMString(measureName), entryType: "measure", startTime: from,
      duration: to - from, detail: internal.structuredClone(detail, []) }));
  }
  clearMeasures(measureName = undefined) { clear("measure", optional(measureName)); }

  // https://w3c.github.io/resource-timing/#sec-extensions-performance-interface
  clearResourceTimings() { clear("resource"); }
  setResourceTimingBufferSize(maxSize) { bufferSize = maxSize >>> 0; }
  toJSON() { return { timeOrigin: native.timeOrigin() }; }
}
expose(Performance, slot);
internal.handlers.attributes(Performance.prototype, slot, ["resourcetimingbufferfull"]);

function clear(type, name) {
  entries = entries.filter((it) => it.entryType !== type || (name !== undefined && it.name !== name));
}

// https://w3c.github.io/performance-timeline/#queue-a-performanceentry
function queue(entry) {
  for (const observer of observers) observerSlot.get(observer).take(entry);
  // The entry of the navigation is in the timeline from the beginning.
  if (entry.entryType === "navigation") return entry;
  const isFull = entry.entryType === "resource" &&
    entries.filter((it) => it.entryType === "resource").length >= bufferSize;
  if (isFull) internal.eventTarget.fire(performance, "resourcetimingbufferfull");
  else entries.push(entry);
  return entry;
}

let supportedTypes;
class PerformanceObserverEntryList {
  constructor() { illegalConstructor(); }
  getEntries() { return selected(listSlot.get(this), {}); }
  getEntriesByType(type) { return selected(listSlot.get(this), { type: DOMString(type) }); }
  getEntriesByName(name, type = undefined) {
    return selected(listSlot.get(this), { name: DOMString(name), type: optional(type) });
  }
}
expose(PerformanceObserverEntryList, listSlot);

// https://w3c.github.io/performance-timeline/#the-performanceobserver-interface
class PerformanceObserver {
  constructor(steps) {
    required(arguments.length, 1, "construct 'PerformanceObserver'");
    callback(steps);
    const state = {
      types: new Set(), buffer: [], isScheduled: false,
      take(entry) {
        if (!state.types.has(entry.entryType)) return;
        state.buffer.push(entry);
        if (state.isScheduled) return;
        state.isScheduled = true;
        internal.startTask(() => report(this_, state, steps));
      },
    };
    const this_ = observerSlot.set(this, state);
  }

  static get supportedEntryTypes() { return supportedTypes ??= Object.freeze([...supported].sort()); }

  observe(options = undefined) {
    const { entryTypes, type, buffered } = dictionary(options, "PerformanceObserverInit");
    if ((entryTypes === undefined) === (type === undefined)) {
      throw new TypeError("Either 'entryTypes' or 'type' must be there, and not both.");
    }
    const wanted = entryTypes === undefined ? [DOMString(type)] : sequence(entryTypes, DOMString);
    const state = observerSlot.get(this);
    if (entryTypes !== undefined) state.types.clear();
    for (const it of wanted.filter((it) => supported.includes(it))) state.types.add(it);
    if (state.types.size === 0) return;
    observers.add(this);
    if (buffered && type !== undefined) selected(entries, { type: `${type}` }).forEach(state.take);
  }

  disconnect() {
    observers.delete(this);
    Object.assign(observerSlot.get(this), { types: new Set(), buffer: [] });
  }

  takeRecords() { return observerSlot.get(this).buffer.splice(0); }
}
expose(PerformanceObserver, observerSlot);

function report(observer, state, steps) {
  state.isScheduled = false;
  const records = state.buffer.splice(0);
  if (records.length === 0) return;
  const list = listSlot.set(Object.create(PerformanceObserverEntryList.prototype), records);
  try {
    Reflect.apply(steps, observer, [list, observer, { droppedEntriesCount: 0 }]);
  } catch (exception) {
    reportException(exception);
  }
}

const performance = targetSlot.set(slot.set(Object.create(Performance.prototype), {}), createState());
internal.webidl.replaceable("performance", () => performance);

// https://w3c.github.io/resource-timing/#dfn-mark-resource-timing. A time that script may not see is 0.
internal.hooks.addResourceTiming = (timing) => {
  const times = Object.fromEntries(TIMES.map((name) => [name, timing[name] ?? 0]));
  queue(createResource({ ...timing, ...times, entryType: "resource", renderBlockingStatus: "non-blocking",
    duration: timing.responseEnd - timing.startTime }));
};

internal.performance = {
  slot, TIMES, derive, queue, supported,
  addEntry(entry) { entries.push(entry); },
  forgetEntries() { entries = []; },
};
