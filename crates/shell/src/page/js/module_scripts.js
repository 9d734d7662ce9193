// Module scripts.
// https://html.spec.whatwg.org/multipage/webappapis.html#run-a-module-script

const { reportException } = internal.eventTarget;
const { USVString } = internal.webidl;
const then = Promise.prototype.then;

// Runs a module script: that of the module map with this name or, if there is a text, an inline one. Returns why one of its
// modules cannot be fetched, or undefined. Must not be called while another script runs.
internal.runModule = internal.hooks.runModule = (name, text) => {
  let evaluation;
  try {
    evaluation = native.evaluateModule(name, text);
  } catch (exception) {
    const failure = native.takeModuleFailure();
    if (failure === undefined) reportException(exception);
    return failure;
  }
  const failure = native.takeModuleFailure();
  Reflect.apply(then, evaluation, [undefined, (exception) => {
    if (failure === undefined) reportException(exception);
  }]);
  return failure;
};

// https://html.spec.whatwg.org/multipage/webappapis.html#hostgetimportmetaproperties
// NB: `resolve` is a function of this realm. All native functions of a runtime share a prototype, which no page may get.
internal.hooks.initializeImportMeta = (meta, url) => {
  meta.url = url;
  meta.resolve = { resolve(specifier) {
    const given = USVString(specifier);
    const resolved = native.resolveModule(url, given);
    if (resolved === undefined) throw new TypeError(`The module specifier '${given}' is no URL.`);
    return resolved;
  } }.resolve;
};

// Called when an evaluation begins to wait at a top-level `await`. Counts it until it ends.
internal.hooks.moduleAwaits = (evaluation) => {
  native.setModuleAwaiting(true);
  const end = () => native.setModuleAwaiting(false);
  Reflect.apply(then, evaluation, [end, end]);
};
