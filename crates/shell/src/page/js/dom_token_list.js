// The interface DOMTokenList, and the attributes that return one.
// https://dom.spec.whatwg.org/#interface-domtokenlist

const { DOMString, attributes, createLegacyPlatformObject, expose, fail, illegalConstructor, valueIterable } = internal.webidl;
const { slot: elementSlot } = internal.element;
const slot = agent.slot("DOMTokenList");

class DOMTokenList {
  constructor() { illegalConstructor(); }
  get length() { return tokensOf(this).length; }
  item(index) { return tokensOf(this)[index >>> 0] ?? null; }
  contains(token) { return tokensOf(this).includes(DOMString(token)); }

  // https://dom.spec.whatwg.org/#dom-domtokenlist-add
  add(...tokens) {
    const valid = tokens.map(validToken);
    update(this, [...tokensOf(this), ...valid]);
  }

  // https://dom.spec.whatwg.org/#dom-domtokenlist-remove
  remove(...tokens) {
    const valid = tokens.map(validToken);
    update(this, tokensOf(this).filter((it) => !valid.includes(it)));
  }

  // https://dom.spec.whatwg.org/#dom-domtokenlist-toggle
  toggle(token, force = undefined) {
    const valid = validToken(token);
    const tokens = tokensOf(this);
    const isThere = tokens.includes(valid);
    const isWanted = force === undefined ? !isThere : !!force;
    if (isThere !== isWanted) update(this, isWanted ? [...tokens, valid] : tokens.filter((it) => it !== valid));
    return isWanted;
  }

  // https://dom.spec.whatwg.org/#dom-domtokenlist-replace
  replace(token, newToken) {
    const [old, replacement] = validTokens(token, newToken);
    const tokens = tokensOf(this);
    if (!tokens.includes(old)) return false;
    update(this, tokens.map((it) => (it === old ? replacement : it)));
    return true;
  }

  // https://dom.spec.whatwg.org/#dom-domtokenlist-supports
  supports(token) {
    const { supported } = slot.get(this);
    if (supported === undefined) throw new TypeError("The attribute has no supported tokens.");
    return supported.includes(DOMString(token).toLowerCase());
  }

  get value() { return valueOf(this); }
  set value(value) {
    const { element, name } = slot.get(this);
    element.setAttribute(name, value);
  }
  toString() { return valueOf(this); }
}
expose(DOMTokenList, slot);
valueIterable(DOMTokenList);

const valueOf = (list) => {
  const { element, name } = slot.get(list);
  return element.getAttribute(name) ?? "";
};

// https://dom.spec.whatwg.org/#concept-ordered-set-parser
const parse = (text) => [...new Set(text.split(/[\t\n\f\r ]+/).filter((it) => it !== ""))];
const tokensOf = (list) => parse(valueOf(list));

// https://dom.spec.whatwg.org/#concept-dtl-update
function update(list, tokens) {
  const { element, name } = slot.get(list);
  if (element.hasAttribute(name) || tokens.length > 0) element.setAttribute(name, [...new Set(tokens)].join(" "));
}

function validTokens(...tokens) {
  const strings = tokens.map((it) => DOMString(it));
  if (strings.includes("")) fail("SyntaxError", "The token is empty.");
  if (strings.some((it) => /[\t\n\f\r ]/.test(it))) fail("InvalidCharacterError", "The token has whitespace in it.");
  return strings;
}
const validToken = (token) => validTokens(token)[0];

// Defines an attribute `idlName` that returns the tokens of the content attribute `name`. It forwards an assignment to the
// list's value.
function tokenAttribute(Interface, ofInterface, idlName, name, supported) {
  const lists = agent.slot(`DOMTokenList of ${name}`);
  const listOf = (element) => {
    if (!lists.has(element)) lists.set(element, create(element, name, supported));
    return lists.get(element);
  };
  attributes(Interface.prototype, ofInterface, Object.defineProperty({}, idlName, {
    get() { return listOf(this); },
    set(value) { listOf(this).value = value; },
  }));
}

function create(element, name, supported) {
  const list = createLegacyPlatformObject(DOMTokenList.prototype, {
    length: () => tokensOf(list).length, item: (index) => tokensOf(list)[index],
  });
  return slot.set(list, { element, name, supported });
}

tokenAttribute(Element, elementSlot, "classList", "class");
const LINK_TYPES = ["noreferrer", "noopener", "opener"];
for (const Interface of [HTMLAnchorElement, HTMLAreaElement, HTMLFormElement]) {
  tokenAttribute(Interface, agent.slot(Interface.name), "relList", "rel", LINK_TYPES);
}
tokenAttribute(HTMLIFrameElement, agent.slot("HTMLIFrameElement"), "sandbox", "sandbox", [
  "allow-downloads", "allow-forms", "allow-modals", "allow-popups", "allow-popups-to-escape-sandbox", "allow-same-origin",
  "allow-scripts", "allow-top-navigation", "allow-top-navigation-by-user-activation",
]);
tokenAttribute(HTMLLinkElement, agent.slot("HTMLLinkElement"), "relList", "rel", []);
