// From values to text and elements. Every text goes in as text: there is no way for markup into this page.

// Letters, signs and the plain space are shown as they are; what could hide or turn round a name is shown as an escape.
const UNSEEN = /[\p{C}\p{Z}]/gu;

function shown(text) {
  return String(text).replace(UNSEEN, (sign) => {
    const code = sign.codePointAt(0);
    if (sign === " ") return sign;
    if (code < 0x100) return "\\x" + code.toString(16).padStart(2, "0");
    return code < 0x10000 ? "\\u" + code.toString(16).padStart(4, "0") : "\\U" + code.toString(16).padStart(8, "0");
  });
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

/** An HTML element; an attribute whose value is a function is a listener. */
const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
/** An SVG element. */
const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

const name = (text) => el("bdi", { class: "name" }, shown(text));
const digest = (sha256) => el("code", { class: "digest" }, sha256);
const code = (text) => el("code", {}, shown(text));
const hidden = (text) => el("span", { class: "hidden" }, text);
const title = (text) => el("h1", { tabindex: "-1" }, text);

const count = (number) => number.toLocaleString("en");
const plural = (number, one, several = one + "s") => `${count(number)} ${number === 1 ? one : several}`;
// What stands where there is no value; on a phone it is left out.
const NONE = "–";
const given = (number) => number !== null && number !== undefined && !Number.isNaN(number);
const whole = (number) => (given(number) ? count(number) : NONE);
const decimals = (number, digits = 4) => (given(number) ? number.toFixed(digits) : NONE);
const listed = (words) =>
  words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;

function bytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  for (; number >= 1000 && step < units.length - 1; step++) number /= 1000;
  return `${step && number < 100 ? number.toPrecision(number < 10 ? 2 : 3) : Math.round(number)} ${units[step]}`;
}

/** A parameter's value as params.yaml would have it. */
const value = (given) => (typeof given === "string" ? given : JSON.stringify(given));

/** The address of a view within this page. */
const path = (...steps) => "#/" + steps.map(encodeURIComponent).join("/");
/** The same with filters; those without a value are left out. */
const query = (steps, filters) => {
  const words = new URLSearchParams(Object.entries(filters).filter(([, text]) => given(text) && text !== ""));
  return path(...steps) + (words.size ? `?${words}` : "");
};
const videoPath = (row) => path("video", ...VIDEOS.part(row).name.split("/"), VIDEOS.name(row));
const partPath = (part) => path("part", ...part.split("/"));

const link = (href, ...children) => el("a", { href }, ...children);
const videoLink = (row) => link(videoPath(row), name(VIDEOS.name(row)));
const partLink = (part) => link(partPath(part), name(part));
/** A unit with a link to its model or part, where this page has one. */
function unitLink(stage, unit) {
  const part = unit.replace(/^\d+\//, "");
  if (stage === "models" && modelOf(unit)) return link(path("model", unit), unit);
  return VIDEOS.parts.some((one) => one.name === part) ? link(partPath(part), name(unit)) : name(unit);
}

const LABELS = new Map([
  [0, "real"],
  [1, "fake"],
  [null, "no label"],
]);
/** A word with a mark of its own, so that its colour says nothing alone. */
const badge = (kind, text = kind) => el("span", { class: `badge ${kind}` }, text);
const labelBadge = (row) => badge(["real", "fake"][VIDEOS.label(row)] ?? "unknown", LABELS.get(VIDEOS.label(row)));
const USABLE = new Set(DATA.usable);
const spaced = (word) => word.replaceAll("_", " ");
const statusBadge = (status) =>
  badge(status === "ok" ? "ok" : USABLE.has(status) ? "partly" : "out", shown(spaced(status)));
const WHY = new Map([
  ["params", (what) => ["the parameter ", code(what), " is another now"]],
  ["code", (what) => ["the module ", code(what), " is another now"]],
  ["input", (what) => ["its input ", code(what), " is another now"]],
  ["output", (what) => ["its file ", code(what), " is missing or has another size"]],
  ["upstream", (what) => [code(what), " above it is stale"]],
  ["no_record", () => ["it has no record: it was never made, or not to the end"]],
  ["gone", () => ["its part or seed is no longer there"]],
]);
/** Why a unit is stale, in words. */
function why(reason) {
  const [kind, ...what] = reason.split(".");
  return WHY.has(kind) ? WHY.get(kind)(what.join(".")) : [shown(reason)];
}

/** Says a change aloud to who can't see it. */
const tell = (text) => (document.getElementById("told").textContent = text);

const definition = (entries) =>
  el(
    "dl",
    { class: "facts" },
    entries.filter(Boolean).map(([term, ...told]) => el("div", {}, el("dt", {}, term), el("dd", {}, ...told))),
  );
const section = (heading, ...children) => el("section", {}, el("h2", {}, heading), ...children);
const more = (summary, ...children) => el("details", {}, el("summary", {}, summary), ...children);
