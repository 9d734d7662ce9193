// The console namespace.
// https://console.spec.whatwg.org/#console-namespace

const counts = new Map();
const starts = new Map();
let indent = "";

// https://console.spec.whatwg.org/#formatter, for %s, %d, %i, %f, %o and %O. %c consumes its argument.
function format(args) {
  if (typeof args[0] !== "string" || args.length === 1) return args.map(show).join(" ");
  const rest = args.slice(1);
  const text = args[0].replace(/%[sdifoOc%]/g, (specifier) => {
    if (specifier === "%%") return "%";
    if (rest.length === 0) return specifier;
    const value = rest.shift();
    switch (specifier) {
      case "%s": return typeof value === "symbol" ? value.toString() : `${value}`;
      case "%d": case "%i": return typeof value === "symbol" ? "NaN" : `${parseInt(value, 10)}`;
      case "%f": return typeof value === "symbol" ? "NaN" : `${parseFloat(value)}`;
      case "%c": return "";
      default: return show(value);
    }
  });
  return [text, ...rest.map(show)].join(" ");
}

function show(value) {
  if (typeof value === "string") return value;
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value !== "object" || value === null) return String(value);
  if (value instanceof Error || Object.prototype.toString.call(value) === "[object DOMException]") {
    return native.describe(value);
  }
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}

function print(level, args) {
  if (args.length === 0) return;
  const text = format(args).replaceAll("\n", `\n${indent}`);
  native.console(level, (indent + text).toWellFormed());
}

// The methods of a namespace object accept any `this`.
const namespace = {};
for (const level of ["log", "info", "debug", "warn", "error"]) {
  namespace[level] = { [level](...args) { print(level, args); } }[level];
}
Object.assign(namespace, {
  dir(item) { print("log", [item]); },
  trace(...args) { print("log", [`Trace: ${format(args)}\n${new Error().stack}`]); },
  assert(condition = false, ...args) {
    if (!condition) print("error", ["Assertion failed", ...args]);
  },
  count(label = "default") {
    counts.set(label, (counts.get(label) ?? 0) + 1);
    print("info", [`${label}: ${counts.get(label)}`]);
  },
  countReset(label = "default") { counts.delete(label); },
  group(...args) {
    print("log", args);
    indent += "  ";
  },
  groupEnd() { indent = indent.slice(2); },
  time(label = "default") { if (!starts.has(label)) starts.set(label, performance.now()); },
  timeEnd(label = "default") {
    if (!starts.has(label)) return;
    print("info", [`${label}: ${performance.now() - starts.get(label)}ms`]);
    starts.delete(label);
  },
});
internal.webidl.tag(namespace, "console");
Object.defineProperty(globalThis, "console",
  { value: namespace, writable: true, configurable: true, enumerable: false });
