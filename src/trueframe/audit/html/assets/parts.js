// Parts: their counts, their faces, and what was made of them.

function partsView() {
  const lead = DATA.faces ? "Some of the faces that were cut out of each:" : "This page was written without faces.";
  const card = (part) =>
    el(
      "section",
      { class: "card" },
      el("h2", {}, partLink(part.name)),
      el("p", { class: "soft" }, partLine(part)),
      gallery(part),
    );
  return {
    title: "Parts",
    body: [title("Parts"), el("p", { class: "lead" }, `A part is a folder of videos. ${lead}`), VIDEOS.parts.map(card)],
  };
}

const rowsOf = ({ start, end }) => Array.from({ length: end - start }, (_, place) => start + place);

function partLine(part) {
  const rows = rowsOf(part);
  const told = [...LABELS].map(([label, word]) => [
    rows.filter((row) => VIDEOS.label(row) === label).length,
    label === null ? "with no label" : word,
  ]);
  const crops = rows.reduce((sum, row) => sum + (VIDEOS.crops(row) ?? 0), 0);
  const out = rows.filter((row) => !USABLE.has(VIDEOS.status(row))).length;
  const labels = listed(told.filter(([number]) => number).map(([number, word]) => `${count(number)} ${word}`));
  return `${plural(rows.length, "video")}, ${labels}; ${plural(crops, "crop")}; ${out ? count(out) : "none"} left out`;
}

function gallery(part) {
  const face = (one) => {
    const words = [picture(one), labelBadge(one.row), hidden(shown(VIDEOS.name(one.row)))];
    return el("li", {}, el("a", { class: "face", href: videoPath(one.row) }, words));
  };
  const faces = FACES.get(part.name);
  return faces ? el("ul", { class: "gallery" }, faces.map(face)) : null;
}

function picture({ frame, image }) {
  if (!image) return el("span", { class: "broken" }, "can’t be read");
  const src = `data:image/webp;base64,${image}`;
  return el("img", { src, alt: `A face in frame ${frame}`, loading: "lazy", decoding: "async", width: 72, height: 72 });
}

function partView(part) {
  const mine = ({ unit }) => unit === part.name || unit.endsWith(`/${part.name}`);
  const units = STAGES.flatMap((stage) => stage.units.filter(mine).map((unit) => ({ stage: stage.name, ...unit })));
  return {
    title: shown(part.name),
    body: [
      el("p", { class: "trail" }, link(path("parts"), "Parts")),
      title(name(part.name)),
      el("p", { class: "lead" }, `${plural(part.files, "raw file")}: ${partLine(part)}.`),
      FACES.has(part.name) ? section("Faces", gallery(part)) : null,
      section("Videos", videoTable("Videos of this part", rowsOf(part))),
      section("What was made of it", unitTable(units, true)),
    ],
  };
}
