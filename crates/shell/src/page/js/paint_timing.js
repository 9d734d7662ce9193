// The interface PerformancePaintTiming.
// https://w3c.github.io/paint-timing/
//
// NB: nothing is drawn. A visible document with content counts as painted in the task after its parser has ended, or after its
// `load` event. Content that scripts add later is not seen.

const { derive, queue, supported } = internal.performance;
const createPaint = derive("PerformancePaintTiming", []);
let isPainted = false;
supported.push("paint");

internal.startPaintTiming = () => { isPainted = false; };

// https://w3c.github.io/paint-timing/#mark-paint-timing
internal.paint = () => {
  if (isPainted || internal.document.hidden || !isContentful()) return;
  isPainted = true;
  internal.startTask(() => {
    const startTime = native.now();
    for (const name of ["first-paint", "first-contentful-paint"]) {
      queue(createPaint({ name, entryType: "paint", startTime, duration: 0 }));
    }
  });
};

// https://w3c.github.io/paint-timing/#contentful: the document has text or an image.
function isContentful() {
  const body = internal.bodyElement();
  return body !== null && (body.querySelectorAll("img[src]").length > 0 || native.hasText(internal.node.idOf(body)));
}
