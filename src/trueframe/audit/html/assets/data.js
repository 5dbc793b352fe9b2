// What the page knows. Names from outside are only ever keys of Maps, never of plain objects.

const DATA = JSON.parse(document.getElementById("data").textContent);

/** The bytes that base64 stands for. */
function unpackBytes(text) {
  const packed = atob(text);
  const bytes = new Uint8Array(packed.length);
  for (let place = 0; place < packed.length; place++) bytes[place] = packed.charCodeAt(place);
  return bytes;
}

/** A column of whole numbers or null. */
class Column {
  constructor({ bytes, data }) {
    const Kind = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: Float64Array }[bytes];
    this.values = new Kind(unpackBytes(data).buffer);
  }
  at(row) {
    return this.values[row] ? this.values[row] - 1 : null;
  }
}

/** A column of numbers, NaN where there is none. */
const floats = (text) => new Float64Array(unpackBytes(text).buffer);

const VIDEOS = (() => {
  const { parts, names, sha256, states, strays, columns } = DATA.videos;
  const digests = unpackBytes(sha256);
  const column = new Map(Object.entries(columns).map(([name, packed]) => [name, new Column(packed)]));
  const at = (name) => {
    const one = column.get(name);
    return (row) => one.at(row);
  };
  const state = at("state");
  let end = 0;
  const ranges = parts.map(([name, videos, files]) => ({ name, files, start: end, end: (end += videos) }));
  const missing = new Map(strays);
  return {
    count: names.length,
    parts: ranges,
    name: (row) => names[row],
    part: (row) => ranges.find((part) => row < part.end),
    sha256(row) {
      const own = digests.subarray(32 * row, 32 * row + 32);
      return Array.from(own, (byte) => byte.toString(16).padStart(2, "0")).join("");
    },
    label: at("label"),
    original: at("original"),
    missingOriginal: (row) => missing.get(row) ?? null,
    fakes(row) {
      const original = column.get("original");
      return rowsWhere((other) => original.at(other) === row);
    },
    stage: (row) => states[state(row)][0],
    status: (row) => states[state(row)][1],
    reason: (row) => states[state(row)][2],
    frames: at("frames"),
    size: at("size"),
    crops: at("crops"),
    fold: at("fold"),
    find(part, name) {
      const range = ranges.find((one) => one.name === part);
      const row = range ? names.indexOf(name, range.start) : -1;
      return row >= 0 && row < range.end ? row : null;
    },
  };
})();

/** The rows of the videos that a test is true of. */
function rowsWhere(test) {
  const rows = [];
  for (let row = 0; row < VIDEOS.count; row++) if (test(row)) rows.push(row);
  return rows;
}

/** The folds that videos are in. */
const FOLDS = [...new Set(rowsWhere((row) => VIDEOS.fold(row) !== null).map(VIDEOS.fold))].sort((a, b) => a - b);

const MODELS = DATA.models.map(({ seed, selection, history, roles }) => {
  const [state, used, draws] = [roles.state, roles.used, roles.draws].map((packed) => new Column(packed));
  const fold = roles.fold && new Column(roles.fold);
  const told = (which) => (row) => (state.at(row) === null ? null : roles.states[state.at(row)][which]);
  return {
    seed,
    selection,
    history,
    gone: roles.gone,
    role: told(0),
    reason: told(1),
    used: (row) => used.at(row),
    draws: (row) => draws.at(row),
    fold: (row) => (fold ? fold.at(row) : VIDEOS.fold(row)),
  };
});
const ROLES = ["trained", "validated", "unused"];
const modelOf = (seed) => MODELS.find((model) => model.seed === seed);

/** Row of a video to its row of the submission. */
const SUBMISSION = new Map();
if (DATA.submission) {
  const { rows, score, reason, reasons, seeds } = DATA.submission;
  const [places, why, scores] = [new Column(rows), new Column(reason), floats(score)];
  const alone = seeds.map(([seed, packed]) => [seed, floats(packed)]);
  for (let place = 0; place < scores.length; place++) {
    const models = new Map(alone.map(([seed, values]) => [seed, values[place]]));
    SUBMISSION.set(places.at(place), { score: scores[place], reason: reasons[why.at(place)], models });
  }
}
const scoreOf = (row) => SUBMISSION.get(row)?.score ?? NaN;

const STAGES = DATA.stages;
const stageOf = (name) => STAGES.find((stage) => stage.name === name);
const unitOf = (stage, unit) => stageOf(stage)?.units.find((one) => one.unit === unit);

const PICTURES = (DATA.faces ?? []).filter(({ image }) => image).length;
const FACES = new Map();
for (const face of DATA.faces ?? []) {
  const part = VIDEOS.part(face.row).name;
  FACES.set(part, [...(FACES.get(part) ?? []), face]);
}
