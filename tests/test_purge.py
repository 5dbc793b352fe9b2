"""What older commits have of a withdrawn video is listed, and goes from the cache; all else stays."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from trueframe import tables, withdrawn
from trueframe.audit import journey, purge, purge_text, withdrawal, withdrawal_text
from trueframe.audit.git import head, modified
from trueframe.audit.objects import Objects
from trueframe.audit.past import Past, State
from trueframe.audit.snapshot import Folder
from trueframe.audit.traces import Traces
from trueframe.audit.trail import Auditor
from trueframe.errors import UserError
from trueframe.records import Output, Recipe, Record
from trueframe.withdrawn import Withdrawn
from trueframe.workspace import Workspace
from workspaces import REPO, call, commit, family, git, planned, scored_video

OF_A_PART = ("bboxes", "crops", "landmarks", "masks")


@dataclass(frozen=True)
class History:
    """A workspace with a train and a test video withdrawn, run again and committed.

    before: MD5 of every artifact of the commit before, by path.
    """

    root: Path
    original: str
    fake: str
    test_video: str
    before: dict[str, str]


def md5s(root: Path) -> dict[str, str]:
    """MD5 of every artifact by path, by hashlib alone."""
    files = [path for name in ("data", "models", "reports") for path in (root / name).rglob("*") if path.is_file()]
    return {
        str(path.relative_to(root)): hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() for path in files
    }


def cached(root: Path) -> dict[str, int]:
    """MD5, with .dir of a list of files, to size, of every object of the cache."""
    files = (root / ".dvc/cache/files/md5").glob("??/*")
    return {path.parent.name + path.name: path.stat().st_size for path in files}


@pytest.fixture(scope="session")
def made(withdrawn_workspace: Path, finished_workspace: Path) -> History:
    """Not to be changed."""
    original, fake = family(finished_workspace, "train/part_00")
    return History(withdrawn_workspace, original, fake, scored_video(finished_workspace), md5s(finished_workspace))


@pytest.fixture
def history(made: History, tmp_path: Path) -> History:
    """A copy."""
    root = Path(shutil.copytree(made.root, tmp_path / "w", symlinks=True))
    return History(root, made.original, made.fake, made.test_video, made.before)


def lines(root: Path, video: str) -> tuple[Withdrawn, ...]:
    return withdrawn.find(withdrawn.read(root / withdrawn.PATH), video)


def carried_out(root: Path, video: str) -> tuple[purge.Plan, list[str]]:
    """Purge; what was planned and what is told."""
    workspace = Workspace(root)
    plan = purge.plan(workspace, video)
    purge.carry_out(workspace, plan)
    return plan, [*purge_text.planned(plan), *purge_text.done(workspace, plan)]


def dependent(history: History) -> set[str]:
    """By hand: all that the old run made below the train video's part, but tables of statuses and records."""
    later = set(md5s(history.root).values())
    folders = [f"data/{stage}/train/part_00." for stage in OF_A_PART]
    folders += ["data/folds/folds.parquet", "models/", "data/predictions/", "reports/"]
    records = ("models/1/record.json", "reports/submission.json", "reports/evaluation/record.json")
    return {
        digest
        for path, digest in history.before.items()
        if path.startswith(tuple(folders))
        and not path.endswith(".videos.parquet")
        and not (path.endswith(".json") and path.startswith("data/"))
        and path not in records
        and digest not in later
    }


def states(root: Path, video: str) -> list[State]:
    return [state for state in Past(root, lines(root, video)).states if state.files]


def follow(root: Path, part: str, video: str) -> journey.Journey:
    auditor = Auditor(Workspace(root))
    (found,) = journey.find(auditor, f"{part}/{video}")
    return journey.follow(auditor, found)


def test_an_audit_proves_that_nothing_of_now_has_it(made: History) -> None:
    for video in (made.original, made.fake):
        found = follow(made.root, "train/part_00", video)
        assert (found.problems, found.row) == ((), None)
        assert [(model.role, model.reason.partition(":")[0]) for model in found.models] == [("unused", "withdrawn")]
        assert {place.stage for place in found.places} == {"raw", "index"}
        told = found.withdrawal
        assert told is not None
        assert told.done
        assert (told.units, told.broken, told.models, told.unseen) == ((), (), {}, ())
        assert {one.video: one.status for one in told.members} == {
            made.original: "withdrawn",
            made.fake: "withdrawn",
        }
        assert "no current model depends on it" in withdrawal_text.verdict(told).plain
    other = follow(made.root, "train/part_01", family(made.root, "train/part_01")[0])
    assert (other.withdrawal, other.past) == (None, ())


def test_before_the_run_it_says_how_many_models_depend_on_it(
    finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    original, fake = family(finished, "train/part_00")
    call(finished, "trueframe", "withdraw", original, "--reason", "consent", PYTHONPATH=str(finished / "src"))
    told = follow(finished, "train/part_00", fake).withdrawal
    assert told is not None
    assert (told.done, list(told.models)) == (False, ["1"])
    done = call(finished, "trueframe", "audit", "--video", original, check=False, PYTHONPATH=str(finished / "src"))
    assert done.returncode == 1
    assert "1 current model depends on it until `snakemake --cores all submission` has run" in done.stdout
    with pytest.raises(UserError, match="still have something of it"):
        purge.plan(Workspace(finished), original)


def test_half_a_run_is_no_proof(history: History, finished_workspace: Path) -> None:
    """The index knows of the withdrawal, the models are of before."""
    shutil.rmtree(history.root / "models")
    shutil.copytree(finished_workspace / "models", history.root / "models")
    told = withdrawal.of(Auditor(Workspace(history.root)), lines(history.root, history.original))
    assert not told.done
    assert list(told.models) == ["1"]
    assert "models 1" in told.broken


def test_a_line_with_a_wrong_md5_is_named(finished: Path) -> None:
    original, _ = family(finished, "train/part_00")
    sha256 = hashlib.sha256((finished / f"data/raw/train/part_00/{original}").read_bytes()).hexdigest()
    withdrawn.add(finished / withdrawn.PATH, [Withdrawn(sha256, "0" * 32, original, "by hand")])
    assert planned(finished) == set()
    told = follow(finished, "train/part_00", original).withdrawal
    assert told is not None
    assert (told.done, told.unseen) == (False, (f"train/part_00/{original}",))
    assert "has another MD5 than this video; mend the line" in withdrawal_text.verdict(told).plain


def test_an_older_commits_models_are_listed_with_their_objects(made: History) -> None:
    now, old = states(made.root, made.original)
    assert (old.subject, old.commits) == ("finished", (git(made.root, "rev-parse", "HEAD~1").strip(),))
    (model,) = old.models
    weights = [path for path in made.before if path.endswith(".safetensors")]
    assert len(weights) == 2
    assert model.weights == {path: made.before[path] for path in weights}
    assert (model.seed, old.absent) == ("1", ())
    assert now.models == ()
    raw = {f"data/raw/train/part_00/{name}" for name in (made.original, made.fake)}
    assert set(now.files) == raw
    assert raw < set(old.files)


def test_roles_by_the_folds_are_those_that_the_training_wrote_down(finished: Path) -> None:
    told = tables.read_rows(finished / "models/1/videos.parquet")
    assert {row["role"] for row in told} == {"trained", "validated"}
    for row in told:
        assert roles(finished, row["part"], row["video"]) == {row["role"]}
    (finished / "models/1/videos.parquet").unlink()
    reals = [row for row in told if row["label"] == 0]
    assert [roles(finished, row["part"], row["video"]) for row in reals] == [{row["role"]} for row in reals]
    (finished / "data/folds/folds.parquet").unlink()
    assert roles(finished, reals[0]["part"], reals[0]["video"]) == {"unknown"}


def roles(root: Path, part: str, video: str) -> set[str]:
    data = (root / f"data/raw/{part}/{video}").read_bytes()
    sha256, md5 = hashlib.sha256(data).hexdigest(), hashlib.md5(data, usedforsecurity=False).hexdigest()
    return set(Traces(Folder(root), [Withdrawn(sha256, md5, video, "-")]).roles.values())


def test_a_purge_removes_what_depends_on_it_and_nothing_else(history: History) -> None:
    root, before = history.root, cached(history.root)
    expected = dependent(history)
    assert {history.before["models/1/weights_1.safetensors"], history.before["data/folds/folds.parquet"]} <= expected
    plan, told = carried_out(root, history.original)
    assert before.keys() - cached(root).keys() == expected
    assert f"removed {len(expected)} objects" in "\n".join(told)
    assert sum(item.size for item in plan.remove) == sum(before[md5] for md5 in expected)
    assert "up to date" in call(root, "dvc", "status").stdout
    call(root, "dvc", "checkout")
    assert git(root, "status", "--porcelain") == ""
    shutil.rmtree(root / "models")
    call(root, "dvc", "checkout")  # all that HEAD names is still there
    assert planned(root) == set()
    listed = (root / plan.listed).read_text()
    assert listed.splitlines() == sorted(f"files/md5/{md5[:2]}/{md5[2:]}" for md5 in expected)
    again, told = carried_out(root, history.original)
    assert (again.remove, len(again.gone)) == ((), len(expected))
    assert again.complete
    (_, past, *_) = follow(root, "train/part_00", history.original).past
    assert past.here == len(past.files) - len([md5 for md5 in past.files.values() if md5 in expected])
    assert past.here == len(past.kept)  # what the present commit has, too
    assert (root / plan.listed).read_text() == listed
    git(root, "checkout", "--quiet", "HEAD~1")
    failed = call(root, "dvc", "checkout", "models", check=False)
    assert failed.returncode != 0
    assert "models" in failed.stderr


def test_the_video_itself_goes_once_dvc_no_longer_tracks_it(history: History) -> None:
    root, raw = history.root, f"data/raw/train/part_00/{history.original}"
    plan, _ = carried_out(root, history.original)
    kept = {item.path: why for item, why in plan.kept.items()}
    assert "delete that file, `dvc add data/raw`, commit, then purge again" in kept[raw]
    assert history.before[raw] in cached(root)
    (root / raw).unlink()
    call(root, "dvc", "add", "--quiet", "data/raw")
    with pytest.raises(UserError, match=r"data/raw\.dvc: expected as committed"):
        purge.plan(Workspace(root), history.original)
    commit(root, "the video is gone")
    before = cached(root)
    carried_out(root, raw)
    assert before.keys() - cached(root).keys() == {history.before[raw]}


def test_a_second_videos_purge_finds_nothing_of_the_first(history: History) -> None:
    first, _ = carried_out(history.root, history.original)
    before = cached(history.root)
    second, _ = carried_out(history.root, history.test_video)
    removed = before.keys() - cached(history.root).keys()
    assert removed.isdisjoint(item.md5 for item in first.remove)
    paths = ["data/bboxes/test/part_00.parquet", "data/crops/test/part_00.zip"]
    assert removed == {history.before[path] for path in paths}
    assert second.listed != first.listed


def test_a_test_video_is_in_no_model_and_takes_its_rows_with_it(history: History) -> None:
    (old, *_) = [state for state in states(history.root, history.test_video) if state.subject == "finished"]
    assert old.models == ()
    stages = {path.split("/")[1] for path in old.files if path.startswith("data/")}
    assert stages == {"bboxes", "crops", "predictions", "raw"}
    assert {path for path in old.files if "predictions" in path} == {"data/predictions/1/test/part_00.parquet"}
    assert {"reports/submission.csv", "reports/submission_detail.csv"} <= set(old.files)
    before = cached(history.root)
    carried_out(history.root, history.test_video)
    assert history.before["models/1/weights_1.safetensors"] in cached(history.root)
    assert history.before["data/predictions/1/test/part_00.parquet"] not in cached(history.root)
    assert len(cached(history.root)) < len(before)


def put(root: Path, data: bytes, suffix: str = "") -> str:
    """Put an object into DVC's cache by hand."""
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    place = Objects(root).place(md5 + suffix)
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        place.write_bytes(data)
        place.chmod(0o444)
    return md5 + suffix


def folder(root: Path, files: dict[str, str]) -> str:
    """An object that lists files."""
    entries = [{"md5": md5, "relpath": name} for name, md5 in sorted(files.items())]
    return put(root, json.dumps(entries).encode(), ".dir")


def test_another_branchs_model_of_other_videos_survives_with_all_that_it_has(history: History) -> None:
    """The model of branch other comes from train/part_01 alone; its history.csv has the bytes of the purged one's."""
    root, old = history.root, history.before
    entry = json.loads(Objects(root).place(old["models/1/record.json"]).read_text())
    inputs: dict[str, str] = entry["recipe"]["inputs"]
    entry["recipe"]["inputs"] = {path: digest for path, digest in inputs.items() if "part_01" in path}
    files = {
        "1/weights_1.safetensors": put(root, b"other weights"),
        "1/history.csv": old["models/1/history.csv"],
        "1/record.json": put(root, json.dumps(entry).encode()),
    }
    tracked = {path: digest for path, digest in old.items() if path.startswith(("data/index/", "data/crops/"))}
    stages: dict[str, Any] = {"models": {"outs": [{"path": "models", "md5": folder(root, files)}]}}
    for name in ("index", "crops"):
        mine = {path.removeprefix(f"data/{name}/"): md5 for path, md5 in tracked.items() if f"data/{name}/" in path}
        stages[name] = {"outs": [{"path": f"data/{name}", "md5": folder(root, mine)}]}
    git(root, "checkout", "--quiet", "-b", "other", "HEAD~2")
    (root / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": stages}))
    commit(root, "a model of part_01")
    git(root, "checkout", "--quiet", "main")
    found = {state.subject: state for state in Past(root, lines(root, history.original)).states}
    assert found["a model of part_01"].models == ()
    assert set(found["a model of part_01"].files) == {"data/crops/train/part_00.zip"}
    carried_out(root, history.original)
    assert set(files.values()) <= cached(root).keys()
    assert old["models/1/weights_1.safetensors"] not in cached(root)
    assert old["data/crops/train/part_00.zip"] not in cached(root)


@pytest.mark.parametrize("way", ["amended", "merged and lost", "stashed"])
def test_commits_that_no_branch_shows_any_more_are_found(history: History, way: str) -> None:
    root = history.root
    head = git(root, "rev-parse", "HEAD").strip()
    if way == "amended":  # only the reflog has the old commit
        git(root, "reset", "--quiet", "--soft", "HEAD~2")
        commit(root, "all in one")
    elif way == "merged and lost":  # the merge took nothing of the old branch
        git(root, "branch", "old", "HEAD~1")
        git(root, "checkout", "--quiet", "--orphan", "new")
        commit(root, "anew")
        git(root, "merge", "--quiet", "--allow-unrelated-histories", "-s", "ours", "-m", "merged", "old")
        git(root, "branch", "-D", "main", "old")
        git(root, "reflog", "expire", "--expire=now", "--all")
    else:
        git(root, "checkout", "--quiet", "HEAD~1", "--", "dvc.lock")
        git(root, "stash")
        git(root, "checkout", "--quiet", "--orphan", "new")
        commit(root, "anew")
        git(root, "branch", "-D", "main")
        git(root, "reflog", "expire", "--expire=now", "HEAD")
    assert head not in git(root, "log", "--format=%H", "--first-parent")
    found = {model.seed for state in states(root, history.original) for model in state.models}
    assert found == {"1"}
    carried_out(root, history.original)
    assert dependent(history).isdisjoint(cached(root))


def test_what_the_cache_lacks_is_not_known_and_nothing_is_guessed(history: History) -> None:
    root = history.root
    old = next(state for state in states(root, history.original) if state.models)
    listing = git(root, "show", f"{old.commits[0]}:dvc.lock")
    digests = {line.split()[-1] for line in listing.splitlines() if line.endswith(".dir")}
    now = (root / "dvc.lock").read_text()
    for md5 in digests:
        if md5 not in now:
            Objects(root).place(md5).unlink()
    before = cached(root)
    plan, told = carried_out(root, history.original)
    unknown = next(state for state in plan.past.states if state.commits == old.commits)
    assert {"data/index", "models"} <= set(unknown.absent)
    assert unknown.models == ()
    assert before.keys() == cached(root).keys()
    assert not plan.complete
    assert any("dvc fetch --all-commits" in line and line.startswith("not known: commit") for line in told)


def test_a_model_whose_role_nobody_can_tell_is_purged(history: History) -> None:
    root = history.root
    for path in ("models/1/videos.parquet", "data/folds/folds.parquet"):
        Objects(root).place(history.before[path]).unlink()
    (model,) = next(state for state in states(root, history.original) if state.models).models
    assert model.role == "unknown"
    carried_out(root, history.original)
    assert dependent(history).isdisjoint(cached(root))


def test_what_a_file_of_the_workspace_is_a_link_to_stays(history: History) -> None:
    root, md5 = history.root, history.before["models/1/weights_2.safetensors"]
    place = Objects(root).place(md5)
    (root / "models/best.safetensors").symlink_to(place)
    plan, _ = carried_out(root, history.original)
    assert [why for item, why in plan.kept.items() if item.md5 == md5] == ["models/best.safetensors is a link to it"]
    assert place.is_file()
    assert not Objects(root).place(history.before["models/1/weights_1.safetensors"]).exists()


def test_a_workspace_of_links_stays_whole(history: History) -> None:
    root = history.root
    call(root, "dvc", "config", "cache.type", "symlink")
    call(root, "dvc", "checkout", "--relink", "--quiet")
    assert (root / "models/1/weights_1.safetensors").is_symlink()
    before = md5s(root)
    plan, _ = carried_out(root, history.original)
    assert {item.md5 for item in plan.remove} == dependent(history)
    assert {path: md5 for path, md5 in md5s(root).items() if path != str(plan.listed)} == before


@pytest.mark.parametrize(
    "path", ["data/crops/train/part_00.zip", "models/1/videos.parquet", "data/folds/folds.parquet"]
)
def test_a_damaged_object_is_named_and_nothing_is_removed(history: History, path: str) -> None:
    place = Objects(history.root).place(history.before[path])
    place.chmod(0o644)
    place.write_bytes(place.read_bytes()[:50])
    before = cached(history.root)
    with pytest.raises(UserError, match=f"{place}: can't be read .*; remove it if it is an object of DVC's cache"):
        carried_out(history.root, history.original)
    assert cached(history.root) == before


def row(video: str, sha256: str, original: str | None = None) -> dict[str, Any]:
    """A row of an index."""
    known = {"size_bytes": 1, "codec": "", "width_px": 1, "height_px": 1, "fps": 1.0, "frames": 1}
    told = {"status": "ok", "reason": "", "label": int(original is not None), "original": original}
    return {"video": video, "sha256": sha256, **known, **told}


def test_copies_and_whatever_was_made_from_them_are_meant_but_no_namesake(tmp_path: Path) -> None:
    one, other = "a" * 64, "b" * 64
    parts = {
        "train/a": [row("r.mp4", one), row("f.mp4", "1" * 64, "r.mp4"), row("g.mp4", "2" * 64, "f.mp4")],
        "train/b": [
            row("copy.mp4", one),
            row("of_copy.mp4", "3" * 64, "copy.mp4"),
            row("far.mp4", "4" * 64, "r.mp4"),
            row("else.mp4", other),
        ],
        "train/c": [row("r.mp4", other), row("x.mp4", "5" * 64, "r.mp4"), row("y.mp4", "6" * 64, "copy.mp4")],
        "test/t": [row("t.mp4", one) | {"label": None}],
    }
    for part, rows in parts.items():
        path = tmp_path / f"data/index/{part}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        tables.write(path, rows, tables.INDEX)
        made = {f"data/index/{part}.parquet": Output("0" * 64, 1, 1)}
        Record("index", part, Recipe({}, {}, {}), made, {}).write(path.with_suffix(".json"))
    found = Traces(Folder(tmp_path), [Withdrawn(one, "0" * 32, "r.mp4", "-")]).members
    assert {f"{member.part}/{member.video}": member.why for member in found} == {
        "train/a/r.mp4": "",
        "train/a/f.mp4": "made from r.mp4",
        "train/a/g.mp4": "made from f.mp4",
        "train/b/copy.mp4": "",
        "train/b/of_copy.mp4": "made from copy.mp4",
        "train/b/far.mp4": "made from r.mp4",
        "train/c/y.mp4": "made from copy.mp4",
        "test/t/t.mp4": "",
    }


GONE = Withdrawn("a" * 64, "b" * 32, "r.mp4", "consent")
INDEX = "data/index/train/a.parquet"
MERGE = "<<<<<<< ours\nschema: '2.0'\n=======\n>>>>>>> theirs\n"


def lock(root: Path, files: dict[str, str]) -> None:
    """A dvc.lock that tracks single files, path to MD5."""
    outs = [{"path": path, "md5": md5} for path, md5 in sorted(files.items())]
    (root / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": {"all": {"outs": outs}}}))


def table(root: Path, rows: list[dict[str, Any]], columns: Any) -> str:
    """Put a table into the cache."""
    tables.write(root / "table", rows, columns)
    md5 = put(root, (root / "table").read_bytes())
    (root / "table").unlink()
    return md5


def entry(root: Path, stage: str, unit: str, inputs: list[str], outputs: list[str]) -> str:
    """Put a record into the cache."""
    made = {path: Output("0" * 64, 1, 1) for path in outputs}
    Record(stage, unit, Recipe({}, {}, dict.fromkeys(inputs, f"sha256:{'0' * 64}")), made, {}).write(root / "record")
    md5 = put(root, (root / "record").read_bytes())
    (root / "record").unlink()
    return md5


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """By hand: a commit with a model that was trained by r.mp4, and one that leaves it out."""
    root = tmp_path / "small"
    (root / ".dvc").mkdir(parents=True)
    (root / ".dvc/config").touch()
    shutil.copy(REPO / "params.yaml", root)
    (root / ".gitignore").write_text(".dvc/cache\n.dvc/tmp\n")
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "config", "user.name", "test")
    git(root, "config", "user.email", "test@example.org")
    role = {"part": "train/a", "video": "r.mp4", "label": 0, "original": "", "fold": 1, "role": "trained"}
    role |= {"reason": "", "crops": 1, "used": 1, "draws": 1}
    made = {
        "models/1/weights_1.safetensors": put(root, b"weights"),
        "models/1/videos.parquet": table(root, [role], tables.ROLES),
    }
    files = {
        INDEX: table(root, [row("r.mp4", GONE.sha256)], tables.INDEX),
        INDEX.replace(".parquet", ".json"): entry(root, "index", "train/a", [], [INDEX]),
        "models/1/record.json": entry(root, "models", "1", [INDEX], sorted(made)),
    }
    lock(root, files | made)
    commit(root, "trained")
    files[INDEX] = table(root, [row("r.mp4", GONE.sha256) | {"status": "withdrawn"}], tables.INDEX)
    lock(root, {path: md5 for path, md5 in files.items() if path.startswith("data/index")})
    commit(root, "without it")
    return root


def told(past: Past, done: bool = True) -> str:
    """What is printed of older commits."""
    console = Console(width=500)
    states = [state for state in past.states if state.files or state.absent]
    with console.capture() as capture:
        console.print(withdrawal_text.past(states, done, past.shallow))
    return capture.get()


def test_commits_whose_objects_are_all_there_are_told_with_what_to_do(small: Path) -> None:
    past = Past(small, [GONE])
    assert [(state.subject, len(state.files), state.here, state.absent) for state in past.states] == [
        ("without it", 0, 0, ()),
        ("trained", 2, 2, ()),
    ]
    text = told(past)
    assert "trained: files of models 2\n" in text
    assert text.endswith("`trueframe withdraw VIDEO --purge` removes it from DVC's cache\n")
    assert "once `snakemake --cores all submission` has run and is committed, `trueframe" in told(past, done=False)


def test_commits_of_which_the_cache_has_nothing_are_not_known(small: Path) -> None:
    shutil.rmtree(small / ".dvc/cache")
    past = Past(small, [GONE])
    assert [len(state.absent) for state in past.states] == [1, 2]
    text = told(past)
    assert "trained: not known whether it has anything of it: data/index/train/a.json, models/1/record.json" in text
    assert text.count("not in the cache; `dvc fetch --all-commits`") == 2
    assert "--purge" not in text


def test_what_was_purged_is_told_as_gone_and_not_to_purge_again(small: Path) -> None:
    (old,) = [state for state in Past(small, [GONE]).states if state.files]
    Objects(small).place(old.files["models/1/weights_1.safetensors"]).unlink()
    assert "models 2; 1 here, 1 gone\n" in told(Past(small, [GONE]))
    Objects(small).place(old.files["models/1/videos.parquet"]).unlink()
    text = told(Past(small, [GONE]))
    assert "trained: files of models 2; gone from this cache\n" in text
    assert "unknown (its tables are gone)" in text
    assert "--purge" not in text


def test_what_dvc_still_names_is_told_with_what_to_do_before_a_purge(small: Path) -> None:
    path = "data/raw/train/a/r.mp4"
    data = b"the video"
    video = Withdrawn("c" * 64, put(small, data), "r.mp4", "consent")
    listing = folder(small, {"train/a/r.mp4": video.md5})
    (small / "data").mkdir()
    (small / "data/raw.dvc").write_text(json.dumps({"outs": [{"path": "raw", "md5": listing}]}))
    commit(small, "raw")
    (state, *_) = Past(small, [video]).states
    assert (state.files, state.here) == ({path: video.md5}, 1)
    text = told(Past(small, [video]))
    assert f"no purge removes {path}: data/raw.dvc has it as {path}: delete that file, `dvc add data/raw`" in text
    assert "removes it from DVC's cache" not in text


@pytest.mark.parametrize("bad", [MERGE, "hello", "stages: {all: {outs: [{path: a, md5: ../../../etc}]}}", "- 1"])
def test_an_old_dvc_lock_that_is_none_is_not_known_and_stops_nothing(small: Path, bad: str) -> None:
    good = (small / "dvc.lock").read_text()
    (small / "dvc.lock").write_text(bad)
    commit(small, "bad")
    (small / "dvc.lock").write_text(good)
    commit(small, "mended")
    past = Past(small, [GONE])
    assert {state.subject: state.absent for state in past.states} == {
        "without it": (),
        "bad": ("dvc.lock",),
        "trained": (),
    }
    assert "bad: not known whether it has anything of it: dvc.lock can't be read\n" in told(past)
    (small / "dvc.lock").write_text(bad)
    with pytest.raises(UserError, match=r"^dvc\.lock: can't be read"):
        Past(small, [GONE])


def test_a_list_of_files_that_is_none_is_as_if_not_there(small: Path) -> None:
    for data in (b"hello", b'{"a": 1}', json.dumps([{"relpath": "a", "md5": "../../../etc/passwd"}]).encode()):
        assert Objects(small).listing(put(small, data, ".dir")) is None


def test_a_shallow_clone_says_what_it_lacks_and_advises_nothing_else(small: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth=1", small.as_uri(), str(clone))
    shutil.copytree(small / ".dvc/cache", clone / ".dvc/cache")
    past = Past(clone, [GONE])
    assert told(past) == "this clone lacks older commits: `git fetch --unshallow`, then ask again\n"
    plan = purge.Plan((GONE,), (), past, (), (), {}, Path("list"))
    assert not any("dvc gc" in line for line in purge_text.done(Workspace(clone), plan))
    withdrawn.add(clone / withdrawn.PATH, [GONE])
    with pytest.raises(UserError, match="lacks older commits; `git fetch --unshallow`, then purge"):
        purge.plan(Workspace(clone), "r.mp4")


@pytest.mark.parametrize("way", ["another's", "lost", "no commit"])
def test_without_a_git_that_reads_it_nothing_is_said_of_its_history(
    small: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way == "another's":
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
        monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
        with pytest.raises(UserError, match="dubious ownership"):
            head(small)
    else:
        shutil.rmtree(small / ".git")
        if way == "no commit":
            git(small, "init", "--quiet")
        assert head(small) is None
    with pytest.raises(UserError, match="expected a git repository with a commit that git can read: fatal: "):
        Past(small, [GONE])
    if way != "no commit":
        with pytest.raises(UserError, match="that git can read: fatal: "):
            modified(small, ["dvc.lock"])


def test_remotes_are_named_without_passwords_and_mlflow_by_its_runs(history: History) -> None:
    root = history.root
    call(root, "dvc", "remote", "add", "far", "https://me:secret@example.org/store")
    call(root, "dvc", "remote", "add", "near", "/mnt/dvc")
    _, told = carried_out(root, history.original)
    text = "\n".join(told)
    assert "remote far: remove each from https://example.org/store" in told
    assert "remote near: remove each from /mnt/dvc" in told
    assert "secret" not in text
    with closing(sqlite3.connect(root / "mlflow.db")) as database:
        runs = [run for (run,) in database.execute("select run_uuid from runs order by start_time")]
    now = follow(root, "train/part_01", family(root, "train/part_01")[0]).models[0].runs[0].run_id
    assert now in runs[2:]
    assert all(run in text for run in runs[:2])
    assert not any(run in text for run in runs[2:])
    assert f"  mlflow gc --backend-store-uri sqlite:///mlflow.db --run-ids {runs[1]},{runs[0]}" in told  # by name


def test_where_no_commit_has_anything_of_dvcs_no_clean_up_is_advised(small: Path) -> None:
    git(small, "checkout", "--quiet", "--orphan", "new")
    git(small, "rm", "--quiet", "--cached", "dvc.lock")
    (small / "dvc.lock").unlink()
    commit(small, "anew")
    git(small, "branch", "-D", "main")
    git(small, "reflog", "expire", "--expire=now", "--all")
    past = Past(small, [GONE])
    assert past.states == []
    plan = purge.Plan((GONE,), (), past, (), (), {}, Path("list"))
    assert not any("dvc gc" in line for line in purge_text.done(Workspace(small), plan))


def test_objects_that_no_commit_names_are_told(history: History) -> None:
    put(history.root, b"of a run that nobody committed")
    _, told = carried_out(history.root, history.original)
    assert any(line.startswith("1 object, 30 B, in the cache that no commit names; `dvc gc") for line in told)


def test_without_a_terminal_it_asks_for_yes_and_removes_nothing(history: History) -> None:
    before = cached(history.root)
    words = ("trueframe", "withdraw", history.original, "--purge")
    done = call(history.root, *words, check=False, PYTHONPATH=str(history.root / "src"))
    assert done.returncode == 1
    assert "--purge: expected --yes where there is no terminal to ask; nothing was removed" in done.stderr
    assert cached(history.root) == before
    call(history.root, *words, "--yes", PYTHONPATH=str(history.root / "src"))
    assert cached(history.root) != before


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("nobody.mp4", "expected a video that data/withdrawn.csv has"),
        ("", "expected a video that data/withdrawn.csv has"),
        ("0" * 64, "expected a video that data/withdrawn.csv has"),
    ],
)
def test_only_what_is_withdrawn_can_be_purged(made: History, asked: str, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        purge.plan(Workspace(made.root), asked)


def test_a_name_of_two_withdrawn_contents_is_refused(history: History) -> None:
    withdrawn.add(
        history.root / withdrawn.PATH, [Withdrawn("a" * 64, "b" * 32, history.original, "another of the same name")]
    )
    with pytest.raises(UserError, match="expected one video, found 2") as caught:
        purge.plan(Workspace(history.root), history.original)
    assert "a" * 64 in str(caught.value)
