// The interface Event and the interfaces derived from it.
// https://dom.spec.whatwg.org/#interface-event

const { DOMString, dictionary, constants, expose, required } = internal.webidl;
const slot = agent.slot("Event");
const state = slot.get;

class Event {
  constructor(type, eventInitDict = undefined) {
    required(arguments.length, 1, `construct '${new.target.name}'`);
    const init = dictionary(eventInitDict, "EventInit");
    slot.set(this, {
      type: DOMString(type),
      bubbles: !!init.bubbles,
      cancelable: !!init.cancelable,
      composed: !!init.composed,
      target: null,
      currentTarget: null,
      phase: 0,
      path: [],
      stopPropagation: false,
      stopImmediate: false,
      canceled: false,
      inPassiveListener: false,
      dispatching: false,
      initialized: true,
      isTrusted: false,
      timeStamp: native.now(),
    });
  }

  get type() { return state(this).type; }
  get target() { return agent.expose(state(this).target); }
  get srcElement() { return agent.expose(state(this).target); }
  get currentTarget() { return agent.expose(state(this).currentTarget); }
  get eventPhase() { return state(this).phase; }
  get bubbles() { return state(this).bubbles; }
  get cancelable() { return state(this).cancelable; }
  get composed() { return state(this).composed; }
  get defaultPrevented() { return state(this).canceled; }
  get isTrusted() { return state(this).isTrusted; }
  get timeStamp() { return state(this).timeStamp; }

  get cancelBubble() { return state(this).stopPropagation; }
  set cancelBubble(value) { if (value) state(this).stopPropagation = true; }

  get returnValue() { return !state(this).canceled; }
  set returnValue(value) { if (!value) cancel(state(this)); }

  composedPath() { return state(this).path.map(agent.expose); }
  stopPropagation() { state(this).stopPropagation = true; }
  preventDefault() { cancel(state(this)); }

  stopImmediatePropagation() {
    state(this).stopPropagation = true;
    state(this).stopImmediate = true;
  }

  // https://dom.spec.whatwg.org/#dom-event-initevent
  initEvent(type, bubbles = false, cancelable = false) {
    const event = state(this);
    if (event.dispatching) return;
    Object.assign(event, {
      type: DOMString(type), bubbles: !!bubbles, cancelable: !!cancelable, initialized: true,
      canceled: false, stopPropagation: false, stopImmediate: false, target: null,
    });
  }
}
constants(Event, { NONE: 0, CAPTURING_PHASE: 1, AT_TARGET: 2, BUBBLING_PHASE: 3 });

// https://dom.spec.whatwg.org/#set-the-canceled-flag
function cancel(event) {
  if (event.cancelable && !event.inPassiveListener) event.canceled = true;
}
expose(Event, slot);

// The slots of the derived interfaces, by the name of a member of their init dictionaries.
const slotsByMember = new Map();

// Initializes attributes of an event, without a conversion. `undefined` in an init dictionary would mean the default.
function initializeAttributes(event, values) {
  for (const [member, value] of Object.entries(values)) {
    const own = slotsByMember.get(member)?.find((it) => it.has(event));
    if (own && value === undefined) own.get(event)[member] = undefined;
  }
}

// Declares an event interface whose attributes are the members of its init dictionary.
function derive(name, members, Parent = Event) {
  const own = agent.slot(name);
  const Interface = {
    [name]: class extends Parent {
      constructor(type, eventInitDict = undefined) {
        required(arguments.length, 1, `construct '${name}'`);
        super(type, eventInitDict);
        const init = dictionary(eventInitDict, `${name}Init`);
        const values = {};
        for (const [member, { convert, value }] of Object.entries(members)) {
          values[member] = init[member] === undefined ? value : convert(init[member]);
        }
        own.set(this, values);
      }
    },
  }[name];
  for (const member of Object.keys(members)) {
    slotsByMember.set(member, [...(slotsByMember.get(member) ?? []), own]);
    Object.defineProperty(Interface.prototype, member,
      { get() { return own.get(this)[member]; }, configurable: true });
  }
  expose(Interface, own);
  return Interface;
}

const any = (value = null) => ({ convert: (it) => it, value });
const string = { convert: DOMString, value: "" };
const number = { convert: internal.webidl.unsignedLong, value: 0 };
const double = { convert: internal.webidl.double, value: 0 };
const flag = { convert: Boolean, value: false };

derive("CustomEvent", { detail: any() });
derive("PageTransitionEvent", { persisted: flag });
derive("ErrorEvent",
  { message: string, filename: string, lineno: number, colno: number, error: any(undefined) });
derive("PromiseRejectionEvent", { promise: any(undefined), reason: any(undefined) });
derive("MessageEvent", {
  data: any(), origin: { ...string, convert: internal.webidl.USVString }, lastEventId: string,
  source: any(), ports: { convert: (it) => Object.freeze([...it]), value: Object.freeze([]) },
});
const nullableString = { convert: (it) => (it === null ? null : DOMString(it)), value: null };
derive("StorageEvent", { key: nullableString, oldValue: nullableString, newValue: nullableString,
  url: string, storageArea: any() });
derive("ProgressEvent", { lengthComputable: flag, loaded: double, total: double });
derive("PopStateEvent", { state: any() });
derive("SubmitEvent", { submitter: any() });
derive("FormDataEvent", { formData: any() });
derive("HashChangeEvent", { oldURL: string, newURL: string });
derive("SecurityPolicyViolationEvent", {
  documentURI: string, referrer: string, blockedURI: string, violatedDirective: string,
  effectiveDirective: string, originalPolicy: string, sourceFile: string, sample: string,
  disposition: { ...string, value: "enforce" }, statusCode: number, lineNumber: number,
  columnNumber: number,
});
const UIEvent = derive("UIEvent", { view: any(), detail: number });
derive("MouseEvent", { button: number, buttons: number, ctrlKey: flag, shiftKey: flag,
  altKey: flag, metaKey: flag }, UIEvent);

// https://html.spec.whatwg.org/multipage/browsing-the-web.html#the-beforeunloadevent-interface
const beforeUnload = agent.slot("BeforeUnloadEvent");
class BeforeUnloadEvent extends Event {
  constructor(token) {
    if (token !== internal) internal.webidl.illegalConstructor();
    super("beforeunload", { __proto__: null, cancelable: true });
    beforeUnload.set(this, { returnValue: "" });
  }

  get returnValue() { return beforeUnload.get(this).returnValue; }
  set returnValue(value) { beforeUnload.get(this).returnValue = DOMString(value); }
}
expose(BeforeUnloadEvent, beforeUnload);

internal.event = { slot, cancel, initializeAttributes };
