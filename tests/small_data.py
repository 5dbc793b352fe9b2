"""A few crops, 40 high and 36 wide, in three train parts and a test part, with landmarks, masks and folds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trueframe import archive, images, tables

FRAMES = (0, 10, 20)
POINTS = (12, 12, 26, 12, 19, 20, 13, 28, 25, 28)
TEST = "test/part_00"


@dataclass(frozen=True)
class Data:
    """Paths as the stages are given them."""

    folds: Path
    test_crops: Path
    crops: dict[str, Path] = field(default_factory=dict)
    landmarks: dict[str, Path] = field(default_factory=dict)
    masks: dict[str, Path] = field(default_factory=dict)
    changes: dict[str, Path] = field(default_factory=dict)


def write(root: Path) -> Data:
    """Each train part is a fold: a real video and two fakes of it, "fake" with masks and "swap" without."""
    data = Data(root / "folds.parquet", root / "test.zip")
    rows = []
    for number, part in enumerate(("train/part_00", "train/part_01", "train/part_02")):
        folder = root / part
        folder.mkdir(parents=True)
        data.crops[part], data.masks[part] = folder / "crops.zip", folder / "masks.zip"
        data.landmarks[part] = folder / "landmarks.parquet"
        labels = write_crops(data.crops[part], number)
        points = [_landmarks(f"real{number}.mp4", frame) for frame in FRAMES]
        tables.write(data.landmarks[part], points, tables.LANDMARKS)
        with archive.Writer(data.masks[part]) as writer:
            for frame in FRAMES:
                writer.add(archive.member_name(f"fake{number}.mp4", frame, 0, images.MASK), images.png(mask(frame)))
        data.changes[part] = folder / "masks.parquet"
        tables.write(data.changes[part], list(_changes(data.masks[part])), tables.MASKS)
        for member in archive.members(data.crops[part]):
            video, frame, track = archive.parse_member(member.name)
            face = {"part": part, "video": video, "frame": frame, "track": track, "label": labels[video]}
            place = {"offset": member.offset, "size": member.size, "fold": number}
            rows.append(face | place | {"original": f"real{number}.mp4"})
    tables.write(data.folds, rows, tables.FOLDS)
    write_crops(data.test_crops, 3)
    return data


def write_crops(path: Path, number: int) -> dict[str, int]:
    """An archive of three videos' crops; returns the videos' labels."""
    labels = {f"{name}{number}.mp4": int(name != "real") for name in ("fake", "real", "swap")}
    with archive.Writer(path) as writer:
        for video, label in labels.items():
            for frame in FRAMES:
                writer.add(archive.member_name(video, frame, 0, images.CROP), images.webp(crop(number, frame, label)))
    return labels


def crop(number: int, frame: int, label: int) -> NDArray[np.uint8]:
    """Noise around a level that tells the class."""
    noise = np.random.default_rng((number, frame, label)).integers(0, 60, (40, 36, 3))
    return (noise + 60 + 100 * label).astype(np.uint8)


def mask(frame: int) -> NDArray[np.uint8]:
    """100 pixels of 21 at frames 0 and 10, 32 of 200 at frame 20; the others are at most 20, which is no change."""
    image = np.zeros((40, 36), np.uint8)
    image[10:14, 10:18] = 200 if frame == 20 else 20
    image[20:30, 10:20] = 20 if frame == 20 else 21
    return image


def _changes(masks: Path) -> Iterator[dict[str, object]]:
    for member in archive.members(masks):
        video, frame, track = archive.parse_member(member.name)
        place = {"offset": member.offset, "size": member.size}
        changed_px = int((mask(frame) > images.CHANGED).sum())
        yield {"video": video, "frame": frame, "track": track, "changed_px": changed_px} | place


def _landmarks(video: str, frame: int) -> dict[str, object]:
    """Those of frame 10 were not found."""
    found = {"video": video, "frame": frame, "track": 0, "found": frame != 10}
    return found | (dict(zip(tables.LANDMARK_COLUMNS, POINTS, strict=True)) if frame != 10 else {})
