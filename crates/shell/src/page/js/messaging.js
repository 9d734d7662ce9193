// window.postMessage()
// https://html.spec.whatwg.org/multipage/web-messaging.html#posting-messages

const { dictionary, fail, required, sequence } = internal.webidl;
const { fire } = internal.eventTarget;
const { global: window } = internal;

// https://html.spec.whatwg.org/multipage/web-messaging.html#window-post-message-steps: `caller` is the
// window of the incumbent settings object.
internal.postMessage = (caller, args) => {
  const source = agent.realms.has(caller) ? agent.realms.get(caller) : agent.realms.get(window);
  source.internal.sendMessage(window, args);
};

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
  // What cannot be cloned is this realm's exception, and the copy the other's object.
  const { data, ports } = there.receive(internal.structuredCloneWithPorts(message, transfer));
  there.startTask(() => {
    if (targetOrigin !== "*" && targetOrigin !== there.origin()) return;
    there.fireMessage({ data, origin, source: internal.windowProxy, ports });
  });
};

// Step 3 to 5: "*", or a serialised origin.
function wantedOrigin(wanted) {
  if (wanted === "*") return wanted;
  if (wanted === "/") return native.environment().origin;
  const url = native.parseUrl(`${wanted}`, undefined);
  if (url === undefined) fail("SyntaxError", `'${wanted}' is not an origin.`);
  return native.urlComponent(url, "origin");
}

internal.origin = () => native.environment().origin;
internal.startTask = (steps) => internal.startTimer(steps, 0);
internal.fireMessage = (init) =>
  fire(window, "message", { Interface: internal.interfaces.MessageEvent, ...init });

// What a message brings: clones of this realm's, and its ports.
internal.receive = ({ data, ports }) => ({ data: internal.structuredClone(data, []), ports });
internal.structuredCloneWithPorts = (message, transfer) =>
  ({ data: internal.structuredClone(message, transfer), ports: [] });

Object.defineProperty(window, "postMessage", {
  value: agent.callerAware(function postMessage(_message) {},
    (caller, self, args) => internal.targetOf(self).postMessage(caller, args)),
  writable: true, enumerable: true, configurable: true,
});
internal.targetOf = (self) => {
  const target = agent.unwrap(self ?? window);
  return agent.realms.has(target) ? agent.realms.get(target).internal : internal;
};
