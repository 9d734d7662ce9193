// The Intl object, as far as it goes without the data of CLDR: the engine has none.
// https://tc39.es/ecma402/
//
// TODO(spec): there are only Intl.DateTimeFormat and Intl.NumberFormat, for the locale "en-US" and without most options. The
// time zones are UTC and that of the system.

const { dictionary, tag } = internal.webidl;
const dateSlot = agent.slot("Intl.DateTimeFormat");
const numberSlot = agent.slot("Intl.NumberFormat");
const LOCALE = "en-US";

// The requested locales, of which the language tags must be well-formed: https://tc39.es/ecma402/#sec-canonicalizelocalelist
function canonicalizeLocaleList(locales) {
  const list = locales === undefined ? [] : typeof locales === "string" ? [locales] : [...locales];
  const bad = list.find((it) => !/^[a-z]{2,8}(-[a-z0-9]{1,8})*$/i.test(it));
  if (bad !== undefined) throw new RangeError(`Incorrect locale information provided: ${bad}`);
  return list;
}

const supportedLocalesOf = (locales) => canonicalizeLocaleList(locales).filter((it) => it === "en" || it === LOCALE);

// https://tc39.es/ecma402/#sec-intl.datetimeformat
function initializeDateTimeFormat(format, locales, options) {
  canonicalizeLocaleList(locales);
  return dateSlot.set(format, { timeZone: timeZoneOf(dictionary(options, "options").timeZone) });
}
const dateMembers = {
  // A getter of a function that is bound to the object, as the standard wants.
  get format() {
    const state = dateSlot.get(this);
    return state.format ??= (date = undefined) => formatDate(state, date);
  },
  resolvedOptions() {
    const { timeZone } = dateSlot.get(this);
    return { locale: LOCALE, calendar: "gregory", numberingSystem: "latn", timeZone };
  },
};

function timeZoneOf(given) {
  const system = native.timeZone();
  if (given === undefined) return system;
  const found = ["UTC", system].find((it) => it.toLowerCase() === `${given}`.toLowerCase());
  if (found === undefined) throw new RangeError(`Invalid time zone specified: ${given}`);
  return found;
}

function formatDate({ timeZone }, given) {
  const date = new Date(given === undefined ? Date.now() : given);
  if (Number.isNaN(+date)) throw new RangeError("Invalid time value");
  const [year, month, day] = timeZone === "UTC" ? [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()]
    : [date.getFullYear(), date.getMonth(), date.getDate()];
  return `${month + 1}/${day}/${year}`;
}

// https://tc39.es/ecma402/#sec-intl.numberformat
function initializeNumberFormat(format, locales, options) {
  canonicalizeLocaleList(locales);
  const { minimumFractionDigits = 0, maximumFractionDigits } = dictionary(options, "options");
  const maximum = Number(maximumFractionDigits ?? Math.max(3, minimumFractionDigits));
  const minimum = Number(minimumFractionDigits);
  const isValid = Number.isInteger(minimum) && Number.isInteger(maximum) && minimum >= 0 && minimum <= maximum && maximum <= 100;
  if (!isValid) throw new RangeError("The number of fraction digits is out of range.");
  return numberSlot.set(format, { minimum, maximum });
}
const numberMembers = {
  get format() {
    const state = numberSlot.get(this);
    return state.format ??= (value) => formatNumber(state, Number(value));
  },
  resolvedOptions() {
    const { minimum, maximum } = numberSlot.get(this);
    return { locale: LOCALE, numberingSystem: "latn", style: "decimal", minimumIntegerDigits: 1,
      minimumFractionDigits: minimum, maximumFractionDigits: maximum };
  },
};

function formatNumber({ minimum, maximum }, value) {
  if (Number.isNaN(value)) return "NaN";
  const sign = value < 0 || Object.is(value, -0) ? "-" : "";
  if (!Number.isFinite(value)) return `${sign}∞`;
  const [integer, fraction = ""] = Math.abs(value).toFixed(maximum).split(".");
  const kept = fraction.replace(/0+$/, "").padEnd(minimum, "0");
  return `${sign}${integer.replace(/\B(?=(\d{3})+$)/g, ",")}${kept && `.${kept}`}`;
}

const Intl = {
  getCanonicalLocales(locales) { return canonicalizeLocaleList(locales); },
};
tag(Intl, "Intl");
// Both constructors can be called without `new`.
function define(name, members, initialize) {
  const Constructor = { [name]: function (locales = undefined, options = undefined) {
    return initialize(new.target === undefined ? Object.create(Constructor.prototype) : this, locales, options);
  } }[name];
  Constructor.supportedLocalesOf = (locales) => supportedLocalesOf(locales);
  Object.defineProperties(Constructor.prototype, Object.getOwnPropertyDescriptors(members));
  tag(Constructor.prototype, `Intl.${name}`);
  Object.defineProperty(Intl, name, { value: Constructor, writable: true, configurable: true });
}
define("DateTimeFormat", dateMembers, initializeDateTimeFormat);
define("NumberFormat", numberMembers, initializeNumberFormat);
Object.defineProperty(globalThis, "Intl", { value: Intl, writable: true, configurable: true });
