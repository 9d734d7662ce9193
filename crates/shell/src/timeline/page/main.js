// The page: draws what the state asks for, and changes the state as the user asks.
const find = (id) => document.getElementById(id);
let shown = layout();
let overview = null;

// Draws everything. It is cheap: only the rows that can be seen are drawn.
function draw() {
  const isTable = state.view === "table";
  find("drawing").style.display = find("overview").style.display = find("legend").style.display = isTable ? "none" : "";
  find("tables").hidden = !isTable;
  find("zoom").disabled = isTable;
  if (isTable) {
    find("tables").replaceChildren(...tables((row) => select(row, true)));
  } else {
    drawSeen();
  }
}

// Draws the rows that can be seen.
function drawSeen() {
  const rows = find("rows");
  const [width, top, bottom] = [rows.clientWidth, rows.scrollTop, rows.scrollTop + rows.clientHeight];
  const scale = scaleOf(width);
  find("height").style.height = `${shown.height}px`;
  find("axis").replaceChildren(...drawAxis(scale, AXIS));
  const seen = shown.rows.filter((it) => it.top + it.height >= top - 100 && it.top <= bottom + 100);
  const visible = find("visible");
  const [from, to] = seen.length ? [seen[0].top, seen.at(-1).top + seen.at(-1).height] : [0, 0];
  visible.style.top = `${from}px`;
  for (const [name, value] of [["height", to - from], ["viewBox", `0 ${from} ${width} ${to - from}`]]) visible.setAttribute(name, value);
  visible.replaceChildren(...drawRows(seen, scale, width));
  for (const row of seen) find(`row-${row.index}`).addEventListener("click", () => select(row));
  const selected = seen.find(isSelected);
  if (selected) rows.setAttribute("aria-activedescendant", `row-${selected.index}`);
  else rows.removeAttribute("aria-activedescendant");
  const whole = find("overview").clientWidth;
  const height = Math.min(140, 28 + 6 * (shown.rows.length + 1));
  find("overview").style.height = `${height}px`;
  if (overview?.rows !== shown.rows || overview.width !== whole) overview = drawOverview(shown.rows, whole, height);
  find("overview").replaceChildren(overview.base, ...overview.over({ top, bottom }));
}

// The rows have changed.
function change() {
  shown = layout();
  const fetches = shown.rows.filter((it) => it.fetch).length;
  find("count").textContent = `${fetches.toLocaleString("en")} of ${count(data.fetches.length, "fetch")}`;
  draw();
}

function select(row, moves = false) {
  state.selected = row;
  const close = html("button", { type: "button", class: "close" }, "Close");
  close.addEventListener("click", deselect);
  find("details").replaceChildren(close, ...details(row));
  find("details").hidden = false;
  find("details").scrollTop = 0;
  if (moves) find("details").focus();
  if (state.view === "drawing") drawSeen();
}

function deselect() {
  state.selected = null;
  find("details").hidden = true;
  if (state.view === "drawing") {
    drawSeen();
    find("rows").focus();
  }
}

// Selects the row that is `step` rows further, and scrolls to it.
function move(step) {
  const index = shown.rows.findIndex(isSelected);
  const row = shown.rows[Math.min(shown.rows.length - 1, Math.max(0, index + step))];
  if (row) reveal(row);
}

function reveal(row) {
  const rows = find("rows");
  if (row.top < rows.scrollTop) rows.scrollTop = row.top;
  if (row.top + row.height > rows.scrollTop + rows.clientHeight) rows.scrollTop = row.top + row.height - rows.clientHeight;
  select(row);
}

// Shows a part of the time, of at least a tenth of a millisecond.
function show(from, to) {
  const length = Math.min(ALL, Math.max(0.1, to - from));
  state.from = Math.min(ALL - length, Math.max(0, from));
  state.to = state.from + length;
  drawSeen();
}

function zoom(factor) {
  const [middle, half] = [(state.from + state.to) / 2, ((state.to - state.from) / 2) * factor];
  show(middle - half, middle + half);
}

// Shows the time in which the fetches that can be seen happen.
function fit() {
  const rows = find("rows");
  const seen = shown.rows.filter((it) => it.fetch && it.top + it.height > rows.scrollTop && it.top < rows.scrollTop + rows.clientHeight);
  if (seen.length === 0) return;
  const from = Math.min(...seen.map((it) => it.fetch.from));
  const to = Math.max(...seen.map((it) => it.fetch.to ?? data.end));
  show(from - (to - from) * 0.05, to + (to - from) * 0.05);
}

function pan(share) {
  const by = (state.to - state.from) * share;
  show(state.from + by, state.to + by);
}

find("rows").addEventListener("keydown", (event) => {
  const page = Math.max(1, Math.floor(find("rows").clientHeight / ROW) - 1);
  const keys = {
    ArrowDown: () => move(1), ArrowUp: () => move(-1), PageDown: () => move(page), PageUp: () => move(-page),
    Home: () => move(-Infinity), End: () => move(Infinity), ArrowLeft: () => pan(-0.2), ArrowRight: () => pan(0.2),
    "+": () => zoom(0.5), "-": () => zoom(2), "0": () => show(0, ALL), f: fit, Escape: deselect,
    Enter: () => state.selected && find("details").focus(),
  };
  if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  keys[event.key]();
});
find("details").addEventListener("keydown", (event) => event.key === "Escape" && deselect());
find("rows").addEventListener("scroll", drawSeen);
find("controls").addEventListener("submit", (event) => event.preventDefault());
find("controls").addEventListener("input", () => {
  state.text = find("text").value.trim().toLowerCase();
  [state.kind, state.end] = [find("kind").value, find("end").value];
  state.view = document.querySelector("input[name=view]:checked").value;
  change();
});
find("in").addEventListener("click", () => zoom(0.5));
find("out").addEventListener("click", () => zoom(2));
find("fit").addEventListener("click", fit);
find("whole").addEventListener("click", () => show(0, ALL));

// Dragging over the overview chooses a time, and a click scrolls to a fetch.
find("overview").addEventListener("pointerdown", (event) => {
  const svg = find("overview");
  const place = (it) => it.clientX - svg.getBoundingClientRect().left;
  const start = place(event);
  svg.setPointerCapture(event.pointerId);
  const moved = (it) => {
    const [from, to] = [start, place(it)].map((x) => overview.scale.time(x)).sort((a, b) => a - b);
    if (Math.abs(place(it) - start) > 4) show(from, to);
  };
  svg.addEventListener("pointermove", moved);
  svg.addEventListener("pointerup", (it) => {
    svg.removeEventListener("pointermove", moved);
    const row = overview.rowAt(it.clientY - svg.getBoundingClientRect().top);
    if (Math.abs(place(it) - start) <= 4 && row) find("rows").scrollTop = row.top - find("rows").clientHeight / 2;
  }, { once: true });
});

find("save").addEventListener("click", () => {
  const text = new XMLSerializer().serializeToString(stillPicture());
  const link = html("a", { download: "timeline.svg", href: URL.createObjectURL(new Blob([text], { type: "image/svg+xml" })) });
  link.click();
  URL.revokeObjectURL(link.href);
});

// What the fragment of the page's URL asks for, such as `#q=beacon&view=table&select=3`.
function readFragment() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  if (wanted.has("still")) return document.body.replaceChildren(stillPicture());
  for (const [key, id] of [["q", "text"], ["kind", "kind"], ["end", "end"]]) find(id).value = wanted.get(key) ?? "";
  const view = wanted.get("view") === "table" ? "table" : "drawing";
  document.querySelector(`input[name=view][value=${view}]`).checked = true;
  find("controls").dispatchEvent(new Event("input"));
  const fetch = data.fetches[Number(wanted.get("select")) - 1];
  const row = fetch && shown.rows.find((it) => it.fetch === fetch);
  if (row && view === "drawing") reveal(row);
  else if (fetch) select({ fetch });
}

for (const [id, names] of [["kind", KINDS], ["end", ENDS]]) {
  const used = Object.keys(names).filter((it) => data.fetches.some((fetch) => fetch[id] === it));
  find(id).append(...used.map((it) => html("option", { value: it }, names[it])));
}
document.title = `Timeline of ${data.documents[0]?.url ?? "nothing"}`;
find("summary").textContent = summary();
find("legend").append(...legendEntries().map(([text, sample]) =>
  html("span", {}, shape("svg", { width: 18, height: 16, viewBox: "0 -8 18 16" }, ...sample), text)));
window.addEventListener("hashchange", readFragment);
new ResizeObserver(() => state.view === "drawing" && drawSeen()).observe(find("rows"));
readFragment();
