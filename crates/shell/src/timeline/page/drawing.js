// The drawing: a row for each document with its quota, and below it a row for each of its fetches.
const ROW = 22;
const DOCUMENT_ROW = 28;
const QUOTA_ROW = 34;
const AXIS = 26;

// The rows that are shown, with their places.
function layout() {
  const rows = [];
  let top = 0;
  const add = (row, height) => {
    rows.push({ ...row, index: rows.length, top, height });
    top += height;
  };
  for (const { document: it, fetches } of groups()) {
    add({ document: it }, DOCUMENT_ROW + (it.quota.length > 0 ? QUOTA_ROW : 0));
    for (const fetch of fetches) add({ fetch }, ROW);
  }
  return { rows, height: top };
}

function scaleOf(width) {
  const left = width < 700 ? 150 : Math.min(380, Math.round(width * 0.27));
  return new Scale(state.from, state.to, left, Math.max(left + 100, width - 170));
}

function drawAxis(scale, height) {
  const parts = [];
  for (const tick of ticks(scale.from, scale.to, scale.right - scale.left)) {
    parts.push(label(scale.x(tick), height / 2, tickLabel(tick, scale.to - scale.from), "dim small middle"));
  }
  if (data.drain !== null && scale.shows(data.drain)) {
    // Beside the last tick that it would cover.
    parts.push(label(scale.right + 12, height / 2, `┆ shutdown at ${time(data.drain)}`, "small on-drain"));
  }
  return parts;
}

// Rows that follow each other, with what is behind them.
function drawRows(rows, scale, width) {
  const [top, bottom] = [rows[0]?.top ?? 0, rows.length > 0 ? rows.at(-1).top + rows.at(-1).height : 0];
  const across = (ms, kind, ...children) =>
    shape("g", { "aria-hidden": "true", style: "pointer-events: none" }, line(scale.x(ms), top, scale.x(ms), bottom, kind), ...children);
  const bands = rows.filter((it) => it.document).map((it) => box(0, it.top, width, it.height, "band"));
  const grid = ticks(scale.from, scale.to, scale.right - scale.left).map((tick) => across(tick, "grid"));
  const drain = data.drain !== null && scale.shows(data.drain) ? [across(data.drain, "drain")] : [];
  return [...bands, ...grid, ...drain, ...rows.map((row) => drawRow(row, scale, width))];
}

function drawRow(row, scale, width) {
  const name = row.fetch ? sentence(row.fetch) : documentSentence(row.document);
  const group = shape("g", {
    class: "row", id: `row-${row.index}`, role: "option", "aria-label": name, "aria-selected": isSelected(row),
    transform: `translate(0,${row.top})`,
  });
  group.append(box(0.5, 0.5, width - 1, row.height - 1, "hit"));
  group.append(...(row.fetch ? drawFetch(row.fetch, scale) : drawDocument(row.document, scale)));
  return group;
}

function drawDocument(it, scale) {
  const middle = DOCUMENT_ROW / 2;
  const name = it.isWorker ? `worker ${it.number}` : `document ${it.number}`;
  const room = Math.floor((scale.left - 100) / 7);
  const parts = [label(10, middle, name, "strong"), label(94, middle, elided(it.url || "unknown", room), "dim")];
  for (const span of it.spans) parts.push(...scale.bar(span, middle - 6, 12, DOCUMENT_STATES));
  if (it.ended && scale.shows(it.ended[0])) {
    const [at, how] = it.ended;
    if (how !== "unloaded") parts.push(mark("failed", scale.x(at), middle, how));
    parts.push(label(scale.x(at) + 8, middle, how, how === "unloaded" ? "small dim" : "small bad"));
  }
  if (it.quota.length > 0) parts.push(...drawQuota(it, scale, DOCUMENT_ROW, QUOTA_ROW - 6));
  return parts;
}

// The bytes of the keepalive quota in use, as an area below the limit.
function drawQuota(it, scale, top, height) {
  const bottom = top + height;
  const most = Math.max(...it.quota.map(([, used]) => used));
  // The limit is drawn if it is near. Otherwise nothing else could be seen.
  const isNear = most > data.quotaLimit / 4;
  const y = (used) => round(bottom - (used / Math.max(most, isNear ? data.quotaLimit : 1)) * (height - 4));
  const before = it.quota.findLast(([at]) => at <= scale.from);
  let path = `M${round(scale.left)},${y(before ? before[1] : 0)}`;
  for (const [at, used] of it.quota) {
    if (scale.shows(at)) path += `H${round(scale.x(at))}V${y(used)}`;
  }
  path += `H${round(scale.x(Math.min(scale.to, data.end)))}`;
  const text = `keepalive quota: ${bytes(most)} of ${bytes(data.quotaLimit)} at most`;
  return [
    label(94, top + height / 2, `quota: at most ${bytes(most)}`, "small dim"),
    ...(isNear ? [line(scale.left, y(data.quotaLimit), scale.right, y(data.quotaLimit), "quota-limit")] : []),
    shape("path", { d: `${path}V${bottom}H${round(scale.left)}Z`, class: "quota-area" }, tip(text)),
    shape("path", { d: path, class: "quota-line" }),
  ];
}

function drawFetch(fetch, scale) {
  const middle = ROW / 2;
  const room = Math.floor((scale.left - 100) / 7);
  const parts = [
    label(24, middle, KINDS[fetch.kind], "small dim"),
    label(94, middle, elided(shortUrl(fetch), room), fetch.end === "failed" || fetch.end === "refused" ? "bad" : ""),
  ];
  const { ended } = fetch.of;
  if (ended && scale.shows(ended[0])) {
    const gone = line(scale.x(ended[0]), 0, scale.x(ended[0]), ROW, ended[1] === "unloaded" ? "gone" : "gone bad");
    gone.append(tip(`its document: ${ended[1]} at ${time(ended[0])}`));
    parts.push(gone);
  }
  for (const span of fetch.spans) parts.push(...scale.bar(span, middle - 5, 10, FETCH_STATES));
  for (const it of fetch.marks) {
    if (it.kind in MARKS && scale.shows(it.at)) parts.push(mark(it.kind, scale.x(it.at), middle, `${time(it.at)}: ${it.text}`));
  }
  const to = fetch.to ?? data.end;
  if (to < scale.from) parts.push(label(scale.left, middle, "‹", "dim"));
  else if (fetch.from > scale.to) parts.push(label(scale.right + 12, middle, "›", "dim"));
  else parts.push(...drawEnd(fetch, to, scale, middle));
  return parts;
}

function drawEnd(fetch, to, scale, middle) {
  const parts = [];
  const x = scale.x(to) + (fetch.spans.length > 0 ? 8 : 0);
  if (scale.shows(to)) parts.push(mark(fetch.end, x, middle, `${ENDS[fetch.end]}: ${fetch.why}`));
  const length = time(to - fetch.from);
  const text = {
    delivered: `${fetch.why.slice(0, 3)}, ${length}`, failed: fetch.why, refused: fetch.why, aborted: "aborted",
    unfinished: `unfinished, ${length}`,
  }[fetch.end];
  const retries = fetch.retries > 0 ? ` ↻${fetch.retries}` : "";
  const isBad = fetch.end === "failed" || fetch.end === "refused";
  const words = text.length > 22 ? `${text.slice(0, 21)}…` : text;
  parts.push(label(x + 9, middle, words + retries, isBad ? "small bad" : "small dim"));
  return parts;
}

// The whole time and all fetches that are shown, each as a thin line. `over` draws which of them the rows show.
function drawOverview(rows, width, height) {
  const scale = new Scale(0, ALL, 16, width - 16);
  const parts = [];
  for (const tick of ticks(0, ALL, width)) {
    parts.push(line(scale.x(tick), 0, scale.x(tick), height, "grid"), label(scale.x(tick) + 3, 8, tickLabel(tick, ALL), "dim small"));
  }
  const fetches = rows.filter((it) => it.fetch);
  const top = 18;
  const step = Math.min(6, (height - top - 4) / Math.max(1, fetches.length));
  const y = (index) => round(top + (index + 0.5) * step);
  const paths = {};
  const add = (kind, from, to, index) => {
    const x = scale.x(from);
    paths[kind] = `${paths[kind] ?? ""}M${round(x)},${y(index)}h${Math.max(1, round(scale.x(to) - x))}`;
  };
  fetches.forEach(({ fetch }, index) => {
    for (const span of fetch.spans) add(`s-${span.state}`, span.from, span.to, index);
    if (fetch.end === "failed" || fetch.end === "refused") add("s-bad", fetch.to, fetch.to + ALL / 200, index);
  });
  for (const [kind, d] of Object.entries(paths)) {
    parts.push(shape("path", { d, class: kind, "stroke-width": round(Math.max(1, step * 0.8)) }));
  }
  if (data.drain !== null) parts.push(line(scale.x(data.drain), 0, scale.x(data.drain), height, "drain"));
  const over = (view) => {
    const marks = [];
    const seen = fetches.filter((it) => it.top + it.height > view.top && it.top < view.bottom);
    if (seen.length > 0 && seen.length < fetches.length) {
      const first = fetches.indexOf(seen[0]);
      marks.push(box(0, y(first) - step / 2, width, Math.max(3, seen.length * step), "window"));
    }
    const [left, right] = [scale.x(state.from), scale.x(state.to)];
    if (right - left < scale.right - scale.left) {
      marks.push(box(0, 0, left, height, "outside"), box(right, 0, width - right, height, "outside"));
      marks.push(box(left, 0.5, right - left, height - 1, "frame"));
    }
    return marks;
  };
  const rowAt = (place) => fetches[Math.floor((place - top) / step)];
  return { rows, width, base: shape("g", {}, ...parts), over, scale, rowAt };
}

// The drawing as a picture of its own, with the colours of light and of dark.
function stillPicture() {
  const width = 960;
  const most = 60;
  const { rows } = layout();
  const shown = rows.slice(0, most);
  const last = shown.at(-1);
  const scale = scaleOf(width);
  const legend = drawLegend(width);
  const bottom = AXIS + (last ? last.top + last.height : 0);
  const more = rows.length > most ? ROW : 0;
  const height = bottom + more + legend.height;
  const picture = shape("svg", {
    xmlns: SVG, width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": summary(),
  });
  picture.append(shape("style", {}, document.getElementById("drawing-style").textContent));
  picture.append(document.getElementById("patterns").cloneNode(true));
  picture.append(box(0, 0, width, height, "paper"), shape("g", {}, ...drawAxis(scale, AXIS)));
  picture.append(shape("g", { transform: `translate(0,${AXIS})` }, ...drawRows(shown, scale, width)));
  if (more) picture.append(label(10, bottom + ROW / 2, `and ${count(rows.length - most, "more row")}`, "dim"));
  picture.append(shape("g", { transform: `translate(0,${bottom + more})` }, ...legend.parts));
  return picture;
}

// What the colours and the marks mean, in lines of at most `width` pixels.
function drawLegend(width) {
  const parts = [];
  let x = 10;
  let y = 20;
  for (const [text, sample] of legendEntries()) {
    const length = 40 + text.length * 6.4;
    if (x + length > width) {
      x = 10;
      y += 20;
    }
    const place = shape("g", { transform: `translate(${x},${y})` }, ...sample);
    parts.push(place, label(x + 24, y, text, "small dim"));
    x += length;
  }
  return { parts, height: y + 16 };
}

function legendEntries() {
  const states = (names, all) => Object.keys(names).filter((it) => all.has(it))
    .map((it) => [names[it], [box(0, -5, 18, 10, it)]]);
  const used = (lines) => new Set(lines.flatMap((it) => it.spans.map((span) => span.state)));
  const marks = new Set(data.fetches.flatMap((it) => [it.end, ...it.marks.map((each) => each.kind)]));
  const words = {
    delivered: "delivered", failed: "failed", refused: "refused", aborted: "aborted", unfinished: "unfinished",
    redirected: "redirected", unreached: "did not reach its server", sentAgain: "sent again", violation: "violates a policy",
  };
  return [
    ...states(DOCUMENT_STATES, used(data.documents)),
    ...states(FETCH_STATES, used(data.fetches)),
    ...Object.keys(words).filter((it) => marks.has(it)).map((it) => [words[it], [mark(it, 9, 0, words[it])]]),
    ["its document is gone", [line(9, -8, 9, 8, "gone")]],
    ...(data.drain === null ? [] : [["shutdown", [line(9, -8, 9, 8, "drain")]]]),
  ];
}

function summary() {
  const ends = {};
  for (const fetch of data.fetches) ends[fetch.end] = (ends[fetch.end] ?? 0) + 1;
  const parts = Object.keys(ENDS).filter((it) => ends[it]).map((it) => `${ends[it].toLocaleString("en")} ${ENDS[it]}`);
  const left = data.leftOut > 0 ? `; ${count(data.leftOut, "more fetch")} not kept` : "";
  return `${count(data.documents.length, "document")}, ${count(data.fetches.length, "fetch")} in ${time(data.end)}` +
    `${parts.length ? `: ${parts.join(", ")}` : ""}${left}`;
}
