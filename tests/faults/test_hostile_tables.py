"""Tables of other columns, and files that are none."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import videos
from hostile import FLIPPED, flipped, table
from trueframe import params, tables, video
from trueframe.dag import STAGES
from trueframe.errors import UserError
from trueframe.stages import crops
from trueframe.tools import Tools
from trueframe.workspace import Workspace

PARAMS = (Path(__file__).parents[2] / "params.yaml").read_text()


VIDEO = {"video": "a.mp4", "status": "ok", "reason": "", "items": 1}


TELLS = tables.VIDEOS.metadata
SCHEMAS: dict[str, tuple[pa.Schema, str]] = {
    "less": (tables.VIDEOS.remove(1), "no column status"),
    "more": (tables.VIDEOS.append(pa.field("extra", pa.string())), "an unknown column 'extra'"),
    "another type": (tables.VIDEOS.set(3, pa.field("items", pa.string())), "column items is string, not int64"),
    "wide texts": (tables.VIDEOS.set(0, pa.field("video", pa.large_string())), "column video is large_string"),
    "another table": (tables.BBOXES, "no column status; no column reason; no column items and 7 more"),
    "another order": (pa.schema(list(tables.VIDEOS)[::-1], TELLS), "in another order"),
    "twice": (tables.VIDEOS.append(pa.field("reason", pa.string())), "columns in another order or with other rules"),
    "nothing": (pa.schema([], TELLS), "no column video; no column status; no column reason and 1 more"),
    "no format": (tables.VIDEOS.remove_metadata(), "does not tell trueframe's format"),
    "an odd format": (tables.VIDEOS.with_metadata({"trueframe_format": "²"}), "does not tell trueframe's format"),
    "a newer format": (tables.VIDEOS.with_metadata({"trueframe_format": "2"}), "a newer trueframe made it"),
    "an older format": (tables.VIDEOS.with_metadata({"trueframe_format": "0"}), "an older trueframe made it"),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_table_of_other_columns_is_refused_by_name(tmp_path: Path, name: str) -> None:
    schema, message = SCHEMAS[name]
    path = tmp_path / "t.parquet"
    if name == "twice":
        rows = [pa.array([value]) for value in (*VIDEO.values(), "x")]
        pq.write_table(pa.Table.from_arrays(rows, schema=schema), path)
    else:
        table(path, schema)
    with pytest.raises(UserError, match=message) as caught:
        tables.require(path, tables.VIDEOS)
    assert str(caught.value).startswith(f"{path}: ")


def test_each_table_that_a_stage_hands_on_has_its_columns_told(finished_workspace: Path) -> None:
    parquet = {
        (stage.name, name)
        for stage in STAGES.values()
        for name, path in stage.outputs.items()
        if path.endswith("parquet")
    }
    assert parquet == tables.HANDED_ON.keys()
    layout = Workspace(finished_workspace).layout
    for (stage, name), schema in tables.HANDED_ON.items():
        for unit in layout.units(stage):
            tables.require(finished_workspace / layout.output(stage, name, unit)[0], schema)


def _refused_by_all(path: Path, told: str) -> None:
    reads: list[Callable[[], Any]] = [
        lambda: tables.require(path, tables.VIDEOS),
        lambda: tables.read(path),
        lambda: tables.read_rows(path),
    ]
    for read in reads:
        with pytest.raises(UserError, match=told):
            read()


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + bytes(20) + b"PAR1", pickle.dumps(1), b"video,status\n"])
def test_what_is_no_table_is_refused_by_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(data)
    _refused_by_all(path, r"t\.parquet: no whole table")


@pytest.mark.parametrize(("most", "value"), [("_MOST_ROWS", 999), ("_MOST_BYTES", 1 << 20)])
def test_a_table_that_would_fill_the_memory_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: str, value: int
) -> None:
    """With less for the most: a table beyond the true one takes a minute to write."""
    path = tmp_path / "t.parquet"
    rows = pa.Table.from_pylist([VIDEO | {"reason": "x" * 10_000}] * 1000, schema=tables.VIDEOS)
    pq.write_table(rows, path, compression="zstd", use_dictionary=False)
    assert path.stat().st_size < 10_000
    tables.require(path, tables.VIDEOS)
    monkeypatch.setattr(tables, most, value)
    _refused_by_all(path, r"t\.parquet: 1000 rows of \d+ bytes, no table has more than")


@pytest.mark.parametrize("kept", [True, False])
def test_a_long_text_that_many_rows_share_is_refused_by_name(tmp_path: Path, kept: bool) -> None:
    """100 GB in a file of kilobytes, which holds the text once; a reader may be told to leave it so, or not."""
    path, texts, columns = tmp_path / "t.parquet", pa.array(["x" * (1 << 20)]), []
    for field in tables.VIDEOS:
        shared = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000, pa.int32()), texts)
        columns.append(shared if field.name == "reason" else pa.array([VIDEO[field.name]] * 100_000, field.type))
    told = pa.schema(
        [field.with_type(column.type) for field, column in zip(tables.VIDEOS, columns, strict=True)], TELLS
    )
    pq.write_table(pa.table(columns, schema=told), path, compression="zstd", store_schema=kept)
    assert path.stat().st_size < 20_000
    _refused_by_all(path, r"t\.parquet: 100000 rows of 1048\d+ bytes, no table has more than")


def test_many_rows_that_share_short_texts_are_read(tmp_path: Path) -> None:
    """So many that the file must be looked into."""
    path = tmp_path / "t.parquet"
    names = [f"{'x' * 200}{number}.mp4" for number in range(1000)]
    frame = pd.DataFrame({"video": [names[number % 1000] for number in range(200_000)]})
    tables.write(path, frame.assign(status="ok", reason="", items=1), tables.VIDEOS)
    tables.require(path, tables.VIDEOS)
    assert tables.read(path, ["video"]).equals(frame)


@pytest.mark.parametrize("count", FLIPPED)
def test_a_damaged_table_is_refused_or_rows(tmp_path: Path, count: int) -> None:
    path, source, refused = tmp_path / "t.parquet", random.Random(0), 0
    tables.write(path, [VIDEO | {"items": number} for number in range(50)], tables.VIDEOS)
    data = path.read_bytes()
    for _ in range(count):
        path.write_bytes(flipped(data, source))
        try:
            tables.require(path, tables.VIDEOS)
            assert all(row.keys() == VIDEO.keys() for row in tables.read_rows(path))
        except UserError:
            refused += 1
    print(f"{count} damaged tables, {refused} refused")
    assert refused > count // 3


@pytest.mark.parametrize("name", ["../../../../etc/passwd", "/etc/passwd", "..", "", "a\0.mp4", "b/../../a.mp4"])
def test_a_table_cannot_make_a_stage_open_a_file_outside_its_part(tmp_path: Path, name: str) -> None:
    tables.write(tmp_path / "index", [videos.index_row(name)], tables.INDEX)
    box = {"video": name, "frame": 0, "track": 0, "x0": 0.0, "y0": 0.0, "x1": 9.0, "y1": 9.0, "score": 1.0}
    tables.write(tmp_path / "boxes", [box], tables.BBOXES)
    tables.write(tmp_path / "videos", [VIDEO | {"video": name}], tables.VIDEOS)
    (tmp_path / "raw").mkdir()
    with pytest.raises(UserError, match="expected a file's name"):
        crops.run(
            unit="train/part_00",
            raw=tmp_path / "raw",
            index=tmp_path / "index",
            bboxes=tmp_path / "boxes",
            bboxes_videos=tmp_path / "videos",
            archive=tmp_path / "crops.zip",
            videos=tmp_path / "out",
            params=params.parse(PARAMS, "params.yaml").crops,
            tools=Tools(),
        )
    with pytest.raises(UserError, match="expected a file's name"):
        video.inside(tmp_path / "raw", name)
