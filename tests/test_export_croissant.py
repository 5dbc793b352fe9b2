"""Croissant of a finished workspace's data set, as mlcroissant reads it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import mlcroissant as mlc
import pyarrow.parquet as pq
import pytest

import exports
from trueframe import tables
from trueframe.audit.export import croissant
from trueframe.errors import UserError
from workspaces import call

COMMAND = (sys.executable, "-c", exports.ALONE, "export", "croissant")

ABOUT = croissant.About("faces", "Made-up faces.", "https://spdx.org/licenses/CC-BY-4.0")


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    exports.disconnect(monkeypatch)


def text(root: Path, about: croissant.About = ABOUT) -> str:
    return croissant.text(exports.source(root), about)


def write(root: Path) -> mlc.Dataset:
    """Write the description where its paths begin, and read it back."""
    (root / croissant.NAME).write_text(text(root), encoding="utf-8")
    return mlc.Dataset(str(root / croissant.NAME))


def rows(found: mlc.Dataset, record_set: str) -> list[dict[str, Any]]:
    """What mlcroissant reads: column to value, text as text."""
    return [
        {
            name.removeprefix(f"{record_set}/"): value.decode() if isinstance(value, bytes) else value
            for name, value in record.items()
        }
        for record in found.records(record_set)
    ]


def known(root: Path, pattern: str, suffix: str, leave_out: str = "\0") -> list[dict[str, Any]]:
    """The same read from the tables, with the part of each."""
    found = []
    for path in sorted(path for path in (root / "data").glob(pattern) if not path.name.endswith(leave_out)):
        part = f"{path.parent.name}/{path.name.removesuffix(suffix)}"
        found += [{"part": part} | row for row in pq.read_table(path).to_pylist()]
    return found


def test_its_own_reader_finds_every_video_with_what_the_index_says_of_it(finished: Path) -> None:
    found = rows(write(finished), "videos")
    assert len(found) == len(list((finished / "data/raw").glob("*/*/*.mp4")))
    assert found == [{name: row[name] for name in found[0]} for row in known(finished, "index/*/*.parquet", ".parquet")]
    for row in found:
        assert row["sha256"] == exports.digest(finished / "data/raw" / row["part"] / row["video"])
    assert set(found[0]) == {"part", *tables.INDEX.names}


def test_it_finds_faces_outcomes_and_folds_too(finished: Path) -> None:
    found = write(finished)
    boxes = known(finished, "bboxes/*/*.parquet", ".parquet", leave_out=".videos.parquet")
    assert rows(found, "faces") == boxes
    assert rows(found, "outcomes") == known(finished, "crops/*/*.videos.parquet", ".videos.parquet")
    folds = pq.read_table(finished / "data/folds/folds.parquet").to_pylist()
    assert rows(found, "folds") == [
        {name: value for name, value in row.items() if name not in ("offset", "size")} for row in folds
    ]
    assert len(folds) > 10


def test_every_column_of_the_tables_that_is_described_has_a_meaning(finished: Path) -> None:
    for record_set in write(finished).metadata.record_sets:
        assert all(field.description for field in record_set.fields)


def test_each_table_that_it_tells_of_has_the_digest_of_its_bytes(finished: Path) -> None:
    found = write(finished)
    files = [one for one in found.metadata.distribution if isinstance(one, mlc.FileObject)]
    assert {one.content_url for one in files} == {
        str(path.relative_to(finished))
        for pattern in ("index/*/*", "bboxes/*/*", "crops/*/*.videos", "folds/folds")
        for path in (finished / "data").glob(f"{pattern}.parquet")
        if not (path.parts[-3] == "bboxes" and ".videos" in path.name)
    }
    for file in files:
        assert file.sha256 == exports.digest(finished / file.content_url)


def test_it_names_licence_date_and_owner_and_says_what_is_not_distributed(finished_workspace: Path) -> None:
    about = croissant.About("n", "d.", "https://example.org/l", "Ada", "https://example.org/d", "1.2.3")
    value = json.loads(text(finished_workspace, about))
    assert value["name"] == "n"
    assert value["license"] == "https://example.org/l"
    assert value["description"].startswith("d. The videos are not distributed")
    assert value["creator"]["name"] == "Ada"
    assert (value["url"], value["version"]) == ("https://example.org/d", "1.2.3")
    assert value["datePublished"][:19] == exports.source(finished_workspace).date[:19]
    assert value["conformsTo"] == "http://mlcommons.org/croissant/1.0"


def test_it_tells_what_was_left_out_and_why(finished: Path) -> None:
    path = "data/crops/train/part_00.videos.parquet"
    told = pq.read_table(finished / path).to_pylist()
    tables.write(finished / path, [row | {"status": "no_face", "items": 0} for row in told], tables.VIDEOS)
    exports.rewrite(finished, path, (finished / path).read_bytes())
    assert f"{len(told)} videos left out: no_face, found by crops" in text(finished)


def test_a_hostile_name_of_a_part_is_read_back_as_it_is(finished: Path) -> None:
    exports.rename_part(finished, "part_00", exports.HOSTILE)
    found = rows(write(finished), "videos")
    assert {row["part"] for row in found} == {f"train/{exports.HOSTILE}", f"test/{exports.HOSTILE}", "train/part_01"}


def test_a_table_that_is_not_as_its_record_says_is_refused(finished: Path) -> None:
    (finished / "data/folds/folds.parquet").write_bytes(b"other")
    with pytest.raises(UserError, match=r"data/folds/folds\.parquet: its bytes are not those that its record tells"):
        text(finished)


def test_without_an_index_there_is_nothing_to_tell(finished: Path) -> None:
    shutil.rmtree(finished / "data/index")
    with pytest.raises(UserError, match="expected an index of a part"):
        text(finished)


def test_two_processes_write_the_same_bytes_by_the_command_line(finished: Path) -> None:
    words = ("--name", "faces", "--description", "Made-up faces.", "--license", "CC-BY-4.0")
    for seed in ("1", "2"):
        told = call(finished, *COMMAND, *words, PYTHONPATH="src", PYTHONHASHSEED=seed)
        assert told.stdout == "croissant.json\n"
        assert (finished / croissant.NAME).read_text() == text(finished)


@pytest.mark.parametrize("missing", ["--name", "--description", "--license"])
def test_name_description_and_licence_must_be_told(missing: str, finished: Path) -> None:
    words = {"--name": "n", "--description": "d", "--license": "CC-BY-4.0"}
    given = [word for option, value in words.items() if option != missing for word in (option, value)]
    told = call(finished, *COMMAND, *given, check=False, PYTHONPATH="src")
    assert told.returncode == 2
    assert f"Missing option '{missing}'" in told.stderr
    assert not (finished / croissant.NAME).exists()


def test_a_licence_that_is_neither_url_nor_identifier_is_refused(finished: Path) -> None:
    words = ("--name", "n", "--description", "d", "--license", "all rights reserved")
    told = call(finished, *COMMAND, *words, check=False, PYTHONPATH="src")
    assert told.returncode == 1
    assert told.stderr.startswith("trueframe: --license all rights reserved: expected a URL, or an SPDX identifier")


def test_without_the_extra_the_message_says_how_to_get_it(
    finished_workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trueframe.audit.export.source import needed

    monkeypatch.setitem(sys.modules, "mlcroissant", None)
    message = r"mlcroissant is not installed; it needs the extra: pip install 'trueframe\[exports\]'"
    with pytest.raises(UserError, match=message), needed("croissant"):
        text(finished_workspace)
    with pytest.raises(ModuleNotFoundError), needed("croissant"):
        import absent_from_everywhere  # noqa: F401
