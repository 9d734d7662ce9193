// The interface HTMLIFrameElement.
// https://html.spec.whatwg.org/multipage/iframe-embed-object.html#the-iframe-element

const { attributes } = internal.webidl;
const { idOf } = internal.node;

const contentNavigable = (element) => native.contentNavigable(idOf(element));

attributes(HTMLIFrameElement.prototype, agent.slot("HTMLIFrameElement"), {
  // https://html.spec.whatwg.org/multipage/iframe-embed-object.html#dom-iframe-contentwindow
  get contentWindow() {
    const id = contentNavigable(this);
    return id === undefined ? null : agent.windowProxy(id);
  },

  // https://html.spec.whatwg.org/multipage/browsers.html#concept-bcc-content-document
  get contentDocument() {
    const id = contentNavigable(this);
    if (id === undefined) return null;
    const window = agent.activeWindow(id);
    return agent.isSameOrigin(internal.global, window) ? agent.realms.get(window).internal.document : null;
  },
  getSVGDocument() { return null; },
});
