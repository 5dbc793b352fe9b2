// Models: one beside the other, and each alone.

const FIGURES = [
  ["epoch", "Kept epochs"],
  ["val_figure", "Figure that chose it"],
  ["val_log_loss", "Validation log loss"],
  ["val_fake_log_loss", "… of fakes"],
  ["val_real_log_loss", "… of reals"],
  ["train_loss", "Training loss"],
];

const kept = (model) => model.selection.kept ?? [];
const epochs = (model) =>
  kept(model)
    .map(({ epoch }) => epoch)
    .join(", ");
const inRole = (model, role) => rowsWhere((row) => model.role(row) === role);
const modelLink = (model, ...children) =>
  link(path("model", model.seed), ...(children.length ? children : [model.seed]));

function modelsView(chosen) {
  const several = MODELS.length > 1;
  return {
    title: "Models",
    body: [
      title("Models"),
      MODELS.length
        ? el("div", { class: "cards" }, MODELS.map(modelCard))
        : el("p", { class: "empty" }, "No model is here."),
      several ? section("Side by side", figuresTable()) : null,
      several ? section("What differs between two seeds", comparison(chosen)) : null,
    ],
  };
}

function modelCard(model) {
  return el(
    "section",
    { class: "card" },
    el(
      "h3",
      {},
      modelLink(model, `Model ${model.seed}`),
      " ",
      badge(unitOf("models", model.seed).stale.length ? "stale" : "fresh"),
    ),
    curves(model, true),
    el(
      "p",
      { class: "soft" },
      `Trained on ${plural(inRole(model, "trained").length, "video")}, validated on ${count(inRole(model, "validated").length)}`,
    ),
  );
}

function figuresTable() {
  const best = (key) => Math.min(...MODELS.map((model) => kept(model)[0]?.[key] ?? Infinity));
  const cell = (key) => (model) => {
    const figure = kept(model)[0]?.[key];
    if (key === "epoch") return epochs(model) || NONE;
    return given(figure) && figure === best(key)
      ? el("strong", {}, decimals(figure), hidden(", the lowest"))
      : decimals(figure);
  };
  const roles = ROLES.map((role) => [`Videos ${role}`, ...MODELS.map((model) => count(inRole(model, role).length))]);
  const figures = FIGURES.map(([key, words]) => [words, ...MODELS.map(cell(key))]);
  return grid("Figures by model", ["", ...MODELS.map((model) => modelLink(model))], [...figures, ...roles], "numbers");
}

function comparison(chosen) {
  const seeds = MODELS.map((model) => model.seed);
  const pair = ["a", "b"].map((key, place) => (seeds.includes(chosen.get(key)) ? chosen.get(key) : seeds[place]));
  const pick = (place) => {
    const change = (event) => {
      const [a, b] = pair.with(place, event.target.value);
      replace(query(["models"], { a, b }), event.target.id);
    };
    const options = seeds.map((seed) => el("option", { value: seed, selected: seed === pair[place] }, seed));
    return el(
      "div",
      { class: "field" },
      el("label", { for: `seed-${place}` }, place ? "and" : "Between"),
      el("select", { id: `seed-${place}`, change }, options),
    );
  };
  const [a, b] = pair.map(modelOf);
  return [
    el("div", { class: "filters", role: "group", "aria-label": "Seeds" }, pick(0), pick(1)),
    recipesApart(a, b),
    apart(
      "Roles",
      a,
      b,
      (model, row) => model.role(row),
      "every video has the same role in both",
      (role) => (role ? badge(role) : NONE),
    ),
    apart("Draws", a, b, (model, row) => model.draws(row) ?? 0, "every video was drawn equally often", count),
    SUBMISSION.size
      ? apart(
          "Scores",
          a,
          b,
          (model, row) => SUBMISSION.get(row)?.models.get(model.seed) ?? NaN,
          "every video has the same score",
          decimals,
        )
      : null,
  ];
}

/** The videos that two models differ over in one respect, the furthest apart first. */
function apart(what, a, b, of, same, cell) {
  const distance = (row) => Math.abs(of(a, row) - of(b, row)) || 0; // of roles: all alike
  const rows = rowsWhere((row) => !Object.is(of(a, row), of(b, row))).sort(
    (one, other) => distance(other) - distance(one) || one - other,
  );
  if (!rows.length) return el("p", {}, el("strong", {}, `${what}: `), `${same}.`);
  const number = what !== "Roles";
  const columns = [a, b].map((model) => ({
    title: `${what} in ${model.seed}`,
    number,
    cell: (row) => cell(of(model, row)),
    key: (row) => of(model, row) ?? "",
  }));
  const summary = `${what}: ${plural(rows.length, "video")} ${rows.length === 1 ? "differs" : "differ"}`;
  return more(summary, table(`${what} of ${a.seed} and ${b.seed}`, [NAME, PART, LABEL, ...columns], rows));
}

function recipesApart(a, b) {
  const { recipes } = stageOf("models");
  const [first, second] = [a, b].map((model) => recipes[unitOf("models", model.seed).recipe]);
  if (first === second)
    return el(
      "p",
      {},
      el("strong", {}, "Recipe: "),
      "the same parameters, modules and packages; the seed alone differs.",
    );
  const rows = ["params", "code", "environment"].flatMap((kind) => {
    const [one, other] = [first, second].map((recipe) => new Map(recipe[kind]));
    const keys = [...new Set([...one.keys(), ...other.keys()])].filter(
      (key) => value(one.get(key)) !== value(other.get(key)),
    );
    const cell = (set) => (set === undefined ? NONE : code(value(set)));
    return keys.map((key) => [code(key), cell(one.get(key)), cell(other.get(key))]);
  });
  return grid("What made them", ["Recipe", a.seed, b.seed], rows);
}

function modelView(model, filters) {
  const unit = unitOf("models", model.seed);
  return {
    title: `Model ${model.seed}`,
    body: [
      el("p", { class: "trail" }, link(path("models"), "Models")),
      title(`Model ${model.seed}`),
      el("p", { class: "lead" }, modelLine(model)),
      unit.stale.length ? el("div", { class: "notice" }, el("strong", {}, "Stale"), reasons(unit.stale)) : null,
      section("Epochs", curves(model, false), kept(model).length ? keptTable(model) : null),
      section("Fold by fold", foldTable(model)),
      section("Its videos", roleList(model, filters.get("role"))),
      unit.recipe === null ? null : section("What made it", recipeTables(stageOf("models").recipes[unit.recipe])),
      section("Files", unitTable([{ stage: "models", ...unit }], false)),
    ],
  };
}

function keptTable(model) {
  const figure = ([key, title]) => ({ title, number: true, cell: (one) => decimals(one[key]) });
  const columns = [
    { title: "Kept", head: true, cell: ({ epoch }) => `epoch ${epoch}` },
    ...FIGURES.slice(1).map(figure),
    { title: "Weights", cell: ({ file }) => code(file) },
  ];
  return table("Kept epochs, the best first", columns, kept(model));
}

function modelLine(model) {
  const { rule, holdout_fold: fold, epochs, device, kept = [] } = model.selection;
  const trained = inRole(model, "trained");
  const fakes = trained.filter((row) => VIDEOS.label(row) === 1).length;
  const best = kept.map((one) => String(one.epoch));
  const told = [
    `Trained on ${plural(trained.length, "video")}, ${count(trained.length - fakes)} real and ${count(fakes)} fake`,
    given(epochs) ? `${plural(epochs, "epoch")} on ${device}` : null,
    given(fold) ? `fold ${fold} held out` : null,
  ];
  const choice = best.length ? ` ${best.length === 1 ? "Epoch" : "Epochs"} ${listed(best)} kept: ${rule}.` : "";
  return shown(`${told.filter(Boolean).join("; ")}.${choice}`);
}

function foldTable(model) {
  const totals = new Map();
  for (const row of rowsWhere((one) => model.role(one))) {
    const what = [model.fold(row), model.role(row), model.reason(row)];
    const key = JSON.stringify(what);
    if (!totals.has(key)) totals.set(key, { what, sums: [0, 0, 0, 0] });
    const { sums } = totals.get(key);
    sums[VIDEOS.label(row) === 1 ? 1 : 0] += 1;
    sums[2] += model.used(row);
    sums[3] += model.draws(row);
  }
  const number = (title, place) => ({ title, number: true, cell: ({ sums }) => count(sums[place]) });
  const href = (fold, role) => query(["videos"], { fold, seed: model.seed, role });
  const columns = [
    { title: "Fold", head: true, cell: ({ what: [fold, role] }) => link(href(fold, role), `fold ${fold}`) },
    {
      title: "Role",
      cell: ({ what: [, role, reason] }) => [badge(role), el("span", { class: "soft" }, ` ${shown(reason)}`)],
    },
    ...["Real", "Fake", "Crops used", "Times drawn"].map(number),
  ];
  const order = ({ what: [fold, role] }) => [fold, ROLES.indexOf(role)];
  const rows = [...totals.values()].sort((a, b) => order(a)[0] - order(b)[0] || order(a)[1] - order(b)[1]);
  return table("What it did with each fold", columns, rows);
}

function roleList(model, asked) {
  const role = ROLES.includes(asked) ? asked : ROLES[0];
  const tab = (one) => {
    const go = (event) => {
      event.preventDefault();
      replace(query(["model", model.seed], { role: one }), `role-${one}`);
    };
    const href = query(["model", model.seed], { role: one });
    return el(
      "a",
      { id: `role-${one}`, href, "aria-current": one === role ? "true" : null, click: go },
      `${one} (${count(inRole(model, one).length)})`,
    );
  };
  const rows = inRole(model, role);
  const gone = model.gone
    ? `${plural(model.gone, "video")} that it knew of ${model.gone === 1 ? "is" : "are"} in no index any more.`
    : null;
  const extra = {
    trained: [drawsIn(model)],
    validated: [],
    unused: [{ title: "Why", cell: (row) => shown(model.reason(row)) }],
  }[role];
  return [
    el("div", { class: "tabs", role: "group", "aria-label": "Role" }, ROLES.map(tab)),
    gone ? el("p", { class: "notice" }, gone) : null,
    rows.length
      ? videoTable(`Videos ${role} in ${model.seed}`, rows, extra)
      : el("p", { class: "empty" }, `No video is ${role}.`),
  ];
}
