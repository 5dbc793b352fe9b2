// A training's epochs as lines, and as a table for whoever can't see them.

// The dashes say the same as the colours.
const LINES = [
  ["val_figure", "figure that chooses", "figure"],
  ["val_fake_log_loss", "validation, fakes", "fake"],
  ["val_real_log_loss", "validation, reals", "real"],
  ["train_loss", "training loss", "train"],
];

function curves(model, small) {
  const { columns, rows } = model.history;
  const lines = LINES.filter(([key]) => columns.includes(key)).slice(0, small ? 1 : undefined);
  const column = (key) => rows.map((row) => row[columns.indexOf(key)]);
  const epochs = column("epoch");
  const values = lines.flatMap(([key]) => column(key)).filter((one) => one !== null);
  if (!values.length) return el("p", { class: "soft" }, "Its history is not here.");
  const area = small
    ? { width: 240, height: 56, left: 4, right: 6, top: 6, bottom: 4 }
    : { width: 720, height: 280, left: 44, right: 12, top: 12, bottom: 30 };
  const top = Math.max(...values) || 1;
  const x = (epoch) =>
    area.left +
    ((epoch - epochs[0]) / Math.max(1, epochs[epochs.length - 1] - epochs[0])) * (area.width - area.left - area.right);
  const y = (one) => area.top + (1 - one / top) * (area.height - area.top - area.bottom);
  const chosen = kept(model).map((one) => one.epoch);
  const words = `Figure that chooses by epoch${chosen.length ? `, epoch ${listed(chosen.map(String))} kept` : ""}`;
  const drawing = svg("svg", {
    class: small ? "curves small" : "curves",
    viewBox: `0 0 ${area.width} ${area.height}`,
    role: "img",
    "aria-label": words,
  });
  if (!small) axes(drawing, area, epochs, top, x, y);
  for (const [key, , kind] of lines.toReversed())
    drawing.append(svg("path", { class: `line ${kind}`, d: trace(epochs, column(key), x, y) }));
  const figure = column("val_figure");
  for (const epoch of chosen) {
    const one = figure[epochs.indexOf(epoch)];
    if (one !== null && one !== undefined)
      drawing.append(svg("circle", { class: "kept", cx: x(epoch), cy: y(one), r: small ? 4 : 5.5 }));
  }
  return small ? drawing : el("figure", {}, drawing, legend(lines), more("As a table", historyTable(model)));
}

/** A line through the values; it breaks where there is none. */
function trace(epochs, values, x, y) {
  const pen = (place) => (place && values[place - 1] !== null ? "L" : "M");
  return epochs
    .map((epoch, place) =>
      values[place] === null ? "" : `${pen(place)}${x(epoch).toFixed(1)} ${y(values[place]).toFixed(1)}`,
    )
    .join("");
}

function axes(drawing, area, epochs, top, x, y) {
  const right = area.width - area.right;
  const step = [0.05, 0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10].find((one) => top / one <= 6) ?? top / 5;
  for (let one = 0; one <= top; one += step)
    drawing.append(
      svg("line", { class: "rule", x1: area.left, x2: right, y1: y(one), y2: y(one) }),
      svg(
        "text",
        { class: "tick", x: area.left - 8, y: y(one) + 4, "text-anchor": "end" },
        one.toFixed(step < 0.1 || step === 0.25 ? 2 : 1),
      ),
    );
  const every = Math.ceil(epochs.length / 10);
  for (const epoch of epochs.filter((_, place) => place % every === 0))
    drawing.append(
      svg("text", { class: "tick", x: x(epoch), y: area.height - 8, "text-anchor": "middle" }, String(epoch)),
    );
}

function legend(lines) {
  const sample = (kind) =>
    svg(
      "svg",
      { class: "curves sample", viewBox: "0 0 28 8", "aria-hidden": "true" },
      svg("path", { class: `line ${kind}`, d: "M1 4H27" }),
    );
  const dot = svg(
    "svg",
    { class: "curves sample", viewBox: "0 0 28 8", "aria-hidden": "true" },
    svg("circle", { class: "kept", cx: 14, cy: 4, r: 4 }),
  );
  return el(
    "ul",
    { class: "legend" },
    lines.map(([, words, kind]) => el("li", {}, sample(kind), words)),
    el("li", {}, dot, "kept"),
  );
}

function historyTable(model) {
  const { columns, rows } = model.history;
  const cells = (row) =>
    row.map((one, place) =>
      one === null
        ? "–"
        : Number.isInteger(one)
          ? String(one)
          : place === columns.indexOf("lr")
            ? one.toPrecision(4)
            : decimals(one),
    );
  return grid(
    "Epochs",
    columns.map((key) => key.replaceAll("_", " ")),
    rows.map(cells),
    "numbers",
  );
}
