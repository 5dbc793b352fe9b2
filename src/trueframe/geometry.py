"""Boxes: overlap, the margin around a face, and tracks through the sampled frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Box = NDArray[np.float32]


def overlap(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """Intersection over union of each of n boxes with each of m, as (n, m); boxes are rows x0, y0, x1, y1."""
    a, b = first[:, None].astype(np.float64), second[None].astype(np.float64)
    sides = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)
    common = sides.prod(-1)
    areas = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1)
    union = areas - common
    shares: NDArray[np.float64] = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return shares


def with_margin(box: Sequence[float], margin: float, width_px: int, height_px: int) -> tuple[int, int, int, int]:
    """The box with `margin` of its width and height added on each side, in whole pixels, cut at the frame's edge.

    Returns x0, y0, x1, y1 with x1 and y1 exclusive; the area is empty where the box lies outside the frame.
    """
    x0, y0, x1, y1 = (float(value) for value in box)
    wide, high = (x1 - x0) * margin, (y1 - y0) * margin
    left, top = max(round(x0 - wide), 0), max(round(y0 - high), 0)
    right, bottom = min(round(x1 + wide), width_px), min(round(y1 + high), height_px)
    return left, top, max(right, left), max(bottom, top)


@dataclass
class _Track:
    number: int
    box: Box
    seen: int  # sampled frame, counted from 0, in which it was last found


def link(frames: Sequence[Box], least_overlap: float, gap: int) -> list[list[int]]:
    """Give each face of each sampled frame the number of its track: the same face keeps its number.

    frames: per sampled frame an (n, 4) array of boxes. A face joins the track whose last box overlaps its own the most,
    if by at least `least_overlap` and if that track was missing in at most `gap` sampled frames; pairs are taken by
    falling overlap. Others start a new track, numbered from 0 in order of appearance.
    """
    tracks: list[_Track] = []
    numbers = []
    for position, boxes in enumerate(frames):
        alive = [track for track in tracks if position - track.seen <= gap + 1]
        joined = _match(alive, boxes, least_overlap)
        for face, box in enumerate(boxes):
            if face not in joined:
                tracks.append(_Track(len(tracks), box, position))
                joined[face] = tracks[-1]
            joined[face].box, joined[face].seen = box, position
        numbers.append([joined[face].number for face in range(len(boxes))])
    return numbers


def _match(tracks: list[_Track], boxes: Box, least_overlap: float) -> dict[int, _Track]:
    if not tracks or not len(boxes):
        return {}
    overlaps = overlap(np.stack([track.box for track in tracks]), boxes)
    matched: dict[int, _Track] = {}
    taken: set[int] = set()
    # A stable sort of the falling overlaps: equal ones go to the older track, then to the detector's first face.
    for flat in np.argsort(-overlaps, axis=None, kind="stable"):
        track, face = divmod(int(flat), len(boxes))
        if overlaps[track, face] < max(least_overlap, np.finfo(np.float64).tiny):
            break
        if track not in taken and face not in matched:
            matched[face] = tracks[track]
            taken.add(track)
    return matched
