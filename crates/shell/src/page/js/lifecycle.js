// The hooks by which the browser moves a document through its lifecycle.
// https://html.spec.whatwg.org/multipage/document-lifecycle.html

const { slot: targetSlot, fire, fireEvent } = internal.eventTarget;
const { BeforeUnloadEvent, PageTransitionEvent } = internal.interfaces;
const { documentState: state, hooks, global: window } = internal;
const FROM_HOST = { fromHost: true };
// For events that are fired at the window but show the document as their target.
const fromHostForDocument = () => ({ fromHost: true, targetOverride: internal.document });
let pageShowing = false;

// https://html.spec.whatwg.org/multipage/dom.html#update-the-current-document-readiness
function setReadyState(value) {
  state.readyState = value;
  if (value === "interactive") internal.reachLoadTime("domInteractive");
  else if (value === "complete") internal.reachLoadTime("domComplete");
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
hooks.fireDomContentLoaded = () => {
  internal.reachLoadTime("domContentLoadedEventStart");
  fire(internal.document, "DOMContentLoaded", { bubbles: true }, FROM_HOST);
  internal.reachLoadTime("domContentLoadedEventEnd");
  internal.paint();
};

// https://html.spec.whatwg.org/multipage/parsing.html#the-end, step 9
hooks.completeLoading = () => {
  setReadyState("complete");
  internal.reachLoadTime("loadEventStart");
  fire(window, "load", {}, fromHostForDocument());
  internal.reachLoadTime("loadEventEnd");
  internal.paint();
  pageShowing = true;
  firePageTransition("pageshow", false);
};

// The initial about:blank document is complete at once. It fires no event.
hooks.becomeInitial = () => { state.readyState = "complete"; };

// https://html.spec.whatwg.org/multipage/browsing-the-web.html#checking-if-unloading-is-canceled
// NB: the standard shows the window as the target. All browsers show the document.
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

// https://html.spec.whatwg.org/multipage/document-lifecycle.html#concept-document-salvageable. A listener for `unload` expects
// that the document ends, so its document is not cached. A listener for `beforeunload` changes nothing, as in Chromium and
// WebKit.
hooks.isSalvageable = () => {
  internal.activateContentHandler(window, "unload");
  return !targetSlot.get(window).listeners.some(({ type }) => type === "unload");
};

// https://html.spec.whatwg.org/multipage/browsing-the-web.html#reactivate-a-document
hooks.reactivate = () => {
  if (pageShowing) return;
  pageShowing = true;
  setVisibility("visible");
  firePageTransition("pageshow", true);
};

// https://wicg.github.io/page-lifecycle/#page-lifecycle
hooks.freeze = () => { fire(internal.document, "freeze", {}, FROM_HOST); };
hooks.resume = () => { fire(internal.document, "resume", {}, FROM_HOST); };
