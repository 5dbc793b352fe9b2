// The fold map: how many real and fake videos of each part are in which fold.

// With more columns, a cell has the sum alone, and its bar the shares.
const SPELLED = 6;

function foldsView() {
  const train = VIDEOS.parts.filter((part) => part.name.startsWith("train/"));
  const rows = train.map((part) => [part, dealt(rowsOf(part))]);
  const all = dealt(train.flatMap(rowsOf));
  const folds = [...FOLDS, ...(all.has(null) ? [null] : [])];
  const largest = (several) =>
    Math.max(...several.flatMap((one) => [...one.values()].map((sums) => sums[0] + sums[1] + sums[2])));
  const narrow = folds.length > SPELLED;
  const most = largest(rows.map(([, sums]) => sums));
  const line = (heading, part, sums, scale) => [
    heading,
    ...folds.map((fold) => foldCell(part, fold, sums.get(fold), { most: scale, narrow })),
  ];
  const body = rows.map(([part, sums]) => line(partLink(part.name), part.name, sums, most));
  const words =
    "A fake is in the fold of its original, so that no model is judged by a face that it was trained on. The bars:";
  return {
    title: "Folds",
    body: [
      title("Folds"),
      el("p", { class: "lead" }, FOLDS.length ? [words, " ", badge("real"), " ", badge("fake")] : "No folds are here."),
      FOLDS.length
        ? grid(
            "Real and fake videos by part and fold",
            ["Part", ...folds.map(foldHeading)],
            [...body, line("All parts", "", all, largest([all]))],
            narrow ? "map narrow" : "map",
          )
        : null,
    ],
  };
}

/** Fold to its videos' numbers: real, fake, with no label. */
function dealt(rows) {
  const sums = new Map();
  for (const row of rows) {
    const fold = VIDEOS.fold(row);
    if (!sums.has(fold)) sums.set(fold, [0, 0, 0]);
    sums.get(fold)[VIDEOS.label(row) ?? 2] += 1;
  }
  return sums;
}

function foldHeading(fold) {
  if (fold === null) return ["in none", el("span", {}, "no crops or label")];
  const seeds = MODELS.filter((model) => model.selection.holdout_fold === fold).map((model) => model.seed);
  const whom = seeds.length && seeds.length === MODELS.length ? "every model" : listed(seeds);
  return [`fold ${fold}`, el("span", {}, whom ? `held out by ${whom}` : null)];
}

function foldCell(part, fold, sums, { most, narrow }) {
  if (!sums) return el("span", { class: "soft" }, "·", hidden("none"));
  const told = ["real", "fake", "no label"].map((word, place) => [sums[place], word]).filter(([number]) => number);
  const words = told.map(([number, word]) => `${count(number)} ${word}`).join(" · ");
  const bar = svg("svg", {
    class: "amounts",
    viewBox: "0 0 100 6",
    preserveAspectRatio: "none",
    "aria-hidden": "true",
  });
  let from = 0;
  for (const [number, word] of told) {
    const width = (100 * number) / most;
    bar.append(svg("rect", { class: word === "no label" ? "unknown" : word, x: from, y: 0, width, height: 6 }));
    from += width;
  }
  // No filter tells the train parts' videos without a fold from the test parts'.
  const href = part || fold !== null ? query(["videos"], { part, fold: fold ?? "none" }) : null;
  const total = count(told.reduce((sum, [number]) => sum + number, 0));
  return el(
    "a",
    { class: "fold", href, title: narrow && words },
    el("span", {}, narrow ? [total, hidden(`: ${words}`)] : words),
    bar,
  );
}
