"""What a disk, a hand or a clock may do to a finished workspace: what is not as it was made is made again, no more."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from befallen import Made, copy, first_units, leftovers, paths, run, units
from trueframe.dag import STAGES
from trueframe.workspace import Workspace

_FUTURE_S = 10 * 365 * 86_400


@pytest.fixture(scope="module")
def workspace(finished_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy(finished_workspace, tmp_path_factory.mktemp("workspace") / "w")


def record_edits(root: Path, stage: str, unit: str) -> Iterator[tuple[str, str]]:
    """Texts that a record may be and should not: JSON, and in part a whole record, but not this unit's."""
    whole: dict[str, Any] = json.loads((root / STAGES[stage].record_path(unit)).read_text())
    recipe = whole["recipe"]
    artifact, output = next(iter(whole["outputs"].items()))
    others = {path: facts for path, facts in whole["outputs"].items() if path != artifact}
    code = next(iter(recipe["code"]))
    wrong: dict[str, dict[str, Any]] = {
        "another unit": {"unit": "train/part_77"},
        "another stage": {"stage": "index" if stage != "index" else "crops"},
        "no format": {"format": None},
        "no outputs": {"outputs": {}},
        "an output less": {"outputs": others},
        "another size": {"outputs": others | {artifact: output | {"size": output["size"] + 1}}},
        "a size that is no number": {"outputs": others | {artifact: output | {"size": "big"}}},
        "another path": {"outputs": others | {f"{artifact}x": output}},
        "no inputs": {"recipe": recipe | {"inputs": {}}},
        "an input more": {"recipe": recipe | {"inputs": recipe["inputs"] | {"data/x": f"sha256:{'0' * 64}"}}},
        "another input": {"recipe": recipe | {"inputs": dict.fromkeys(recipe["inputs"], f"sha256:{'0' * 64}")}},
        "other code": {"recipe": recipe | {"code": recipe["code"] | {code: f"sha256:{'0' * 64}"}}},
        "no parameters": {"recipe": recipe | {"params": {}}},
        "no recipe": {"recipe": {}},
    }
    for name, change in wrong.items():
        yield name, json.dumps(whole | change)
    for key in whole:
        yield f"no {key}", json.dumps({name: value for name, value in whole.items() if name != key})
    yield "a list", json.dumps([whole])
    yield "empty", ""
    yield "half of it", json.dumps(whole)[:-40]


def made_again(root: Path, stage: str, unit: str, made: Made) -> None:
    """The unit is not taken for fresh; made again it has the bytes it had."""
    assert not Workspace(root).fresh(stage, unit)
    end = run(root, stage, unit, replay=made)
    assert end.how == "ran", end
    assert Made.of(root, stage, unit) == made


def test_a_record_with_wrong_content_is_no_reason_to_trust(workspace: Path) -> None:
    count = 0
    for stage, unit in first_units(workspace):
        made, place = Made.of(workspace, stage, unit), workspace / STAGES[stage].record_path(unit)
        for name, text in record_edits(workspace, stage, unit):
            place.write_text(text)
            assert not Workspace(workspace).fresh(stage, unit), (stage, name)
            count += 1
        made_again(workspace, stage, unit, made)
    print(f"{count} records with wrong content")
    assert count == 23 * len(STAGES)
    assert Workspace(workspace).stale_units() == {}


def test_a_record_with_the_digest_of_other_bytes_makes_stale_what_reads_them(workspace: Path) -> None:
    """The unit itself is not hashed each time: that its artifact differs tells `trueframe audit --verify`."""
    place = workspace / STAGES["crops"].record_path("train/part_00")
    whole = place.read_text()
    known = json.loads(whole)
    for facts in known["outputs"].values():
        facts["sha256"] = "0" * 64
    place.write_text(json.dumps(known))
    stale = Workspace(workspace).stale_units()
    assert {
        ("landmarks", "train/part_00"),
        ("masks", "train/part_00"),
        ("folds", "all"),
        ("models", "1"),
    } <= stale.keys()
    place.write_text(whole)


def _gone(path: Path) -> None:
    path.unlink()


def _zero(path: Path) -> None:
    path.write_bytes(b"")


def _half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(bytes(1))


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


HARMS = (_gone, _half, _longer, _zero, _link, _folder)


@pytest.mark.parametrize("harms", [HARMS[:2], pytest.param(HARMS, marks=pytest.mark.long)])
def test_an_artifact_that_is_gone_or_of_another_size_or_kind_is_made_again(
    workspace: Path, harms: tuple[Callable[[Path], None], ...]
) -> None:
    """Its record is there; at last the artifacts of each unit are all gone but its record, and then the reverse."""
    count = 0
    for stage, unit in first_units(workspace):
        made = Made.of(workspace, stage, unit)
        *artifacts, record = paths(workspace, stage, unit)
        for path in (*artifacts, record):
            for harm in harms:
                harm(workspace / path)
                assert not Workspace(workspace).fresh(stage, unit), path
                count += 1
                if harm is _folder:
                    (workspace / path).rmdir()
                else:
                    (workspace / path).unlink(missing_ok=True)
                made.put(workspace)
        for path in artifacts:
            (workspace / path).unlink()
        made_again(workspace, stage, unit, made)
        (workspace / record).unlink()
        made_again(workspace, stage, unit, made)
    print(f"{count} files harmed, in {len(harms)} ways")
    assert count == len(harms) * sum(len(paths(workspace, *unit)) for unit in first_units(workspace))
    assert leftovers(workspace) == []


@pytest.mark.parametrize("moved_s", [_FUTURE_S, -_FUTURE_S])
def test_a_clock_that_was_wrong_makes_nothing_stale_and_hides_no_change(finished: Path, moved_s: int) -> None:
    """Times of files in the future or long ago: as if made before the clock went back, or after."""
    for path in (finished / "data", finished / "models", finished / "reports", finished / "src"):
        for file in path.rglob("*"):
            if file.is_file():
                os.utime(file, (time.time() + moved_s,) * 2)
    assert Workspace(finished).stale_units() == {}
    video = min((finished / "data/raw/train/part_00").glob("*.mp4"))
    with video.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"!")
    os.utime(video, (time.time() - 2 * _FUTURE_S,) * 2)
    assert Workspace(finished).stale_units()["index", "train/part_00"] == [f"input.{video.name}"]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.long), 23])
def test_files_lost_here_and_there_come_back_with_the_same_bytes(finished: Path, every: int) -> None:
    """Every file in turn goes, with the ones after it in the DAG as they are; then all units are worked on in order."""
    made = {unit: Made.of(finished, *unit) for unit in units(finished)}
    files = [(unit, path) for unit in made for path in paths(finished, *unit)]
    for unit, path in files[::every]:
        (finished / path).unlink()
        assert run(finished, *unit).how == "ran"
        assert Made.of(finished, *unit) == made[unit]
    print(f"{len(files[::every])} of {len(files)} files lost")
    assert Workspace(finished).stale_units() == {}
    assert leftovers(finished) == []
