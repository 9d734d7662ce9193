// What the pages of the checks share.
const query = new URLSearchParams(location.search);
const collect = (label, more = "") => `/collect?run=${query.get("run")}&label=${label}${more}`;
const done = () => (document.title = "done");
const report = (label, value) => fetch(collect(label), { method: "POST", body: JSON.stringify(value) }).then(done);
const settled = () => new Promise((resolve) => setTimeout(resolve, 300));
function at(moment, action) {
  if (moment === "load") addEventListener("load", () => setTimeout(action));
  else addEventListener(moment, action, { once: true });
}
