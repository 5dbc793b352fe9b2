// Which view an address is, and the way from one to the next.

const main = document.getElementById("main");
const search = document.getElementById("query");
const VIEWS = [
  ["Overview", path()],
  ["Videos", path("videos")],
  ["Parts", path("parts")],
  ["Folds", path("folds")],
  ["Models", path("models")],
];
// Where the window was in each view, and what link was followed last: that view starts at its top.
const scrolled = new Map();
let shownHash = location.hash;
let followed = null;

/** The view of an address; null where there is none. */
function viewOf([kind, ...names], filters) {
  switch (kind) {
    case "":
      return overview();
    case "videos":
      return videosView(filters);
    case "video": {
      const row = VIDEOS.find(names.slice(0, 2).join("/"), names[2]);
      return row === null ? null : videoView(row);
    }
    case "parts":
      return partsView();
    case "part": {
      const part = VIDEOS.parts.find((one) => one.name === names.join("/"));
      return part ? partView(part) : null;
    }
    case "folds":
      return foldsView();
    case "models":
      return modelsView(filters);
    case "model": {
      const model = modelOf(names[0]);
      return model ? modelView(model, filters) : null;
    }
    case "stage": {
      const stage = stageOf(names[0]);
      return stage ? stageView(stage) : null;
    }
    default:
      return null;
  }
}

const nowhere = () => ({
  title: "Not here",
  body: [title("Not here"), el("p", { class: "lead" }, "This page knows nothing by this address.")],
});

/** The steps and filters of the address. */
function address() {
  const [steps, words = ""] = location.hash.replace(/^#?\/?/, "").split(/\?(.*)/s);
  try {
    return [steps.split("/").map(decodeURIComponent), new URLSearchParams(words)];
  } catch {
    return [[null], new URLSearchParams()]; // cut off in the middle of a letter
  }
}

/** Shows the view of the address. focus: the id of what has it then, else the title; false leaves it where it is. */
function show(focus = null) {
  const [steps, filters] = address();
  const view = viewOf(steps, filters) ?? nowhere();
  main.replaceChildren(...view.body.flat(Infinity).filter(Boolean));
  document.title = `${view.title} – trueframe audit`;
  tell(view.told ?? "");
  const home = { video: "videos", part: "parts", model: "models", stage: "" }[steps[0]] ?? steps[0];
  const links = VIEWS.map(([words, href]) => el("a", { href, "aria-current": href === path(home) && "page" }, words));
  document.getElementById("views").replaceChildren(...links);
  shownHash = location.hash;
  if (document.activeElement === search) return;
  search.value = filters.get("q") ?? "";
  if (focus !== false) (document.getElementById(focus) ?? main.querySelector("h1")).focus({ preventScroll: true });
}

/** Goes to an address that is the same view with other filters: the way back does not pass through each of them. */
function replace(hash, focus) {
  history.replaceState(null, "", hash);
  show(focus);
}

let waiting = null;

function searchNow() {
  clearTimeout(waiting);
  const [[kind], filters] = address();
  const hash = query(["videos"], { ...(kind === "videos" ? Object.fromEntries(filters) : {}), q: search.value });
  if (kind !== "videos") history.pushState(null, "", hash);
  replace(hash);
}

search.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(searchNow, 120);
});
document.getElementById("search").addEventListener("submit", (event) => {
  event.preventDefault();
  searchNow();
  (main.querySelector("tbody a") ?? main.querySelector("h1")).focus();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address says which view it is
  main.focus();
});
addEventListener("click", (event) => (followed = event.target.closest("a")?.getAttribute("href")), true);
addEventListener("hashchange", () => {
  scrolled.set(shownHash, scrollY);
  show();
  scrollTo(0, followed === location.hash ? 0 : (scrolled.get(location.hash) ?? 0));
  followed = null;
});

const faces = PICTURES ? ` It holds ${plural(PICTURES, "picture")} of faces: pass it on as you would the videos.` : "";
document.getElementById("foot").append(`All of it is in this one file, which loads nothing and sends nothing.${faces}`);
history.scrollRestoration = "manual";
show(false);
