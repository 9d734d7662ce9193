// The document lifecycle, step by step as the browser tells it.
// https://html.spec.whatwg.org/multipage/document-lifecycle.html

const { slot: targetSlot, fire, fireEvent } = internal.eventTarget;
const { BeforeUnloadEvent, PageTransitionEvent, SecurityPolicyViolationEvent } =
  internal.interfaces;
const { documentState: state, hooks, global: window } = internal;
const FROM_HOST = { fromHost: true };
// Events of the window that say they are the document's.
const fromHostForDocument = () => ({ fromHost: true, targetOverride: internal.document });
let pageShowing = false;

// https://html.spec.whatwg.org/multipage/dom.html#update-the-current-document-readiness
function setReadyState(value) {
  state.readyState = value;
  fire(internal.document, "readystatechange", {}, FROM_HOST);
}

// https://html.spec.whatwg.org/multipage/browsing-the-web.html#fire-a-page-transition-event
function firePageTransition(type, persisted) {
  fire(window, type,
    { Interface: PageTransitionEvent, persisted, bubbles: true, cancelable: true },
    fromHostForDocument());
}

// https://html.spec.whatwg.org/multipage/interaction.html#update-the-visibility-state
function setVisibility(value) {
  if (state.visibilityState === value) return;
  state.visibilityState = value;
  fire(internal.document, "visibilitychange", { bubbles: true }, FROM_HOST);
}

hooks.setReadyState = setReadyState;
hooks.setVisibility = setVisibility;
hooks.fireDomContentLoaded = () => { fire(internal.document, "DOMContentLoaded", { bubbles: true }, FROM_HOST); };

// https://html.spec.whatwg.org/multipage/parsing.html#the-end, step 9
hooks.completeLoading = () => {
  setReadyState("complete");
  fire(window, "load", {}, fromHostForDocument());
  pageShowing = true;
  firePageTransition("pageshow", false);
};

// The initial about:blank document is there at once: nothing happens and nothing is shown.
hooks.becomeInitial = () => { state.readyState = "complete"; };

// https://html.spec.whatwg.org/multipage/browsing-the-web.html#checking-if-unloading-is-canceled
// NB: by the standard its target is the window; to all browsers it is the document.
hooks.fireBeforeUnload = () => {
  fireEvent(window, new BeforeUnloadEvent(internal), fromHostForDocument());
};

// https://html.spec.whatwg.org/multipage/document-lifecycle.html#unload-a-document
hooks.unload = (persisted) => {
  if (pageShowing) {
    pageShowing = false;
    firePageTransition("pagehide", persisted);
    setVisibility("hidden");
  }
  if (persisted) return;
  fire(window, "unload", {}, fromHostForDocument());
  internal.closeChannels();
};

// https://html.spec.whatwg.org/multipage/document-lifecycle.html#concept-document-salvageable: no listener
// hears of an end that may not come.
hooks.isSalvageable = () => {
  const types = ["unload", "beforeunload"];
  types.forEach((type) => internal.activateContentHandler(window, type));
  return !targetSlot.get(window).listeners.some(({ type }) => types.includes(type));
};

// https://html.spec.whatwg.org/multipage/browsing-the-web.html#reactivate-a-document
hooks.reactivate = () => {
  if (pageShowing) return;
  pageShowing = true;
  setVisibility("visible");
  firePageTransition("pageshow", true);
};

// https://w3c.github.io/webappsec-csp/#report-violation, step 3: a violation by a request has no element.
hooks.fireViolation = (blockedURI, effectiveDirective, originalPolicy, disposition) => {
  fire(internal.document, "securitypolicyviolation", {
    Interface: SecurityPolicyViolationEvent, bubbles: true, composed: true,
    documentURI: internal.document.URL, referrer: internal.document.referrer, blockedURI, effectiveDirective,
    violatedDirective: effectiveDirective, originalPolicy, disposition, statusCode: 200,
  }, FROM_HOST);
};

// https://wicg.github.io/page-lifecycle/#page-lifecycle
hooks.freeze = () => { fire(internal.document, "freeze", {}, FROM_HOST); };
hooks.resume = () => { fire(internal.document, "resume", {}, FROM_HOST); };
