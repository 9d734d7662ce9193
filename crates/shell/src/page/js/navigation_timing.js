// Navigation Timing: the interfaces PerformanceNavigationTiming, PerformanceTiming and PerformanceNavigation.
// https://w3c.github.io/navigation-timing/

const { attributes, expose, illegalConstructor } = internal.webidl;
const { slot, TIMES, derive, queue, supported, addEntry, forgetEntries } = internal.performance;
const timingSlot = agent.slot("PerformanceTiming");
const navigationSlot = agent.slot("PerformanceNavigation");
// The times of the document's loading, in the order in which they come: https://html.spec.whatwg.org/multipage/dom.html#load-timing-info
const LOAD_TIMES = ["domInteractive", "domContentLoadedEventStart", "domContentLoadedEventEnd", "domComplete", "loadEventStart",
  "loadEventEnd"];
const UNLOAD_TIMES = ["unloadEventStart", "unloadEventEnd"];
supported.push("navigation");

const createNavigation = derive("PerformanceNavigationTiming",
  [...UNLOAD_TIMES, ...LOAD_TIMES, "type", "redirectCount"], illegalConstructor, PerformanceResourceTiming);
// The state of the document's entry. It becomes complete while the document is loaded.
let state;
let entry;

// https://w3c.github.io/navigation-timing/#dfn-create-the-navigation-timing-entry
internal.startNavigationTiming = () => {
  forgetEntries();
  const timing = native.navigationTiming() ?? { __proto__: null, name: native.documentUrl(), type: "navigate", redirectCount: 0,
    responseStatus: 0, transferSize: 0, encodedBodySize: 0, decodedBodySize: 0, nextHopProtocol: "" };
  const times = Object.fromEntries(TIMES.map((name) => [name, timing[name] ?? 0]));
  state = { ...timing, ...times, entryType: "navigation", initiatorType: "navigation", startTime: 0, duration: 0,
    renderBlockingStatus: "non-blocking" };
  for (const name of [...UNLOAD_TIMES, ...LOAD_TIMES]) state[name] = 0;
  entry = createNavigation(state);
  addEntry(entry);
};

// The document has reached a point of its loading.
internal.reachLoadTime = (name) => {
  state[name] = native.now();
  if (name !== "loadEventEnd") return;
  state.duration = state.loadEventEnd;
  queue(entry);
};

// https://w3c.github.io/navigation-timing/#the-performancetiming-interface. The times are those of the entry, in milliseconds
// since the epoch.
class PerformanceTiming {
  constructor() { illegalConstructor(); }
  get navigationStart() { return absolute(0); }
  get domLoading() { return absolute(state.responseStart); }
  toJSON() { return Object.fromEntries(["navigationStart", ...OLD_TIMES, "domLoading"].map((name) => [name, this[name]])); }
}
const OLD_TIMES = [...UNLOAD_TIMES, ...TIMES.filter((name) => name !== "workerStart"), ...LOAD_TIMES];
const absolute = (time) => Math.floor(native.timeOrigin() + time);
for (const name of OLD_TIMES) {
  Object.defineProperty(PerformanceTiming.prototype, name, {
    configurable: true, get() { return state[name] === 0 ? 0 : absolute(state[name]); },
  });
}
expose(PerformanceTiming, timingSlot);

// https://w3c.github.io/navigation-timing/#the-performancenavigation-interface
class PerformanceNavigation {
  constructor() { illegalConstructor(); }
  get type() { return ["navigate", "reload", "back_forward"].indexOf(state.type); }
  get redirectCount() { return state.redirectCount; }
  toJSON() { return { type: this.type, redirectCount: this.redirectCount }; }
}
expose(PerformanceNavigation, navigationSlot);
internal.webidl.constants(PerformanceNavigation,
  { TYPE_NAVIGATE: 0, TYPE_RELOAD: 1, TYPE_BACK_FORWARD: 2, TYPE_RESERVED: 255 });

const timing = timingSlot.set(Object.create(PerformanceTiming.prototype), {});
const navigation = navigationSlot.set(Object.create(PerformanceNavigation.prototype), {});
attributes(Performance.prototype, slot, {
  get timing() { return timing; },
  get navigation() { return navigation; },
  toJSON() { return { timeOrigin: native.timeOrigin(), timing: timing.toJSON(), navigation: navigation.toJSON() }; },
});
internal.startNavigationTiming();
