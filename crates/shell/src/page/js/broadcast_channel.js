// The interface BroadcastChannel, for the realms of one event loop.
// https://html.spec.whatwg.org/multipage/web-messaging.html#broadcasting-to-other-browsing-contexts

const { DOMString, expose, fail } = internal.webidl;
const { fire } = internal.eventTarget;
const slot = agent.slot("BroadcastChannel");
// All open channels, in the order of their creation.
const channels = agent.broadcastChannels;

class BroadcastChannel extends EventTarget {
  constructor(name) {
    super();
    const channel = { name: DOMString(name), isClosed: false, object: this, internal };
    slot.set(this, channel);
    channels.add(channel);
  }

  get name() { return slot.get(this).name; }

  postMessage(message) {
    const { name, isClosed } = slot.get(this);
    if (isClosed) fail("InvalidStateError", "The channel is closed.");
    const serialized = internal.serialize(message, []);
    const { origin, storageKey } = native.environment();
    if (!internal.isFullyActive()) return;
    for (const channel of [...channels]) {
      const isWanted = channel.object !== this && channel.name === name &&
        channel.internal.isFullyActive() && channel.internal.storageKey() === storageKey;
      if (isWanted) channel.internal.receiveBroadcast(channel, serialized, origin);
    }
  }

  close() {
    const channel = slot.get(this);
    channel.isClosed = true;
    channels.delete(channel);
  }
}
expose(BroadcastChannel, slot);
internal.handlers.attributes(BroadcastChannel.prototype, slot, ["message", "messageerror"]);

internal.isFullyActive = () => native.navigable("self") !== undefined;
internal.storageKey = () => native.environment().storageKey;
internal.receiveBroadcast = (channel, serialized, origin) => {
  internal.startTask(() => {
    if (channel.isClosed) return;
    const { data } = internal.deserialize(serialized);
    fire(channel.object, "message", { Interface: internal.interfaces.MessageEvent, data, origin });
  });
};

// Closes the channels of an unloaded document.
internal.closeChannels = () => {
  for (const channel of [...channels]) if (channel.internal === internal) channels.delete(channel);
};
