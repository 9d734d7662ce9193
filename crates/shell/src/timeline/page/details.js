// The details of a document or of a fetch. All text is inserted as text.
function html(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function facts(pairs) {
  const list = html("dl", {});
  for (const [term, text] of pairs) list.append(html("dt", {}, term), html("dd", {}, String(text)));
  return list;
}

function details(row) {
  return row.fetch ? fetchDetails(row.fetch) : documentDetails(row.document);
}

function documentDetails(it) {
  const most = Math.max(0, ...it.quota.map(([, used]) => used));
  const parts = [
    html("h2", {}, `${it.isWorker ? "Worker" : "Document"} ${it.number}`),
    facts([
      ["URL", it.url || "unknown"], ["fetches", it.fetches.length],
      ["keepalive quota", `${bytes(most)} of ${bytes(data.quotaLimit)} in use at most`],
    ]),
    html("h3", {}, "What happened"),
    facts(it.steps.map(([at, word]) => [exact(at), word])),
  ];
  if (it.quota.length > 0) {
    parts.push(html("h3", {}, "Keepalive quota in use"), facts(it.quota.map(([at, used]) => [exact(at), bytes(used)])));
    parts.push(html("p", { class: "note" },
      "Derived from the fetches: a body takes its bytes when its fetch is queued, and gives them back when the fetch is " +
      "done or waits for a server that is away."));
  }
  return parts;
}

function fetchDetails(fetch) {
  const parts = [
    html("h2", {}, `${KINDS[fetch.kind]} ${fetch.number}: ${shortUrl(fetch)}`),
    facts([
      ["URL", fetch.url],
      ["document", `${fetch.of.number}: ${fetch.of.url || "unknown"}`],
      ["end", `${ENDS[fetch.end]}${fetch.why ? `: ${fetch.why}` : ""}`],
      ["time", fetch.to === null ? `from ${time(fetch.from)}` : `${time(fetch.from)} to ${time(fetch.to)} (${time(fetch.to - fetch.from)})`],
      ["keepalive", fetch.keepalive ? "yes" : "no"],
      ...(fetch.end === "refused" ? [] : [["body", bytes(fetch.bodyLength)]]),
      ...(fetch.retries ? [["retries", fetch.retries]] : []),
    ]),
    html("h3", {}, "What happened"),
    facts(fetch.marks.map((it) => [exact(it.at), it.kind === "done" ? `${ENDS[fetch.end]}: ${it.text}` : it.text])),
  ];
  for (const hop of fetch.hops) {
    const url = parsed(hop.url);
    const target = url ? url.pathname + url.search : hop.url;
    parts.push(html("h3", {}, hop.isPreflight ? "Preflight" : "Request", html("span", { class: "note" }, ` at ${time(hop.at)}`)));
    parts.push(head(`${hop.method} ${target}`, hop.headers));
    if (!hop.isPreflight && hop.bodyLength > 0) parts.push(...body(fetch.body));
    if (hop.response) {
      const { at, status, reason, version, headers } = hop.response;
      parts.push(html("h3", {}, "Response", html("span", { class: "note" }, ` at ${time(at)}`)));
      parts.push(head(`${version} ${status} ${reason}`.trim(), headers));
    }
  }
  if (fetch.hops.length === 0) parts.push(html("p", { class: "note" }, "No request of it went to the network, so there are no heads and no body."));
  return parts;
}

function head(first, headers) {
  const lines = headers === null ? ["(the headers were not kept, because there are too many)"] : headers.map((it) => it.join(": "));
  return html("pre", { tabindex: "0" }, [first, ...lines].join("\n"));
}

function body(it) {
  if (!it) return [html("p", { class: "note" }, "The body was not kept, because there are too many.")];
  const parts = [html("h3", {}, "Body", html("span", { class: "note" }, ` of ${bytes(it.length)}`))];
  parts.push(html("pre", { tabindex: "0", class: "body" }, it.text ?? dump(it.base64)));
  if (it.kept < it.length) parts.push(html("p", { class: "note" }, `The first ${it.kept} of ${it.length} bytes.`));
  return parts;
}

// Bytes as lines of hexadecimal numbers and characters.
function dump(base64) {
  const raw = atob(base64);
  const lines = [];
  for (let at = 0; at < Math.min(raw.length, 4096); at += 16) {
    const part = raw.slice(at, at + 16);
    const codes = Array.from(part, (it) => it.charCodeAt(0).toString(16).padStart(2, "0")).join(" ");
    lines.push(`${at.toString(16).padStart(4, "0")}  ${codes.padEnd(47)}  ${part.replace(/[^ -~]/g, ".")}`);
  }
  if (raw.length > 4096) lines.push("…");
  return lines.join("\n");
}
