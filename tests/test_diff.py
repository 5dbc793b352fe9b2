"""What differs between two models, commits or workspaces, and what of it can be why."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from small_records import LOCK, SHARED, Video, World
from trueframe.audit import difference, difference_text
from trueframe.audit.comparison import sides
from trueframe.audit.comparison.packages import pins
from trueframe.audit.comparison.tally import Change
from trueframe.audit.difference import Difference, Differences
from trueframe.audit.snapshot import Folder
from trueframe.errors import UserError
from trueframe.files import canonical_json
from workspaces import commit, edit_params, git, snakemake

MODEL = ("models", "1")
FROM_MODELS_ON = ("models", "predictions", "submission", "evaluation")
NOTHING = Differences((), (), (), (), (), (), (), ())


def diff(tmp_path: Path, a: World, b: World, unit: tuple[str, str] | None = None) -> Difference:
    """Between two worlds, as two folders."""
    places = [Folder(world.write(tmp_path / name), name) for name, world in (("a", a), ("b", b))]
    return difference.compare(places[0], unit, places[1], unit)


def only(found: Differences, **expected: object) -> None:
    """Assert that nothing but these groups has something in it."""
    told = {name: value for name, value in vars(found).items() if value}
    assert told.keys() == expected.keys()


def changes(found: Iterable[Change]) -> dict[str, tuple[object, object]]:
    return {change.name: (change.a, change.b) for change in found}


def text(found: Difference, capsys: pytest.CaptureFixture[str]) -> str:
    difference_text.show(found)
    return capsys.readouterr().out


def test_of_two_seeds_of_one_recipe_only_the_seed_differs(tmp_path: Path) -> None:
    world = World(bytes={("models", "2"): "x"})
    place = Folder(world.write(tmp_path / "a"))
    found = difference.compare(place, ("models", "1"), place, ("models", "2"))
    assert changes(found.reasons.units) == {"seed": ("1", "2")}
    only(found.reasons, units=1)
    assert found.harmless == NOTHING
    assert found.unexplained == ()
    assert "Only the seed differs: the same videos, parameters, code and packages." in difference_text.headline(found)


def test_a_parameter_is_a_reason_where_bytes_differ_from_it_on(tmp_path: Path) -> None:
    b = World().changed(FROM_MODELS_ON)
    b.params["models"]["augmentation"]["flip"] = 0.0
    found = diff(tmp_path, World(), b)
    assert changes(found.reasons.params) == {"models.augmentation.flip": (0.5, 0.0)}
    assert found.reasons.params[0].units == ("models 1", "models 2")
    only(found.reasons, params=1)
    assert found.harmless == NOTHING
    assert found.unexplained == ()


def test_a_parameter_upstream_that_left_the_bytes_as_they_were_is_no_reason(tmp_path: Path) -> None:
    b = World().changed(FROM_MODELS_ON)
    b.params["models"]["epochs"] = 10
    b.params["crops"]["margin"] = 0.4
    found = diff(tmp_path, World(), b)
    assert changes(found.reasons.params) == {"models.epochs": (20, 10)}
    assert changes(found.harmless.params) == {"crops.margin": (0.3, 0.4)}
    assert list(difference_text.headline(found)) == [
        "Files that differ: reports/evaluation/calibration.csv, reports/evaluation/calibration.png, "
        "reports/evaluation/details.json and 16 more.",
        "Because of 1 parameter (models.epochs 20 → 10).",
        "No video, no module, no package differs.",
        "Differs, and left the bytes as they were: 1 parameter (crops.margin 0.3 → 0.4).",
    ]


def test_identical_files_are_said_to_be_so_whatever_differs_above(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    b = World()
    b.params["models"]["epochs"] = 10
    found = diff(tmp_path, World(), b)
    assert found.outputs == ()
    assert found.reasons == NOTHING
    assert changes(found.harmless.params) == {"models.epochs": (20, 10)}
    shown = text(found, capsys)
    assert "The files are the same, byte for byte." in shown
    assert "models.epochs  20  10" in " ".join(shown.split("\n"))


def test_what_differs_on_the_way_is_not_told_again_of_units_beside_it(tmp_path: Path) -> None:
    b = World(bytes={("bboxes", "train/a"): "x"}).changed(["crops", *FROM_MODELS_ON])
    b.params["bboxes"]["min_face_px"] = 40
    found = diff(tmp_path, World(), b)
    [param] = found.reasons.params
    assert (param.name, param.units) == ("bboxes.min_face_px", ("bboxes train/a",))
    assert found.harmless == NOTHING


def test_units_made_with_several_values_are_told_apart(tmp_path: Path) -> None:
    a, b = World(), World().changed(FROM_MODELS_ON)
    b.params["models"]["epochs"] = 10
    places = [Folder(world.write(tmp_path / name), name) for name, world in (("a", a), ("b", b))]
    record = tmp_path / "a/models/2/record.json"
    record.write_text(record.read_text().replace('"epochs": 20', '"epochs": 30'))
    found = difference.compare(places[0], None, places[1], None)
    assert [(change.name, change.a, change.b, change.units) for change in found.reasons.params] == [
        ("models.epochs", 20, 10, ("models 1",)),
        ("models.epochs", 30, 10, ("models 2",)),
    ]


def test_videos_and_packages_that_left_the_bytes_as_they_were(tmp_path: Path) -> None:
    b = World(lock="numpy==2.2.0\ntorch==2.8.0\n")
    b.videos["train/a"][1].content = "other"
    found = diff(tmp_path, World(), b, MODEL)
    assert found.reasons == NOTHING
    assert [(video.name, list(video.a)) for video in found.harmless.videos] == [("train/a/r.mp4", ["sha256"])]
    assert changes(found.harmless.packages) == {"torch": ("2.7.0", "2.8.0")}


def test_scores_of_two_seeds_are_paired_seed_by_seed(tmp_path: Path) -> None:
    world = World(bytes={("models", "2"): "x", ("predictions", "2/test/t"): "x"})
    place = Folder(world.write(tmp_path / "a"))
    found = difference.compare(place, ("predictions", "1/test/t"), place, ("predictions", "2/test/t"))
    assert changes(found.reasons.units) == {"seed": ("1", "2")}
    only(found.reasons, units=1)
    assert found.unexplained == ()


def test_a_parameter_of_test_parts_is_none_of_a_model(tmp_path: Path) -> None:
    b = World()
    b.params["bboxes"]["test"]["frames"] = 9
    found = diff(tmp_path, World(), b, MODEL)
    assert found.harmless == NOTHING
    assert found.pending == ()


def test_params_of_a_stage_below_are_none_of_a_model(tmp_path: Path) -> None:
    b = World().changed(["evaluation"])
    b.params["evaluation"]["threshold"] = 0.4
    assert diff(tmp_path, World(), b, MODEL).harmless == NOTHING


def test_a_parameter_that_only_one_side_has_is_told_from_null(tmp_path: Path) -> None:
    a, b = World(), World().changed(["evaluation"])
    a.params["evaluation"]["temperature"] = None
    del b.params["evaluation"]["threshold"]
    b.params["evaluation"]["temperature"] = 1.5
    b.params["evaluation"]["clip"] = None
    found = diff(tmp_path, a, b)
    assert [(change.name, change.kind) for change in found.reasons.params] == [
        ("evaluation.clip", "added"),
        ("evaluation.temperature", "changed"),
        ("evaluation.threshold", "removed"),
    ]


def test_other_bytes_by_the_same_recipe_are_not_explained(tmp_path: Path) -> None:
    found = diff(tmp_path, World(), World().changed(["evaluation"]))
    assert found.reasons == NOTHING
    assert found.unexplained == ("evaluation all: the same recipe in the same environment gave other bytes",)
    assert "No record tells why they differ." in difference_text.headline(found)


def test_what_was_read_and_no_record_has_any_more_is_told(tmp_path: Path) -> None:
    a, b = World(), World().changed(["crops", *FROM_MODELS_ON])
    places = [Folder(world.write(tmp_path / name), name) for name, world in (("a", a), ("b", b))]
    (tmp_path / "b/data/crops/train/a.json").unlink()
    found = difference.compare(places[0], MODEL, places[1], MODEL)
    assert found.unexplained == ("B: data/crops/train/a.zip, as models 1 read it, has no record there",)


def test_videos_that_came_went_moved_or_changed(tmp_path: Path) -> None:
    a, b = World(), World().changed([*FROM_MODELS_ON])
    a.videos["train/a"] = [
        Video("changed.mp4", "one"), Video("gone.mp4", "two"), Video("label.mp4", "three", 0),
        Video("old.mp4", "four"), Video("same.mp4", "five"), Video("source.mp4", "six", 1, "x.mp4"),
    ]  # fmt: skip
    b.videos["train/a"] = [
        Video("changed.mp4", "other"), Video("label.mp4", "three", 1), Video("new.mp4", "four"),
        Video("come.mp4", "seven"), Video("same.mp4", "five"), Video("source.mp4", "six", 1, "y.mp4"),
    ]  # fmt: skip
    b.changed(["crops"])
    found = diff(tmp_path, a, b, MODEL)
    told = {video.name: (video.kind, sorted(video.a), sorted(video.b)) for video in found.reasons.videos}
    facts = ["label", "original", "sha256"]
    assert told == {
        "train/a/changed.mp4": ("changed", ["sha256"], ["sha256"]),
        "train/a/gone.mp4": ("removed", facts, []),
        "train/a/label.mp4": ("changed", ["label"], ["label"]),
        "train/a/old.mp4": ("moved", ["name"], ["name"]),
        "train/a/come.mp4": ("added", [], facts),
        "train/a/source.mp4": ("changed", ["original"], ["original"]),
    }
    assert found.reasons.files == ()  # the videos' own digests tell the same


def test_a_status_that_differs_is_what_became_of_a_video_and_no_reason(tmp_path: Path) -> None:
    b = World().changed([*FROM_MODELS_ON, "crops"])
    b.params["bboxes"]["train"]["every_n_frames"] = 50
    b.videos["train/a"][0] = Video("f.mp4", "fake", 1, "r.mp4", "no_face", "in none of 2 frames")
    found = diff(tmp_path, World(), b, MODEL)
    assert found.reasons.videos == ()
    assert [asdict(fate) for fate in found.fates] == [
        {"of": "crops", "a": "ok", "b": "no_face: in none of 2 frames", "videos": ("train/a/f.mp4",)}
    ]


@pytest.mark.parametrize("backwards", [False, True])
def test_a_video_that_was_withdrawn_is_a_reason_and_is_told_once(tmp_path: Path, backwards: bool) -> None:
    b = World().changed(["index", "crops", *FROM_MODELS_ON])
    b.videos["train/a"][0] = Video("f.mp4", "fake", 1, "r.mp4", "withdrawn", "listed in data/withdrawn.csv")
    sides = (b, World()) if backwards else (World(), b)
    found = diff(tmp_path, *sides, MODEL)
    (video,) = found.reasons.videos
    assert (video.name, video.kind) == ("train/a/f.mp4", "restored" if backwards else "withdrawn")
    assert found.fates == ()


def test_videos_that_trainings_used_differently_are_told_by_model(tmp_path: Path) -> None:
    b = World().changed(["folds", *FROM_MODELS_ON])
    b.params["folds"]["seed"] = 1
    b.videos["train/a"][1].role = "validated"
    found = diff(tmp_path, World(), b)
    assert [(fate.of, fate.a, fate.b, fate.videos) for fate in found.roles] == [
        ("models 1", "trained", "validated", ("train/a/r.mp4",)),
        ("models 2", "trained", "validated", ("train/a/r.mp4",)),
    ]


def test_a_training_whose_list_of_videos_is_not_here_is_left_out(tmp_path: Path) -> None:
    b = World().changed(FROM_MODELS_ON)
    places = [Folder(world.write(tmp_path / name), name) for name, world in (("a", World()), ("b", b))]
    (tmp_path / "a/models/1/videos.parquet").unlink()
    assert difference.compare(places[0], MODEL, places[1], MODEL).roles == ()


def test_a_part_and_a_seed_that_one_side_lacks(tmp_path: Path) -> None:
    a, b = World(), World().changed(["folds", *FROM_MODELS_ON])
    a.params["models"]["seeds"] = [1, 2, 3]
    b.videos["train/b"] = [Video("n.mp4", "new")]
    found = diff(tmp_path, a, b)
    assert {(unit.name, unit.kind, unit.a, unit.b) for unit in found.reasons.units} == {
        ("part", "added", None, "train/b"),
        ("seed", "removed", "3", None),
    }
    assert [(video.name, video.kind) for video in found.reasons.videos] == [("train/b/n.mp4", "added")]
    assert found.reasons.reads == ()
    assert any("part train/b only in B, seed 3 only in A" in line for line in difference_text.headline(found))


def test_two_parts_of_one_workspace_are_compared_video_by_video(tmp_path: Path) -> None:
    world = World()
    world.videos["train/b"] = [Video("n.mp4", "new"), Video("r.mp4", "real")]
    place = Folder(world.changed([]).write(tmp_path / "a"))
    found = difference.compare(place, ("index", "train/a"), place, ("index", "train/b"))
    assert changes(found.reasons.units) == {"part": ("train/a", "train/b")}
    assert [(video.name, video.kind) for video in found.reasons.videos] == [
        ("train/a/f.mp4", "removed"),
        ("train/b/n.mp4", "added"),
    ]


def test_an_output_that_only_one_sides_code_reads(tmp_path: Path) -> None:
    a, b = World(), World().changed(FROM_MODELS_ON)
    places = [Folder(world.write(tmp_path / name), name) for name, world in (("a", a), ("b", b))]
    record = tmp_path / "a/models/1/record.json"
    value = json.loads(record.read_text())
    del value["recipe"]["inputs"]["data/masks/train/a.parquet"]
    record.write_text(json.dumps(value))
    found = difference.compare(places[0], MODEL, places[1], MODEL)
    assert [(read.name, read.kind, read.units) for read in found.reasons.reads] == [
        ("data/masks/*.parquet", "added", ("models 1",))
    ]


def test_files_from_outside_that_are_no_videos(tmp_path: Path) -> None:
    a, b = World(), World().changed(["evaluation"])
    path = "data/raw/test/t/labels.csv"
    a.raw[("evaluation", "all")], b.raw[("evaluation", "all")] = {path: "old"}, {path: "new"}
    found = diff(tmp_path, a, b)
    assert [(file.name, file.kind, file.units) for file in found.reasons.files] == [
        (path, "changed", ("evaluation all",))
    ]


def test_the_commits_between_two_digests_of_a_module(tmp_path: Path) -> None:
    root = tmp_path / "w"
    path = "src/trueframe/stages/models.py"
    World().write(root)
    git(root, "init", "--quiet")
    git(root, "config", "user.name", "test")
    git(root, "config", "user.email", "test@example.org")
    (root / ".gitignore").write_text("/data/\n/models/\n/reports/\n")
    commit(root, "old")
    for name, content, words in (
        (path, "NAME = 1\n", "first half"),
        (SHARED, f"NAME = {SHARED!r}  # yes\n", "a comment elsewhere"),
        (path, "NAME = 2\n", "second half"),
    ):
        (root / name).write_text(content)
        commit(root, words)
    new = World(code={path: "NAME = 2\n"}).changed(FROM_MODELS_ON).write(tmp_path / "new")
    found = difference.compare(Folder(new), MODEL, Folder(root), MODEL)
    [module] = found.reasons.modules
    assert (module.name, module.units) == (path, ("models 1",))
    assert [(edit.subject, edit.undone) for edit in module.edits] == [("first half", True), ("second half", True)]
    forth = difference.compare(Folder(root), MODEL, Folder(new), MODEL).reasons.modules[0]
    assert [(edit.subject, edit.undone) for edit in forth.edits] == [("first half", False), ("second half", False)]


def test_a_module_that_no_commit_has_is_said_to_be_so(tmp_path: Path) -> None:
    b = World(code={SHARED: "NAME = 1\n"}).changed(["evaluation"])
    found = diff(tmp_path, World(), b)
    [module] = found.reasons.modules
    assert (module.edits, module.note) == ((), "A's is not committed; B's is not committed")
    (tmp_path / "b" / SHARED).write_text("NAME = 2\n")
    places = Folder(tmp_path / "a"), Folder(tmp_path / "b")
    [again] = difference.compare(places[0], None, places[1], None).reasons.modules
    assert again.note == "A's is not committed; B's is in no commit here"


def test_pins_are_read_by_name_and_marker() -> None:
    lock = """# a comment: left==1
Av==18.1.0 ; python_full_version < '3.12' \\
    --hash=sha256:00
av==19.0.2 ; python_full_version >= '3.12' \\
    # via x==3
ruamel_yaml.clib[jinja2]==0.2 \\
    --hash=sha256:11
-e .
"""
    assert pins(lock) == {
        "av ; python_full_version < '3.12'": "18.1.0",
        "av ; python_full_version >= '3.12'": "19.0.2",
        "ruamel-yaml-clib": "0.2",
    }


def test_packages_that_differ_between_two_locks(tmp_path: Path) -> None:
    b = World(lock="numpy==2.3.0 \\\n    --hash=sha256:cc\ntorch==2.7.0\nzarr==3.0\n").changed(["evaluation"])
    found = diff(tmp_path, World(), b)
    assert changes(found.reasons.packages) == {"numpy": ("2.2.0", "2.3.0"), "zarr": (None, "3.0")}
    only(found.reasons, packages=1)


def test_a_lock_with_the_same_packages_is_told_as_a_file(tmp_path: Path) -> None:
    found = diff(tmp_path, World(), World(lock=f"# again\n{LOCK}").changed(["evaluation"]))
    assert [change.name for change in found.reasons.environment] == ["requirements.lock"]
    assert found.unexplained == ()


def test_a_lock_whose_text_is_lost_is_named_by_its_digest_and_found_in_git(tmp_path: Path) -> None:
    b = World(lock="torch==2.8.0\n").changed(["evaluation"])
    places = [Folder(world.write(tmp_path / name), name) for name, world in (("a", World()), ("b", b))]
    (tmp_path / "b/requirements.lock").write_text("torch==2.9.0\n")
    digest = places[1].records["evaluation", "all"].environment["lock"]
    found = difference.compare(places[0], None, places[1], None)
    assert found.unexplained == (f"requirements.lock {digest}: its text is in no commit here",)
    assert [change.name for change in found.reasons.environment] == ["requirements.lock"]
    (tmp_path / "b/requirements.lock").write_text("torch==2.8.0\n")
    git(tmp_path / "b", "init", "--quiet")
    git(tmp_path / "b", "-c", "user.name=t", "-c", "user.email=t@e", "add", "requirements.lock")
    git(tmp_path / "b", "-c", "user.name=t", "-c", "user.email=t@e", "commit", "--quiet", "--message", "then")
    (tmp_path / "b/requirements.lock").write_text("torch==2.9.0\n")
    again = difference.compare(places[0], None, places[1], None)
    assert changes(again.reasons.packages) == {"numpy": ("2.2.0", None), "torch": ("2.7.0", "2.8.0")}


def test_the_machine_is_told(tmp_path: Path) -> None:
    b = World(environment={"python": "3.13.1"}).changed(["evaluation"])
    found = diff(tmp_path, World(environment={"python": "3.11.7"}), b)
    assert changes(found.reasons.environment) == {"python": ("3.11.7", "3.13.1")}


def test_parameters_and_modules_that_no_run_has_seen_are_not_run_yet(tmp_path: Path) -> None:
    b = Folder(World().write(tmp_path / "b"), "b")
    edit_params(tmp_path / "b", {"models.epochs": 10, "submission.unknown_score": 0.4})
    (tmp_path / "b" / SHARED).write_text("NAME = 1\n")
    a = Folder(World().write(tmp_path / "a"), "a")
    found = difference.compare(a, MODEL, b, MODEL)
    assert found.reasons == found.harmless == NOTHING
    [pending] = found.pending
    assert (pending.of, changes(pending.params)) == ("b", {"models.epochs": (20, 10)})
    assert [module.name for module in pending.modules] == [SHARED]


def test_scores_stand_beside_each_other_with_their_intervals(tmp_path: Path) -> None:
    worlds = []
    for log_loss, (low, high), undefined in ((0.25, (0.125, 0.375), None), (0.5, (0.4375, 0.625), 0.75)):
        ends = {"log_loss": {"low": low, "high": high}, "auc": {"low": None, "high": None}}
        metrics = {"test": {"log_loss": log_loss, "log_loss_low": low, "log_loss_high": high, "auc": undefined}}
        kept = [{"rank": 1, "epoch": 3, "val_figure": log_loss}, {"rank": 2, "epoch": 2, "val_figure": 0.75}]
        details = {"test": {"all": {"intervals": {"ensemble": ends}}}}
        worlds.append(World(metrics=metrics, details=details, kept={"1": kept}))
    worlds[1].changed(FROM_MODELS_ON).params["models"]["epochs"] = 10
    found = diff(tmp_path, worlds[0], worlds[1])
    told = {(score.of, score.figure): score for score in found.scores}
    assert set(told) == {("test", "log_loss"), ("test", "auc")} | {
        ("validation, seed 1", figure) for figure in ("val_figure", "epoch", "epoch of rank 2")
    }
    log_loss_ = told["test", "log_loss"]
    assert (log_loss_.a, log_loss_.b, log_loss_.apart) == (0.25, 0.5, True)
    assert (log_loss_.interval_a, log_loss_.interval_b) == ((0.125, 0.375), (0.4375, 0.625))
    assert told["test", "auc"].interval_a is None
    assert list(difference_text.headline(found)) == [
        "log loss of test videos: 0.2500 → 0.5000 (+0.2500); the 95 % intervals 0.125–0.375 and 0.438–0.625 are apart",
        "Files that differ: reports/evaluation/calibration.csv, reports/evaluation/calibration.png, "
        "reports/evaluation/details.json and 16 more.",
        "Because of 1 parameter (models.epochs 20 → 10).",
        "No video, no module, no package differs.",
    ]


def test_two_models_of_one_evaluation_have_its_figures_too(tmp_path: Path) -> None:
    seeds = {"1": {"log_loss": 0.25}, "2": {"log_loss": 0.375}}
    ends = {seed: {"log_loss": {"low": 0.125, "high": 0.5}} for seed in seeds}
    details = {"test": {"all": {"seeds": seeds, "intervals": {"seeds": ends}}}}
    place = Folder(World(details=details, bytes={("models", "2"): "x"}).write(tmp_path / "a"))
    [score] = difference.compare(place, ("models", "1"), place, ("models", "2")).scores
    assert (score.of, score.a, score.b, score.apart) == ("test, seed 1 → 2", 0.25, 0.375, False)
    World(bytes={("models", "1"): "trained anew"}).write(tmp_path / "other")
    for name in ("weights_1.safetensors", "record.json"):
        (tmp_path / "other/models/1" / name).rename(tmp_path / "a/models/1" / name)
    again = Folder(tmp_path / "a")  # now the evaluation is of another model 1
    assert difference.compare(again, ("models", "1"), again, ("models", "2")).scores == ()


def test_names_are_tried_as_folder_unit_and_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = World().write(tmp_path / "w")
    other = World().write(tmp_path / "other")
    monkeypatch.chdir(root)
    for asked, node in (
        (".", None), (str(root), None), ("1", MODEL), ("models/2", ("models", "2")),
        ("reports/submission.csv", ("submission", "all")), (".:crops/train/a", ("crops", "train/a")),
    ):  # fmt: skip
        [side, _] = sides.both(root, asked, ".")
        assert (side.snapshot.root.resolve(), side.node) == (root.resolve(), node), asked
    for asked, node in (("../other", None), (str(other), None), ("../other:1", MODEL)):
        [side, _] = sides.both(root, asked, ".")
        assert (side.snapshot.root.resolve(), side.node) == (other.resolve(), node), asked


def test_a_unit_against_a_workspace_is_the_same_unit_there(tmp_path: Path) -> None:
    root, _ = World().write(tmp_path / "w"), World().write(tmp_path / "other")
    assert difference.between(root, "models/1", "../other").compared == (("models 1", "models 1"),)
    assert difference.between(root, "../other", "models/2").compared == (("models 2", "models 2"),)
    assert difference.between(root, ".", "../other").compared == (
        ("submission all", "submission all"),
        ("evaluation all", "evaluation all"),
    )


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [
        ("nothing", ".", "nothing: expected a folder with a params.yaml, or a model"),
        ("../other:9", ".", "../other:9: no record in the workspace ../other knows 9"),
        ("models/1", "submission", "models 1, submission all: expected two units of one stage"),
        ("models/1", "../empty", "models 1: expected its record in the workspace ../empty, found none"),
        (".", "../empty", "expected records in the workspace ../empty, found none; run snakemake there"),
    ],
)
def test_what_means_nothing_or_has_no_record_is_told(tmp_path: Path, a: str, b: str, told: str) -> None:
    root, _ = World().write(tmp_path / "w"), World().write(tmp_path / "other")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/params.yaml").write_text("{}\n")
    with pytest.raises(UserError) as error:
        difference.between(root, a, b)
    assert told in str(error.value)


def test_a_hostile_name_does_not_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    b = World().changed(["crops", *FROM_MODELS_ON])
    b.videos["train/a"].append(Video("\x1b[31m[bold]\u202e.mp4", "new"))
    b.params["models"]["\x1b[2J"] = "[/]"
    shown = text(diff(tmp_path, World(), b), capsys)
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "train/a/\\x1b[31m[bold]\\u202e.mp4" in shown


def test_an_answer_is_plain_data(tmp_path: Path) -> None:
    b = World().changed(["index", "crops", *FROM_MODELS_ON])
    b.params["models"]["epochs"] = 10
    b.videos["train/a"].append(Video("n.mp4", "new"))
    found = diff(tmp_path, World(), b)
    value = json.loads(canonical_json(asdict(found)))
    assert value["reasons"]["params"] == [
        {"name": "models.epochs", "kind": "changed", "a": 20, "b": 10, "units": ["models 1", "models 2"]}
    ]


def test_neither_dvc_nor_torch_is_needed_for_two_folders(tmp_path: Path) -> None:
    World().write(tmp_path / "a"), World().changed(FROM_MODELS_ON).write(tmp_path / "b")
    code = (
        "import sys; from pathlib import Path; from trueframe.audit import difference, difference_text\n"
        "difference_text.show(difference.between(Path('a'), '.', '../b'))\n"
        "assert not {'dvc', 'mlflow', 'snakemake', 'torch'} & sys.modules.keys(), sys.modules.keys()\n"
    )
    subprocess.run((sys.executable, "-c", code), cwd=tmp_path, check=True, capture_output=True)


def test_a_commit_is_compared_with_the_working_tree_before_and_after_a_run(finished: Path) -> None:
    edit_params(finished, {"evaluation.calibration_bins": 5})
    before = difference.between(finished, "HEAD", ".")
    assert before.outputs == ()
    assert before.reasons == before.harmless == NOTHING
    assert [(one.of, changes(one.params)) for one in before.pending] == [
        ("the working tree", {"evaluation.calibration_bins": (10, 5)})
    ]
    snakemake(finished, "evaluation")
    after = difference.between(finished, "HEAD", ".")
    assert changes(after.reasons.params) == {"evaluation.calibration_bins": (10, 5)}
    only(after.reasons, params=1)
    assert (after.pending, after.unexplained) == ((), ())
    commit(finished, "fewer bins")
    assert difference.between(finished, "HEAD~1", "HEAD").reasons == after.reasons
    assert difference.between(finished, "HEAD~1:models/1", "models/1").outputs == ()
    lock = yaml.safe_load((finished / "dvc.lock").read_text())
    md5 = next(out["md5"] for out in lock["stages"]["crops"]["outs"])
    (finished / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
    [told] = [line for line in difference.between(finished, "HEAD~1", "HEAD").unexplained if "cache lacks" in line][:1]
    assert told.startswith("DVC's cache lacks data/crops of commit")
    shutil.rmtree(finished / ".dvc/cache")
    with pytest.raises(UserError, match="dvc fetch --all-commits"):
        difference.between(finished, "HEAD~1", ".")
