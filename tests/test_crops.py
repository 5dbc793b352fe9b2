"""crops: the pixels inside each box with its margin, unchanged, in an archive that is the same each time."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import videos
from trueframe import archive, images, tables
from trueframe.params import Crops
from trueframe.stages import crops
from trueframe.tools import Tools

PARAMS = Crops(margin=0.25, webp_method=0)
INSIDE = (20.0, 16.0, 40.0, 36.0)  # with a quarter on each side: 15 11 45 41


def face(name: str, frame: int, box: tuple[float, float, float, float] = INSIDE, track: int = 0) -> dict[str, Any]:
    corners = dict(zip(("x0", "y0", "x1", "y1"), box, strict=True))
    return {"video": name, "frame": frame, "track": track, "score": 0.9, **corners}


def status(name: str, told: str = tables.OK, reason: str = "", items: int = 1) -> dict[str, Any]:
    return {"video": name, "status": told, "reason": reason, "items": items}


def run(
    folder: Path,
    faces: list[dict[str, Any]],
    statuses: list[dict[str, Any]],
    params: Crops = PARAMS,
    workers: int = 1,
    raw: Path | None = None,
) -> dict[str, tuple[str, str, int]]:
    """Per video its status, reason and number of crops; the archive is `out/crops.zip` in `folder`."""
    out = folder / "out"
    out.mkdir(parents=True, exist_ok=True)
    tables.write(folder / "index", [videos.index_row(row["video"]) for row in statuses], tables.INDEX)
    tables.write(folder / "boxes", faces, tables.BBOXES)
    tables.write(folder / "boxed", statuses, tables.VIDEOS)
    items = crops.run(
        unit="train/part_00",
        raw=raw or folder,
        index=folder / "index",
        bboxes=folder / "boxes",
        bboxes_videos=folder / "boxed",
        archive=out / "crops.zip",
        videos=out / "videos.parquet",
        params=params,
        tools=Tools(workers),
    )
    rows = tables.read_rows(out / "videos.parquet")
    assert items == {"archive": len(archive.members(out / "crops.zip")), "videos": len(rows)}
    assert [row["video"] for row in rows] == [row["video"] for row in statuses]
    assert sorted(path.name for path in out.iterdir()) == ["crops.zip", "videos.parquet"]
    return {row["video"]: (row["status"], row["reason"], row["items"]) for row in rows}


def content(folder: Path) -> dict[str, bytes]:
    return dict(archive.images(folder / "out/crops.zip"))


@pytest.mark.parametrize(
    ("size", "box", "cut"),
    [
        ((96, 64), INSIDE, (15, 11, 45, 41)),
        ((96, 64), (0, 0, 96, 64), (0, 0, 96, 64)),
        ((96, 64), (80, 40, 100, 80), (75, 30, 96, 64)),
        ((96, 64), (-6, -6, 6, 14), (0, 0, 9, 19)),
        ((96, 200), (10.4, 150.2, 30.4, 190.2), (5, 140, 35, 200)),
    ],
)
def test_a_crop_has_exactly_the_frames_pixels_inside_the_box_and_its_margin(
    tmp_path: Path, size: tuple[int, int], box: tuple[float, float, float, float], cut: tuple[int, int, int, int]
) -> None:
    path = videos.write(tmp_path / "v.mp4", 12, size=size)
    frame = videos.decoded(path)[10]
    assert run(tmp_path, [face("v.mp4", 10, box)], [status("v.mp4")]) == {"v.mp4": ("ok", "", 1)}
    ((name, data),) = content(tmp_path).items()
    assert name == "v.mp4/000010_0.webp"
    assert (data[:4], data[8:16]) == (b"RIFF", b"WEBPVP8L")  # L for lossless
    x0, y0, x1, y1 = cut
    np.testing.assert_array_equal(images.decoded(data), frame[y0:y1, x0:x1])
    # As any reader of WebPs sees it: OpenCV's order is blue, green, red.
    np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), -1)[..., ::-1], frame[y0:y1, x0:x1])


def test_the_pixels_do_not_depend_on_the_effort(tmp_path: Path) -> None:
    videos.write(tmp_path / "v.mp4", 3)
    seen = []
    for method in (0, 1, 6):
        run(tmp_path, [face("v.mp4", 0)], [status("v.mp4")], Crops(margin=0.25, webp_method=method))
        seen.append(next(iter(content(tmp_path).values())))
    assert len(seen[2]) < len(seen[0])
    for data in seen[1:]:
        np.testing.assert_array_equal(images.decoded(data), images.decoded(seen[0]))


def test_the_archive_is_stored_and_sorted_by_video_frame_and_track(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.mp4"):
        videos.write(tmp_path / name, 12)
    faces = [face("b.mp4", 0), face("a.mp4", 10, track=1), face("a.mp4", 10, track=0), face("a.mp4", 0, track=1)]
    assert run(tmp_path, faces, [status("a.mp4", items=3), status("b.mp4")]) == {
        "a.mp4": ("ok", "", 3),
        "b.mp4": ("ok", "", 1),
    }
    with zipfile.ZipFile(tmp_path / "out/crops.zip") as found:
        names = found.namelist()
        assert all(info.compress_type == zipfile.ZIP_STORED for info in found.infolist())
        assert found.testzip() is None
    assert names == ["a.mp4/000000_1.webp", "a.mp4/000010_0.webp", "a.mp4/000010_1.webp", "b.mp4/000000_0.webp"]


def test_each_face_of_a_frame_is_cut_from_its_own_box(tmp_path: Path) -> None:
    path = videos.write(tmp_path / "v.mp4", 3)
    frame = videos.decoded(path)[2]
    run(tmp_path, [face("v.mp4", 2), face("v.mp4", 2, (60, 16, 80, 36), 5)], [status("v.mp4")])
    found = {name: images.decoded(data) for name, data in content(tmp_path).items()}
    np.testing.assert_array_equal(found["v.mp4/000002_0.webp"], frame[11:41, 15:45])
    np.testing.assert_array_equal(found["v.mp4/000002_5.webp"], frame[11:41, 55:85])


def test_a_box_outside_the_frame_gives_no_crop(tmp_path: Path) -> None:
    videos.write(tmp_path / "v.mp4", 3)
    faces = [face("v.mp4", 0), face("v.mp4", 0, (200, 10, 220, 30), 1)]
    assert run(tmp_path, faces, [status("v.mp4", items=2)]) == {"v.mp4": ("ok", "", 1)}


def test_the_bytes_are_the_same_for_any_number_of_workers_and_any_place(tmp_path: Path) -> None:
    names = [f"{letter}.mp4" for letter in "abcdef"]
    made = []
    for place, workers in (("one", 1), ("two/deep", 2)):
        folder = tmp_path / place
        folder.mkdir(parents=True)
        for name in names[:-1]:
            videos.write(folder / name, 12)
        videos.write_truncated(folder / names[-1])
        faces = [face(name, frame) for name in names for frame in (0, 10, 50)]
        run(folder, faces, [status(name) for name in names], workers=workers)
        made.append([(folder / "out" / name).read_bytes() for name in ("crops.zip", "videos.parquet")])
    assert made[0] == made[1]


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    videos.write(tmp_path / "v.mp4", 3)
    left = tmp_path / "out/crops.zip.spool"
    left.mkdir(parents=True)
    (left / "0").write_bytes(b"half of a crop")
    (tmp_path / "out/crops.zip").write_bytes(b"half of an archive")
    run(tmp_path, [face("v.mp4", 0)], [status("v.mp4")])
    assert list(content(tmp_path)) == ["v.mp4/000000_0.webp"]


def test_a_video_that_breaks_off_gives_the_crops_before_and_says_so(tmp_path: Path) -> None:
    videos.write_broken(tmp_path / "v.mov", 40, good=25)
    faces = [face("v.mov", frame) for frame in (0, 10, 20, 30)]
    told = run(tmp_path, faces, [status("v.mov", items=4)])
    assert told == {"v.mov": ("truncated", "can't be decoded: Invalid data found when processing input", 3)}
    assert list(content(tmp_path)) == [f"v.mov/0000{frame}_0.webp" for frame in ("00", "10", "20")]


def test_frames_that_a_decoder_leaves_out_are_missed(tmp_path: Path) -> None:
    videos.write(tmp_path / "v.mp4", 12)
    told = run(tmp_path, [face("v.mp4", frame) for frame in (0, 10, 20)], [status("v.mp4", items=3)])
    assert told == {"v.mp4": ("truncated", "2 of the 3 frames with faces can be decoded", 2)}


@pytest.mark.parametrize("known", [tables.TRUNCATED, tables.MISSING_ORIGINAL])
def test_what_was_known_of_a_video_stays_when_it_breaks_off(tmp_path: Path, known: str) -> None:
    videos.write_broken(tmp_path / "v.mov", 40, good=25)
    faces = [face("v.mov", 0), face("v.mov", 30)]
    assert run(tmp_path, faces, [status("v.mov", known, "why", 2)]) == {"v.mov": (known, "why", 1)}


def test_a_video_of_which_nothing_decodes_has_no_crops_and_a_reason(tmp_path: Path) -> None:
    videos.write_broken(tmp_path / "broken.mov", 40, good=0)
    videos.write(tmp_path / "short.mp4", 5)
    faces = [face("absent.mp4", 0), face("broken.mov", 0), face("short.mp4", 10)]
    told = run(tmp_path, faces, [status("absent.mp4"), status("broken.mov"), status("short.mp4")])
    assert told == {
        "absent.mp4": ("decode_error", "can't be decoded: No such file or directory", 0),
        "broken.mov": ("decode_error", "can't be decoded: Invalid data found when processing input", 0),
        "short.mp4": ("decode_error", "no frame with a face decodes", 0),
    }
    assert content(tmp_path) == {}


def test_videos_without_faces_keep_their_status(tmp_path: Path) -> None:
    statuses = [status("a.mp4", tables.NO_FACE, "no face in 3 frames", 0), status("b.txt", tables.NOT_A_VIDEO, "no", 0)]
    assert run(tmp_path, [], statuses) == {
        "a.mp4": ("no_face", "no face in 3 frames", 0),
        "b.txt": ("not_a_video", "no", 0),
    }
    assert content(tmp_path) == {}


@pytest.mark.parametrize("shape", [(1, 1, 3), (33, 17, 3), (20, 50)])
@pytest.mark.parametrize("how", [images.FAST, images.SMALL])
def test_pngs_come_back_from_their_files_as_they_were(shape: tuple[int, ...], how: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    back = images.decoded(images.png(image, how), grey=len(shape) == 2)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, image)


@pytest.mark.parametrize("shape", [(1, 1), (33, 17), (1, 300), (300, 1)])
@pytest.mark.parametrize("method", range(7))
def test_webps_come_back_from_their_files_as_they_were(shape: tuple[int, int], method: int) -> None:
    stream = np.random.default_rng(0)
    for image in (
        stream.integers(0, 256, (*shape, 3)),
        np.full((*shape, 3), 7),
        255 * stream.integers(0, 2, (*shape, 3)),
    ):
        back = images.decoded(images.webp(image.astype(np.uint8), method))
        assert back.dtype == np.uint8
        np.testing.assert_array_equal(back, image)


def test_a_webp_has_the_same_bytes_each_time_and_from_a_part_of_a_larger_image() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    assert images.webp(image[5:30, 7:50]) == images.webp(image[5:30, 7:50].copy()) == images.webp(image[5:30, 7:50])


def test_a_side_longer_than_a_webp_can_tell_is_an_error() -> None:
    assert images.decoded(images.webp(np.zeros((1, 16383, 3), np.uint8))).shape == (1, 16383, 3)
    with pytest.raises(ValueError, match="16383 pixels"):
        images.webp(np.zeros((1, 16384, 3), np.uint8))


def test_bytes_that_are_no_image_are_an_error() -> None:
    with pytest.raises(ValueError, match="5 bytes that are no PNG"):
        images.decoded(b"image")
