"""Formats: a workspace of each one that was released is kept in tests/formats/, and what is not of today's is refused.

To change what a record, a table, an archive or a card looks like: make the change and raise formats.FORMAT; run
`UPDATE_FORMATS=1 pytest tests/test_formats.py`, which packs a workspace of the new format; commit the pack with the
change. A pack never changes after a release: what it holds is what users have. Before the first release there is one,
which may be removed and packed anew.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save

from trueframe import archive, card, formats, images, records, tables
from trueframe.dag import STAGES
from trueframe.formats import FORMAT, OtherFormatError
from trueframe.workspace import Workspace
from workspaces import call, digests, snakemake

PACKS = Path(__file__).parent / "formats"
_LARGEST = 80_000


def _packed(place: Path) -> bytes:
    """An artifact as a pack has it: of an archive a corner of one image, of weights a tensor, else all of it."""
    if place.suffix == ".zip":
        file = io.BytesIO()
        with zipfile.ZipFile(place) as whole, zipfile.ZipFile(file, "w") as one:
            member = whole.infolist()[0]
            grey = member.filename.endswith(images.MASK)
            corner = images.decoded(whole.read(member), grey)[:8, :8]
            one.writestr(member, images.png(corner) if grey else images.webp(np.ascontiguousarray(corner)))
            one.comment = whole.comment
        return file.getvalue()
    if place.suffix == ".safetensors":
        with safe_open(place, "numpy") as weights:
            name = min(weights.keys(), key=lambda name: (weights.get_tensor(name).size, name))
            return save({name: weights.get_tensor(name)}, weights.metadata())
    return place.read_bytes()


def _pack(workspace: Path, path: Path) -> None:
    """Keep a finished workspace's records and artifacts but for the plots, in the order of their names."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as pack:
        for name in sorted(digests(workspace)):
            if not name.endswith(".png"):
                info = zipfile.ZipInfo(name)
                pack.writestr(info, _packed(workspace / name), zipfile.ZIP_DEFLATED)


def test_each_released_format_has_its_pack(request: pytest.FixtureRequest) -> None:
    now = PACKS / f"{FORMAT}.zip"
    if os.environ.get("UPDATE_FORMATS") and not now.exists():
        _pack(request.getfixturevalue("finished_workspace"), now)
    assert sorted(path.name for path in PACKS.iterdir()) == sorted(f"{number}.zip" for number in range(1, FORMAT + 1))
    sizes = {path.name: path.stat().st_size for path in PACKS.iterdir()}
    print(sizes)
    assert max(sizes.values()) < _LARGEST


def test_what_is_packed_as_of_todays_format_reads_as_today(tmp_path: Path) -> None:
    """Where this fails, the format has changed and its number has not."""
    with zipfile.ZipFile(PACKS / f"{FORMAT}.zip") as pack:
        pack.extractall(tmp_path)
    seen = set()
    for stage in STAGES.values():
        for place in tmp_path.glob(stage.record.format(unit="**/*").replace("**/*/", "*/")):
            record = records.read(place)
            assert record is not None, place
            if record.stage != stage.name:
                continue
            for name, pattern in stage.outputs.items():
                path = tmp_path / pattern.format(unit=record.unit, rank=1)
                _read(path, (stage.name, name))
                seen.add((stage.name, name))
    assert seen == {(stage.name, name) for stage in STAGES.values() for name in stage.outputs}


def _read(path: Path, output: tuple[str, str]) -> None:
    match path.suffix:
        case ".parquet":
            tables.require(path, tables.HANDED_ON[output])
            tables.read_rows(path)
        case ".zip":
            (member,) = archive.members(path)
            with archive.Reader(path) as reader:
                assert images.read(reader, member.offset, member.size).shape == (8, 8, 3)
        case ".safetensors":
            assert card.read(path).size_px == 64
        case ".json":
            assert json.loads(path.read_text())
        case ".csv":
            assert len(path.read_text().splitlines()) > 1
        case suffix:
            assert suffix == ".png"


@pytest.fixture(
    params=[
        *range(1, FORMAT),
        pytest.param(0, id="older", marks=pytest.mark.long),
        pytest.param(FORMAT + 1, id="newer"),
    ]
)
def other(request: pytest.FixtureRequest, raw: Path) -> tuple[Path, int]:
    """A workspace with records of another format, released or today's with another number, and the number."""
    number = int(request.param)
    pack = PACKS / f"{number}.zip"
    with zipfile.ZipFile(pack if pack.exists() else PACKS / f"{FORMAT}.zip") as file:
        file.extractall(raw)
        names = [name for name in file.namelist() if name.endswith(".json") and not pack.exists()]
    for path in (raw / name for name in names):
        path.write_text(path.read_text().replace(f'"format": {FORMAT},', f'"format": {number},'))
    return raw, number


def test_a_workspace_of_another_format_is_refused_in_one_message_and_left_as_it_is(other: tuple[Path, int]) -> None:
    workspace, number = other
    files = {path: path.read_bytes() for path in sorted(workspace.glob("[dmr]*/**/*")) if path.is_file()}
    why = f"format {number}, expected {FORMAT}: {'an older' if number < FORMAT else 'a newer'} trueframe made it"
    done = [
        snakemake(workspace, "submission", check=False),
        call(workspace, "trueframe", "status", check=False, PYTHONPATH="src"),
        call(workspace, "trueframe", "audit", "reports/submission.csv", check=False, PYTHONPATH="src"),
        call(workspace, "trueframe", "masks", "train/part_00", check=False, PYTHONPATH="src"),
    ]
    for one in done:
        assert one.returncode != 0
        assert why in one.stdout + one.stderr
        assert "Traceback" not in one.stdout + one.stderr
    assert {path: path.read_bytes() for path in files} == files


def test_removing_what_an_older_one_made_is_all_it_takes(raw: Path) -> None:
    """As the message says."""
    workspace = Workspace(raw)
    record = raw / STAGES["index"].record_path("train/part_00")
    record.parent.mkdir(parents=True)
    record.write_text('{"format": 0}')
    with pytest.raises(OtherFormatError, match=r"remove what it made \(models/, reports/, and data/ but for data/raw"):
        workspace.reasons("index", "train/part_00")
    shutil.rmtree(raw / "data/index")
    assert Workspace(raw).reasons("index", "train/part_00") == ["no_record"]


def test_the_number_is_checked_in_both_directions(tmp_path: Path) -> None:
    formats.require(tmp_path, FORMAT)
    for number in (FORMAT - 1, FORMAT + 1):
        with pytest.raises(OtherFormatError):
            formats.require(tmp_path, number)
