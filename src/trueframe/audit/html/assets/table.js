// Tables that stay usable with 120,000 rows: a page at a time, sorted by any column that has a key.

const PAGE = 25;
// Where each list was left, for the way back to it.
const leftAt = new Map();

/**
 * caption: what the rows are, for those who can't see it. columns: {title, cell(row), key(row) to sort by, number:
 * whether it is one, head: whether it names the row}. On a phone each row becomes a card.
 */
function table(caption, columns, rows) {
  const view = `${location.hash} ${caption}`;
  if (!leftAt.has(view)) leftAt.set(view, { page: 0, by: null, down: false });
  const state = leftAt.get(view);
  const last = Math.max(0, Math.ceil(rows.length / PAGE) - 1);
  const box = el("div", { class: "list" });
  const draw = (focus) => {
    const some = sorted(rows, columns, state).slice(PAGE * state.page, PAGE * (state.page + 1));
    box.replaceChildren(
      el(
        "div",
        { class: "scroll" },
        el(
          "table",
          { class: "stack", role: "table" },
          el("caption", { class: "hidden" }, caption),
          el(
            "thead",
            { role: "rowgroup" },
            el(
              "tr",
              { role: "row" },
              columns.map((column, place) => heading(column, place, state, draw)),
            ),
          ),
          el(
            "tbody",
            { role: "rowgroup" },
            Array.from(some, (row) => line(columns, row)),
          ),
        ),
      ),
      ...(last ? [pager(state, last, rows.length, draw)] : []),
    );
    if (!focus) return;
    const wanted = box.querySelector(`[data-focus="${focus}"]`);
    (wanted.disabled ? box.querySelector(".pager button:enabled") : wanted).focus();
  };
  draw();
  return box;
}

function sorted(rows, columns, { by, down }) {
  if (by === null) return rows;
  const { key } = columns[by];
  const sign = down ? -1 : 1;
  const none = (one) => one === null || Number.isNaN(one);
  const keyed = Array.from(rows, (row, place) => [key(row), place, row]);
  keyed.sort(([a, first], [b, second]) => {
    if (none(a) || none(b)) return none(a) - none(b) || first - second; // what has no value comes last either way
    return a < b ? -sign : a > b ? sign : first - second;
  });
  return keyed.map(([, , row]) => row);
}

function heading(column, place, state, draw) {
  const attributes = { role: "columnheader", scope: "col", class: column.number && "number" };
  if (!column.key) return el("th", attributes, column.title);
  const mine = state.by === place;
  const sort = () => {
    Object.assign(state, { page: 0, by: place, down: mine ? !state.down : Boolean(column.number) });
    draw(`sort ${place}`);
  };
  return el(
    "th",
    { ...attributes, "aria-sort": mine ? (state.down ? "descending" : "ascending") : null },
    el("button", { type: "button", class: "sort", "data-focus": `sort ${place}`, click: sort }, column.title),
  );
}

function line(columns, row) {
  const cells = columns.map((column) => {
    const child = column.cell(row);
    const kinds = [column.number && "number", child === NONE && "none"].filter(Boolean).join(" ");
    const attributes = { "data-title": column.title, class: kinds || null };
    return column.head
      ? el("th", { role: "rowheader", scope: "row", ...attributes }, child)
      : el("td", { role: "cell", ...attributes }, child);
  });
  return el("tr", { role: "row" }, cells);
}

function pager(state, last, total, draw) {
  const button = (text, page, disabled) => {
    const go = () => {
      state.page = page;
      draw(text);
      tell(range());
    };
    return el("button", { type: "button", disabled, "data-focus": text, click: go }, text);
  };
  const { page } = state;
  const range = () =>
    `${count(PAGE * state.page + 1)}–${count(Math.min(total, PAGE * (state.page + 1)))} of ${count(total)}`;
  return el(
    "div",
    { class: "pager", role: "group", "aria-label": "Pages" },
    button("First", 0, page === 0),
    button("Previous", page - 1, page === 0),
    el("span", {}, range()),
    button("Next", page + 1, page === last),
    button("Last", last, page === last),
  );
}

/** A small table that is no list: rows of cells, the first of each its heading. kind: "numbers", "map" or nothing. */
function grid(caption, headings, rows, kind = null) {
  const cell = (child, place) => (place ? el("td", {}, child) : el("th", { scope: "row" }, child));
  return el(
    "div",
    { class: "scroll" },
    el(
      "table",
      { class: kind },
      el("caption", { class: "hidden" }, caption),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          headings.map((child) => el("th", { scope: "col" }, child)),
        ),
      ),
      el(
        "tbody",
        {},
        rows.map((cells) => el("tr", {}, cells.map(cell))),
      ),
    ),
  );
}
