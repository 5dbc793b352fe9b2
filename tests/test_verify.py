"""A changed byte anywhere is found and named, and nothing else is blamed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from trueframe.audit import verify_text
from trueframe.audit.proof import digests
from trueframe.audit.proof.findings import Finding, Kind, Report
from trueframe.audit.verify import verify
from trueframe.errors import UserError
from trueframe.progress import Quiet
from trueframe.workspace import Workspace
from workspaces import call, commit, edit_params

CROPS = "data/crops/train/part_00.zip"
CROPS_RECORD = "data/crops/train/part_00.json"
SUBMISSION = "reports/submission.csv"


def check(root: Path, asked: str | None = None) -> Report:
    return verify(Workspace(root), asked, Quiet())


def blamed(root: Path, asked: str | None = None) -> dict[str, Kind]:
    """What is wrong, by path."""
    found = [finding for finding in check(root, asked).findings if finding.kind.wrong]
    assert len({finding.path for finding in found}) == len(found), found
    return {finding.path: finding.kind for finding in found}


def told(root: Path) -> dict[str, Kind]:
    """What is told though nothing is wrong."""
    report = check(root)
    assert not report.wrong, report.findings
    return {finding.path: finding.kind for finding in report.findings}


def one(report: Report, path: str) -> Finding:
    (found,) = (finding for finding in report.findings if finding.path == path)
    return found


def artifacts(root: Path) -> list[Path]:
    """Every file of the stages, records too."""
    tops = (root / "data", root / "models", root / "reports")
    files = (path for top in tops for path in sorted(top.rglob("*")) if path.is_file())
    others = {root / "data/raw.dvc", root / "data/withdrawn.csv"}
    return [path for path in files if path not in others and not path.is_relative_to(root / "data/raw")]


def is_record(path: Path) -> bool:
    return path.suffix == ".json" and path.name not in (
        "selection.json",
        "metrics.json",
        "details.json",
        "metadata.json",
    )


def raw_files(root: Path) -> list[Path]:
    return [path for path in sorted((root / "data/raw").rglob("*")) if path.is_file()]


def objects(root: Path) -> list[Path]:
    return [path for path in sorted((root / ".dvc/cache/files/md5").rglob("*")) if path.is_file()]


@contextmanager
def flipped(path: Path) -> Iterator[None]:
    """One byte in the middle is another, and size and times are as they were, as when a disk errs."""
    _flip(path)
    yield
    _flip(path)


def _flip(path: Path) -> None:
    about = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(about.st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    path.chmod(about.st_mode)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def edit(path: Path, change: dict[str, Any]) -> None:
    """Set values of a record, named by their steps with | between them, as canonical JSON has it."""
    record = json.loads(path.read_text())
    for name, value in change.items():
        *steps, last = name.split("|")
        place = record
        for step in steps:
            place = place[step]
        assert last in place
        place[last] = value
    path.write_text(json.dumps(record, sort_keys=True, indent=2, ensure_ascii=False) + "\n")


def forge(root: Path, artifact: str, record: str) -> str:
    """Change an artifact, and its record so that the two agree; the new SHA-256."""
    _flip(root / artifact)
    digest = hashlib.sha256((root / artifact).read_bytes()).hexdigest()
    edit(root / record, {f"outputs|{artifact}|sha256": digest})
    return digest


def unknown_to_dvc(root: Path) -> None:
    """As before DVC was told of any artifact."""
    (root / "dvc.lock").unlink(missing_ok=True)
    commit(root, "no lock")


def test_in_a_finished_workspace_every_file_and_object_is_compared_and_right(finished_workspace: Path) -> None:
    report = check(finished_workspace)
    assert report.findings == ()
    assert report.as_dict()["wrong"] is False
    records = [path for path in artifacts(finished_workspace) if is_record(path)]
    files = {*artifacts(finished_workspace), *raw_files(finished_workspace)}
    assert report.checked.records == len(records)
    assert report.checked.files == len(files) - len(records)
    assert report.checked.objects == len(objects(finished_workspace))
    assert report.checked.links == sum(len(json.loads(path.read_text())["recipe"]["inputs"]) for path in records)


def test_a_flipped_byte_in_any_artifact_record_or_raw_file_is_found_and_nothing_else_is_blamed(finished: Path) -> None:
    count = 0
    for path in [*artifacts(finished), *raw_files(finished)]:
        with flipped(path):
            found = blamed(finished)
        assert found == {str(path.relative_to(finished)): Kind.EDITED if is_record(path) else Kind.CHANGED}
        count += 1
    # Artifacts and records of 3 parts, 2 of them train, and of a seed that keeps 2 files of weights; 18 in evaluation.
    assert count == 3 * 2 + 3 * 3 + 3 * 3 + 2 * 2 + 2 * 3 + 2 + 6 + 3 * 2 + 3 + 18 + len(raw_files(finished))
    assert check(finished).findings == ()


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.long), 6])
def test_a_flipped_byte_in_an_object_of_the_cache_is_found_and_nothing_else_is_blamed(
    finished: Path, every: int
) -> None:
    listings = [path for path in objects(finished) if path.suffix == ".dir"]
    assert len(listings) == 9  # data/raw, and the 8 folders of stages
    chosen = [*listings[:: min(every, 3)], *[path for path in objects(finished) if path not in listings][::every]]
    for path in chosen:
        with flipped(path):
            assert blamed(finished) == {str(path.relative_to(finished)): Kind.OBJECT}
    assert len(chosen) >= 65 // every
    assert check(finished).findings == ()


def test_a_file_that_is_a_link_into_the_cache_is_read_once_and_its_object_is_blamed_with_it(finished: Path) -> None:
    apart = check(finished).checked
    call(finished, "dvc", "config", "cache.type", "symlink")
    call(finished, "dvc", "checkout", "--relink", "--quiet")
    assert (finished / CROPS).is_symlink()
    linked = check(finished)
    assert linked.findings == ()
    contents = {path.read_bytes() for path in [*artifacts(finished), *raw_files(finished)] if not is_record(path)}
    assert apart.size - linked.checked.size == sum(map(len, contents))
    with flipped((finished / CROPS).resolve()):
        assert blamed(finished) == {
            CROPS: Kind.CHANGED,
            str((finished / CROPS).resolve().relative_to(finished)): Kind.OBJECT,
        }


def test_an_artifact_and_its_record_that_were_edited_to_agree_differ_from_what_dvc_holds(finished: Path) -> None:
    before = json.loads((finished / CROPS_RECORD).read_text())["outputs"][CROPS]["sha256"]
    digest = forge(finished, CROPS, CROPS_RECORD)
    assert blamed(finished) == {CROPS: Kind.LOCK, CROPS_RECORD: Kind.EDITED}
    record = one(check(finished), CROPS_RECORD)
    assert record.expected == f'outputs.{CROPS}.sha256 "{before}"'
    assert record.found == f'outputs.{CROPS}.sha256 "{digest}"'


def test_where_dvc_knows_nothing_the_records_below_tell_of_such_an_edit(finished: Path) -> None:
    unknown_to_dvc(finished)
    before = json.loads((finished / CROPS_RECORD).read_text())["outputs"][CROPS]["sha256"]
    digest = forge(finished, CROPS, CROPS_RECORD)
    assert blamed(finished) == {CROPS: Kind.LINK}
    link = one(check(finished), CROPS)
    assert link.expected.startswith(f"sha256:{before}, as landmarks train/part_00 and ")
    assert link.found == f"sha256:{digest}"


def test_dvc_told_of_an_edited_artifact_leaves_the_links_and_of_a_leaf_only_git(finished: Path) -> None:
    forge(finished, CROPS, CROPS_RECORD)
    call(finished, "dvc", "commit", "--force", "crops")
    assert blamed(finished) == {CROPS: Kind.LINK}
    assert one(check(finished), "dvc.lock").found == "another content of data/crops"

    call(finished, "git", "checkout", "dvc.lock")
    call(finished, "dvc", "checkout", "--force", "crops")
    assert check(finished).findings == ()
    forge(finished, SUBMISSION, "reports/submission.json")
    call(finished, "dvc", "commit", "--force", "submission")
    assert told(finished) == {"dvc.lock": Kind.UNCOMMITTED}
    assert (
        one(check(finished), "dvc.lock").found == "another content of reports/submission.csv, reports/submission.json"
    )


def test_dvc_told_of_a_changed_artifact_alone_leaves_its_record(finished: Path) -> None:
    _flip(finished / SUBMISSION)
    call(finished, "dvc", "commit", "--force", "submission")
    assert blamed(finished) == {SUBMISSION: Kind.CHANGED}


def test_a_size_that_is_not_the_files_is_found(finished: Path) -> None:
    unknown_to_dvc(finished)
    edit(finished / "reports/submission.json", {f"outputs|{SUBMISSION}|size": 7})
    assert blamed(finished) == {SUBMISSION: Kind.CHANGED}
    assert one(check(finished), SUBMISSION).expected == "size:7 by reports/submission.json"


def test_weights_that_are_not_those_that_the_selection_chose_are_found(finished: Path) -> None:
    selection = "models/1/selection.json"
    chosen = json.loads((finished / selection).read_text())
    chosen["kept"][0]["sha256"] = "0" * 64
    (finished / selection).write_text(json.dumps(chosen))
    data = (finished / selection).read_bytes()
    digest = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    edit(finished / "models/1/record.json", {f"outputs|{selection}|{name}": value for name, value in digest.items()})
    call(finished, "dvc", "commit", "--force", "models")
    assert blamed(finished) == {selection: Kind.LINK}
    assert one(check(finished), selection).expected == f"sha256:{'0' * 64} of models/1/weights_1.safetensors"


def test_a_raw_video_that_everybody_was_told_of_but_its_index_is_found(finished: Path) -> None:
    video = raw_files(finished)[-1]
    path = str(video.relative_to(finished))
    _flip(video)
    os.utime(video)
    call(finished, "dvc", "commit", "--force", "data/raw.dvc")
    assert blamed(finished) == {path: Kind.CHANGED}
    md5 = f"md5:{hashlib.md5(video.read_bytes(), usedforsecurity=False).hexdigest()}"
    edit(finished / f"data/index/train/{video.parent.name}.json", {f"recipe|inputs|{path}": md5})
    call(finished, "dvc", "commit", "--force", "index")
    assert blamed(finished) == {path: Kind.CHANGED}
    assert one(check(finished), path).expected.endswith(f" by data/index/train/{video.parent.name}.parquet")


def lock_edits(text: str) -> dict[str, tuple[str, dict[str, Kind]]]:
    """What may happen to a dvc.lock, and what is blamed."""
    stages = yaml.safe_load(text)["stages"]
    (csv,) = (out["md5"] for out in stages["submission"]["outs"] if out["path"] == SUBMISSION)
    (crops,) = (out["md5"] for out in stages["crops"]["outs"])
    other = {digit: "0" if digit != "0" else "1" for digit in "0123456789abcdef"}
    del stages["submission"]
    return {
        "another digest of a file": (text.replace(csv, other[csv[0]] + csv[1:]), {SUBMISSION: Kind.LOCK}),
        "another digest of a folder": (
            text.replace(crops, other[crops[0]] + crops[1:]),
            {"data/crops": Kind.UNLISTED},
        ),
        "a stage less": (
            yaml.safe_dump({"schema": "2.0", "stages": stages}),
            dict.fromkeys((SUBMISSION, "reports/submission.json", "reports/submission_detail.csv"), Kind.LOCK),
        ),
        "no YAML": (text.replace("stages:", "stages: ["), {"dvc.lock": Kind.UNREADABLE}),
        "no digest": (text.replace(csv, "../../../etc"), {"dvc.lock": Kind.UNREADABLE}),
        "another shape": (text.replace("  crops:", "  crops: []\n  crops_:"), {"dvc.lock": Kind.UNREADABLE}),
    }


EDITS = (
    "another digest of a file",
    "another digest of a folder",
    "a stage less",
    "no YAML",
    "no digest",
    "another shape",
)


@pytest.mark.parametrize("edited", EDITS)
def test_a_lock_that_was_edited_is_found(finished: Path, edited: str) -> None:
    lock = finished / "dvc.lock"
    text, expected = lock_edits(lock.read_text())[edited]
    lock.write_text(text)
    assert blamed(finished) == expected


def test_a_lock_that_is_gone_is_missing_and_a_run_that_dvc_was_not_told_of_is_told(finished: Path) -> None:
    (finished / "dvc.lock").unlink()
    assert blamed(finished) == {"dvc.lock": Kind.MISSING}
    unknown_to_dvc(finished)  # now no commit has one
    stages = ("index", "bboxes", "crops", "landmarks", "masks", "folds", "predictions")
    assert told(finished) == dict.fromkeys(
        [*(f"data/{stage}" for stage in stages), "models", "reports"], Kind.UNTRACKED
    )


def test_without_dvcs_cache_artifacts_are_compared_and_what_is_not_is_told(finished: Path) -> None:
    shutil.rmtree(finished / ".dvc/cache")
    stages = ("index", "bboxes", "crops", "landmarks", "masks", "folds", "predictions")
    lost = dict.fromkeys([*(f"data/{stage}" for stage in stages), "models"], Kind.UNLISTED)
    assert blamed(finished) == lost
    _flip(finished / CROPS)
    _flip(raw_files(finished)[-1])
    assert blamed(finished) == lost | {
        CROPS: Kind.CHANGED,
        str(raw_files(finished)[-1].relative_to(finished)): Kind.CHANGED,
    }


def test_a_record_that_was_edited_where_dvcs_copy_is_lost_is_found_and_nothing_below_is_blamed(finished: Path) -> None:
    md5 = hashlib.md5((finished / CROPS_RECORD).read_bytes(), usedforsecurity=False).hexdigest()
    (finished / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
    assert told(finished) == {"data/crops": Kind.ABSENT}
    edit(finished / CROPS_RECORD, {f"outputs|{CROPS}|sha256": "0" * 64})
    assert blamed(finished) == {CROPS_RECORD: Kind.EDITED}
    assert blamed(finished, "submission") == {CROPS_RECORD: Kind.EDITED}
    (finished / CROPS_RECORD).write_text("no record")
    assert blamed(finished, "models/1") == {CROPS_RECORD: Kind.EDITED}


def test_what_is_gone_is_missing(finished: Path) -> None:
    video = raw_files(finished)[-1]
    gone = (finished / CROPS, finished / CROPS_RECORD, finished / "data/masks/train/part_01.json", video)
    for path in gone:
        path.unlink()
    assert blamed(finished) == {str(path.relative_to(finished)): Kind.MISSING for path in gone}


def test_raw_videos_that_a_clone_does_not_have_are_told(finished: Path) -> None:
    shutil.rmtree(finished / "data/raw")
    assert told(finished) == {"data/raw": Kind.ABSENT}
    digest = json.loads((finished / "data/index/train/part_00.json").read_text())["recipe"]["inputs"]
    md5 = next(iter(digest.values())).removeprefix("md5:")
    with flipped(finished / ".dvc/cache/files/md5" / md5[:2] / md5[2:]):
        assert blamed(finished) == {f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}": Kind.OBJECT}


def test_a_path_is_compared_with_all_above_it_and_with_nothing_else(finished: Path) -> None:
    report = check(finished, CROPS)
    assert report.checked.records == 3
    # 1 table, 2 tables, an archive and a table, and what the index read
    assert report.checked.files == 5 + len(list((finished / "data/raw/train/part_00").iterdir()))
    with flipped(finished / "data/masks/train/part_00.zip"), flipped(finished / "data/crops/train/part_01.zip"):
        assert blamed(finished, CROPS) == {}
        assert len(blamed(finished, "models/1")) == 2
    with flipped(finished / "data/index/train/part_00.parquet"):
        assert blamed(finished, CROPS) == {"data/index/train/part_00.parquet": Kind.CHANGED}
    with pytest.raises(UserError, match="models/7: no record"):
        check(finished, "models/7")


def test_a_unit_that_is_stale_is_not_wrong(finished: Path) -> None:
    edit_params(finished, {"crops.margin": 0.5, "models.epochs": 9})
    assert Workspace(finished).stale_units()
    assert told(finished) == {}


def test_files_that_no_record_has_are_told_but_hidden_ones(finished: Path) -> None:
    for path in ("data/crops/train/old.zip", "data/masks/train/.part_00.zip.partial", "models/1/note.txt"):
        (finished / path).touch()
    (finished / "data/raw/train/part_00/new.mp4").touch()
    (finished / "data/raw/train/part_00/newer.mp4").touch()
    (finished / "reports/sheet.png").touch()  # anybody's folder
    folders = ("data/crops/train", "models/1", "data/raw/train/part_00")
    assert told(finished) == dict.fromkeys(folders, Kind.UNCLAIMED)
    assert one(check(finished), "data/raw/train/part_00").found == "new.mp4 and 1 more"


def test_a_link_to_nowhere_that_the_index_saw_as_such_is_as_its_record_says(finished: Path) -> None:
    unknown_to_dvc(finished)
    (finished / "data/raw/train/part_00/lost.mp4").symlink_to("nowhere")
    assert told(finished)["data/raw/train/part_00"] == Kind.UNCLAIMED
    path = finished / "data/index/train/part_00.json"
    inputs = json.loads(path.read_text())["recipe"]["inputs"]
    edit(path, {"recipe|inputs": inputs | {"data/raw/train/part_00/lost.mp4": "not a file"}})
    assert "data/raw/train/part_00" not in told(finished)


@pytest.mark.parametrize(
    ("path", "record", "below"),
    [
        (
            "data/index/train/part_00.parquet",
            "data/index/train/part_00.json",
            ("bboxes", "crops", "landmarks", "masks"),
        ),
        ("models/1/selection.json", "models/1/record.json", ()),
    ],
)
def test_nonsense_that_its_record_vouches_for_is_found(
    finished: Path, path: str, record: str, below: tuple[str, ...]
) -> None:
    unknown_to_dvc(finished)
    for stage in below and (*below, "folds", "predictions"):
        shutil.rmtree(finished / "data" / stage)
    for folder in below and ("models", "reports"):
        shutil.rmtree(finished / folder)
    (finished / path).write_bytes(b"nonsense")
    digest = hashlib.sha256(b"nonsense").hexdigest()
    edit(finished / record, {f"outputs|{path}|sha256": digest, f"outputs|{path}|size": 8})
    assert blamed(finished) == {path: Kind.UNREADABLE}


def test_an_environment_that_no_commit_has_is_told(finished: Path) -> None:
    unknown_to_dvc(finished)
    edit(finished / "reports/submission.json", {"environment|lock": f"sha256:{'0' * 64}"})
    assert told(finished)["requirements.lock"] == Kind.UNCOMMITTED
    expected = f"sha256:{'0' * 64}, by the records of 1 units, such as submission all"
    assert one(check(finished), "requirements.lock").expected == expected


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be kept from nothing")
def test_what_is_no_file_is_unreadable(finished: Path) -> None:
    (finished / CROPS).unlink()
    os.mkfifo(finished / CROPS)
    assert blamed(finished) == {CROPS: Kind.UNREADABLE}


def test_the_advice_for_a_changed_artifact_and_a_corrupt_object_mends_them(finished: Path) -> None:
    _flip(finished / CROPS)
    assert one(check(finished), CROPS).advice.startswith(f"remove it, then `dvc checkout {CROPS}`")
    (finished / CROPS).unlink()
    call(finished, "dvc", "checkout", CROPS)
    assert check(finished).findings == ()
    md5 = hashlib.md5((finished / CROPS).read_bytes(), usedforsecurity=False).hexdigest()
    place = finished / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    _flip(place)
    assert one(check(finished), str(place.relative_to(finished))).advice.startswith(
        "remove it; `dvc commit -f data/crops` puts it back"
    )
    place.unlink()
    call(finished, "dvc", "commit", "-f", "data/crops")
    assert check(finished).findings == ()


def test_nothing_is_changed_by_looking(finished: Path) -> None:
    def state() -> dict[Path, tuple[int, int, str]]:
        files = [path for path in sorted(finished.rglob("*")) if path.is_file()]
        return {
            path: (path.stat().st_mtime_ns, path.stat().st_mode, hashlib.sha256(path.read_bytes()).hexdigest())
            for path in files
            if not path.is_relative_to(finished / ".dvc/tmp")  # DVC's own locks
        }

    _flip(finished / CROPS)
    before = state()
    check(finished)
    assert state() == before


def test_a_hostile_name_neither_steers_the_terminal_nor_a_shell(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "\x1b[2Jx; touch hacked.mp4"
    (finished / "data/raw/train/part_00" / name).touch()
    call(finished, "dvc", "add", "--quiet", "data/raw")
    (finished / "data/raw/train/part_00" / name).write_text("another")
    report = check(finished)
    assert "`dvc checkout 'data/raw/train/part_00/\x1b[2Jx; touch hacked.mp4'`" in report.findings[0].advice
    verify_text.show(report)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "data/raw/train/part_00/\\x1b[2Jx; touch hacked.mp4" in out


def test_a_large_file_is_read_in_flat_memory(tmp_path: Path) -> None:
    size = 50 << 20
    with (tmp_path / "large").open("wb") as file:
        file.truncate(size)
    tracemalloc.start()
    content = digests.read(tmp_path / "large")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert content == digests.Content(
        size, hashlib.sha256(bytes(size)).hexdigest(), hashlib.md5(bytes(size), usedforsecurity=False).hexdigest()
    )
    assert peak < 4 << 20


def test_files_are_read_in_order_and_few_wait_at_a_time() -> None:
    asked = []

    def items() -> Iterator[int]:
        for number in range(5000):
            asked.append(number)
            yield number

    results = digests.spread(lambda number: -number, items(), 3)
    assert [next(results) for _ in range(10)] == [(number, -number) for number in range(10)]
    assert len(asked) < 1000
    assert [item for item, _ in results] == list(range(10, 5000))
