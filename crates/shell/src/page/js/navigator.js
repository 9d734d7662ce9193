// The interface Navigator.
// https://html.spec.whatwg.org/multipage/system-state.html#the-navigator-object
// https://w3c.github.io/beacon/

const { USVString, expose, illegalConstructor } = internal.webidl;
const { convertNullable, pack } = internal.body;
const slot = agent.slot("Navigator");
const PLATFORM = "Linux x86_64";

class Navigator {
  constructor() { illegalConstructor(); }

  get appCodeName() { return "Mozilla"; }
  get appName() { return "Netscape"; }
  get product() { return "Gecko"; }
  get userAgent() { return native.environment().userAgent; }
  get language() { return native.environment().languages[0] ?? "en"; }
  // The same array each time, as for an attribute with [SameObject].
  get languages() {
    return slot.get(this).languages ??= Object.freeze([...native.environment().languages]);
  }
  get onLine() { return native.environment().onLine; }
  get cookieEnabled() { return true; }

  // https://html.spec.whatwg.org/multipage/system-state.html#client-identification, in the compatibility mode "Gecko".
  get appVersion() { return "5.0 (X11)"; }
  get platform() { return PLATFORM; }
  get productSub() { return "20100101"; }
  get vendor() { return ""; }
  get vendorSub() { return ""; }

  get webdriver() { return false; }
  get hardwareConcurrency() { return 1; }
  get maxTouchPoints() { return 0; }
  get doNotTrack() { return null; }
  get pdfViewerEnabled() { return false; }
  javaEnabled() { return false; }

  // https://w3c.github.io/beacon/#sendbeacon-method. This does the Web IDL conversions, that of the URL first. The
  // library does the processing model.
  sendBeacon(url, data = null) {
    const target = USVString(url);
    const body = convertNullable(data);
    return native.sendBeacon(target, body === null ? null : pack(body));
  }
}
expose(Navigator, slot);

internal.navigator = slot.set(Object.create(Navigator.prototype), {});
