"""Crops as a network sees them: read from their archives and brought to one size, with what is known of their faces."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from trueframe import archive, images, tables

if TYPE_CHECKING:
    import pandas as pd

Image = NDArray[np.uint8]
Draw = tuple[int, int, int]  # row, epoch, repeat: how often the epoch had this row before
Points = NDArray[np.int32]  # eye, eye, nose, mouth corner, mouth corner: (x, y) in pixels of the crop, shape (5, 2)
LazyMask = Callable[[], Image | None]  # few changes ask for the mask, so it is read only then
Change = Callable[[Image, Points | None, LazyMask, int, np.random.Generator], Image]

UNKNOWN = -(2**31)  # stands for a missing number; a landmark may lie outside its crop and be negative

# What a random stream is for. It stands first in its key, since SeedSequence takes (1, 2) and (1, 2, 0) for the same.
WEIGHTS, NOISE, SAMPLE, CHANGE = range(4)


def generator(*key: int) -> np.random.Generator:
    """The random stream of a key: one of the constants above, then what the stream depends on."""
    return np.random.default_rng(key)


def one_thread(worker: int = 0) -> None:
    """Keep OpenCV to one thread in this process: there are as many processes as there is room for."""
    cv2.setNumThreads(1)


def letterbox(image: Image, size_px: int, down: int = cv2.INTER_AREA, up: int = cv2.INTER_CUBIC) -> Image:
    """The image resized until its longer side is size_px, centred on a black square of that side.

    image: uint8 of shape (height, width, 3); down, up: OpenCV's interpolation when it shrinks and when it grows.
    """
    height, width = image.shape[:2]
    longest = max(height, width)
    new_height, new_width = (max(1, round(side * size_px / longest)) for side in (height, width))
    if longest != size_px:
        how = down if longest > size_px else up
        image = np.asarray(cv2.resize(image, (new_width, new_height), interpolation=how), np.uint8)
    square = np.zeros((size_px, size_px, 3), np.uint8)
    top, left = (size_px - new_height) // 2, (size_px - new_width) // 2
    square[top : top + new_height, left : left + new_width] = image
    return square


def faces(folds: Path, landmarks: Mapping[str, Path], changes: Mapping[str, Path]) -> pd.DataFrame:
    """A row per train crop, in the order of `folds` (tables.FOLDS), with what is known of its face.

    Adds its landmarks, the place of its mask and changed_px (tables.MASKS), in whole numbers far below 0 where unknown.
    A fake's landmarks are those of its original at the same frame and track, where the crop is the same piece of the
    picture.
    """
    import pandas as pd

    crops = tables.read(folds)
    points = pd.concat([tables.read(path).query("found").assign(part=part) for part, path in sorted(landmarks.items())])
    points = points.drop(columns="found").rename(columns={"video": "original"})
    places = pd.concat([tables.read(path).assign(part=part) for part, path in sorted(changes.items())])
    places = places.rename(columns={"offset": "mask_offset", "size": "mask_size"})
    crops = crops.merge(points, how="left", on=["part", "original", "frame", "track"], validate="many_to_one")
    crops = crops.merge(places, how="left", on=["part", "video", "frame", "track"], validate="one_to_one")
    known = [*tables.LANDMARK_COLUMNS, "mask_offset", "mask_size", "changed_px"]
    return crops.assign(**{column: crops[column].fillna(UNKNOWN).astype("int64") for column in known})


class Archives:
    """Reads images of several archives by number. A copy in another process opens its own files."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Nothing is opened before it is read."""
        self._paths = tuple(paths)
        self._readers: dict[int, archive.Reader] = {}
        self._opening = threading.Lock()

    def __reduce__(self) -> tuple[type[Archives], tuple[tuple[Path, ...]]]:
        return Archives, (self._paths,)

    def image(self, number: int, offset: int, size: int, grey: bool = False) -> Image:
        """The image that lies in `size` bytes from `offset` of archive `number`, as images.read gives it."""
        with self._opening:
            if number not in self._readers:
                self._readers[number] = archive.Reader(self._paths[number])
        return images.read(self._readers[number], offset, size, grey)

    def close(self) -> None:
        """Close what was opened."""
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()

    def __enter__(self) -> Archives:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class Crops:
    """The rows of `faces` as plain arrays of one length, which are cheap to hand to loader processes."""

    crops: Archives
    masks: Archives
    part: NDArray[np.int32]
    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    label: NDArray[np.int8]
    points: NDArray[np.int32]
    mask_offset: NDArray[np.int64]
    mask_size: NDArray[np.int64]

    @classmethod
    def of(cls, table: pd.DataFrame, crops: Mapping[str, Path], masks: Mapping[str, Path]) -> Crops:
        """The rows of `faces`, in their order; crops, masks: a part's archives."""
        parts = sorted(crops)
        numbers: dict[str, Any] = {
            name: table[name].to_numpy(np.int64) for name in ("offset", "size", "mask_offset", "mask_size")
        }
        return cls(
            crops=Archives([crops[part] for part in parts]),
            masks=Archives([masks[part] for part in parts]),
            part=np.asarray(table["part"].map({part: number for number, part in enumerate(parts)}), np.int32),
            label=table["label"].to_numpy(np.int8),
            points=table[list(tables.LANDMARK_COLUMNS)].to_numpy(np.int32).reshape(-1, 5, 2),
            **numbers,
        )

    def image(self, row: int) -> Image:
        """A crop: RGB, uint8 of shape (height, width, 3)."""
        return self.crops.image(int(self.part[row]), int(self.offset[row]), int(self.size[row]))

    def mask(self, row: int) -> Image | None:
        """Where a crop differs from its original's, uint8 of shape (height, width); None where there is no mask."""
        if self.mask_offset[row] == UNKNOWN:
            return None
        place = int(self.part[row]), int(self.mask_offset[row]), int(self.mask_size[row])
        return self.masks.image(*place, grey=True)

    def landmarks(self, row: int) -> Points | None:
        """The face's landmarks; None where unknown."""
        return None if self.points[row, 0, 0] == UNKNOWN else self.points[row]

    def close(self) -> None:
        """Close the archives."""
        self.crops.close()
        self.masks.close()


@dataclass(frozen=True)
class TrainingSet:
    """Changed crops for torch's DataLoader: an item is what a draw asks for, whoever makes it and in whatever order."""

    crops: Crops
    change: Change
    seed: int

    def __getitem__(self, draw: Draw) -> tuple[Image, int]:
        """(image, label) of a draw. The image depends on the seed, the epoch, the row and the repeat alone."""
        row, epoch, repeat = draw
        label = int(self.crops.label[row])
        stream = generator(CHANGE, self.seed, epoch, row, repeat)
        image = self.change(
            self.crops.image(row), self.crops.landmarks(row), lambda: self.crops.mask(row), label, stream
        )
        return image, label
