"""A withdrawn video and its fakes are in nothing after the next run; without its line, all is as it was before."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import videos
from trueframe import archive, runner, tables, withdraw, withdrawn
from trueframe.dag import STAGES
from trueframe.errors import UserError
from trueframe.workspace import Workspace
from workspaces import call, clean, digests, family, planned, scored_video, snakemake

AFTER_TRAIN = {"folds", "models", "predictions", "submission", "evaluation"}
OF_TRAIN = {"index", "bboxes", "crops", "landmarks", "masks"}
OF_A_TEST_PART = {
    *((stage, "test/part_00") for stage in ("index", "bboxes", "crops")),
    ("predictions", "1/test/part_00"),
    ("submission", "all"),
    ("evaluation", "all"),
}


def _withdraw(root: Path, asked: str) -> list[str]:
    """What the command line says."""
    words = ("trueframe", "withdraw", asked, "--reason", "consent, withdrawn")
    return call(root, *words, PYTHONPATH=str(root / "src")).stdout.splitlines()


def _undo(root: Path) -> None:
    (root / "data/withdrawn.csv").write_text("sha256,md5,video,reason\n")


def _rows_with(root: Path, names: set[str]) -> Iterator[str]:
    """Every artifact below the index that holds something of these videos but their status."""
    for stage in STAGES:
        for folder in {(root / path).parent for path in STAGES[stage].outputs.values() if "{rank}" not in path}:
            place = Path(str(folder).partition("{unit}")[0])
            for path in sorted(place.rglob("*")):
                if path.suffix == ".zip":
                    found = {archive.parse_member(member.name)[0] for member in archive.members(path)}
                elif path.suffix == ".parquet":
                    found = {row["video"] for row in tables.read_rows(path) if row.get("items", 1)}
                elif path.name == "submission.csv":
                    found = {row["filename"] for row in csv.DictReader(path.open(newline=""))}
                else:
                    continue
                if stage != "index" and found & names:
                    yield str(path.relative_to(root))


def test_the_helper_sees_what_a_finished_workspace_holds_of_a_video(finished_workspace: Path) -> None:
    found = set(_rows_with(finished_workspace, {family(finished_workspace, "train/part_00")[0]}))
    assert {path.rpartition("train/part_00")[0] + Path(path).suffix for path in found} >= {
        "data/bboxes/.parquet",
        "data/crops/.zip",
        "data/landmarks/.parquet",
    }
    assert {"data/folds/folds.parquet", "models/1/videos.parquet"} <= found
    assert "reports/submission.csv" in set(_rows_with(finished_workspace, {scored_video(finished_workspace)}))


def test_a_test_video_reruns_its_part_and_no_training(finished: Path) -> None:
    name = scored_video(finished)
    told = _withdraw(finished, f"test/part_00/{name}")
    assert planned(finished) == OF_A_TEST_PART
    assert f"  test/part_00/{name}" in told
    assert "index 1 of 3, bboxes 1 of 3, crops 1 of 3, predictions 1 of 3, submission 1 of 1" in "\n".join(told)


@pytest.mark.long
def test_a_test_video_leaves_the_reports_and_comes_back(finished: Path) -> None:
    before, name = digests(finished), scored_video(finished)
    _withdraw(finished, f"test/part_00/{name}")
    snakemake(finished, "submission")
    clean(finished)
    assert list(_rows_with(finished, {name})) == []
    with (finished / "reports/submission_detail.csv").open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["filename"] == name)
    assert (row["score"], row["status"]) == ("", "withdrawn")
    assert row["reason"] == "withdrawn: listed in data/withdrawn.csv; not in the submission"
    coverage = json.loads((finished / "reports/evaluation/details.json").read_text())["test"]["coverage"]
    assert (coverage["withdrawn"], coverage["labelled"] + coverage["unlabelled"]) == (1, coverage["videos"] - 1)
    changed = {path for path, digest in digests(finished).items() if digest != before[path]}
    assert all("test/part_00" in path or path.startswith("reports/") for path in changed)
    _undo(finished)
    assert planned(finished) == OF_A_TEST_PART
    snakemake(finished, "submission")
    assert digests(finished) == before


def test_a_train_video_reruns_its_part_and_the_trainings(finished: Path) -> None:
    original, fake = family(finished, "train/part_01")
    told = _withdraw(finished, original)
    jobs = planned(finished)
    assert {stage for stage, _ in jobs} == OF_TRAIN | AFTER_TRAIN
    assert {unit for stage, unit in jobs if stage in OF_TRAIN} == {"train/part_01"}
    assert {f"  train/part_01/{original}", f"  train/part_01/{fake}  made from {original}"} <= set(told)
    assert "data/withdrawn.csv" in call(finished, "dvc", "status").stdout


@pytest.mark.long
def test_a_train_video_and_its_fakes_are_in_nothing_and_come_back(finished: Path) -> None:
    before, names = digests(finished), family(finished, "train/part_00")
    _withdraw(finished, f"data/raw/train/part_00/{names[0]}")
    call(finished, "dvc", "repro")
    clean(finished)
    assert list(_rows_with(finished, set(names))) == []
    _undo(finished)
    snakemake(finished, "submission")
    clean(finished)
    assert digests(finished) == before


@pytest.fixture
def indexed(raw: Path) -> Path:
    """A workspace with three train parts and their indexes; part_09 has a fake of a video in part_00, and a twin."""
    original, _ = family(raw, "train/part_00")
    part = raw / "data/raw/train/part_09"
    part.mkdir()
    videos.write(part / "far.mp4", 12)
    videos.write(part / "another.mp4", 13)
    shutil.copy(raw / f"data/raw/train/part_01/{family(raw, 'train/part_01')[0]}", part / "twin.mp4")
    entries = {
        "far.mp4": {"label": "FAKE", "original": original},
        "another.mp4": {"label": "REAL"},
        "twin.mp4": {"label": "REAL"},
    }
    (part / "metadata.json").write_text(json.dumps(entries))
    _index(raw)
    return raw


def _index(root: Path) -> set[str]:
    """Make every train part's index that is stale; returns those parts."""
    parts = Workspace(root).layout.parts("train")
    return {part for part in parts if runner.run_unit(Workspace(root), "index", part)}


def _withdrawn_rows(root: Path) -> dict[str, str]:
    return {
        f"{part}/{row['video']}": row["reason"]
        for part in Workspace(root).layout.parts("train")
        for row in tables.read_rows(root / f"data/index/{part}.parquet")
        if row["status"] == tables.WITHDRAWN
    }


def _indexes(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted((root / "data/index").rglob("*.*"))}


def test_fakes_of_another_part_and_copies_are_withdrawn_too_and_no_other_part_is_stale(indexed: Path) -> None:
    before = _indexes(indexed)
    original, fake = family(indexed, "train/part_00")
    outcome = withdraw.withdraw(Workspace(indexed), f"train/part_00/{original}", "consent")
    why = f"made from {original}"
    listed = {f"train/part_00/{original}": "", f"train/part_00/{fake}": why, "train/part_09/far.mp4": why}
    assert outcome.videos == listed
    assert outcome.units["index"] == (2, 4)
    assert [line.video for line in outcome.lines] == [original]
    assert _index(indexed) == {"train/part_00", "train/part_09"}
    assert _withdrawn_rows(indexed).keys() == listed.keys()
    assert _withdrawn_rows(indexed)["train/part_09/far.mp4"] == f"made from {original}, which is withdrawn"
    _undo(indexed)
    assert _index(indexed) == {"train/part_00", "train/part_09"}
    assert _indexes(indexed) == before


def test_a_copy_under_another_name_goes_with_its_content(indexed: Path) -> None:
    original, fake = family(indexed, "train/part_01")
    outcome = withdraw.withdraw(Workspace(indexed), f"train/part_01/{original}", "consent")
    assert {line.video for line in outcome.lines} == {original, "twin.mp4"}
    assert outcome.videos.keys() == {f"train/part_01/{original}", f"train/part_01/{fake}", "train/part_09/twin.mp4"}
    assert _index(indexed) == {"train/part_01", "train/part_09"}
    assert _withdrawn_rows(indexed).keys() == outcome.videos.keys()


def test_another_reason_reruns_nothing(indexed: Path) -> None:
    withdraw.withdraw(Workspace(indexed), "another.mp4", "consent")
    _index(indexed)
    path = indexed / "data/withdrawn.csv"
    path.write_text(path.read_text().replace("consent", "wrong label"))
    assert _index(indexed) == set()


def test_a_deleted_file_leaves_its_fakes_withdrawn(indexed: Path) -> None:
    original, fake = family(indexed, "train/part_00")
    withdraw.withdraw(Workspace(indexed), original, "consent")
    (indexed / f"data/raw/train/part_00/{original}").unlink()
    _index(indexed)
    assert _withdrawn_rows(indexed).keys() == {f"train/part_00/{fake}", "train/part_09/far.mp4"}
    assert _index(indexed) == set()


def test_a_clone_without_videos_agrees_and_says_what_it_cannot_run(indexed: Path) -> None:
    original, _ = family(indexed, "train/part_00")
    withdraw.withdraw(Workspace(indexed), original, "consent")
    _index(indexed)
    shutil.rmtree(indexed / "data/raw")
    parts = Workspace(indexed).layout.parts("train")
    assert all(Workspace(indexed).fresh("index", part) for part in parts)
    outcome = withdraw.withdraw(Workspace(indexed), "another.mp4", "consent")
    assert not outcome.has_raw
    assert "data/raw is not here: commit data/withdrawn.csv, and where the videos are, run:" in withdraw.told(outcome)
    assert {part: Workspace(indexed).reasons("index", part) for part in parts} == {
        "train/part_00": [],
        "train/part_01": [],
        "train/part_09": ["input.withdrawn.csv"],
    }
    with pytest.raises(UserError, match=r"data/raw: not there; .*`dvc pull`"):
        runner.run_unit(Workspace(indexed), "index", "train/part_09")


def test_a_second_time_changes_nothing_and_says_so(indexed: Path) -> None:
    first = withdraw.withdraw(Workspace(indexed), "another.mp4", "consent")
    before = (indexed / "data/withdrawn.csv").read_bytes()
    second = withdraw.withdraw(Workspace(indexed), first.lines[0].sha256, "another reason")
    assert (first.new, second.new) == (True, False)
    assert (indexed / "data/withdrawn.csv").read_bytes() == before
    assert "data/withdrawn.csv: it is there already: another.mp4" in withdraw.told(second)
    assert "  reason  consent" in withdraw.told(second)


def test_a_video_that_no_index_knows_yet_is_found_in_its_folder(indexed: Path) -> None:
    path = videos.write(indexed / "data/raw/train/part_09/new.mp4", 5)
    outcome = withdraw.withdraw(Workspace(indexed), "new.mp4", "consent")
    assert outcome.lines[0].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert outcome.lines[0].md5 == hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    assert outcome.videos.keys() == {"train/part_09/new.mp4"}
    _index(indexed)
    assert _withdrawn_rows(indexed).keys() == outcome.videos.keys()


def test_a_name_of_two_different_videos_is_refused_with_both_places(indexed: Path) -> None:
    videos.write(indexed / "data/raw/train/part_01/another.mp4", 7)
    with pytest.raises(UserError) as caught:
        withdraw.withdraw(Workspace(indexed), "another.mp4", "consent")
    assert "expected one video, found 2" in str(caught.value)
    assert "train/part_01/another.mp4" in str(caught.value)
    assert "train/part_09/another.mp4" in str(caught.value)
    outcome = withdraw.withdraw(Workspace(indexed), "./data/raw/train/part_01/another.mp4", "consent")
    assert outcome.doubts == {"train/part_09/another.mp4": "has the same name"}


def test_a_video_is_found_by_the_start_of_its_digest_and_by_its_whole_path(indexed: Path) -> None:
    row = next(row for row in tables.read_rows(indexed / "data/index/train/part_09.parquet"))
    path = indexed / f"data/raw/train/part_09/{row['video']}"
    found = [withdraw.withdraw(Workspace(indexed), asked, "consent") for asked in (row["sha256"][:8], str(path))]
    assert [[line.sha256 for line in outcome.lines] for outcome in found] == [[row["sha256"]]] * 2


@pytest.mark.parametrize(
    "asked",
    [
        "nobody.mp4",
        "train/part_09/nobody.mp4",
        "train/nowhere/far.mp4",
        "0" * 64,
        "far",
        "metadata.json",
        "",
        "../x",
        "/",
    ],
)
def test_what_is_no_video_is_refused_and_nothing_is_written(indexed: Path, asked: str) -> None:
    with pytest.raises(UserError, match="no such video here; expected data/raw/<kind>/<part>/<video>"):
        withdraw.withdraw(Workspace(indexed), asked, "consent")
    assert withdrawn.read(indexed / withdrawn.PATH) == ()


def test_a_hostile_name_is_told_in_escapes(indexed: Path) -> None:
    name = "\x1b[2J\n<img src=x onerror=alert(1)>.mp4"
    videos.write(indexed / "data/raw/train/part_09/v.mp4", 5).rename(indexed / "data/raw/train/part_09" / name)
    outcome = withdraw.withdraw(Workspace(indexed), f"train/part_09/{name}", "consent")
    assert all(line.isprintable() for line in withdraw.told(outcome))
    _index(indexed)
    assert _withdrawn_rows(indexed).keys() == {f"train/part_09/{name}"}


def test_a_wrong_file_is_told_by_whatever_asks_which_units_are_fresh(indexed: Path) -> None:
    (indexed / "data/withdrawn.csv").write_text("who\n")
    with pytest.raises(UserError, match=r"data/withdrawn\.csv: line 1: 'who': expected the columns"):
        Workspace(indexed).stale_units()
