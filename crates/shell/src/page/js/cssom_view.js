// CSSOM View, for a page that is not rendered: a screen and a viewport with fixed sizes, and elements without boxes.
// https://drafts.csswg.org/cssom-view/

const { DOMString, attributes, expose, globals, illegalConstructor, replaceable } = internal.webidl;
const { slot: targetSlot, createState } = internal.eventTarget;
const { slot: elementSlot } = internal.element;
const screenSlot = agent.slot("Screen");
const queryListSlot = agent.slot("MediaQueryList");
const rectSlot = agent.slot("DOMRectReadOnly");
const [WIDTH, HEIGHT] = [1280, 720];

// https://drafts.csswg.org/cssom-view/#the-screen-interface
class Screen {
  constructor() { illegalConstructor(); }
  get availWidth() { return WIDTH; }
  get availHeight() { return HEIGHT; }
  get width() { return WIDTH; }
  get height() { return HEIGHT; }
  get colorDepth() { return 24; }
  get pixelDepth() { return 24; }
}
expose(Screen, screenSlot);
const screen = screenSlot.set(Object.create(Screen.prototype), {});

// https://drafts.csswg.org/cssom-view/#extensions-to-the-window-interface. The viewport is as large as the screen.
const VALUES = {
  screen, innerWidth: WIDTH, innerHeight: HEIGHT, outerWidth: WIDTH, outerHeight: HEIGHT, devicePixelRatio: 1,
  scrollX: 0, pageXOffset: 0, scrollY: 0, pageYOffset: 0, screenX: 0, screenLeft: 0, screenY: 0, screenTop: 0,
};
for (const [name, value] of Object.entries(VALUES)) replaceable(name, () => value);

// https://drafts.fxtf.org/geometry/#domrect
class DOMRectReadOnly {
  constructor(x = 0, y = 0, width = 0, height = 0) {
    rectSlot.set(this, { x: +x, y: +y, width: +width, height: +height });
  }
  get x() { return rectSlot.get(this).x; }
  get y() { return rectSlot.get(this).y; }
  get width() { return rectSlot.get(this).width; }
  get height() { return rectSlot.get(this).height; }
  get top() { return span(this, "y", "height")[0]; }
  get right() { return span(this, "x", "width")[1]; }
  get bottom() { return span(this, "y", "height")[1]; }
  get left() { return span(this, "x", "width")[0]; }
  toJSON() {
    const { x, y, width, height, top, right, bottom, left } = this;
    return { x, y, width, height, top, right, bottom, left };
  }
}
expose(DOMRectReadOnly, rectSlot);
class DOMRect extends DOMRectReadOnly {}
expose(DOMRect, rectSlot);

// The ends of a rectangle in one dimension, in order.
function span(rect, start, length) {
  const { [start]: at, [length]: extent } = rectSlot.get(rect);
  return [Math.min(at, at + extent), Math.max(at, at + extent)];
}

// https://drafts.csswg.org/cssom-view/#extension-to-the-element-interface, for elements without boxes. The root element
// stands for the viewport.
const isRoot = (element) => element === internal.document.documentElement;
const elementMembers = {
  getClientRects() { return []; },
  getBoundingClientRect() { return new DOMRect(); },
  scrollIntoView() {},
  scroll() {},
  scrollTo() {},
  scrollBy() {},
  get scrollTop() { return 0; },
  set scrollTop(_value) {},
  get scrollLeft() { return 0; },
  set scrollLeft(_value) {},
  get clientTop() { return 0; },
  get clientLeft() { return 0; },
};
for (const [name, value] of [["Width", WIDTH], ["Height", HEIGHT]]) {
  for (const kind of ["scroll", "client"]) {
    Object.defineProperty(elementMembers, `${kind}${name}`, { get() { return isRoot(this) ? value : 0; } });
  }
}
attributes(Element.prototype, elementSlot, elementMembers);

// https://drafts.csswg.org/cssom-view/#extensions-to-the-htmlelement-interface
attributes(HTMLElement.prototype, elementSlot, {
  get offsetParent() { return null; },
  get offsetTop() { return 0; },
  get offsetLeft() { return 0; },
  get offsetWidth() { return 0; },
  get offsetHeight() { return 0; },
});

// https://drafts.csswg.org/cssom-view/#extensions-to-the-document-interface
attributes(Document.prototype, agent.slot("Document"), {
  elementFromPoint(_x, _y) { return null; },
  elementsFromPoint(_x, _y) { return []; },
  get scrollingElement() { return this.documentElement; },
});

// https://drafts.csswg.org/cssom-view/#the-mediaquerylist-interface
// TODO(spec): no media query is evaluated. Only `all`, `screen` and the empty query match.
class MediaQueryList extends EventTarget {
  constructor() { illegalConstructor(); }
  get media() { return queryListSlot.get(this).media; }
  get matches() { return ["", "all", "screen"].includes(queryListSlot.get(this).media); }
  addListener(listener) { this.addEventListener("change", listener); }
  removeListener(listener) { this.removeEventListener("change", listener); }
}
expose(MediaQueryList, queryListSlot);
internal.handlers.attributes(MediaQueryList.prototype, queryListSlot, ["change"]);

globals({
  matchMedia(query) {
    const media = DOMString(query).trim().toLowerCase();
    return queryListSlot.set(targetSlot.set(Object.create(MediaQueryList.prototype), createState()), { media });
  },
  scroll() {},
  scrollTo() {},
  scrollBy() {},
  moveTo(_x, _y) {},
  moveBy(_x, _y) {},
  resizeTo(_x, _y) {},
  resizeBy(_x, _y) {},
});

internal.viewport = { width: WIDTH, height: HEIGHT };
