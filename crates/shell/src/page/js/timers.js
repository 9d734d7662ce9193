// Timers and queueMicrotask().
// https://html.spec.whatwg.org/multipage/timers-and-user-prompts.html#timers

const { DOMString, callback, globals, long } = internal.webidl;
const { reportException } = internal.eventTarget;
const engineQueueMicrotask = queueMicrotask;
const timers = new Map();

// https://html.spec.whatwg.org/multipage/timers-and-user-prompts.html#timer-initialisation-steps
// A page cannot clear a timer that is the shell's own (`isOwn`).
function start(handler, timeout, args, repeat, isOwn = false) {
  const steps = typeof handler === "function" ? handler : DOMString(handler);
  const delay = Math.max(long(timeout), 0);
  const id = native.setTimer(delay, undefined);
  timers.set(id, { steps, args, delay, repeat, isOwn });
  return id;
}

function clear(id) {
  const number = long(id);
  if (timers.get(number)?.isOwn) return;
  if (timers.delete(number)) native.clearTimer(number);
}

function fireTimer(id) {
  const timer = timers.get(id);
  if (!timer) return;
  if (!timer.repeat) timers.delete(id);
  try {
    if (typeof timer.steps === "function") Reflect.apply(timer.steps, internal.windowProxy, timer.args);
    else native.evaluate(timer.steps, native.documentUrl());
  } catch (exception) {
    reportException(exception);
  }
  if (timer.repeat && timers.has(id)) native.setTimer(timer.delay, id);
}

globals({
  setTimeout(handler, timeout = 0, ...args) { return start(handler, timeout, args, false); },
  setInterval(handler, timeout = 0, ...args) { return start(handler, timeout, args, true); },
  clearTimeout(id = 0) { clear(id); },
  clearInterval(id = 0) { clear(id); },
  queueMicrotask(steps) {
    callback(steps);
    engineQueueMicrotask(() => {
      try {
        steps();
      } catch (exception) {
        reportException(exception);
      }
    });
  },
});

internal.queueMicrotask = engineQueueMicrotask;
internal.startTimer = (steps, milliseconds) => start(steps, milliseconds, [], false, true);
internal.stopTimer = (id) => { if (timers.delete(id)) native.clearTimer(id); };
internal.startFrame = (steps) => start(steps, 16, [], false);

// https://html.spec.whatwg.org/multipage/webappapis.html#queue-a-task. The tasks of all sources run in the order in which
// they were queued.
const tasks = new Map();
internal.startTask = (steps) => {
  const id = native.startTask();
  tasks.set(id, steps);
};
internal.hooks.runTask = (id) => {
  const steps = tasks.get(id);
  tasks.delete(id);
  try {
    steps();
  } catch (exception) {
    reportException(exception);
  }
};
internal.hooks.fireTimer = fireTimer;
