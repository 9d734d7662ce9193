// The interfaces MessageChannel and MessagePort, for the realms of one event loop.
// https://html.spec.whatwg.org/multipage/web-messaging.html#message-channels

const { dictionary, expose, illegalConstructor, sequence } = internal.webidl;
const { slot: targetSlot, createState, fire } = internal.eventTarget;
const slot = agent.slot("MessagePort");

// An end of a channel. Transferring a port moves its end to a new port. The end has a queue, the port it belongs to now
// (`owner`), and the other end.
const createEnd = () => ({ other: null, owner: null, queue: [], isStarted: false, isDetached: false });

class MessagePort extends EventTarget {
  constructor() { illegalConstructor(); }

  // https://html.spec.whatwg.org/multipage/web-messaging.html#message-port-post-message-steps
  postMessage(message, options = []) {
    const { other } = slot.get(this);
    const transfer = Array.isArray(options) || typeof options?.[Symbol.iterator] === "function"
      ? sequence(options, (it) => it) : dictionary(options, "StructuredSerializeOptions").transfer ?? [];
    const list = sequence(transfer, (it) => it);
    if (list.includes(this)) {
      internal.webidl.fail("DataCloneError", "A port cannot be sent through itself.");
    }
    const message_ = internal.serialize(message, list);
    if (!other) return;
    other.queue.push(message_);
    other.owner?.deliver();
  }

  start() { start(slot.get(this)); }

  close() {
    const end = slot.get(this);
    if (end.other) end.other.other = null;
    end.other = null;
  }

  get onmessage() { return internal.handlers.get(this, "message"); }
  set onmessage(value) {
    internal.handlers.set(this, "message", value);
    start(slot.get(this));
  }
}
expose(MessagePort, slot);
internal.handlers.attributes(MessagePort.prototype, slot, ["messageerror", "close"]);

function start(end) {
  end.isStarted = true;
  end.owner?.deliver();
}

// Creates the port for an end of a channel.
internal.portOf = (end) => {
  const port = Object.create(MessagePort.prototype);
  targetSlot.set(port, createState());
  slot.set(port, end);
  // Once the port is started, each message arrives in a task of its own.
  const deliver = () => {
    if (!end.isStarted) return;
    for (let waiting = end.queue.length - end.scheduled; waiting > 0; waiting--) {
      end.scheduled++;
      internal.startTask(() => {
        if (end.owner !== owner) return;
        end.scheduled--;
        const message = end.queue.shift();
        if (message === undefined) return;
        const { data, ports } = internal.deserialize(message);
        fire(port, "message", { Interface: internal.interfaces.MessageEvent, data, ports });
      });
    }
  };
  const owner = { deliver };
  Object.assign(end, { owner, scheduled: 0, isStarted: false });
  return port;
};

// Takes the end away from a port that is transferred.
internal.detachPort = (port) => {
  slot.get(port).owner = null;
  slot.replace(port, { ...createEnd(), isDetached: true });
};

// Creates the two ends of a channel.
internal.createEnds = () => {
  const [one, two] = [createEnd(), createEnd()];
  Object.assign(one, { other: two });
  Object.assign(two, { other: one });
  return [one, two];
};

class MessageChannel {
  constructor() {
    const [one, two] = internal.createEnds();
    channelSlot.set(this, { port1: internal.portOf(one), port2: internal.portOf(two) });
  }

  get port1() { return channelSlot.get(this).port1; }
  get port2() { return channelSlot.get(this).port2; }
}
const channelSlot = agent.slot("MessageChannel");
expose(MessageChannel, channelSlot);
