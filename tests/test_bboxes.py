"""bboxes: which frames are searched, at which scale, and whose boxes a fake gets."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import ceil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fake_faces
import trueframe
import videos
from trueframe import devices, tables
from trueframe import params as parameters
from trueframe.params import Bboxes
from trueframe.stages import bboxes
from trueframe.tools import Tools

PARAMS = parameters.load(Path(__file__).parents[1] / "presets/dfdc.yaml").bboxes
Box = tuple[float, float, float, float]
ONE = (10.0, 10.0, 30.0, 40.0)
OTHER = (60.0, 10.0, 80.0, 40.0)


def with_frames(count: int) -> Bboxes:
    return PARAMS.model_copy(update={"test": PARAMS.test.model_copy(update={"frames": count})})


@pytest.mark.parametrize(
    ("frames", "numbers"), [(0, []), (1, [0]), (10, [0]), (11, [0, 10]), (30, [0, 10, 20]), (31, [0, 10, 20, 30])]
)
def test_every_tenth_frame_of_a_train_video_is_searched(frames: int, numbers: list[int]) -> None:
    assert bboxes.sampled("train", frames, PARAMS) == numbers


@pytest.mark.parametrize(
    ("frames", "count", "numbers"),
    [
        (0, 8, []),
        (1, 8, [0]),
        (5, 1, [0]),
        (9, 2, [0, 8]),
        (5, 3, [0, 2, 4]),
        (6, 3, [0, 2, 5]),  # 2.5 goes down
        (10, 4, [0, 3, 6, 9]),
        (9, 4, [0, 3, 5, 8]),  # 2.67, 5.33
        (3, 8, [0, 1, 2]),
        (300, 8, [0, 43, 85, 128, 171, 214, 256, 299]),  # steps of 42.714
    ],
)
def test_frames_of_a_test_video_are_evenly_spaced(frames: int, count: int, numbers: list[int]) -> None:
    assert bboxes.sampled("test", frames, with_frames(count)) == numbers


@given(st.integers(2, 5000), st.integers(2, 300))
def test_each_frame_of_a_test_video_is_the_nearest_to_its_place(frames: int, count: int) -> None:
    count = min(count, frames)
    places = [Fraction(step * (frames - 1), count - 1) for step in range(count)]
    numbers = bboxes.sampled("test", frames, with_frames(count))
    assert numbers == [ceil(place - Fraction(1, 2)) for place in places]
    assert numbers[0] == 0
    assert numbers[-1] == frames - 1
    assert len(set(np.diff(numbers))) <= 2


@pytest.mark.parametrize(
    ("longest", "scale"),
    [(1, 2), (300, 2), (301, 1), (1000, 1), (1001, 0.5), (1900, 0.5), (1901, 0.33), (7680, 0.33)],
)
def test_the_scale_is_that_of_the_first_row_that_fits(longest: int, scale: float) -> None:
    assert bboxes.scale_of(longest, PARAMS) == scale


Calls = list[tuple[tuple[int, ...], float, tuple[float, ...], int, str]]


@pytest.fixture
def find(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], Sequence[Box]]], Calls]:
    """Replaces the detector by a function from the number that a frame shows to boxes; returns its calls."""

    def replace(boxes_of: Callable[[int], Sequence[Box]]) -> Calls:
        calls: Calls = []

        def found(image: Any, scale: float, thresholds: tuple[float, ...], min_face_px: int, device: str) -> Any:
            calls.append((image.shape, scale, thresholds, min_face_px, device))
            boxes = np.array(boxes_of(videos.number_of(image)), np.float32).reshape(-1, 4)
            return SimpleNamespace(boxes=boxes, scores=np.linspace(0.875, 0.75, len(boxes), dtype=np.float32))

        module = fake_faces.module(found)
        monkeypatch.setitem(sys.modules, "trueframe.faces", module)
        monkeypatch.setattr(trueframe, "faces", module, raising=False)
        return calls

    return replace


def run(
    folder: Path, *rows: dict[str, Any], unit: str = "train/part_00", params: Bboxes = PARAMS, device: str = "cpu"
) -> tuple[list[tuple[Any, ...]], dict[str, tuple[str, str, int]]]:
    """(video, frame, track, left edge) of each face, and per video its status, reason and number of faces."""
    tables.write(folder / "index", sorted(rows, key=lambda row: row["video"]), tables.INDEX)
    items = bboxes.run(
        unit=unit,
        raw=folder,
        index=folder / "index",
        boxes=folder / "boxes",
        videos=folder / "videos",
        params=params,
        tools=Tools(workers=1 if device == "cpu" else 3, device=device),
    )
    faces, told = tables.read_rows(folder / "boxes"), tables.read_rows(folder / "videos")
    assert items == {"boxes": len(faces), "videos": len(told)}
    assert [row["video"] for row in told] == sorted(row["video"] for row in rows)
    found = [(face["video"], face["frame"], face["track"], face["x0"]) for face in faces]
    assert found == sorted(found)
    return found, {row["video"]: (row["status"], row["reason"], row["items"]) for row in told}


def test_a_row_has_the_box_the_score_and_the_track(tmp_path: Path, find: Any) -> None:
    videos.write(tmp_path / "v.mp4", 11)
    calls = find(lambda number: [ONE, OTHER] if number == 0 else [OTHER])
    _, told = run(tmp_path, videos.index_row("v.mp4", frames=11))
    first, second, third = tables.read_rows(tmp_path / "boxes")
    assert first == {"video": "v.mp4", "frame": 0, "track": 0, "score": 0.875} | dict(
        zip(("x0", "y0", "x1", "y1"), ONE, strict=True)
    )
    assert (second["track"], second["score"], second["x0"]) == (1, 0.75, 60)
    assert (third["frame"], third["track"], third["x0"]) == (10, 1, 60)
    assert told == {"v.mp4": ("ok", "", 3)}
    assert calls == [((64, 96, 3), 2.0, (0.85, 0.95, 0.95), 20, "cpu")] * 2


def test_a_test_video_is_searched_with_its_own_thresholds_at_the_scale_of_its_longer_side(
    tmp_path: Path, find: Any
) -> None:
    videos.write(tmp_path / "v.mp4", 3, size=(96, 320))
    calls = find(lambda number: [ONE])
    found, _ = run(
        tmp_path,
        videos.index_row("v.mp4", frames=3, width_px=96, height_px=320, label=None),
        unit="test/p",
        params=with_frames(2),
    )
    assert found == [("v.mp4", 0, 0, 10), ("v.mp4", 2, 0, 10)]
    assert calls == [((320, 96, 3), 1.0, (0.7, 0.8, 0.8), 20, "cpu")] * 2


def test_a_fake_has_its_originals_boxes_as_far_as_its_own_frames_go_and_is_not_searched(
    tmp_path: Path, find: Any
) -> None:
    videos.write(tmp_path / "real.mp4", 45)
    calls = find(lambda number: [(number, 10, number + 40, 50)])
    found, told = run(
        tmp_path,
        videos.index_row("real.mp4", frames=45),
        videos.index_row("fake.mp4", frames=21, label=1, original="real.mp4"),  # its file is not even there
        videos.index_row("fake2.mp4", frames=20, label=1, original="real.mp4", status="truncated", reason="cut"),
        videos.index_row("fake3.mp4", frames=99, label=1, original="real.mp4"),
    )
    boxes = [(frame, 0, frame) for frame in (0, 10, 20, 30, 40)]
    expected = {"fake.mp4": boxes[:3], "fake2.mp4": boxes[:2], "fake3.mp4": boxes, "real.mp4": boxes}
    assert found == [(name, *box) for name, of_video in expected.items() for box in of_video]
    assert told == {
        "real.mp4": ("ok", "", 5),
        "fake.mp4": ("ok", "", 3),
        "fake2.mp4": ("truncated", "cut", 2),
        "fake3.mp4": ("ok", "", 5),
    }
    assert len(calls) == 5


@pytest.mark.parametrize(
    "original",
    [
        videos.index_row("real.mp4", width_px=96, height_px=96),
        videos.index_row("real.mp4", status="decode_error", reason="broken"),
        None,
    ],
    ids=["other_size", "unusable", "absent"],
)
def test_a_fake_without_a_fitting_original_is_searched_itself_and_says_so(
    tmp_path: Path, find: Any, original: dict[str, Any] | None
) -> None:
    videos.write(tmp_path / "fake.mp4", 11)
    videos.write(tmp_path / "real.mp4", 30, size=(96, 96))
    find(lambda number: [ONE] if number in (0, 10) else [])
    rows = [row for row in [original] if row]
    found, told = run(tmp_path, videos.index_row("fake.mp4", frames=11, label=1, original="real.mp4"), *rows)
    assert [face for face in found if face[0] == "fake.mp4"] == [("fake.mp4", 0, 0, 10), ("fake.mp4", 10, 0, 10)]
    status, reason, items = told["fake.mp4"]
    assert (status, items) == ("missing_original", 2)
    assert "real.mp4" in reason
    assert "found on the fake itself" in reason


def test_a_fake_whose_original_the_index_misses_keeps_the_indexs_reason(tmp_path: Path, find: Any) -> None:
    videos.write(tmp_path / "fake.mp4", 11)
    find(lambda number: [ONE])
    row = videos.index_row("fake.mp4", frames=11, label=1, status="missing_original", reason="names no original")
    assert run(tmp_path, row)[1] == {"fake.mp4": ("missing_original", "names no original", 2)}


def test_a_fake_of_an_original_without_faces_has_none_and_says_why(tmp_path: Path, find: Any) -> None:
    videos.write(tmp_path / "real.mp4", 25)
    find(lambda number: [])
    fakes = [videos.index_row("f.mp4", label=1, original="real.mp4")]
    _, told = run(tmp_path, videos.index_row("real.mp4", frames=25), *fakes)
    assert told["real.mp4"] == ("no_face", "no face in 3 frames", 0)
    assert told["f.mp4"] == ("no_face", "its original real.mp4 has no usable face: no face in 3 frames", 0)


def test_a_fake_that_ends_before_its_originals_first_face_has_none_and_says_why(tmp_path: Path, find: Any) -> None:
    videos.write(tmp_path / "real.mp4", 25)
    find(lambda number: [ONE] if number == 20 else [])
    rows = [videos.index_row("real.mp4", frames=25), videos.index_row("f.mp4", frames=20, label=1, original="real.mp4")]
    _, told = run(tmp_path, *rows)
    assert told["f.mp4"] == ("no_face", "its original real.mp4 has no usable face: none in the first 20 frames", 0)


@pytest.mark.parametrize(
    "status", ["bad_metadata", "missing_file", "not_a_video", "decode_error", "too_few_frames", "no_face"]
)
def test_unusable_videos_are_not_searched_and_keep_their_status(tmp_path: Path, find: Any, status: str) -> None:
    calls = find(lambda number: [ONE])
    row = videos.index_row("v.mp4", status=status, reason="why")
    assert run(tmp_path, row) == ([], {"v.mp4": (status, "why", 0)})
    assert calls == []


@pytest.mark.parametrize(
    ("good", "boxes_of", "status", "reason", "items"),
    [
        (25, lambda number: [ONE], "truncated", "3 sampled frames decoded; can't be decoded: Invalid", 3),
        (25, lambda number: [], "no_face", "no face in 3 frames; can't be decoded: Invalid", 0),
        (0, lambda number: [ONE], "decode_error", "can't be decoded: Invalid", 0),
    ],
)
def test_a_video_that_breaks_off_gives_the_faces_before(
    tmp_path: Path, find: Any, good: int, boxes_of: Any, status: str, reason: str, items: int
) -> None:
    videos.write_broken(tmp_path / "v.mov", 40, good)
    find(boxes_of)
    found, told = run(tmp_path, videos.index_row("v.mov", frames=40))
    assert told["v.mov"][0] == status
    assert told["v.mov"][1].startswith(reason)
    assert told["v.mov"][2] == len(found) == items


def test_frames_that_a_decoder_leaves_out_are_missed(tmp_path: Path, find: Any) -> None:
    videos.write(tmp_path / "v.mp4", 25)
    find(lambda number: [ONE])
    _, told = run(tmp_path, videos.index_row("v.mp4", frames=40))
    assert told["v.mp4"] == ("truncated", "3 sampled frames decoded; 4 were wanted", 3)


def test_on_a_gpu_one_process_searches_what_threads_decode_and_finds_the_same(
    tmp_path: Path, find: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "resolved", lambda device: device)
    rows = []
    for number in range(7):
        videos.write(tmp_path / f"{number}.mp4", 60 * number + 11)
        rows.append(videos.index_row(f"{number}.mp4", frames=60 * number + 11))
    videos.write_broken(tmp_path / "broken.mov", 40, 25)
    rows.append(videos.index_row("broken.mov", frames=40))
    calls = find(lambda number: [(number % 50, 10, number % 50 + 40, 50)])
    found = run(tmp_path, *rows)
    searched = len(calls)
    made = [(tmp_path / name).read_bytes() for name in ("boxes", "videos")]
    assert run(tmp_path, *rows, device="cuda") == found
    assert [(tmp_path / name).read_bytes() for name in ("boxes", "videos")] == made
    assert {call[-1] for call in calls[searched:]} == {"cuda"}
    assert len(calls) == 2 * searched == 2 * sum(len(range(0, row["frames"], 10)) for row in rows) - 2 * 1


def test_what_the_index_says_of_a_cut_video_stays(tmp_path: Path, find: Any) -> None:
    videos.write(tmp_path / "v.mp4", 11)
    find(lambda number: [ONE])
    row = videos.index_row("v.mp4", frames=11, status="truncated", reason="11 of the 60 frames")
    assert run(tmp_path, row)[1] == {"v.mp4": ("truncated", "11 of the 60 frames", 2)}


def test_what_the_index_says_of_a_video_stays_when_it_breaks_off(tmp_path: Path, find: Any) -> None:
    videos.write_broken(tmp_path / "v.mov", 40, good=25)
    find(lambda number: [ONE])
    row = videos.index_row("v.mov", frames=40, label=1, status="missing_original", reason="names no original")
    assert run(tmp_path, row)[1] == {"v.mov": ("missing_original", "names no original", 3)}


def test_no_video_at_all_makes_empty_tables(tmp_path: Path) -> None:
    assert run(tmp_path) == ([], {})


def test_equal_videos_make_equal_bytes(tmp_path: Path, find: Any) -> None:
    find(lambda number: [ONE, OTHER])
    made = []
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        videos.write_broken(tmp_path / place / "v.mov")
        run(tmp_path / place, videos.index_row("v.mov", frames=40))
        made.append([(tmp_path / place / name).read_bytes() for name in ("boxes", "videos")])
    assert made[0] == made[1]


@pytest.mark.parametrize("stage", ["bboxes", "crops"])
def test_memory_does_not_grow_with_the_length_of_a_video(tmp_path: Path, stage: str) -> None:
    peaks = []
    for frames in (50, 350):
        folder = tmp_path / str(frames)
        folder.mkdir()
        path = videos.write(folder / "v.mp4", frames, codec="mpeg4", size=(320, 240))
        command = [sys.executable, str(Path(__file__).with_name("peak.py")), stage, str(path)]
        peaks.append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    # 300 frames more would be 66 MiB, and their crops 24 MiB.
    assert peaks[1] - peaks[0] < 10, peaks


def test_mtcnn_finds_the_face_of_the_portrait_at_any_scale() -> None:
    from skimage.data import astronaut

    from trueframe import faces

    thresholds = (0.85, 0.95, 0.95)
    image = astronaut()  # 512 × 512, its face some 85 wide, around (226, 130)
    nets = faces.nets("cpu")

    def find(image: Any, scale: float) -> faces.Faces:
        return faces.find(nets, [faces.picture(image, scale)], thresholds, 20)[0]

    whole = find(image, 1.0)
    assert whole.boxes.shape == (1, 4)
    assert whole.boxes.dtype == whole.scores.dtype == whole.points.dtype == np.float32
    assert 0.95 < whole.scores[0] <= 1
    x0, y0, x1, y1 = whole.boxes[0]
    assert abs((x0 + x1) / 2 - 226) < 10
    assert abs((y0 + y1) / 2 - 125) < 15
    assert 60 < x1 - x0 < 110
    # Boxes and points come back in the image's own pixels.
    half = find(image[:401, :303], 0.5)
    np.testing.assert_allclose(half.boxes, whole.boxes, atol=8)
    np.testing.assert_allclose(half.points, whole.points, atol=5)
    again = find(image, 1.0)
    for name in ("boxes", "scores", "points"):
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))


def test_boxes_and_points_are_told_in_pixels_of_the_image_that_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    from trueframe import faces

    def whole(nets: None, images: list[Any], thresholds: tuple[float, ...], min_face_px: int) -> list[faces.Faces]:
        height, width = images[0].shape[:2]
        assert (width, height) == (20, 32)  # half of 41 × 63, each rounded
        box, points = np.array([(0, 0, width, height)]), np.full((1, 5, 2), (width / 2, height / 4))
        return [faces.Faces(box.astype(np.float32), np.ones(1, np.float32), points.astype(np.float32))]

    monkeypatch.setattr(faces.cascade, "detect", whole)
    (found,) = faces.find(None, [faces.picture(np.zeros((63, 41, 3), np.uint8), 0.5)], (0.7, 0.8, 0.8), 20)
    np.testing.assert_array_equal(found.boxes, [(0, 0, 41, 63)])
    np.testing.assert_array_equal(found.points, np.full((1, 5, 2), (20.5, 15.75)))


def test_images_without_a_face_or_too_small_for_one_have_none() -> None:
    from trueframe import faces

    nets = faces.nets("cpu")
    grey = np.full((60, 80, 3), 128, np.uint8)
    for image, scale, smallest in (
        (grey, 1.0, 20),
        (grey[:20, :20], 1.0, 20),
        (grey[:19], 1.0, 20),
        (grey[:47], 1.0, 47),  # 47 * (12 / 47) is a little below 12: MTCNN's pyramid has no level
        (grey, 0.25, 20),
        (grey[:1, :1], 0.1, 20),
    ):
        (found,) = faces.find(nets, [faces.picture(image, scale)], (0.7, 0.8, 0.8), smallest)
        assert (found.boxes.shape, found.scores.shape, found.points.shape) == ((0, 4), (0,), (0, 5, 2))
