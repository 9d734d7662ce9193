// Hyperlinks: the URLs of a and area elements, and following them.
// https://html.spec.whatwg.org/multipage/links.html

const { USVString, attributes } = internal.webidl;
const { idOf } = internal.node;
const { attribute, setAttribute } = internal.element;

// https://html.spec.whatwg.org/multipage/links.html#concept-hyperlink-url-set
const urlOf = (link) => {
  const href = attribute(link, "href");
  return href === undefined ? undefined : native.resolveUrl(href);
};

// https://html.spec.whatwg.org/multipage/links.html#htmlhyperlinkelementutils
const members = {
  get origin() { return component(this, "origin"); },
  toString() { return this.href; },
};
const component = (link, name) => {
  const url = urlOf(link);
  return url === undefined ? (name === "protocol" ? ":" : "") : native.urlComponent(url, name);
};
for (const name of ["protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"]) {
  Object.defineProperty(members, name, {
    enumerable: true,
    get() { return component(this, name); },
    set(value) {
      const given = USVString(value);
      const url = urlOf(this);
      if (url !== undefined) setAttribute(this, "href", native.setUrlComponent(url, name, given));
    },
  });
}
for (const Interface of [HTMLAnchorElement, HTMLAreaElement]) {
  attributes(Interface.prototype, agent.slot(Interface.name), members);
}
attributes(HTMLAnchorElement.prototype, agent.slot("HTMLAnchorElement"), {
  get text() { return this.textContent; },
  set text(value) { this.textContent = value; },
});

// https://html.spec.whatwg.org/multipage/links.html#following-hyperlinks-2
internal.followHyperlink = (link) => {
  const href = attribute(link, "href");
  // Step 1, and the activation behavior.
  const cannotNavigate = native.navigable("self") === undefined ||
    (!native.isConnected(idOf(link)) && native.localName(idOf(link)) !== "a");
  if (href === undefined || cannotNavigate) return;
  const url = native.resolveUrl(href);
  if (url === undefined) return;
  const ping = attribute(link, "ping");
  if (ping !== undefined) native.ping(ping, href);
  const target = attribute(link, "target") ?? internal.baseTarget();
  const { noopener, noreferrer } = internal.relOf(link, target);
  const policy = noreferrer ? "no-referrer" : attribute(link, "referrerpolicy") ?? "";
  native.open(url, target, noopener, policy);
};

// https://html.spec.whatwg.org/multipage/semantics.html#get-an-element's-target
internal.baseTarget = () =>
  internal.document.querySelector("base[target]")?.getAttribute("target") ?? "";

// https://html.spec.whatwg.org/multipage/links.html#get-an-element's-noopener
internal.relOf = (element, target) => {
  const rel = (attribute(element, "rel") ?? "").toLowerCase().split(/\s+/);
  const noreferrer = rel.includes("noreferrer");
  const isBlank = target.toLowerCase() === "_blank";
  return { noreferrer, noopener: noreferrer || rel.includes("noopener") || (isBlank && !rel.includes("opener")) };
};
