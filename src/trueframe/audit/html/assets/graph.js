// The graph of the stages, drawn twice: left to right for a wide window, top to bottom for a narrow one.

const RAW = "raw videos";
const BOX = { width: 120, height: 84, inset: 12, bar: 4 };

function graph(across) {
  const reads = new Map([
    [RAW, []],
    ...STAGES.map(({ name, raw, reads }) => [name, [...(raw ? [RAW] : []), ...reads]]),
  ]);
  const { places, width, height } = layout(reads, across);
  const boxes = new Map([...reads.keys()].map((stage) => [stage, box(stage, places.get(stage))]));
  const edges = [...reads].flatMap(([stage, above]) =>
    above.filter((source) => !roundabout(reads, source, stage)).map((source) => edge(places, source, stage, across)),
  );
  for (const [stage, own] of boxes) {
    const near = [...boxes].filter(([other]) => reads.get(stage).includes(other) || reads.get(other).includes(stage));
    const light = (on) => () => near.forEach(([, other]) => other.classList.toggle("near", on));
    for (const [event, on] of [
      ["mouseenter", true],
      ["focus", true],
      ["mouseleave", false],
      ["blur", false],
    ])
      own.addEventListener(event, light(on));
  }
  const viewBox = `-2 -2 ${width + 4} ${height + 4}`;
  const kind = `graph ${across ? "across" : "down"}`;
  return svg("svg", { class: kind, viewBox, role: "group", "aria-label": "Stages" }, edges, ...boxes.values());
}

/** Where each stage's box lies: a row for all that are equally many steps from the raw videos. */
function layout(reads, across) {
  const rows = [];
  for (const [stage, rank] of ranks(reads)) (rows[rank] ??= []).push(stage);
  const gap = across ? { along: 22, beside: 16 } : { along: 26, beside: 12 };
  const [along, beside] = across ? [BOX.width, BOX.height] : [BOX.height, BOX.width];
  const span = (row) => row.length * (beside + gap.beside) - gap.beside;
  const [length, breadth] = [rows.length * (along + gap.along) - gap.along, Math.max(...rows.map(span))];
  const places = new Map();
  rows.forEach((row, rank) =>
    row.forEach((stage, number) => {
      const place = [rank * (along + gap.along), (breadth - span(row)) / 2 + number * (beside + gap.beside)];
      const [x, y] = across ? place : place.toReversed();
      places.set(stage, { x, y });
    }),
  );
  return { places, width: across ? length : breadth, height: across ? breadth : length };
}

/** Stage to how many steps it is from the raw videos, at most. */
function ranks(reads) {
  const found = new Map();
  const rank = (stage) => {
    if (!found.has(stage)) found.set(stage, Math.max(-1, ...reads.get(stage).map(rank)) + 1);
    return found.get(stage);
  };
  for (const stage of reads.keys()) rank(stage);
  return found;
}

/** Whether a stage comes from another one by way of a third too; then the drawing has that way alone. */
function roundabout(reads, from, to) {
  const above = (stage) => reads.get(stage).some((source) => source === from || above(source));
  return reads.get(to).some((source) => source !== from && above(source));
}

function edge(places, source, stage, across) {
  const [from, to] = [places.get(source), places.get(stage)];
  const middle = { x: BOX.width / 2, y: BOX.height / 2 };
  const start = across ? [from.x + BOX.width, from.y + middle.y] : [from.x + middle.x, from.y + BOX.height];
  const end = across ? [to.x, to.y + middle.y] : [to.x + middle.x, to.y];
  const bend = (across ? end[0] - start[0] : end[1] - start[1]) / 2;
  const hold = ([x, y], by) => (across ? [x + by, y] : [x, y + by]);
  return svg("path", { class: "edge", d: `M${start} C${hold(start, bend)} ${hold(end, -bend)} ${end}` });
}

function box(stage, { x, y }) {
  const { href, lines, stale } = stage === RAW ? rawBox() : stageBox(stageOf(stage));
  const text = (line, place) => svg("text", { x: BOX.inset, y: 42 + 17 * place }, line);
  return svg(
    "a",
    { href, transform: `translate(${x} ${y})`, "aria-label": `${stage}: ${lines.join(", ")}` },
    svg("rect", { class: "box", width: BOX.width, height: BOX.height, rx: 8 }),
    svg("text", { class: "stage", x: BOX.inset, y: 24 }, stage),
    lines.map(text),
    given(stale) ? [bar("fresh", 0, 1 - stale), bar("stale", 1 - stale, stale)] : null,
  );
}

/** The part of a box's bar from a share of its length on. */
function bar(kind, from, share) {
  const full = BOX.width - 2 * BOX.inset;
  const [x, y] = [BOX.inset + from * full, BOX.height - BOX.inset - BOX.bar / 2];
  return share ? svg("rect", { class: kind, x, y, width: share * full, height: BOX.bar, rx: BOX.bar / 2 }) : null;
}

const rawBox = () => ({
  href: path("parts"),
  lines: [plural(VIDEOS.count, "video"), plural(VIDEOS.parts.length, "part")],
});

/** A number that fits into a box. */
const brief = (number) =>
  number < 1e6 ? count(number) : number.toLocaleString("en", { notation: "compact", maximumSignificantDigits: 3 });

function stageBox({ name: stage, units, counted }) {
  const stale = units.filter((unit) => unit.stale.length).length;
  const items = units.reduce((sum, unit) => sum + (unit.items ?? 0), 0);
  const all = plural(units.length, "unit");
  const state =
    stale === 0 ? `${all}, fresh` : stale === units.length ? `${all}, stale` : `${count(stale)} of ${all} stale`;
  const lines = [`${brief(items)} ${items === 1 ? counted[0] : counted[1]}`, state];
  return { href: path("stage", stage), lines, stale: units.length ? stale / units.length : null };
}
