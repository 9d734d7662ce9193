// Promise rejections that no script handles.
// https://html.spec.whatwg.org/multipage/webappapis.html#unhandled-promise-rejections

const { fire } = internal.eventTarget;
const { global, hooks } = internal;
const { PromiseRejectionEvent } = internal.interfaces;
// The about-to-be-notified rejected promises list, with the reasons, and the outstanding rejected promises weak set.
const aboutToBeNotified = new Map();
const outstanding = new WeakSet();

const fireRejection = (type, promise, reason) =>
  fire(global, type, { Interface: PromiseRejectionEvent, cancelable: type === "unhandledrejection", promise, reason });

// https://html.spec.whatwg.org/multipage/webappapis.html#the-hostpromiserejectiontracker-implementation
hooks.trackRejection = (promise, reason, isHandled) => {
  if (!isHandled) {
    aboutToBeNotified.set(promise, reason);
  } else if (!aboutToBeNotified.delete(promise) && outstanding.delete(promise)) {
    internal.startTask(() => fireRejection("rejectionhandled", promise, reason));
  }
};

// https://html.spec.whatwg.org/multipage/webappapis.html#notify-about-rejected-promises, the steps of its task
hooks.notifyAboutRejectedPromises = () => {
  for (const [promise, reason] of aboutToBeNotified) {
    const notHandled = fireRejection("unhandledrejection", promise, reason);
    // A handler of the event may have handled the promise.
    const isPending = aboutToBeNotified.delete(promise);
    if (notHandled) native.console("error", `Uncaught (in promise) ${native.describe(reason)}`);
    if (isPending) outstanding.add(promise);
  }
};
