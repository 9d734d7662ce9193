// The document lifecycle, step by step as the browser tells it.
// https://html.spec.whatwg.org/multipage/document-lifecycle.html

const { fire, fireEvent } = internal.eventTarget;
const { BeforeUnloadEvent, PageTransitionEvent, SecurityPolicyViolationEvent } =
  internal.interfaces;
const { document, documentState: state, hooks } = internal;
const window = globalThis;
const FROM_HOST = { fromHost: true };
// Events of the window that say they are the document's.
const FROM_HOST_FOR_DOCUMENT = { fromHost: true, targetOverride: document };
let pageShowing = false;

// https://html.spec.whatwg.org/multipage/dom.html#update-the-current-document-readiness
function setReadyState(value) {
  state.readyState = value;
  fire(document, "readystatechange", {}, FROM_HOST);
}

// https://html.spec.whatwg.org/multipage/browsing-the-web.html#fire-a-page-transition-event
function firePageTransition(type, persisted) {
  fire(window, type,
    { Interface: PageTransitionEvent, persisted, bubbles: true, cancelable: true },
    FROM_HOST_FOR_DOCUMENT);
}

// https://html.spec.whatwg.org/multipage/interaction.html#update-the-visibility-state
function setVisibility(value) {
  if (state.visibilityState === value) return;
  state.visibilityState = value;
  fire(document, "visibilitychange", { bubbles: true }, FROM_HOST);
}

hooks.setReadyState = setReadyState;
hooks.setVisibility = setVisibility;
hooks.fireDomContentLoaded = () => { fire(document, "DOMContentLoaded", { bubbles: true }, FROM_HOST); };

// https://html.spec.whatwg.org/multipage/parsing.html#the-end, step 9
hooks.completeLoading = () => {
  setReadyState("complete");
  fire(window, "load", {}, FROM_HOST_FOR_DOCUMENT);
  pageShowing = true;
  firePageTransition("pageshow", false);
};

// https://html.spec.whatwg.org/multipage/browsing-the-web.html#checking-if-unloading-is-canceled
hooks.fireBeforeUnload = () => { fireEvent(window, new BeforeUnloadEvent(internal), FROM_HOST); };

// https://html.spec.whatwg.org/multipage/document-lifecycle.html#unload-a-document
hooks.unload = (persisted) => {
  if (pageShowing) {
    pageShowing = false;
    firePageTransition("pagehide", persisted);
    setVisibility("hidden");
  }
  if (!persisted) fire(window, "unload", {}, FROM_HOST_FOR_DOCUMENT);
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
  fire(document, "securitypolicyviolation", {
    Interface: SecurityPolicyViolationEvent, bubbles: true, composed: true,
    documentURI: document.URL, referrer: document.referrer, blockedURI, effectiveDirective,
    violatedDirective: effectiveDirective, originalPolicy, disposition, statusCode: 200,
  }, FROM_HOST);
};

// https://wicg.github.io/page-lifecycle/#page-lifecycle
hooks.freeze = () => { fire(document, "freeze", {}, FROM_HOST); };
hooks.resume = () => { fire(document, "resume", {}, FROM_HOST); };
