// The same data as tables, for those who do not see the drawing.
function table(caption, names, rows) {
  const heads = names.map((it) => html("th", { scope: "col" }, it));
  return html("table", {}, html("caption", {}, caption), html("thead", {}, html("tr", {}, ...heads)), html("tbody", {}, ...rows));
}

function cell(text, kind) {
  return html("td", kind ? { class: kind } : {}, String(text));
}

function opener(text, open) {
  const button = html("button", { type: "button" }, String(text));
  button.addEventListener("click", open);
  return html("td", {}, button);
}

// `open` shows the details of a row.
function tables(open) {
  const shown = groups();
  const documents = shown.map(({ document: it }) => html("tr", {},
    opener(it.number, () => open({ document: it })), cell(it.isWorker ? "worker" : "document"), cell(it.url || "unknown", "url"),
    cell(it.steps.map(([at, word]) => `${word} ${time(at)}`).join(", ")),
    cell(bytes(Math.max(0, ...it.quota.map(([, used]) => used))), "number")));
  const fetches = shown.flatMap((it) => it.fetches).map((it) => html("tr", {},
    opener(it.number, () => open({ fetch: it })), cell(it.of.number, "number"), cell(KINDS[it.kind]), cell(method(it)),
    cell(shortUrl(it), "url"), cell(it.end === "refused" ? "" : bytes(it.bodyLength), "number"), cell(time(it.from), "number"),
    cell(it.to === null ? "" : time(it.to), "number"),
    cell(`${ENDS[it.end]}${it.why ? `: ${it.why}` : ""}`, it.end === "failed" || it.end === "refused" ? "bad" : ""),
    cell(it.retries || "", "number"),
    cell(it.spans.map((span) => `${FETCH_STATES[span.state]} ${time(span.to - span.from)}`).join(", "))));
  const drain = data.drain === null ? "" : ` The shutdown begins at ${time(data.drain)}.`;
  return [
    table(`Documents.${drain}`, ["Document", "Kind", "URL", "What happened", "Most quota"], documents),
    table("Fetches", ["Fetch", "Document", "Kind", "Method", "URL", "Body", "From", "To", "End", "Retries", "States"], fetches),
  ];
}
