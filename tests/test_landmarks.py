"""landmarks: five points on each crop of a real video."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from skimage.data import astronaut

import fake_faces
import trueframe
import videos
from trueframe import archive, images, tables
from trueframe.params import Landmarks
from trueframe.stages import landmarks
from trueframe.tools import Tools

PARAMS = Landmarks(thresholds=[0.65, 0.75, 0.75], min_face_px=20)
X0, Y0, X1, Y1 = 160, 60, 290, 200  # the portrait's face
# Eyes, nose and corners of the mouth in the portrait, read off it; the eye on the left of the image comes first.
POINTS = np.array([(205, 102), (247, 104), (226, 129), (202, 140), (245, 141)])


def write_crops(path: Path, content: dict[str, Any]) -> None:
    with archive.Writer(path) as writer:
        for name, image in content.items():
            writer.add(name, images.webp(image))


def run(folder: Path, content: dict[str, Any], labels: dict[str, int | None]) -> list[dict[str, Any]]:
    write_crops(folder / "crops.zip", content)
    rows = [videos.index_row(name, label=label) for name, label in sorted(labels.items())]
    tables.write(folder / "index", rows, tables.INDEX)
    items = landmarks.run(
        unit="train/part_00",
        index=folder / "index",
        crops=folder / "crops.zip",
        points=folder / "points",
        params=PARAMS,
        tools=Tools(device="cpu"),
    )
    found = tables.read_rows(folder / "points")
    assert items == {"points": len(found)}
    return found


def test_points_lie_on_the_features_of_the_portrait(tmp_path: Path) -> None:
    face = astronaut()[Y0:Y1, X0:X1]
    rows = run(tmp_path, {"a.mp4/000000_0.webp": face, "a.mp4/000010_0.webp": face[:, ::-1]}, {"a.mp4": 0})
    assert [(row["video"], row["frame"], row["track"], row["found"]) for row in rows] == [
        ("a.mp4", 0, 0, True),
        ("a.mp4", 10, 0, True),
    ]
    points, mirrored = (np.array([row[key] for key in tables.LANDMARK_COLUMNS]).reshape(5, 2) for row in rows)
    assert (points >= 0).all()
    assert (points < (X1 - X0, Y1 - Y0)).all()
    assert np.abs(points + np.array([X0, Y0]) - POINTS).max() <= 5
    # Left and right are those of the image, so the mirror's points are the points' mirror, in exchanged places.
    assert np.abs((X1 - X0 - 1 - mirrored[[1, 0, 2, 4, 3]][:, 0]) - points[:, 0]).max() <= 5


@pytest.fixture
def find(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """A detector that sees two faces in white crops and none in others; returns the list of its calls."""
    calls: list[tuple[Any, ...]] = []

    def found(image: Any, *settings: Any) -> Any:
        calls.append((int(image[0, 0, 0]), *settings))
        count = 2 if image[0, 0, 0] == 255 else 0
        points = np.array([[(1.4, 2.5), (3.5, 4.6), (5, 6), (-0.4, 8), (9, 10)], np.full((5, 2), 77)], np.float32)
        return SimpleNamespace(boxes=np.zeros((count, 4)), points=points[:count])

    module = fake_faces.module(found)
    monkeypatch.setitem(sys.modules, "trueframe.faces", module)
    monkeypatch.setattr(trueframe, "faces", module, raising=False)
    return calls


def plain(level: int) -> Any:
    return np.full((30, 40, 3), level, np.uint8)


def test_only_crops_of_real_videos_are_searched(tmp_path: Path, find: list[tuple[Any, ...]]) -> None:
    content = {
        "fake.mp4/000000_0.webp": plain(1),
        "real.mp4/000000_0.webp": plain(2),
        "real.mp4/000000_1.webp": plain(255),
        "unknown.mp4/000000_0.webp": plain(4),
        "zreal.mp4/000010_3.webp": plain(5),
    }
    rows = run(tmp_path, content, {"fake.mp4": 1, "real.mp4": 0, "unknown.mp4": None, "zreal.mp4": 0, "gone.mp4": 0})
    assert [(row["video"], row["frame"], row["track"], row["found"]) for row in rows] == [
        ("real.mp4", 0, 0, False),
        ("real.mp4", 0, 1, True),
        ("zreal.mp4", 10, 3, False),
    ]
    assert find == [(level, 1.0, (0.65, 0.75, 0.75), 20, "cpu") for level in (2, 255, 5)]


def test_points_are_those_of_the_first_face_in_whole_pixels_and_null_where_none_was_found(
    tmp_path: Path, find: list[tuple[Any, ...]]
) -> None:
    rows = run(tmp_path, {"a.mp4/000000_0.webp": plain(255), "a.mp4/000010_0.webp": plain(9)}, {"a.mp4": 0})
    assert [rows[0][key] for key in tables.LANDMARK_COLUMNS] == [1, 2, 4, 5, 5, 6, 0, 8, 9, 10]
    assert {rows[1][key] for key in tables.LANDMARK_COLUMNS} == {None}


def test_a_part_without_real_crops_makes_an_empty_table(tmp_path: Path) -> None:
    assert run(tmp_path, {"fake.mp4/000000_0.webp": plain(255)}, {"fake.mp4": 1}) == []
    assert run(tmp_path, {}, {}) == []
