// The first view: how good, how fresh, stage by stage, and what became of the videos.

function overview() {
  const units = STAGES.flatMap((stage) => stage.units.map((unit) => ({ stage: stage.name, ...unit })));
  const stale = units.filter((unit) => unit.stale.length);
  return {
    title: "Overview",
    body: [
      title("Where every file came from, and where every video went"),
      el(
        "p",
        { class: "lead" },
        `${plural(VIDEOS.count, "video")} in ${plural(VIDEOS.parts.length, "part")}, ${plural(MODELS.length, "model")}. `,
        commitLine(),
      ),
      stale.length ? staleNotice(stale, units.length) : null,
      tiles(),
      section(
        "Stage by stage",
        el(
          "p",
          { class: "soft" },
          "Each stage reads what stands before it. A unit is fresh when its files are there and what made them is what would make them now.",
        ),
        graph(true),
        graph(false),
      ),
      section("What became of the videos", statusTable()),
      MODELS.length ? section("What the models did with them", rolesTable()) : null,
    ],
  };
}

function commitLine() {
  if (!DATA.commit) return null;
  const { sha, day, subject } = DATA.commit;
  return ["At commit ", code(sha.slice(0, 10)), ` of ${day}, `, el("q", {}, name(subject)), "."];
}

function staleNotice(stale, all) {
  const stages = new Map();
  for (const unit of stale) stages.set(unit.stage, [...(stages.get(unit.stage) ?? []), unit]);
  const line = ([stage, units]) => {
    const all = [...new Set(units.flatMap((unit) => unit.stale))];
    const some = all.slice(0, 6).map((reason, place) => [place ? "; " : null, why(reason)]);
    return el(
      "li",
      {},
      link(path("stage", stage), stage),
      ` (${plural(units.length, "unit")}): `,
      some,
      all.length > 6 ? "; …" : null,
    );
  };
  return el(
    "div",
    { class: "notice" },
    el(
      "p",
      {},
      el("strong", {}, `${count(stale.length)} of ${plural(all, "unit")} ${stale.length === 1 ? "is" : "are"} stale. `),
      "What is told here of their files is true, but the next run would make them anew.",
    ),
    more("Why", el("ul", {}, [...stages].map(line))),
  );
}

function tiles() {
  const sets = [
    ["test", "Test parts"],
    ["held_out", "Held-out fold"],
  ];
  const told = sets
    .filter(([key]) => DATA.figures[key])
    .map(([key, words]) => {
      const { log_loss, log_loss_low, log_loss_high, auc, scored, videos } = DATA.figures[key];
      const range =
        log_loss_low === null || log_loss_low === undefined
          ? null
          : ` (95% ${decimals(log_loss_low, 3)}–${decimals(log_loss_high, 3)})`;
      return [
        words,
        decimals(log_loss, 3),
        ["log loss", range, el("br"), `AUC ${decimals(auc, 3)}, ${count(scored)} of ${plural(videos, "video")} scored`],
      ];
    });
  const out = rowsWhere((row) => !USABLE.has(VIDEOS.status(row))).length;
  const crops = rowsWhere(() => true).reduce((sum, row) => sum + (VIDEOS.crops(row) ?? 0), 0);
  const all = [
    ["Videos", count(VIDEOS.count), out ? `${count(out)} left out, each with a reason` : "none left out"],
    ["Crops", count(crops), "faces cut out of them"],
    ...told,
  ];
  return el(
    "dl",
    { class: "tiles" },
    all.map(([term, figure, below]) =>
      el("div", {}, el("dt", {}, term), el("dd", {}, el("strong", {}, figure), el("span", {}, below))),
    ),
  );
}

function statusTable() {
  const totals = new Map();
  for (let row = 0; row < VIDEOS.count; row++) {
    const status = VIDEOS.status(row);
    if (!totals.has(status))
      totals.set(status, { status, stage: VIDEOS.stage(row), train: 0, test: 0, reasons: new Set() });
    const total = totals.get(status);
    total[VIDEOS.part(row).name.startsWith("test/") ? "test" : "train"] += 1;
    if (VIDEOS.reason(row) && total.reasons.size < 2) total.reasons.add(VIDEOS.reason(row));
  }
  const order = ({ status }) => (status === "ok" ? 0 : USABLE.has(status) ? 1 : 2);
  const rows = [...totals.values()].sort((a, b) => order(a) - order(b) || b.train + b.test - a.train - a.test);
  const example = ({ reasons: [one, other] }) => (one ? `${shown(one)}${other ? ", …" : ""}` : NONE);
  return table(
    "Videos by status",
    [
      {
        title: "Status",
        head: true,
        cell: ({ status }) => el("a", { class: "plain", href: query(["videos"], { status }) }, statusBadge(status)),
      },
      { title: "Train", number: true, cell: ({ train }) => count(train) },
      { title: "Test", number: true, cell: ({ test }) => count(test) },
      { title: "Told by", cell: ({ status, stage }) => (status === "ok" ? NONE : stage) },
      { title: "Reason", cell: example },
    ],
    rows,
  );
}

function rolesTable() {
  const train = rowsWhere((row) => VIDEOS.part(row).name.startsWith("train/"));
  const line = (model) => {
    const cell = (role) => {
      const rows = train.filter((row) => (model.role(row) ?? "none") === role);
      return rows.length ? link(query(["videos"], { seed: model.seed, role }), count(rows.length)) : "0";
    };
    return [modelLink(model), ...ROLES.map(cell), count(train.filter((row) => !model.role(row)).length)];
  };
  return grid("Train videos by role in each model", ["Model", ...ROLES, "not looked at"], MODELS.map(line), "numbers");
}
