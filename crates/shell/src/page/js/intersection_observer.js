// The interfaces IntersectionObserver and IntersectionObserverEntry, for a page that is not rendered.
// https://w3c.github.io/IntersectionObserver/
//
// NB: no element has a box. So no target ever intersects, and each gets one entry, after its first observation.

const { callback, dictionary, double, expose, fail, illegalConstructor, required } = internal.webidl;
const { reportException } = internal.eventTarget;
const { slot: elementSlot } = internal.element;
const { viewport } = internal;
const slot = agent.slot("IntersectionObserver");
const entrySlot = agent.slot("IntersectionObserverEntry");

class IntersectionObserver {
  constructor(steps, options = undefined) {
    required(arguments.length, 1, "construct 'IntersectionObserver'");
    callback(steps);
    const { root = null, rootMargin = "0px", threshold = 0 } = dictionary(options, "IntersectionObserverInit");
    const isRoot = root === null || elementSlot.has(root) || root === internal.document;
    if (!isRoot) throw new TypeError("member root is not of type 'Element' or 'Document'.");
    slot.set(this, {
      steps, root, rootMargin: parseRootMargin(`${rootMargin}`), thresholds: thresholdsOf(threshold), targets: new Set(),
      queue: [], isQueued: false,
    });
  }

  get root() { return slot.get(this).root; }
  get rootMargin() { return slot.get(this).rootMargin; }
  get thresholds() { return slot.get(this).thresholds; }

  // https://w3c.github.io/IntersectionObserver/#observe-a-target
  observe(target) {
    requireElement(target);
    const { targets } = slot.get(this);
    if (targets.has(target)) return;
    targets.add(target);
    // The next "update the rendering" finds that the target does not intersect, which it did not know before.
    internal.startFrame(() => { if (targets.has(target)) queueEntry(this, target); });
  }

  unobserve(target) {
    requireElement(target);
    slot.get(this).targets.delete(target);
  }
  disconnect() { slot.get(this).targets.clear(); }
  takeRecords() { return slot.get(this).queue.splice(0); }
}
expose(IntersectionObserver, slot);

class IntersectionObserverEntry {
  constructor() { illegalConstructor(); }
  get time() { return entrySlot.get(this).time; }
  get rootBounds() { return entrySlot.get(this).rootBounds; }
  get boundingClientRect() { return entrySlot.get(this).empty; }
  get intersectionRect() { return entrySlot.get(this).empty; }
  get isIntersecting() { return false; }
  get intersectionRatio() { return 0; }
  get target() { return entrySlot.get(this).target; }
}
expose(IntersectionObserverEntry, entrySlot);

function requireElement(target) {
  if (!elementSlot.has(target)) throw new TypeError("parameter 1 is not of type 'Element'.");
}

// https://w3c.github.io/IntersectionObserver/#parse-a-margin
function parseRootMargin(text) {
  const tokens = text.trim().split(/\s+/).filter((it) => it !== "").map((it) => it.match(/^([-+]?[\d.]+)(px|%)$/));
  if (tokens.length > 4 || tokens.includes(null)) fail("SyntaxError", `'${text}' is no margin in pixels or percent.`);
  const [top = "0px", right = top, bottom = top, left = right] = tokens.map(([, number, unit]) => `${+number}${unit}`);
  return `${top} ${right} ${bottom} ${left}`;
}

function thresholdsOf(given) {
  const isList = typeof given === "object" && given !== null;
  const list = (isList ? [...given] : [given]).map(double).sort((a, b) => a - b);
  if (list.some((it) => it < 0 || it > 1)) throw new RangeError("A threshold is not between 0 and 1.");
  return Object.freeze(list.length === 0 ? [0] : list);
}

// https://w3c.github.io/IntersectionObserver/#queue-an-intersectionobserverentry
function queueEntry(observer, target) {
  const state = slot.get(observer);
  const rootBounds = new DOMRectReadOnly(0, 0, ...(state.root === null ? [viewport.width, viewport.height] : []));
  const entry = { time: performance.now(), rootBounds, empty: new DOMRectReadOnly(), target };
  state.queue.push(entrySlot.set(Object.create(IntersectionObserverEntry.prototype), entry));
  if (state.isQueued) return;
  state.isQueued = true;
  internal.startTask(() => notify(observer, state));
}

// https://w3c.github.io/IntersectionObserver/#notify-intersection-observers
function notify(observer, state) {
  state.isQueued = false;
  const entries = state.queue.splice(0);
  if (entries.length === 0) return;
  try {
    Reflect.apply(state.steps, observer, [entries, observer]);
  } catch (exception) {
    reportException(exception);
  }
}
