// The shapes of the drawing. Each function makes elements of SVG. All text is inserted as text.
const SVG = "http://www.w3.org/2000/svg";

function shape(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function label(x, y, text, kind = "") {
  return shape("text", { x: round(x), y: round(y), class: kind }, text);
}

function line(x1, y1, x2, y2, kind) {
  return shape("line", { x1: round(x1), y1: round(y1), x2: round(x2), y2: round(y2), class: kind });
}

function box(x, y, width, height, kind, ...children) {
  return shape("rect", { x: round(x), y: round(y), width: round(width), height: round(height), class: kind }, ...children);
}

function round(number) {
  return Math.round(number * 10) / 10;
}

function tip(text) {
  return shape("title", {}, text);
}

// The outline of each mark, around 0,0.
const MARKS = {
  delivered: "M-4.5,0a4.5,4.5 0 1,0 9,0a4.5,4.5 0 1,0 -9,0Z",
  failed: "M-4,-4L4,4M-4,4L4,-4",
  refused: "M-4.5,0a4.5,4.5 0 1,0 9,0a4.5,4.5 0 1,0 -9,0ZM-3,3L3,-3",
  aborted: "M-4,0L4,0",
  unfinished: "M-3,-4L2,0L-3,4",
  redirected: "M-4.5,0L0,-4.5L4.5,0L0,4.5Z",
  unreached: "M-4.5,4L0,-4.5L4.5,4Z",
  sentAgain: "M4,-2A4.3,4.3 0 1,0 4,2M4,-5L4,-2L1,-2",
  violation: "M-4,-4L4,-4L4,4L-4,4Z",
};

function mark(kind, x, y, text) {
  const at = `translate(${round(x)},${round(y)})`;
  return shape("path", { d: MARKS[kind], class: `mark ${kind}`, transform: at }, tip(text));
}

// Times at round distances, about one for each 110 pixels.
function ticks(from, to, width) {
  const wanted = ((to - from) * 110) / Math.max(110, width);
  const power = 10 ** Math.floor(Math.log10(wanted));
  const step = [1, 2, 5, 10].map((it) => it * power).find((it) => it >= wanted);
  const all = [];
  for (let tick = Math.ceil(from / step); tick * step <= to; tick++) all.push(tick * step);
  return all;
}

function tickLabel(ms, range) {
  if (ms === 0) return "0";
  if (range >= 2000) return `${Number((ms / 1000).toFixed(3))} s`;
  return `${Number(ms.toFixed(3))} ms`;
}

// Where the times are: from `left` to `right`, in pixels.
class Scale {
  constructor(from, to, left, right) {
    Object.assign(this, { from, to, left, right });
  }

  x(ms) {
    const at = this.left + ((ms - this.from) / (this.to - this.from)) * (this.right - this.left);
    return Math.min(this.right, Math.max(this.left, at));
  }

  time(x) {
    const share = (x - this.left) / (this.right - this.left);
    return this.from + Math.min(1, Math.max(0, share)) * (this.to - this.from);
  }

  shows(ms) {
    return ms >= this.from && ms <= this.to;
  }

  // The bar of a span, at least 1.5 pixels wide; nothing if the span is elsewhere.
  bar(span, y, height, names) {
    if (span.to < this.from || span.from > this.to) return [];
    const x = this.x(span.from);
    const width = Math.max(1.5, this.x(span.to) - x);
    const text = `${names[span.state]}: ${time(span.from)} to ${time(span.to)} (${time(span.to - span.from)})`;
    return [box(x, y, width, height, span.state, tip(text))];
  }
}
