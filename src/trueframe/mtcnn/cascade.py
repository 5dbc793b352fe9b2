"""The cascade: P-Net proposes on a pyramid, R-Net refines, O-Net decides.

Zhang et al. 2016, doi:10.1109/LSP.2016.2603342, as facenet-pytorch has it. It gives what stock
facenet-pytorch 2.5.3 gives for one image at a time, since every suppression here is within an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueframe.mtcnn import area, boxes
from trueframe.mtcnn.nets import Nets

_SIDE = 12  # of P-Net's view; also the least side of a level
_FACTOR = 0.709  # from level to level: about half the area


@dataclass(frozen=True)
class Faces:
    """n faces of an image, in MTCNN's order (largest first).

    boxes (n, 4) float32 in pixels (x0, y0, x1, y1); scores (n,) float32 in 0..1; points (n, 5, 2) float32 in pixels.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    points: NDArray[np.float32]


NO_FACES = Faces(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 5, 2), np.float32))


def scales(height: int, width: int, min_face_px: int) -> list[float]:
    """The pyramid's scales: the first makes the smallest face as large as P-Net's view, each further one is smaller.

    None where even the first is below the view (reckoned as stock does: 47 * (12 / 47) is below 12).
    """
    scale = _SIDE / min_face_px
    least = min(height, width) * scale
    found = []
    while least >= _SIDE:
        found.append(scale)
        scale *= _FACTOR
        least *= _FACTOR
    return found


def detect(
    nets: Nets, images: Sequence[NDArray[np.uint8]], thresholds: tuple[float, ...], min_face_px: int
) -> list[Faces]:
    """The faces of each image: contiguous RGB, uint8 of shape (height, width, 3), one size for all.

    thresholds: least scores of the three nets.
    """
    if not images:
        return []
    height, width = images[0].shape[:2]
    tables = [area.sums_of(image) for image in images]
    found: list[list[NDArray[np.float32]]] = [[] for _ in images]
    for scale in scales(height, width, min_face_px):
        size = int(height * scale + 1), int(width * scale + 1)
        for of_image, chances, shifts in zip(found, *nets.proposals(images, tables, *size), strict=True):
            of_image.append(boxes.proposals(chances, shifts, scale, thresholds[0]))
    candidates = [_first(levels) for levels in found]
    candidates = _refined(nets, tables, candidates, thresholds[1])
    return _decided(nets, tables, candidates, thresholds[2])


def _first(levels: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The proposals of all levels that survive each other, as squares: (n, 4)."""
    if not levels:
        return NO_FACES.boxes
    rows = np.concatenate(levels)
    rows = rows[boxes.survivors(rows[:, :4], rows[:, 4], 0.7)]
    return boxes.squared(boxes.shifted(rows)[:, :4])


def _refined(
    nets: Nets, tables: Sequence[area.Sums], candidates: list[NDArray[np.float32]], threshold: float
) -> list[NDArray[np.float32]]:
    seen, candidates, ends = _pieces(tables, candidates, 24)
    if not len(seen):
        return candidates
    answers = (np.split(answer, ends) for answer in nets.refine(seen))
    found = []
    for of_image, chances, shifts in zip(candidates, *answers, strict=True):
        good = chances > np.float32(threshold)
        kept = boxes.survivors(of_image[good], chances[good], 0.7)
        found.append(boxes.squared(boxes.refined(of_image[good][kept], shifts[good][kept])))
    return found


def _decided(
    nets: Nets, tables: Sequence[area.Sums], candidates: list[NDArray[np.float32]], threshold: float
) -> list[Faces]:
    seen, candidates, ends = _pieces(tables, candidates, 48)
    if not len(seen):
        return [NO_FACES for _ in candidates]
    answers = (np.split(answer, ends) for answer in nets.output(seen))
    found = []
    for of_image, chances, shifts, points in zip(candidates, *answers, strict=True):
        good = chances > np.float32(threshold)
        of_image, scores = of_image[good], chances[good]
        sides = of_image[:, 2:4] - of_image[:, :2] + np.float32(1)
        spots = points[good].reshape(-1, 2, 5).transpose(0, 2, 1)
        spots = spots * sides[:, None] + of_image[:, None, :2] - np.float32(1)
        made = boxes.refined(of_image, shifts[good])
        kept = boxes.finals(made, scores, 0.7)
        made, scores, spots = made[kept], scores[kept], spots[kept]
        order = np.argsort((made[:, 2] - made[:, 0]) * (made[:, 3] - made[:, 1]))[::-1]
        found.append(Faces(made[order], scores[order], spots[order]))
    return found


def _pieces(
    tables: Sequence[area.Sums], candidates: list[NDArray[np.float32]], size: int
) -> tuple[NDArray[np.float32], list[NDArray[np.float32]], list[int]]:
    """What a net is to see of all images, the candidates that it sees, and where each image's but the first begin."""
    pieces, seen = [], []
    for table, of_image in zip(tables, candidates, strict=True):
        windows, there = boxes.windows(of_image, table.shape[1] - 1, table.shape[2] - 1)
        pieces.append(area.cuts(table, windows[there], size))
        seen.append(of_image[there])
    return np.concatenate(pieces), seen, np.cumsum([len(of_image) for of_image in seen])[:-1].tolist()
