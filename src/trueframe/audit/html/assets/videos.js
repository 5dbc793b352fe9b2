// The list of videos and its filters.

/** The filters that an address may have. */
const FILTERS = ["q", "part", "label", "status", "fold", "seed", "role"];

let lowered = null;

/** What is true of a video that a word is meant for: its part and name have it, or its digest starts with it. */
function meant(word) {
  lowered ??= Array.from({ length: VIDEOS.count }, (_, row) =>
    `${VIDEOS.part(row).name}/${VIDEOS.name(row)}`.toLowerCase(),
  );
  const digest = /^[0-9a-f]{6,64}$/.test(word);
  return (row) => lowered[row].includes(word) || (digest && VIDEOS.sha256(row).startsWith(word));
}

/** Rows of the videos that all filters let through. */
function filtered(filters) {
  const { q, part, label, status, fold, seed, role } = Object.fromEntries(
    FILTERS.map((key) => [key, filters.get(key) ?? ""]),
  );
  const tests = [];
  if (part) tests.push((row) => VIDEOS.part(row).name === part);
  if (label) tests.push((row) => LABELS.get(VIDEOS.label(row)) === label);
  if (status) tests.push((row) => VIDEOS.status(row) === status);
  if (fold) tests.push((row) => String(VIDEOS.fold(row) ?? "none") === fold);
  if (role) tests.push((row) => (modelOf(seed)?.role(row) ?? "none") === role);
  tests.push(...q.trim().toLowerCase().split(/\s+/).filter(Boolean).map(meant));
  return rowsWhere((row) => tests.every((test) => test(row)));
}

const NAME = { title: "Video", head: true, cell: videoLink, key: VIDEOS.name };
const PART = { title: "Part", cell: (row) => partLink(VIDEOS.part(row).name), key: (row) => VIDEOS.part(row).name };
const LABEL = { title: "Label", cell: labelBadge, key: (row) => LABELS.get(VIDEOS.label(row)) };
const STATUS = { title: "Status", cell: (row) => statusBadge(VIDEOS.status(row)), key: VIDEOS.status };
const CROPS = { title: "Crops", number: true, cell: (row) => whole(VIDEOS.crops(row)), key: VIDEOS.crops };
const FOLD = { title: "Fold", number: true, cell: (row) => whole(VIDEOS.fold(row)), key: VIDEOS.fold };
const SCORE = { title: "Score", number: true, cell: (row) => decimals(scoreOf(row)), key: scoreOf };
const roleIn = (model) => ({
  title: "Role",
  cell: (row) => (model.role(row) ? badge(model.role(row)) : NONE),
  key: model.role,
});
const drawsIn = (model) => ({ title: "Draws", number: true, cell: (row) => whole(model.draws(row)), key: model.draws });

/** A list of videos. extra: further columns; a column that no row has a value for is left out. */
function videoTable(caption, rows, extra = []) {
  const folds = rows.some((row) => VIDEOS.fold(row) !== null) ? [FOLD] : [];
  const scores = rows.some((row) => SUBMISSION.has(row)) ? [SCORE] : [];
  return table(caption, [NAME, PART, LABEL, STATUS, CROPS, ...folds, ...extra, ...scores], rows);
}

function videosView(filters) {
  const rows = filtered(filters);
  const model = modelOf(filters.get("seed"));
  const words = filters.get("q");
  const clear = [...filters.values()].some(Boolean) ? [" · ", link(path("videos"), "clear")] : null;
  const found = `${plural(rows.length, "video")}${rows.length === VIDEOS.count ? "" : ` of ${count(VIDEOS.count)}`}`;
  return {
    title: "Videos",
    told: found,
    body: [
      title("Videos"),
      el("div", { class: "filters", role: "group", "aria-label": "Filters" }, choices(filters)),
      el("p", { class: "found" }, found, words ? [" for ", el("q", {}, name(words))] : null, clear),
      rows.length
        ? videoTable("Videos", rows, model ? [roleIn(model), drawsIn(model)] : [])
        : el("p", { class: "empty" }, "No video is like that."),
    ],
  };
}

function choices(filters) {
  const choice = (key, text, words) => {
    const change = (event) => {
      const next = new URLSearchParams(filters);
      next.set(key, event.target.value);
      if (!next.get("seed")) next.delete("role");
      replace(query(["videos"], Object.fromEntries(next)), event.target.id);
    };
    const options = [["", "any"], ...words].map(([word, told]) =>
      el("option", { value: word, selected: filters.get(key) === word }, shown(told ?? spaced(word))),
    );
    return el(
      "div",
      { class: "field" },
      el("label", { for: `by-${key}` }, text),
      el("select", { id: `by-${key}`, change }, options),
    );
  };
  const alike = (words) => words.map((word) => [word]);
  return [
    choice(
      "part",
      "Part",
      VIDEOS.parts.map((part) => [part.name, part.name]),
    ),
    choice("label", "Label", alike([...LABELS.values()])),
    choice("status", "Status", alike([...new Set(DATA.videos.states.map(([, status]) => status))].sort())),
    choice("fold", "Fold", [...FOLDS.map((fold) => [String(fold)]), ["none", "in none"]]),
    MODELS.length ? choice("seed", "Model", alike(MODELS.map((model) => model.seed))) : null,
    filters.get("seed") ? choice("role", "Role in it", [...alike(ROLES), ["none", "not looked at"]]) : null,
  ];
}
