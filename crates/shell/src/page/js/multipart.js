// The parser that makes a FormData of a body.
// https://fetch.spec.whatwg.org/#dom-body-formdata

const { slot: formDataSlot } = internal.formData;
const { createBlob, createFile } = internal.blob;
const { toBase64 } = internal.bufferSource;

internal.parseFormData = (type, bytes) => {
  const [essence] = type.toLowerCase().split(";");
  const form = new FormData();
  const state = formDataSlot.get(form);
  switch (essence.trim()) {
    case "multipart/form-data": {
      const boundary = /;\s*boundary=(?:"([^"]*)"|([^\s;]*))/i.exec(type);
      if (boundary === null) throw new TypeError("The type has no boundary.");
      state.entries = parseMultipart(native.decodeBase64(toBase64(bytes)), boundary[1] ?? boundary[2]);
      return form;
    }
    case "application/x-www-form-urlencoded":
      state.entries = native.parseUrlencoded(decode(bytes));
      return form;
    default:
      throw new TypeError("The body is no form data by its type.");
  }
};

// https://andreubotella.github.io/multipart-form-data/#multipart-form-data-parser. The input is a string with one
// character for each byte.
function parseMultipart(input, boundary) {
  const entries = [];
  const delimiter = `--${boundary}`;
  let at = 0;
  const expect = (text) => {
    if (!input.startsWith(text, at)) throw new TypeError("The body is not multipart/form-data.");
    at += text.length;
  };
  const until = (text) => {
    const end = input.indexOf(text, at);
    if (end < 0) throw new TypeError("The body is not multipart/form-data.");
    const found = input.slice(at, end);
    at = end + text.length;
    return found;
  };
  expect(delimiter);
  while (!input.startsWith("--", at)) {
    expect("\r\n");
    const { name, filename, type } = parseHeaders(until("\r\n\r\n"));
    const value = bytesOf(until(`\r\n${delimiter}`));
    entries.push([name, filename === undefined
      ? decode(value) : createFile(createBlob(value, type ?? "text/plain"), filename)]);
  }
  return entries;
}

function parseHeaders(text) {
  const headers = new Map(text.split("\r\n").map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  }));
  const disposition = headers.get("content-disposition") ?? "";
  // A parameter's value is quoted or a token.
  const parameters = new Map(disposition.matchAll(/;\s*([^\s=;]+)=(?:"([^"]*)"|([^\s;"]*))/g)
    .map(([, name, quoted, token]) => [name.toLowerCase(), quoted ?? token]));
  const [name, filename] = [parameters.get("name"), parameters.get("filename")];
  if (!/^form-data\s*;/i.test(disposition) || name === undefined) {
    throw new TypeError("A part of the body has no name.");
  }
  return { name: unescape(name), filename: filename && unescape(filename), type: headers.get("content-type") };
}

const ESCAPED = { "%0A": "\n", "%0D": "\r", "%22": "\"" };
const unescape = (text) => decode(bytesOf(text.replace(/%(?:0A|0D|22)/gi, (it) => ESCAPED[it.toUpperCase()])));
const bytesOf = (text) => Uint8Array.from(text, (it) => it.charCodeAt(0));
const decode = (bytes) => native.decodeUtf8(toBase64(bytes), false);
