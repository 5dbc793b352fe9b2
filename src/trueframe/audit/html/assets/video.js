// One video: what became of it, what each model did with it, and which files hold something of it.

function videoView(row) {
  const part = VIDEOS.part(row).name;
  const face = (FACES.get(part) ?? []).find((one) => one.row === row);
  const fakes = VIDEOS.fakes(row);
  return {
    title: shown(VIDEOS.name(row)),
    body: [
      el("p", { class: "trail" }, link(path("videos"), "Videos"), " / ", partLink(part)),
      el(
        "div",
        { class: "head" },
        face ? picture(face) : null,
        el(
          "div",
          {},
          title(name(VIDEOS.name(row))),
          el("p", { class: "marks" }, labelBadge(row), statusBadge(VIDEOS.status(row))),
        ),
      ),
      el("p", { class: "lead" }, story(row, fakes)),
      definition(facts(row)),
      MODELS.length ? section("In each model", modelTable(row)) : null,
      fakes.length ? section("Fakes made from it", videoTable("Fakes made from it", fakes)) : null,
      section("Where it went", unitTable(unitsOf(row), true)),
    ],
  };
}

/** The video's way in a sentence or two. */
function story(row, fakes) {
  const by = (role) => MODELS.filter((model) => model.role(row) === role).map((model) => model.seed);
  const whom = (seeds) =>
    seeds.length === MODELS.length ? `every model` : `${seeds.length === 1 ? "model" : "models"} ${listed(seeds)}`;
  const roles = [
    ["trained", "trained"],
    ["validated", "validated"],
    ["unused", "left unused by"],
  ]
    .filter(([role]) => by(role).length)
    .map(([role, words]) => (role === "unused" ? `was ${words} ${whom(by(role))}` : `${words} ${whom(by(role))}`));
  const score = scoreOf(row);
  const told = [
    USABLE.has(VIDEOS.status(row)) ? null : "It was left out, and no model saw a face of it.",
    roles.length ? `It ${listed(roles)}.` : null,
    given(score) ? `The submission has it at ${decimals(score)}.` : null,
    fakes.length ? `${plural(fakes.length, "fake was", "fakes were")} made from it.` : null,
  ];
  return told.filter(Boolean).join(" ");
}

function facts(row) {
  const submitted = SUBMISSION.get(row);
  const score = submitted && (given(submitted.score) ? `${submitted.score}: ` : "no score: ");
  const fold = VIDEOS.fold(row);
  const reason = VIDEOS.reason(row) ? `: ${shown(VIDEOS.reason(row))}` : "";
  return [
    ["SHA-256", digest(VIDEOS.sha256(row))],
    ["Status", `${shown(spaced(VIDEOS.status(row)))}, told by ${VIDEOS.stage(row)}${reason}`],
    original(row),
    ["File", `${bytes(VIDEOS.size(row))}, ${plural(VIDEOS.frames(row), "frame")}`],
    ["Crops", given(VIDEOS.crops(row)) ? count(VIDEOS.crops(row)) : "not here"],
    VIDEOS.part(row).name.startsWith("train/")
      ? ["Fold", fold === null ? "in none" : link(path("folds"), `fold ${fold}`)]
      : null,
    submitted ? ["Submission", score, shown(submitted.reason)] : null,
  ];
}

function original(row) {
  const [known, missing] = [VIDEOS.original(row), VIDEOS.missingOriginal(row)];
  if (known !== null) return ["Made from", videoLink(known)];
  return missing === null ? null : ["Made from", name(missing), ", which is not in its part"];
}

function modelTable(row) {
  const scores = SUBMISSION.get(row)?.models;
  const test = VIDEOS.part(row).name.startsWith("test/");
  const model = { title: "Model", head: true, cell: (one) => modelLink(one) };
  const role = { title: "Role", cell: (one) => roleCell(one, row, scores) };
  const columns = test
    ? [{ title: "Score", number: true, cell: (one) => decimals(scores?.get(one.seed)) }]
    : [
        { title: "Fold", number: true, cell: (one) => whole(one.fold(row)) },
        { title: "Crops used", number: true, cell: (one) => whole(one.used(row)) },
        { title: "Times drawn", number: true, cell: (one) => whole(one.draws(row)) },
      ];
  return table("What each model did with it", [model, role, ...columns], MODELS);
}

function roleCell(model, row, scores) {
  if (model.role(row))
    return [
      badge(model.role(row)),
      model.reason(row) ? el("span", { class: "soft" }, ` ${shown(model.reason(row))}`) : null,
    ];
  return given(scores?.get(model.seed)) ? badge("scored") : badge("absent", "not looked at");
}

/** The units whose files have a row, a crop or a score of a video, or weights that it had a part in. */
function unitsOf(row) {
  const part = VIDEOS.part(row).name;
  const holds = (stage, unit) => {
    if (stage === "submission") return SUBMISSION.has(row);
    if (stage === "models") return given(modelOf(unit)?.role(row));
    if (stage === "folds") return VIDEOS.fold(row) !== null;
    if (stage === "predictions") return VIDEOS.crops(row) > 0 && unit.endsWith(`/${part}`);
    if (stage === "landmarks") return VIDEOS.crops(row) > 0 && unit === part && VIDEOS.label(row) === 0;
    if (stage === "masks") return VIDEOS.crops(row) > 0 && unit === part && VIDEOS.original(row) !== null;
    return unit === part;
  };
  return STAGES.flatMap((stage) =>
    stage.units.filter(({ unit }) => holds(stage.name, unit)).map((unit) => ({ stage: stage.name, ...unit })),
  );
}
