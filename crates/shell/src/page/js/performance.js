// performance
// https://w3c.github.io/hr-time/#sec-performance

const { DOMString, expose, illegalConstructor } = internal.webidl;
const { slot: targetSlot, createState } = internal.eventTarget;
const slot = agent.slot("Performance");
const engine = globalThis.performance;
const engineNow = engine.now.bind(engine);
const { timeOrigin } = engine;
// https://w3c.github.io/performance-timeline/
// TODO(spec): resource timing; the list stays empty.
const entries = [];

class Performance extends EventTarget {
  constructor() { illegalConstructor(); }
  now() { return engineNow(); }
  get timeOrigin() { return timeOrigin; }
  getEntries() { return [...entries]; }
  getEntriesByType(type) {
    const wanted = DOMString(type);
    return entries.filter((entry) => entry.entryType === wanted);
  }
  getEntriesByName(name, type = undefined) {
    const wanted = DOMString(name);
    const wantedType = type === undefined ? undefined : DOMString(type);
    return entries.filter((it) =>
      it.name === wanted && (wantedType === undefined || it.entryType === wantedType));
  }
  toJSON() { return { timeOrigin }; }
}
expose(Performance, slot);

const performance = targetSlot.set(slot.set(Object.create(Performance.prototype), {}), createState());
Object.defineProperty(globalThis, "performance", {
  configurable: true, enumerable: true,
  get: { performance() { return performance; } }.performance,
  // [Replaceable]
  set(value) {
    Object.defineProperty(globalThis, "performance",
      { value, writable: true, configurable: true, enumerable: true });
  },
});
