"""Crops as a network sees them: read from their archives, brought to one size, dealt out in balanced epochs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from trueframe import archive, tables

if TYPE_CHECKING:
    import pandas as pd

Image = NDArray[np.uint8]
Draw = tuple[int, int, int]  # row, epoch, repeat: how often the epoch had this row before
Change = Callable[[Image, NDArray[np.int32] | None, Image | None, int, np.random.Generator], Image]

CHANGED = 20  # a mask's pixel above this, of 255, is one that the fake changed

# What a random stream is for. It stands first in the stream's key, since SeedSequence takes (1, 2) and (1, 2, 0) for one.
WEIGHTS, NOISE, SAMPLE, CHANGE = range(4)


def generator(*key: int) -> np.random.Generator:
    """The random stream of a key: one of the constants above, then what the stream depends on."""
    return np.random.default_rng(key)


def decode(data: bytes, flags: int = cv2.IMREAD_COLOR_RGB) -> Image:
    """The image of a PNG: RGB, uint8 of shape (height, width, 3), or (height, width) with cv2.IMREAD_GRAYSCALE."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), flags).astype(np.uint8, copy=False)


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
        image = cv2.resize(image, (new_width, new_height), interpolation=down if longest > size_px else up).astype(np.uint8, copy=False)
    square = np.zeros((size_px, size_px, 3), np.uint8)
    top, left = (size_px - new_height) // 2, (size_px - new_width) // 2
    square[top : top + new_height, left : left + new_width] = image
    return square


def faces(folds: Path, landmarks: Mapping[str, Path], masks: Mapping[str, Path]) -> pd.DataFrame:
    """A row per train crop, in the order of `folds` (tables.FOLDS), with what is known of its face.

    Adds mask_offset and mask_size (-1 where there is no mask) and the columns of tables.LANDMARK_COLUMNS (-1 without),
    those of the original, since a fake's crop has the same frame, track and size.
    """
    import pandas as pd

    crops = tables.read(folds)
    points = pd.concat([tables.read(path).query("found").assign(part=part) for part, path in sorted(landmarks.items())])
    places = pd.DataFrame(
        [
            (part, *archive.parse_member(member.name), member.offset, member.size)
            for part, path in sorted(masks.items())
            for member in archive.members(path)
        ],
        columns=["part", "video", "frame", "track", "mask_offset", "mask_size"],
    ).astype({"part": "str", "video": "str", "frame": "int64", "track": "int32", "mask_offset": "int64", "mask_size": "int64"})
    points = points.drop(columns="found").rename(columns={"video": "original"})
    crops = crops.merge(points, how="left", on=["part", "original", "frame", "track"], validate="many_to_one")
    crops = crops.merge(places, how="left", on=["part", "video", "frame", "track"], validate="one_to_one")
    known = [*tables.LANDMARK_COLUMNS, "mask_offset", "mask_size"]
    return crops.assign(**{column: crops[column].fillna(-1).astype("int64") for column in known})


class Archives:
    """Reads members of several archives by number. A copy in another process opens its own files."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Nothing is opened before it is read."""
        self._paths = tuple(paths)
        self._readers: dict[int, archive.Reader] = {}
        self._opening = threading.Lock()

    def __reduce__(self) -> tuple[type[Archives], tuple[tuple[Path, ...]]]:
        return Archives, (self._paths,)

    def read(self, number: int, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` of archive `number`."""
        with self._opening:
            if number not in self._readers:
                self._readers[number] = archive.Reader(self._paths[number])
        return self._readers[number].read(offset, size)

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
    """The rows of `faces` as plain arrays of one length, which loader processes can be handed cheaply."""

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
            part=table["part"].map({part: number for number, part in enumerate(parts)}).to_numpy(np.int32),
            label=table["label"].to_numpy(np.int8),
            points=table[list(tables.LANDMARK_COLUMNS)].to_numpy(np.int32).reshape(-1, 5, 2),
            **numbers,
        )

    def image(self, row: int) -> Image:
        """The crop: RGB, uint8 of shape (height, width, 3)."""
        return decode(self.crops.read(int(self.part[row]), int(self.offset[row]), int(self.size[row])))

    def mask(self, row: int) -> Image | None:
        """Where the crop differs from its original's, uint8 of shape (height, width); None for a real one or where unknown."""
        if self.mask_offset[row] < 0:
            return None
        data = self.masks.read(int(self.part[row]), int(self.mask_offset[row]), int(self.mask_size[row]))
        return decode(data, cv2.IMREAD_GRAYSCALE)

    def changed_px(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many pixels of each row's mask are above CHANGED. Every row must have a mask."""
        return np.array([np.count_nonzero(self.mask(int(row)) > CHANGED) for row in rows], np.int64)

    def landmarks(self, row: int) -> NDArray[np.int32] | None:
        """Five points (x, y) in pixels of the crop, int32 of shape (5, 2); None where unknown."""
        return None if self.points[row, 0, 0] < 0 else self.points[row]

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
        """(image, label) of a draw: what a crop becomes depends on the seed, the epoch, the row and the repeat alone."""
        row, epoch, repeat = draw
        label = int(self.crops.label[row])
        stream = generator(CHANGE, self.seed, epoch, row, repeat)
        image, points, mask = self.crops.image(row), self.crops.landmarks(row), self.crops.mask(row)
        return self.change(image, points, mask, label, stream), label


def balanced_epoch(rows: NDArray[np.int64], labels: NDArray[np.int8], seed: int, epoch: int) -> NDArray[np.int64]:
    """An epoch's rows in random order: every real one and as many fakes, drawn anew. Shape (2 * reals, 2): row, repeat.

    rows: what may be drawn; labels: of all rows. Where there are fewer fakes than reals, each is used as many whole times
    as fit and the rest is drawn without replacement, so that no fake comes more than once oftener than another.
    """
    reals, fakes = rows[labels[rows] == 0], rows[labels[rows] == 1]
    stream = generator(SAMPLE, seed, epoch)
    whole, rest = divmod(len(reals), len(fakes))
    drawn = np.concatenate([np.tile(fakes, whole), stream.choice(fakes, rest, replace=False), reals])
    repeats = np.concatenate([np.repeat(np.arange(whole), len(fakes)), np.full(rest, whole), np.zeros(len(reals), int)])
    return np.stack([drawn, repeats], axis=1)[stream.permutation(len(drawn))]


class Batches:
    """An epoch's draws, batch by batch, for torch's DataLoader. Set `epoch` before each pass."""

    def __init__(self, rows: NDArray[np.int64], labels: NDArray[np.int8], seed: int, size: int, most: int | None) -> None:
        """size: draws in a batch; most: batches in an epoch, None for all. An incomplete last batch is left out, unless it is the only one."""
        self._rows, self._labels, self._seed, self._size = rows, labels, seed, size
        full = max(1, 2 * int((labels[rows] == 0).sum()) // size)
        self._count = full if most is None else min(most, full)
        self.epoch = 0

    def __len__(self) -> int:
        return self._count

    def draws(self) -> NDArray[np.int64]:
        """The epoch's draws, shape (n, 2): row, repeat."""
        return balanced_epoch(self._rows, self._labels, self._seed, self.epoch)[: self._count * self._size]

    def __iter__(self) -> Iterator[list[Draw]]:
        draws = self.draws()
        for start in range(0, len(draws), self._size):
            yield [(int(row), self.epoch, int(repeat)) for row, repeat in draws[start : start + self._size]]
