from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueframe import tables

ROWS: list[dict[str, Any]] = [
    {"video": "a", "frame": 0, "track": 0, "epoch": 3, "score": 0.1, "held_out": True},
    {"video": "ü.mp4", "frame": 10, "track": 2, "epoch": 4, "score": 1.0, "held_out": False},
]


def index_row(video: str, label: int | None, original: str | None) -> dict[str, Any]:
    sizes = dict.fromkeys(("size_bytes", "width_px", "height_px", "frames"), 1)
    words = dict.fromkeys(("sha256", "codec", "status", "reason"), "")
    return sizes | words | {"video": video, "fps": 29.97, "label": label, "original": original}


def written(path: Path, rows: Any, schema: pa.Schema = tables.PREDICTIONS) -> bytes:
    assert tables.write(path, rows, schema) == len(rows)
    return path.read_bytes()


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    rows = [index_row("a", 0, None), index_row("b", 1, "a"), index_row("c", None, None)]
    tables.write(tmp_path / "t", rows, tables.INDEX)
    assert tables.read_rows(tmp_path / "t") == [{name: row[name] for name in tables.INDEX.names} for row in rows]
    assert tables.read_rows(tmp_path / "t", ["label"]) == [{"label": 0}, {"label": 1}, {"label": None}]
    assert pq.read_schema(tmp_path / "t").equals(tables.INDEX, check_metadata=True)


def test_a_data_frame_gives_the_bytes_of_its_rows_whatever_its_index_order_of_columns_and_types(tmp_path: Path) -> None:
    frame = pd.DataFrame(ROWS)[["score", "track", "held_out", "video", "epoch", "frame"]]
    frame = frame.assign(more="left out").astype({"track": "Int16", "video": object})
    frame.index = pd.Index(["x", "y"], name="name")
    assert written(tmp_path / "frame", frame) == written(tmp_path / "rows", ROWS)


def test_missing_values_of_a_data_frame_are_those_of_rows(tmp_path: Path) -> None:
    rows = [index_row("a", 0, None), index_row("b", 1, "a"), index_row("c", None, None)]
    expected = written(tmp_path / "rows", rows, tables.INDEX)
    frame = pd.DataFrame(rows)  # label: 0.0, 1.0, NaN
    assert written(tmp_path / "frame", frame, tables.INDEX) == expected
    assert written(tmp_path / "nullable", frame.astype({"label": "Int8"}), tables.INDEX) == expected


def test_a_table_that_was_read_is_written_as_the_same_bytes(tmp_path: Path) -> None:
    rows = [index_row("a", 0, None), index_row("b", 1, "a"), index_row("c", None, None)]
    expected = written(tmp_path / "rows", rows, tables.INDEX)
    assert written(tmp_path / "frame", tables.read(tmp_path / "rows"), tables.INDEX) == expected


def test_a_long_data_frame_put_together_from_several_gives_the_bytes_of_its_rows(tmp_path: Path) -> None:
    # More than a row group, and names that need several pages, in chunks that end elsewhere.
    row = {"track": 0, "epoch": 0, "score": 0.5, "held_out": True}
    rows = [{"video": f"{number:064}", "frame": number, **row} for number in range(70_000)]
    frame = pd.DataFrame(rows)
    chunks = pd.concat([frame[start : start + 7_001] for start in range(0, len(frame), 7_001)])
    assert written(tmp_path / "frame", chunks) == written(tmp_path / "rows", rows)


def test_no_rows_are_a_table_too(tmp_path: Path) -> None:
    empty = pd.DataFrame(columns=tables.PREDICTIONS.names)
    assert written(tmp_path / "frame", empty) == written(tmp_path / "rows", [])
    assert list(tables.read(tmp_path / "rows")) == tables.PREDICTIONS.names


def test_a_library_that_cannot_be_loaded_is_not_blamed_on_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where memory lacks for it."""
    tables.write(tmp_path / "t", ROWS, tables.PREDICTIONS)
    monkeypatch.setitem(sys.modules, "pyarrow.dataset", None)
    with pytest.raises(ImportError):
        tables.read_rows(tmp_path / "t", filters=[("frame", "=", 0)])


@pytest.mark.parametrize("made", [list, pd.DataFrame])
def test_a_required_value_that_is_missing_is_refused(tmp_path: Path, made: Any) -> None:
    with pytest.raises(ValueError, match="track"):
        tables.write(tmp_path / "t", made([{**ROWS[0], "track": None}]), tables.PREDICTIONS)


@pytest.mark.parametrize("made", [list, pd.DataFrame])
def test_a_value_that_does_not_fit_its_column_is_refused(tmp_path: Path, made: Any) -> None:
    with pytest.raises(pa.ArrowInvalid):
        tables.write(tmp_path / "t", made([{**ROWS[0], "track": 2**31}]), tables.PREDICTIONS)


def test_a_data_frame_without_a_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="held_out"):
        tables.write(tmp_path / "t", pd.DataFrame(ROWS).drop(columns="held_out"), tables.PREDICTIONS)
