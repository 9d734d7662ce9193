// The interfaces of HTML elements that matter to requests, with their reflecting attributes.
// https://html.spec.whatwg.org/multipage/common-dom-interfaces.html#reflect

const { expose } = internal.webidl;
const { slot, setAttribute } = internal.element;

// For each interface: [element names, string attributes, URL attributes, boolean attributes].
const INTERFACES = {
  HTMLHtmlElement: [["html"]],
  HTMLHeadElement: [["head"]],
  HTMLTitleElement: [["title"]],
  HTMLBodyElement: [["body"]],
  HTMLBaseElement: [["base"], ["target"], ["href"]],
  HTMLMetaElement: [["meta"], ["name", "httpEquiv", "content", "media"]],
  HTMLLinkElement: [["link"], ["rel", "type", "media", "referrerPolicy"], ["href"]],
  HTMLScriptElement: [["script"], ["type", "referrerPolicy"], ["src"], ["async", "defer", "noModule"]],
  HTMLAnchorElement: [["a"], ["target", "rel", "ping", "referrerPolicy", "download"], ["href"]],
  HTMLIFrameElement: [["iframe"], ["name", "srcdoc", "allow", "referrerPolicy", "sandbox", "width", "height", "loading"],
    ["src"], ["allowFullscreen"]],
  HTMLImageElement: [["img"], ["alt", "referrerPolicy"], ["src"]],
  HTMLDivElement: [["div"]],
  HTMLSpanElement: [["span"]],
  HTMLParagraphElement: [["p"]],
  HTMLFormElement: [["form"], ["name", "target", "rel", "acceptCharset"], [], ["noValidate"]],
  HTMLInputElement: [["input"], ["name", "placeholder", "formMethod", "formTarget"], [],
    ["disabled", "required", "readOnly", "multiple"]],
  HTMLButtonElement: [["button"], ["name", "value", "formMethod", "formTarget"], [], ["disabled"]],
  HTMLSelectElement: [["select"], ["name"], [], ["disabled", "multiple", "required"]],
  HTMLOptionElement: [["option"], [], [], ["disabled"]],
  HTMLTextAreaElement: [["textarea"], ["name", "placeholder"], [], ["disabled", "required", "readOnly"]],
  HTMLUnknownElement: [[]],
};

const byName = new Map();
for (const [name, [elements, strings = [], urls = [], booleans = []]] of Object.entries(INTERFACES)) {
  const Interface = { [name]: class extends HTMLElement {} }[name];
  strings.forEach((attribute) => reflect(Interface, attribute, stringAttribute));
  urls.forEach((attribute) => reflect(Interface, attribute, urlAttribute));
  booleans.forEach((attribute) => reflect(Interface, attribute, booleanAttribute));
  expose(Interface, slot);
  elements.forEach((element) => byName.set(element, Interface.prototype));
}

function reflect(Interface, idlName, kind) {
  const contentName = { httpEquiv: "http-equiv", acceptCharset: "accept-charset" }[idlName] ?? idlName.toLowerCase();
  const descriptor = Object.getOwnPropertyDescriptor(kind(contentName), "value");
  Object.defineProperty(Interface.prototype, idlName, { ...descriptor, configurable: true });
}

function stringAttribute(name) {
  return {
    get value() { return this.getAttribute(name) ?? ""; },
    set value(value) { setAttribute(this, name, value); },
  };
}

function urlAttribute(name) {
  return {
    get value() {
      const value = this.getAttribute(name);
      return value === null ? "" : native.resolveUrl(value) ?? value;
    },
    set value(value) { setAttribute(this, name, internal.webidl.USVString(value)); },
  };
}

function booleanAttribute(name) {
  return {
    get value() { return this.hasAttribute(name); },
    set value(value) { this.toggleAttribute(name, !!value); },
  };
}

// https://html.spec.whatwg.org/multipage/scripting.html#dom-script-text
Object.defineProperty(HTMLScriptElement.prototype, "text", {
  enumerable: true, configurable: true,
  get() { return this.textContent; },
  set(value) { this.textContent = value; },
});

// https://html.spec.whatwg.org/multipage/links.html#htmlhyperlinkelementutils
Object.defineProperty(HTMLAnchorElement.prototype, "toString", {
  value: { toString() { return this.href; } }.toString,
  writable: true, enumerable: true, configurable: true,
});

// The event handlers of a body element for the window's events are the window's handlers.
internal.handlers.attributes(HTMLBodyElement.prototype, internal.handlers.BODY_TO_WINDOW,
  () => internal.global);

// The activation behavior of a clicked element, or of its nearest ancestor that has one:
// https://dom.spec.whatwg.org/#eventtarget-activation-behavior
internal.activate = (clicked) => {
  const element = clicked.closest("a[href], button, input");
  if (element !== null && !internal.activateButton(element)) followHyperlink(element);
};

// https://html.spec.whatwg.org/multipage/links.html#following-hyperlinks-2
function followHyperlink(link) {
  const url = native.resolveUrl(link.getAttribute("href"));
  if (url === undefined || !link.isConnected) return;
  const ping = link.getAttribute("ping");
  if (ping !== null) native.ping(ping, link.getAttribute("href"));
  const target = link.getAttribute("target") ?? internal.baseTarget();
  const { noopener, noreferrer } = internal.relOf(link, target);
  const policy = noreferrer ? "no-referrer" : link.getAttribute("referrerpolicy") ?? "";
  native.open(url, target, noopener, policy);
}

// https://html.spec.whatwg.org/multipage/semantics.html#get-an-element's-target
internal.baseTarget = () =>
  internal.document.querySelector("base[target]")?.getAttribute("target") ?? "";

// https://html.spec.whatwg.org/multipage/links.html#get-an-element's-noopener
internal.relOf = (element, target) => {
  const rel = (element.getAttribute("rel") ?? "").toLowerCase().split(/\s+/);
  const noreferrer = rel.includes("noreferrer");
  const isBlank = target.toLowerCase() === "_blank";
  return { noreferrer, noopener: noreferrer || rel.includes("noopener") || (isBlank && !rel.includes("opener")) };
};

internal.isBody = (target) => slot.has(target) && native.localName(internal.node.idOf(target)) === "body";
// https://html.spec.whatwg.org/multipage/dom.html#elements-in-the-dom:element-interface
internal.elementPrototype = (localName) => byName.get(localName) ??
  (KNOWN.has(localName) || localName.includes("-") ? HTMLElement : HTMLUnknownElement).prototype;

// The elements whose interface is HTMLElement, or an interface that the shell does not have.
const KNOWN = new Set(("abbr address article aside audio b bdi bdo blockquote br canvas caption cite " +
  "code col colgroup data datalist dd del details dfn dialog dl dt em embed fieldset figcaption figure " +
  "footer form h1 h2 h3 h4 h5 h6 header hgroup hr i input ins kbd label legend li main map mark menu " +
  "meter nav noscript object ol optgroup option output picture pre progress q rp rt ruby s samp search " +
  "section select slot small source strong style sub summary sup svg table tbody td template textarea " +
  "tfoot th thead time tr track u ul var video wbr").split(" "));
