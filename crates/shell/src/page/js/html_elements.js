// The interfaces of HTML elements that matter to requests, with their reflecting attributes.
// https://html.spec.whatwg.org/multipage/common-dom-interfaces.html#reflect

const { DOMString, USVString, attributes, expose, required } = internal.webidl;
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
  HTMLAreaElement: [["area"], ["alt", "target", "rel", "ping", "referrerPolicy", "download"], ["href"]],
  HTMLMapElement: [["map"], ["name"]],
  HTMLIFrameElement: [["iframe"], ["name", "srcdoc", "allow", "referrerPolicy", "width", "height", "loading"],
    ["src"], ["allowFullscreen"]],
  HTMLImageElement: [["img"], ["alt", "name", "referrerPolicy", "sizes", "srcset", "useMap"], ["src"], ["isMap"]],
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

// The prototype and the slot of each interface, by the name of an element that has the interface.
const byName = new Map();
for (const [name, [elements, strings = [], urls = [], booleans = []]] of Object.entries(INTERFACES)) {
  const Interface = { [name]: class extends HTMLElement {} }[name];
  strings.forEach((attribute) => reflect(Interface, attribute, stringAttribute));
  urls.forEach((attribute) => reflect(Interface, attribute, urlAttribute));
  booleans.forEach((attribute) => reflect(Interface, attribute, booleanAttribute));
  const ofInterface = agent.slot(name);
  expose(Interface, ofInterface);
  const create = name === "HTMLFormElement" ? (prototype) => internal.createForm(prototype) : undefined;
  elements.forEach((element) => byName.set(element, { prototype: Interface.prototype, slot: ofInterface, create }));
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
    set value(value) { setAttribute(this, name, USVString(value)); },
  };
}

function booleanAttribute(name) {
  return {
    get value() { return this.hasAttribute(name); },
    set value(value) { this.toggleAttribute(name, !!value); },
  };
}

// https://html.spec.whatwg.org/multipage/scripting.html#dom-script-text
attributes(HTMLScriptElement.prototype, agent.slot("HTMLScriptElement"), {
  get text() { return this.textContent; },
  set text(value) { this.textContent = value; },
});

// https://html.spec.whatwg.org/multipage/scripting.html#dom-script-supports
Object.defineProperty(HTMLScriptElement, "supports", {
  value: { supports(type) {
    required(arguments.length, 1, "execute 'supports' on 'HTMLScriptElement'");
    return ["classic", "module"].includes(DOMString(type));
  } }.supports,
  writable: true, enumerable: true, configurable: true,
});

// The event handlers of a body element for the window's events are the window's handlers.
internal.handlers.attributes(HTMLBodyElement.prototype, agent.slot("HTMLBodyElement"), internal.handlers.BODY_TO_WINDOW,
  () => internal.global);

// The activation behavior of an element, or undefined: https://dom.spec.whatwg.org/#eventtarget-activation-behavior
internal.activationBehavior = (target) => {
  switch (slot.has(target) ? native.localName(internal.node.idOf(target)) : undefined) {
    case "a": case "area": return () => internal.followHyperlink(target);
    case "button": case "input": return () => internal.activateButton(target);
    default: return undefined;
  }
};

internal.isBody = (target) => slot.has(target) && native.localName(internal.node.idOf(target)) === "body";
// https://html.spec.whatwg.org/multipage/dom.html#elements-in-the-dom:element-interface
internal.elementInterface = (localName) => byName.get(localName) ??
  { prototype: (KNOWN.has(localName) || localName.includes("-") ? HTMLElement : HTMLUnknownElement).prototype, slot };

// The elements whose interface is HTMLElement, or an interface that the shell does not have.
const KNOWN = new Set(("abbr address article aside audio b bdi bdo blockquote br canvas caption cite " +
  "code col colgroup data datalist dd del details dfn dialog dl dt em embed fieldset figcaption figure " +
  "footer form h1 h2 h3 h4 h5 h6 header hgroup hr i input ins kbd label legend li main map mark menu " +
  "meter nav noscript object ol optgroup option output picture pre progress q rp rt ruby s samp search " +
  "section select slot small source strong style sub summary sup svg table tbody td template textarea " +
  "tfoot th thead time tr track u ul var video wbr").split(" "));
