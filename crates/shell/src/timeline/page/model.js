// The recorded data, and which part of it is shown.
const data = JSON.parse(document.getElementById("data").textContent);

const KINDS = { beacon: "beacon", ping: "ping", report: "report", deferred: "fetchLater", fetch: "fetch", load: "load" };
const ENDS = {
  delivered: "delivered", failed: "failed", refused: "refused", aborted: "aborted", unfinished: "unfinished",
};
const FETCH_STATES = {
  deferred: "deferred", queued: "queued", waiting: "waiting", preflight: "preflight sent", sent: "sent",
  redirected: "sent after a redirect", answered: "answered",
};
const DOCUMENT_STATES = {
  loading: "loading", visible: "visible", hidden: "hidden", frozen: "frozen", cached: "in the back/forward cache",
  running: "running",
};

const state = { text: "", kind: "", end: "", from: 0, to: 1, view: "drawing", selected: null };

data.documents.forEach((it, index) => {
  it.number = index + 1;
  it.fetches = [];
});
{
  const documents = new Map(data.documents.map((it) => [it.id, it]));
  data.fetches.forEach((it, index) => {
    it.number = index + 1;
    if (!documents.has(it.document)) {
      const lost = {
        id: it.document, number: data.documents.length + 1, url: "", isWorker: false, from: 0, spans: [], steps: [],
        ended: null, quota: [], fetches: [],
      };
      documents.set(lost.id, lost);
      data.documents.push(lost);
    }
    it.of = documents.get(it.document);
    it.of.fetches.push(it);
  });
}
const ALL = Math.max(1, data.end);
{
  // If nothing is fetched in the second half, the first half is shown at first.
  const last = data.fetches.reduce((most, it) => Math.max(most, it.to ?? data.end), 0);
  state.to = last > 0 && last < ALL / 2 ? last * 1.1 : ALL;
}

// A time in milliseconds, as text.
function time(ms) {
  if (ms >= 10000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
}

function exact(ms) {
  return `${ms.toFixed(1)} ms`;
}

function bytes(count) {
  return count < 10000 ? `${count} B` : `${(count / 1024).toFixed(count < 102400 ? 1 : 0)} KiB`;
}

function count(number, noun) {
  const plural = noun.endsWith("ch") ? `${noun}es` : `${noun}s`;
  return `${number.toLocaleString("en")} ${number === 1 ? noun : plural}`;
}

function parsed(url, base) {
  try {
    return new URL(url, base);
  } catch {
    return null;
  }
}

// The URL of a fetch, without the origin if that is its document's.
function shortUrl(fetch) {
  const url = parsed(fetch.url, fetch.of.url || undefined);
  if (!url) return fetch.url;
  const path = url.pathname + url.search;
  return url.origin === parsed(fetch.of.url)?.origin ? path : url.host + path;
}

// The middle of a long text is left out.
function elided(text, length) {
  if (text.length <= length) return text;
  const tail = Math.floor(length * 0.4);
  return `${text.slice(0, Math.max(0, length - tail - 1))}…${text.slice(text.length - tail)}`;
}

function method(fetch) {
  const hop = fetch.hops.find((it) => !it.isPreflight);
  return hop ? hop.method : "";
}

// What a search looks at.
function searched(fetch) {
  if (fetch.searched === undefined) {
    const head = (it) => (it && it.headers ? it.headers.map((pair) => pair.join(": ")) : []);
    const parts = [fetch.url, KINDS[fetch.kind], ENDS[fetch.end], fetch.why, method(fetch), fetch.body?.text ?? ""];
    for (const mark of fetch.marks) parts.push(mark.text);
    for (const hop of fetch.hops) parts.push(hop.url, ...head(hop), ...head(hop.response));
    fetch.searched = parts.join("\n").toLowerCase();
  }
  return fetch.searched;
}

function isShown(fetch) {
  return (!state.kind || fetch.kind === state.kind) && (!state.end || fetch.end === state.end) &&
    searched(fetch).includes(state.text);
}

function isFiltered() {
  return Boolean(state.text || state.kind || state.end);
}

// The documents that are shown, each with its fetches that are shown.
function groups() {
  const all = data.documents.map((it) => ({ document: it, fetches: it.fetches.filter(isShown) }));
  const isDocument = (it) => state.text && it.url.toLowerCase().includes(state.text);
  return isFiltered() ? all.filter((it) => it.fetches.length > 0 || isDocument(it.document)) : all;
}

// A fetch in one sentence.
function sentence(fetch) {
  const end = fetch.to === null ? "" : ` at ${time(fetch.to)}`;
  const retries = fetch.retries ? `, ${fetch.retries === 1 ? "1 retry" : `${fetch.retries} retries`}` : "";
  return `${KINDS[fetch.kind]} ${method(fetch)} ${shortUrl(fetch)}, from ${time(fetch.from)}: ` +
    `${ENDS[fetch.end]}${end}${fetch.why ? `, ${fetch.why}` : ""}${retries}`;
}

function isSelected(row) {
  const it = state.selected;
  return it !== null && (it.fetch ?? null) === (row.fetch ?? null) && (it.document ?? null) === (row.document ?? null);
}

function documentSentence(it) {
  const name = it.isWorker ? "worker" : "document";
  return `${name} ${it.number}: ${it.url || "unknown"}, ${it.steps.map(([at, word]) => `${word} at ${time(at)}`).join(", ")}`;
}
