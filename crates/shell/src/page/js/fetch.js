// fetch()
// https://fetch.spec.whatwg.org/#fetch-method

const { globals } = internal.webidl;
const { slot: requestSlot } = internal.request;
const { slot: headersSlot } = internal.headers;
const { pack, isUnusable } = internal.body;
const { onAbort } = internal.abort;
const running = new Map();

globals({
  async fetch(input, init = {}) {
    const request = requestSlot.get(new Request(input, init));
    const { signal } = request;
    if (signal.aborted) throw signal.reason;
    if (isUnusable(request.body)) throw new TypeError("The body has already been used.");
    const id = native.fetch(packed(request));
    const outcome = Promise.withResolvers();
    running.set(id, outcome);
    onAbort(signal, () => {
      if (!running.delete(id)) return;
      outcome.reject(signal.reason);
      native.abortFetch(id);
    });
    return outcome.promise;
  },
});

function packed(request) {
  const { list } = headersSlot.get(request.headers);
  return { ...request, headers: list, body: request.body === null ? null : pack(request.body.converted) };
}

internal.fetch = { packed };

function end(id, settle) {
  const outcome = running.get(id);
  // An aborted fetch has ended for its page.
  if (running.delete(id)) settle(outcome);
}

internal.hooks.fulfillFetch = (id, response) =>
  end(id, ({ resolve }) => resolve(internal.responseOf(response)));
internal.hooks.rejectFetch = (id, message) =>
  end(id, ({ reject }) => reject(new TypeError(message)));
