// A stage: its units, and what made them.

function stageView(stage) {
  const readers = STAGES.filter((other) => other.reads.includes(stage.name)).map((other) => other.name);
  const one = (word) => (word === RAW ? link(path("parts"), RAW) : link(path("stage", word), word));
  const links = (words) => (words.length ? words.map((word, place) => [place ? ", " : null, one(word)]) : "nothing");
  const about = stage.about.charAt(0).toUpperCase() + stage.about.slice(1);
  return {
    title: stage.name,
    body: [
      el("p", { class: "trail" }, link(path(), "Overview")),
      title(stage.name),
      el("p", { class: "lead" }, shown(about)),
      definition([
        ["Reads", links([...(stage.raw ? [RAW] : []), ...stage.reads])],
        ["Read by", links(readers)],
      ]),
      section(
        "Units",
        unitTable(
          stage.units.map((unit) => ({ stage: stage.name, ...unit })),
          false,
        ),
      ),
      stage.recipes.map((recipe, number) => section(recipeHeading(stage, number), recipeTables(recipe))),
    ],
  };
}

function unitTable(units, withStage) {
  const file = ([place, sha256, size]) =>
    el("li", {}, code(place), el("span", { class: "soft" }, ` ${bytes(size)} `), digest(sha256));
  const state = (stale) => [badge(stale.length ? "stale" : "fresh"), reasons(stale)];
  return table(
    "Units and their files",
    [
      ...(withStage ? [{ title: "Stage", head: true, cell: ({ stage }) => link(path("stage", stage), stage) }] : []),
      { title: "Unit", head: !withStage, cell: ({ stage, unit }) => unitLink(stage, unit) },
      { title: "State", cell: ({ stale }) => state(stale) },
      { title: "Files", cell: ({ files }) => (files.length ? el("ul", { class: "files" }, files.map(file)) : NONE) },
    ],
    units,
  );
}

const reasons = (stale) =>
  stale.length
    ? el(
        "ul",
        { class: "why" },
        stale.map((reason) => el("li", {}, why(reason))),
      )
    : null;

function recipeHeading(stage, number) {
  if (stage.recipes.length === 1) return "What made them";
  const mine = stage.units.filter((unit) => unit.recipe === number).map((unit) => shown(unit.unit));
  return `What made ${mine.length > 3 ? `${mine.slice(0, 2).join(", ")} and ${count(mine.length - 2)} others` : listed(mine)}`;
}

function recipeTables({ params, code: modules, environment, code_commit, lock_commit }) {
  const held = (commit) => {
    if (!commit) return "which no commit here holds";
    const [sha, day, subject] = commit;
    return ["as in commit ", code(sha.slice(0, 10)), day ? [` and since ${day}, `, el("q", {}, name(subject))] : null];
  };
  return [
    definition([
      ["Code", `${plural(modules.length, "module")}, `, held(code_commit)],
      ["Packages", "a lock, ", held(lock_commit)],
      ...environment.map(([key, text]) => [key, code(text)]),
    ]),
    more(
      `Parameters (${count(params.length)})`,
      grid(
        "Parameters",
        ["Parameter", "Value"],
        params.map(([key, set]) => [code(key), code(value(set))]),
      ),
    ),
    more(
      `Modules (${count(modules.length)})`,
      grid(
        "Modules",
        ["Module", "SHA-256 of its code, comments left out"],
        modules.map(([file, sha256]) => [code(file), digest(sha256.replace("sha256:", ""))]),
      ),
    ),
  ];
}
