from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from evaluations import rows
from trueframe import tables
from trueframe.figures import groups

NAN = float("nan")
COLUMNS = ["part", "video", "original", "label", "status", "scored", "score"]


def boxes(path: Path, *rows: tuple[str, float, float]) -> Path:
    """A table of boxes: video, width and height."""
    found = [
        {"video": video, "frame": frame, "track": 0, "x0": 8, "y0": 16, "x1": 8 + width, "y1": 16 + height, "score": 1}
        for frame, (video, width, height) in enumerate(rows)
    ]
    tables.write(path, found, tables.BBOXES)
    return path


def test_a_videos_face_size_is_the_median_of_its_boxes_longer_sides(tmp_path: Path) -> None:
    path = boxes(tmp_path / "b", ("a", 50, 60), ("a", 90, 80), ("a", 10, 300), ("b", 20, 30), ("b", 50, 40))
    assert groups.face_sizes(path).to_dict() == {"a": 90, "b": 40}


def test_groups_are_counted_with_their_unscored_and_measured_over_their_scored_videos(tmp_path: Path) -> None:
    p = boxes(tmp_path / "p", ("f", 150, 100), ("r", 100, 50), ("s", 400, 300))
    q = boxes(tmp_path / "q", ("a", 99.5, 60), ("f", 500, 60))
    held_out = [
        ("p", "f", "r", 1, "ok", True, 0.8),
        ("p", "r", "r", 0, "ok", True, 0.4),
        ("p", "s", "s", 1, "truncated", True, 0.5),
        ("p", "t", "t", 1, "ok", False, NAN),
    ]
    test = [("q", "a", "a", 1, "ok", True, 0.25), ("q", "b", "b", 0, "no_face", False, 0.5)]
    sets = {name: pd.DataFrame(found, columns=COLUMNS) for name, found in (("held_out", held_out), ("test", test))}
    found = groups.by_status_and_size(sets, {"p": p, "q": q}, [100, 200.5])
    both, half, quarter = -(math.log(0.8) + math.log(0.6)) / 2, math.log(2), math.log(4)
    expected = [
        ["test", "status", "no_face", 1, 1, 0, None, None],
        ["held_out", "status", "ok", 3, 1, 2, both, 1],
        ["test", "status", "ok", 1, 0, 1, quarter, None],
        ["held_out", "status", "truncated", 1, 0, 1, half, None],
        ["test", "face size", "below 100 px", 1, 0, 1, quarter, None],
        ["held_out", "face size", "100 to 200.5 px", 2, 0, 1, both, 1],
        ["held_out", "face size", "200.5 px or more", 1, 0, 1, half, None],
        ["held_out", "face size", "no face", 1, 1, 1, None, None],
        ["test", "face size", "no face", 1, 1, 0, None, None],
    ]
    assert rows(found) == [pytest.approx(row, abs=1e-6) for row in expected]


def test_without_edges_there_is_one_size(tmp_path: Path) -> None:
    frame = pd.DataFrame([("p", "f", "r", 1, "ok", True, 0.8)], columns=COLUMNS)
    found = groups.by_status_and_size({"test": frame}, {"p": boxes(tmp_path / "p", ("f", 1, 1))}, [])
    assert list(found["group"]) == ["ok", "any size"]


def test_no_videos_make_no_groups() -> None:
    found = groups.by_status_and_size({"test": pd.DataFrame(columns=COLUMNS)}, {}, [100])
    assert (list(found["group"]), "unscored" in found) == ([], True)


def test_an_original_is_listed_with_its_fakes_in_its_part() -> None:
    held_out = [
        ("p", "r", "r", 0, "ok", True, 0.25),
        ("p", "f1", "r", 1, "ok", True, 0.5),
        ("p", "f2", "r", 1, "ok", True, 0.75),
        ("p", "f3", "r", 1, "ok", False, NAN),
        ("q", "f", "r", 1, "missing_original", True, 1.0),
    ]
    found = groups.by_original(pd.DataFrame(held_out, columns=COLUMNS))
    assert list(found) == ["part", "original", "videos", "unscored", "fakes", "real_score", "fake_score", "log_loss"]
    loss = -(math.log(0.75) + math.log(0.5) + math.log(0.75)) / 3
    assert rows(found) == [
        ["p", "r", 4, 1, 3, 0.25, 0.625, pytest.approx(loss, abs=1e-6)],
        ["q", "r", 1, 0, 1, None, 1, 0],
    ]
