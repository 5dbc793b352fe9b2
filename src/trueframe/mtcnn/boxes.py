"""The arithmetic between MTCNN's nets, in float32 and in stock's order, so that it gives the same numbers.

Boxes are rows x0, y0, x1, y1 and what is said at each function.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Places = NDArray[np.int64]

_STRIDE, _CELL = 2, 12  # of P-Net: the step between its answers and the side of what each one sees, in pixels


def proposals(chances: Floats, shifts: Floats, scale: float, threshold: float) -> Floats:
    """P-Net's answers of one level that reach the threshold and survive each other.

    chances: (height, width); shifts: (4, height, width). Returns (n, 9): box, score, the box's four shifts.
    """
    rows = _rows(chances, shifts, np.float32(scale), np.float32(threshold))
    return rows[survivors(rows[:, :4], rows[:, 4], 0.5)]


@njit(cache=True, nogil=True)
def _rows(chances: Floats, shifts: Floats, scale: np.float32, least: np.float32) -> Floats:
    """What of a level reaches the threshold, as `proposals` gives it."""
    height, width = chances.shape
    count = 0
    for y in range(height):
        for x in range(width):
            count += chances[y, x] >= least
    rows = np.empty((count, 9), np.float32)
    at = 0
    for y in range(height):
        for x in range(width):
            if chances[y, x] >= least:
                rows[at, 0] = np.floor(np.float32(_STRIDE * x + 1) / scale)
                rows[at, 1] = np.floor(np.float32(_STRIDE * y + 1) / scale)
                rows[at, 2] = np.floor(np.float32(_STRIDE * x + _CELL) / scale)
                rows[at, 3] = np.floor(np.float32(_STRIDE * y + _CELL) / scale)
                rows[at, 4] = chances[y, x]
                for side in range(4):
                    rows[at, 5 + side] = shifts[side, y, x]
                at += 1
    return rows


def survivors(boxes: Floats, scores: Floats, most: float) -> Places:
    """Which boxes overlap none that scores higher by more than `most` of their union: torchvision's nms."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order = np.argsort(-scores, kind="stable")
    return _kept(np.ascontiguousarray(boxes), areas, order, most, np.float32(0), False)


def finals(boxes: Floats, scores: Floats, most: float) -> Places:
    """Which boxes share at most `most` of the smaller area with each that scores higher: facenet-pytorch's "Min".

    Scores near 1 are often equal: the order of those is as there.
    """
    one = np.float32(1)
    areas = (boxes[:, 2] - boxes[:, 0] + one) * (boxes[:, 3] - boxes[:, 1] + one)
    order = np.argsort(scores)[::-1]
    return _kept(np.ascontiguousarray(boxes), areas, order, float(np.float32(most)), one, True)


@njit(cache=True, nogil=True)
def _kept(boxes: Floats, areas: Floats, order: Places, most: float, extra: np.float32, of_smaller: bool) -> Places:
    """The boxes that share at most `most` (of the union or of the smaller area) with each earlier one that is kept."""
    gone = np.zeros(len(boxes), np.bool_)
    kept = np.empty(len(boxes), np.int64)
    count = 0
    for place in range(len(order)):
        one = order[place]
        if gone[one]:
            continue
        kept[count] = one
        count += 1
        for later in range(place + 1, len(order)):
            other = order[later]
            if gone[other]:
                continue
            wide = min(boxes[one, 2], boxes[other, 2]) - max(boxes[one, 0], boxes[other, 0]) + extra
            high = min(boxes[one, 3], boxes[other, 3]) - max(boxes[one, 1], boxes[other, 1]) + extra
            common = max(wide, np.float32(0)) * max(high, np.float32(0))
            if of_smaller:
                gone[other] = common / min(areas[one], areas[other]) > most
            else:
                gone[other] = common / (areas[one] + areas[other] - common) > most
    return kept[:count]


def shifted(rows: Floats) -> Floats:
    """What `proposals` gave, each box moved by its shifts in parts of its sides: (n, 5), box and score."""
    sides = rows[:, [2, 3, 2, 3]] - rows[:, [0, 1, 0, 1]]
    return np.concatenate([rows[:, :4] + rows[:, 5:9] * sides, rows[:, 4:5]], axis=1)


def refined(boxes: Floats, shifts: Floats) -> Floats:
    """Boxes (n, 4) moved by R-Net's or O-Net's shifts (n, 4), in parts of their sides in whole pixels."""
    sides = boxes[:, [2, 3, 2, 3]] - boxes[:, [0, 1, 0, 1]] + np.float32(1)
    return boxes + shifts * sides


def squared(boxes: Floats) -> Floats:
    """Boxes (n, 4) as squares of their longer side around the same middle."""
    sides = boxes[:, 2:4] - boxes[:, :2]
    longest = sides.max(axis=1, keepdims=True)
    corners = boxes[:, :2] + sides * np.float32(0.5) - longest * np.float32(0.5)
    return np.concatenate([corners, corners + longest], axis=1)


def windows(boxes: Floats, height: int, width: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The pixels that R-Net or O-Net sees of each box: (n, 4) with the last two exclusive, and which are not empty."""
    whole = np.trunc(boxes[:, :4]).astype(np.int64)
    first = np.maximum(whole[:, :2], 1) - 1
    last = np.minimum(whole[:, 2:4], (width, height))
    there: NDArray[np.bool_] = np.all(last > first, axis=1)
    return np.concatenate([first, last], axis=1), there
