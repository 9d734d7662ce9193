// The interface HTMLImageElement, and the loading of images.
// https://html.spec.whatwg.org/multipage/embedded-content.html#the-img-element

const { attributes, fail, unsignedLong } = internal.webidl;
const { wrap, idOf } = internal.node;
const { attribute, setAttribute, attributeChangeSteps } = internal.element;
const { fire } = internal.eventTarget;
const { isLocal, fetchLocally } = internal.fetch;
const { get: getHeader } = internal.headers;
const { toBase64 } = internal.bufferSource;
const slot = agent.slot("HTMLImageElement");
// https://html.spec.whatwg.org/multipage/images.html#relevant-mutations
const RELEVANT = ["crossorigin", "referrerpolicy", "src"];
// The elements that wait for their images, by the numbers of the fetches or the names of local ones.
const loading = new Map();
let lastLocal = 0;
// The current request of an element, until its first update: https://html.spec.whatwg.org/multipage/images.html#image-request
const UNAVAILABLE = { url: "", isComplete: true, isBroken: false, width: 0, height: 0 };

const requestOf = (element) => slot.get(element).request ?? UNAVAILABLE;
const lengthAttribute = (name) => ({
  get() {
    const given = parseInt(attribute(this, name) ?? "", 10);
    return given >= 0 ? given : requestOf(this)[name];
  },
  set(value) { setAttribute(this, name, `${unsignedLong(value)}`); },
});

attributes(HTMLImageElement.prototype, slot, Object.defineProperties({
  get naturalWidth() { return requestOf(this).width; },
  get naturalHeight() { return requestOf(this).height; },
  // https://html.spec.whatwg.org/multipage/embedded-content.html#dom-img-complete
  get complete() {
    const src = attribute(this, "src");
    return src === undefined || (requestOf(this).isComplete && slot.get(this).update === undefined);
  },
  get currentSrc() { return requestOf(this).url; },
  get crossOrigin() {
    const given = attribute(this, "crossorigin");
    if (given === undefined) return null;
    return given.toLowerCase() === "use-credentials" ? "use-credentials" : "anonymous";
  },
  set crossOrigin(value) {
    if (value === null) this.removeAttribute("crossorigin");
    else setAttribute(this, "crossorigin", value);
  },
  get loading() { return attribute(this, "loading")?.toLowerCase() === "lazy" ? "lazy" : "eager"; },
  set loading(value) { setAttribute(this, "loading", value); },
  get x() { return 0; },
  get y() { return 0; },
  // https://html.spec.whatwg.org/multipage/embedded-content.html#dom-img-decode
  async decode() {
    const state = slot.get(this);
    if (!this.complete) await new Promise((resolve) => (state.waiting ??= []).push(resolve));
    const { isBroken, url } = requestOf(this);
    if (isBroken || url === "") fail("EncodingError", "The image cannot be decoded.");
  },
}, { width: lengthAttribute("width"), height: lengthAttribute("height") }));

// https://html.spec.whatwg.org/multipage/embedded-content.html#dom-image
function Image(width = undefined, height = undefined) {
  if (new.target === undefined) throw new TypeError("Please use the 'new' operator.");
  const image = wrap(native.createElement("img"));
  if (width !== undefined) image.width = width;
  if (height !== undefined) image.height = height;
  return image;
}
Object.defineProperty(Image, "prototype", { value: HTMLImageElement.prototype, writable: false });
Object.defineProperty(internal.global, "Image", { value: Image, writable: true, configurable: true, enumerable: false });

attributeChangeSteps.img = (element, name) => { if (RELEVANT.includes(name)) updateImageData(element); };
internal.hooks.updateImages = (ids) => { ids.forEach((id) => updateImageData(wrap(id))); };

// https://html.spec.whatwg.org/multipage/images.html#update-the-image-data
// TODO(spec): the attribute `srcset` and `picture` elements are not looked at, and a lazy image is loaded at once.
function updateImageData(element) {
  // Step 1.
  if (native.navigable("self") === undefined) return;
  // Steps 8 and 9: await a stable state.
  const update = {};
  const state = slot.get(element);
  abort(state);
  const isNew = state.update === undefined;
  state.update = update;
  if (isNew) native.delayLoad();
  internal.queueMicrotask(() => {
    // Another update has begun since then.
    if (state.update !== update) return;
    state.update = undefined;
    startUpdate(element, state);
    native.stopDelayingLoad();
  });
}

function abort(state) {
  if (state.fetch === undefined) return;
  if (typeof state.fetch === "number") native.abortFetch(state.fetch);
  stopWaiting(state);
}

// The number of a fetch is forgotten, and the document's `load` event no longer waits for it.
function stopWaiting(state) {
  loading.delete(state.fetch);
  state.fetch = undefined;
  native.stopDelayingLoad();
}

// Steps 10 to 26.
function startUpdate(element, state) {
  const src = attribute(element, "src");
  if (src === undefined || src === "") {
    state.request = { ...UNAVAILABLE, isBroken: src === "" };
    if (src === "") internal.startTask(() => settle(element, state));
    return;
  }
  const url = native.resolveUrl(src);
  if (url === undefined) {
    state.request = { ...UNAVAILABLE, url: src, isBroken: true };
    internal.startTask(() => settle(element, state));
    return;
  }
  state.request = { ...UNAVAILABLE, url, isComplete: false };
  native.delayLoad();
  if (isLocal(state.request)) {
    state.fetch = `local ${++lastLocal}`;
    loading.set(state.fetch, element);
    const { fetch } = state;
    internal.startTask(() => internal.hooks.imageLoaded(fetch, ...localSize(url)));
    return;
  }
  const crossOrigin = attribute(element, "crossorigin")?.toLowerCase();
  state.fetch = native.loadImage({
    __proto__: null, method: "GET", url, headers: [], body: null, mode: crossOrigin === undefined ? "no-cors" : "cors",
    credentials: crossOrigin === undefined || crossOrigin === "use-credentials" ? "include" : "same-origin",
    cache: "default", redirect: "follow", referrer: "about:client", integrity: "", keepalive: false, priority: "auto",
    referrerPolicy: (attribute(element, "referrerpolicy") ?? "").toLowerCase(),
  });
  loading.set(state.fetch, element);
}

// The natural size of an image at a `data:` or `blob:` URL, or nothing.
function localSize(url) {
  const { head, body } = fetchLocally({ method: "GET", url }, "img-src") ?? {};
  return head === undefined ? [] : native.imageSize(toBase64(body), getHeader(head.headers, "content-type")) ?? [];
}

// Step 26: the response is there. Without a size, the image is broken.
internal.hooks.imageLoaded = (id, width, height) => {
  const element = loading.get(id);
  if (element === undefined) return;
  const state = slot.get(element);
  const size = width === undefined ? { isBroken: true } : { width, height };
  Object.assign(state.request, { isComplete: true }, size);
  settle(element, state);
  stopWaiting(state);
};

function settle(element, state) {
  state.request.isComplete = true;
  fire(element, state.request.isBroken ? "error" : "load");
  for (const resolve of state.waiting?.splice(0) ?? []) resolve();
}
