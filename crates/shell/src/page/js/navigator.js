// Navigator
// https://html.spec.whatwg.org/multipage/system-state.html#the-navigator-object
// https://w3c.github.io/beacon/

const { USVString, expose, illegalConstructor } = internal.webidl;
const { convertNullable, pack } = internal.body;
const slot = agent.slot("Navigator");

class Navigator {
  constructor() { illegalConstructor(); }

  get appCodeName() { return "Mozilla"; }
  get appName() { return "Netscape"; }
  get product() { return "Gecko"; }
  get userAgent() { return native.environment().userAgent; }
  get language() { return native.environment().languages[0] ?? "en"; }
  // The same array each time, as [SameObject]-like attributes are.
  get languages() {
    return slot.get(this).languages ??= Object.freeze([...native.environment().languages]);
  }
  get onLine() { return native.environment().onLine; }
  get cookieEnabled() { return true; }

  // https://w3c.github.io/beacon/#sendbeacon-method. Here are the Web IDL conversions, the URL's first;
  // the processing model is the library's.
  sendBeacon(url, data = null) {
    const target = USVString(url);
    const body = convertNullable(data);
    return native.sendBeacon(target, body === null ? null : pack(body));
  }
}
expose(Navigator, slot);

internal.navigator = slot.set(Object.create(Navigator.prototype), {});
