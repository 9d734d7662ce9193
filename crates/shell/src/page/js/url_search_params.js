// The interface URLSearchParams.
// https://url.spec.whatwg.org/#interface-urlsearchparams

const { USVString, expose, pairIterable, record, sequence } = internal.webidl;
const slot = agent.slot("URLSearchParams");
const listOf = (params) => slot.get(params).list;

class URLSearchParams {
  constructor(init = "") {
    slot.set(this, { list: initialList(init), update: null });
  }

  get size() { return listOf(this).length; }

  append(name, value) {
    listOf(this).push([USVString(name), USVString(value)]);
    update(this);
  }

  delete(name, value = undefined) {
    const matches = matcher(name, value);
    replace(this, listOf(this).filter((pair) => !matches(pair)));
  }

  get(name) {
    const found = listOf(this).find(matcher(name));
    return found ? found[1] : null;
  }

  getAll(name) { return listOf(this).filter(matcher(name)).map(([, value]) => value); }
  has(name, value = undefined) { return listOf(this).some(matcher(name, value)); }

  set(name, value) {
    const pair = [USVString(name), USVString(value)];
    const list = listOf(this);
    const at = list.findIndex(([it]) => it === pair[0]);
    if (at < 0) list.push(pair);
    else replace(this, list.filter(([it], i) => it !== pair[0] || i === at).with(at, pair));
    update(this);
  }

  // The order is by code units, and the sort is stable.
  sort() {
    listOf(this).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    update(this);
  }

  toString() { return native.serializeUrlencoded(listOf(this)); }
}
expose(URLSearchParams, slot);
pairIterable(URLSearchParams, slot, listOf);

// https://url.spec.whatwg.org/#urlsearchparams-initialize
function initialList(init) {
  if ((typeof init === "object" && init !== null) || typeof init === "function") {
    if (init[Symbol.iterator] !== undefined) {
      return sequence(init, (item) => {
        const pair = sequence(item, USVString);
        if (pair.length !== 2) {
          throw new TypeError("Failed to construct 'URLSearchParams': " +
            "Sequence initializer must only contain pair elements");
        }
        return pair;
      });
    }
    // A record. If two keys are the same after the conversion, the later one wins.
    return [...new Map(record(init, USVString, USVString))];
  }
  return parse(USVString(init));
}

const parse = (query) => native.parseUrlencoded(query.startsWith("?") ? query.slice(1) : query);

function matcher(name, value) {
  const wanted = USVString(name);
  const wantedValue = value === undefined ? undefined : USVString(value);
  return ([it, itsValue]) =>
    it === wanted && (wantedValue === undefined || itsValue === wantedValue);
}

// Sets the value of the first pair with this name, and removes the others.
function setFirst(list, first, pair) {
  const kept = list.filter(([name], i) => i <= first || name !== pair[0]);
  kept[first] = pair;
  return kept;
}

function replace(params, list) {
  slot.get(params).list = list;
  update(params);
}

// https://url.spec.whatwg.org/#concept-urlsearchparams-update
function update(params) {
  const { list, update: updateUrl } = slot.get(params);
  updateUrl?.(native.serializeUrlencoded(list));
}

internal.searchParamsOf = (query, updateUrl) => {
  const params = new URLSearchParams();
  Object.assign(slot.get(params), { list: parse(query), update: updateUrl });
  return params;
};
internal.resetSearchParams = (params, query) => { slot.get(params).list = parse(query); };
