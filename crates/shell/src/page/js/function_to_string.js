// Function.prototype.toString(), for which the functions of the prelude are built-in functions.
// https://tc39.es/ecma262/#sec-function.prototype.tostring

const { apply } = Reflect;
const { getOwnPropertyDescriptor, defineProperty } = Object;
const { toString: engineToString } = Function.prototype;
const fileNameOf = getOwnPropertyDescriptor(Function.prototype, "fileName").get;
// The beginning of the names of the prelude's files: see prelude.rs.
const PREFIX = "native:";

const isOfPrelude = (value) => typeof value === "function" && `${apply(fileNameOf, value, [])}`.startsWith(PREFIX);

const { toString } = {
  toString() {
    if (!isOfPrelude(this)) return apply(engineToString, this, []);
    const name = getOwnPropertyDescriptor(this, "name")?.value;
    return `function ${typeof name === "string" ? name : ""}() {\n    [native code]\n}`;
  },
};
defineProperty(Function.prototype, "toString", { value: toString, writable: true, enumerable: false, configurable: true });

// The place in a page's script where an error was made, by its stack: the first place that is not in the prelude.
internal.placeOf = (stack) => {
  for (const line of stack.split("\n")) {
    const [, filename, lineno, colno] = line.match(/^ {4}at (?:.*\()?(.*?):(\d+):(\d+)\)?$/) ?? [];
    if (filename !== undefined && !filename.startsWith(PREFIX)) return { filename, lineno: +lineno, colno: +colno };
  }
  return { filename: "", lineno: 0, colno: 0 };
};
