// The interface ResizeObserver, for a page that is not rendered.
// https://drafts.csswg.org/resize-observer/
//
// NB: no element has a box. So the size of each is that of its first observation, 0 × 0, and no observation is ever active.

const { callback, dictionary, enumeration, expose, required } = internal.webidl;
const { slot: elementSlot } = internal.element;
const slot = agent.slot("ResizeObserver");
const BOXES = ["border-box", "content-box", "device-pixel-content-box"];

class ResizeObserver {
  constructor(steps) {
    required(arguments.length, 1, "construct 'ResizeObserver'");
    callback(steps);
    slot.set(this, {});
  }

  observe(target, options = undefined) {
    requireElement(target);
    const { box } = dictionary(options, "ResizeObserverOptions");
    if (box !== undefined) enumeration(box, "ResizeObserverBoxOptions", BOXES);
  }
  unobserve(target) { requireElement(target); }
  disconnect() {}
}
expose(ResizeObserver, slot);

function requireElement(target) {
  if (!elementSlot.has(target)) throw new TypeError("parameter 1 is not of type 'Element'.");
}
