// The method window.postMessage().
// https://html.spec.whatwg.org/multipage/web-messaging.html#posting-messages

const { dictionary, fail, required, sequence } = internal.webidl;
const { fire } = internal.eventTarget;
const { global: window } = internal;

// https://html.spec.whatwg.org/multipage/web-messaging.html#window-post-message-steps. `caller` is the `internal` object
// of the incumbent settings object.
internal.postMessage = (caller, args) => { caller.sendMessage(window, args); };

internal.sendMessage = (target, args) => {
  required(args.length, 1, "execute 'postMessage' on 'Window'");
  const [message, second, third] = args;
  const isOptions = args.length < 3 && (second === undefined || second === null || typeof second === "object");
  const options = isOptions
    ? dictionary(second, "WindowPostMessageOptions") : { targetOrigin: `${second}`, transfer: third };
  const transfer = options.transfer === undefined ? [] : sequence(options.transfer, (it) => it);
  const targetOrigin = wantedOrigin(options.targetOrigin ?? "/");
  const { origin } = native.environment();
  const { internal: there } = agent.realms.get(target);
  // An exception belongs to the realm of the caller. The copy of the message belongs to the receiving realm.
  const serialized = internal.serialize(message, transfer);
  there.acceptMessage({ source: internal, origin, targetOrigin }, serialized);
};

// Steps 8 and 9. A remote window has its own steps: see remote_window.js.
internal.acceptMessage = ({ source, origin, targetOrigin }, serialized) => {
  internal.startTask(() => receive(source.windowProxy, origin, targetOrigin, () => internal.deserialize(serialized)));
};

// The message of a window of another process, whose navigable has the number `source`. The process may send anything.
internal.hooks.receiveMessage = (source, origin, targetOrigin, text) => {
  receive(agent.windowProxy(source), origin, targetOrigin, () => ({ data: internal.fromText(text), ports: [] }));
};

function receive(source, origin, targetOrigin, deserialize) {
  if (targetOrigin !== "*" && targetOrigin !== native.environment().origin) return;
  const { MessageEvent } = internal.interfaces;
  let message;
  try {
    message = deserialize();
  } catch {
    fire(window, "messageerror", { Interface: MessageEvent, origin, source });
    return;
  }
  fire(window, "message", { Interface: MessageEvent, origin, source, ...message });
}

// Steps 3 to 5. Returns "*" or a serialised origin.
function wantedOrigin(wanted) {
  if (wanted === "*") return wanted;
  if (wanted === "/") return native.environment().origin;
  const url = native.parseUrl(`${wanted}`, undefined);
  if (url === undefined) fail("SyntaxError", `'${wanted}' is not an origin.`);
  return native.urlComponent(url, "origin");
}

internal.navigable = () => native.navigable("self");
