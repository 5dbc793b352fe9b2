"""Parts of a face blacked out, so that no network rests on one feature: the DFDC winner's "hardcore" augmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from trueframe.dataset import Image, LazyMask, Points
from trueframe.images import CHANGED

if TYPE_CHECKING:
    from trueframe.params import Augmentation

Kept = NDArray[np.bool_]  # shape (height, width): True where the image stays

_LEAST_CHANGED = 20  # changed pixels of which more must stay visible
_DRAWS = 6
# dlib's hull reaches beyond the eyes and the mouth by about as much as these lie from the middle of the face.
_HULL = 2.0


def erase(
    image: Image,
    points: Points | None,
    mask: LazyMask,
    label: int,
    chances: Augmentation,
    stream: np.random.Generator,
) -> Image:
    """The image with at most one thing blacked out: of the first kind that the chances pick.

    image: uint8 of shape (height, width, 3); points: landmarks, None where unknown; mask: gives where a fake was
    changed, uint8 of shape (height, width), or None where unknown; label: 1 for a fake.
    """
    shape = (image.shape[0], image.shape[1])
    kept: Kept | None = None
    if points is not None and stream.random() < chances.erase_landmarks:
        kept = _pick_feature(shape, points, chances, stream)
    elif points is not None and stream.random() < chances.erase_hull:
        kept = without_half_hull(shape, points, int(stream.integers(4)))
    elif stream.random() < chances.erase_half:
        kept = _pick_region(shape, mask, label, stream)
    if kept is None:
        return image
    return np.asarray(cv2.bitwise_and(image, image, mask=kept.view(np.uint8)), np.uint8)  # a fifth of a product's time


def _pick_feature(
    shape: tuple[int, int], points: Points, chances: Augmentation, stream: np.random.Generator
) -> Kept | None:
    if stream.random() < chances.erase_eyes:
        return without_eyes(shape, points)
    if stream.random() < chances.erase_mouth:
        return without_mouth(shape, points)
    if stream.random() < chances.erase_nose:
        return without_nose(shape, points)
    return None


def without_eyes(shape: tuple[int, int], points: Points) -> Kept:
    """All but a band from eye to eye that reaches a quarter of their distance to every side."""
    return _without_line(shape, points[0], points[1], _distance(points[0], points[1]) // 4)


def without_mouth(shape: tuple[int, int], points: Points) -> Kept:
    """All but a band from corner to corner that reaches a third of their distance to every side."""
    return _without_line(shape, points[3], points[4], _distance(points[3], points[4]) // 3)


def without_nose(shape: tuple[int, int], points: Points) -> Kept:
    """All but a band from the nose to between the eyes that reaches a quarter of the eyes' distance to every side."""
    return _without_line(shape, points[2], points[:2].sum(axis=0) // 2, _distance(points[0], points[1]) // 4)


def hull(points: Points) -> Points:
    """The face's outline, int32 of shape (4, 2), approximated from five points.

    Eyes and mouth corners, each moved away from the middle of the four to twice its distance: about from the brows to
    the chin and from cheek to cheek.
    """
    corners = points[[0, 1, 4, 3]].astype(np.float64)
    middle = corners.mean(axis=0)
    outline: Points = cv2.convexHull(np.rint(middle + _HULL * (corners - middle)).astype(np.int32))[:, 0].astype(
        np.int32
    )
    return outline


def without_half_hull(shape: tuple[int, int], points: Points, side: int) -> Kept:
    """All but half of the face's hull, cut at its centroid. side: which half, 0 upper, 1 lower, 2 left, 3 right."""
    face = cv2.fillConvexPoly(np.zeros(shape, np.uint8), hull(points), 1).astype(np.bool_)
    rows, columns = np.nonzero(face)
    if not len(rows):  # all of it lies outside the crop
        return np.ones(shape, np.bool_)
    erased: Kept = face & ~_half(shape, int(rows.mean()), int(columns.mean()), side)
    return ~erased


def regions(shape: tuple[int, int]) -> list[Kept]:
    """What stays when a half or a pair of opposite quadrants goes.

    First without the upper, lower, left or right half, then without the upper left and lower right quadrants, then
    without the two others.
    """
    middle_y, middle_x = shape[0] // 2, shape[1] // 2
    upper, lower, left, right = (~_half(shape, middle_y, middle_x, side) for side in range(4))
    return [~upper, ~lower, ~left, ~right, ~((upper & left) | (lower & right)), ~((upper & right) | (lower & left))]


def _pick_region(shape: tuple[int, int], mask: LazyMask, label: int, stream: np.random.Generator) -> Kept | None:
    """One of the regions; for a fake one that leaves enough of what was changed, or None when six draws give none.

    A fake without a mask is left whole: nobody knows what would stay visible.
    """
    choices = regions(shape)
    seen = mask() if label == 1 else None
    changed = None if seen is None else seen > CHANGED
    for _ in range(_DRAWS):
        kept = choices[stream.integers(len(choices))]
        if label == 0 or (changed is not None and np.count_nonzero(changed & kept) > _LEAST_CHANGED):
            return kept
    return None


def _half(shape: tuple[int, int], y: int, x: int, side: int) -> Kept:
    kept = np.ones(shape, np.bool_)
    area = (slice(None, y), slice(y, None), (slice(None), slice(None, x)), (slice(None), slice(x, None)))[side]
    kept[area] = False
    return kept


def _without_line(shape: tuple[int, int], start: Points, end: Points, reach: int) -> Kept:
    ends = [(int(point[0]), int(point[1])) for point in (start, end)]
    erased = cv2.line(np.zeros(shape, np.uint8), ends[0], ends[1], 1, thickness=max(1, 2 * reach))
    return np.equal(erased, 0)


def _distance(one: Points, other: Points) -> int:
    return int(np.hypot(*(one - other)))
