"""masks: where a fake's crop differs from its original's, as grey images named as the crops are."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from trueframe import archive as archives
from trueframe import images, pool, ssim, tables

if TYPE_CHECKING:
    from trueframe.params import Masks
    from trueframe.tools import Tools

Pair = tuple[archives.Member, archives.Member]  # a fake's crop and its original's

_BATCH = 32  # pairs that a worker is given at once: as many masks, some 40 kB each, wait together to be written


def run(
    *, unit: str, index: Path, crops: Path, archive: Path, table: Path, params: Masks, tools: Tools
) -> dict[str, int]:
    """Write a stored zip with a mask for each crop of a fake whose original has the same crop, and a row for each mask.

    A mask's name is its crop's but for the extension.

    A crop without a mask: the original is absent or its frames are of another size (then the fake's faces are its own),
    or it has no crop of that frame and track, or the sizes differ, or it is smaller than the window.
    """
    rows = {row["video"]: row for row in tables.read_rows(index)}
    originals = {
        name: row["original"]
        for name, row in rows.items()
        if row["label"] == 1 and _size(row) == _size(rows.get(row["original"], {}))
    }
    faces = {archives.parse_member(member.name): member for member in archives.members(crops)}
    pairs = []
    for (video, frame, track), member in faces.items():
        twin = faces.get((originals[video], frame, track)) if video in originals else None
        if twin:
            pairs.append((member, twin))
    batches = [pairs[at : at + _BATCH] for at in range(0, len(pairs), _BATCH)]
    changed_px: dict[str, int] = {}
    with archives.Writer(archive) as writer, tools.progress.task(len(pairs), "crops") as advance:
        compare = functools.partial(_compare, crops, params.window_px)
        for batch, found in zip(batches, pool.ordered(compare, batches, tools.workers), strict=True):
            for name, data, changed in found:
                writer.add(name, data)
                changed_px[name] = changed
            advance(len(batch))
    return {"archive": writer.count, "table": tables.write(table, _rows(archive, changed_px), tables.MASKS)}


def _rows(archive: Path, changed_px: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """A row per mask (tables.MASKS)."""
    for member in sorted(archives.members(archive), key=lambda member: archives.parse_member(member.name)):
        video, frame, track = archives.parse_member(member.name)
        place = {"offset": member.offset, "size": member.size}
        yield {"video": video, "frame": frame, "track": track, "changed_px": changed_px[member.name]} | place


def _size(row: Mapping[str, Any]) -> tuple[Any, Any]:
    return row.get("width_px"), row.get("height_px")


def mask(fake: NDArray[np.uint8], original: NDArray[np.uint8], window_px: int) -> NDArray[np.uint8]:
    """How much a fake differs from its original: 0 (not at all) to 255, uint8 of shape (height, width).

    fake, original: RGB images of shape (height, width, 3), both at least window_px on each side. It is
    (1 - SSIM) * 255 per channel (Wang et al. 2004, doi:10.1109/TIP.2003.819861), clipped to 0..255 since SSIM can be
    negative, then turned to grey.
    """
    changed = ssim.levels(fake, original, window_px)
    grey: NDArray[np.uint8] = cv2.cvtColor(changed, cv2.COLOR_RGB2GRAY).astype(np.uint8)
    return grey


def _compare(crops: Path, window_px: int, pairs: list[Pair]) -> list[tuple[str, bytes, int]]:
    """The masks of some crops: name, file, number of changed pixels."""
    cv2.setNumThreads(1)
    found = []
    with archives.Reader(crops) as reader:
        for pair in pairs:
            fake, original = (images.read(reader, member.offset, member.size) for member in pair)
            if fake.shape != original.shape or min(fake.shape[:2]) < window_px:
                continue
            image = mask(fake, original, window_px)
            name = archives.member_name(*archives.parse_member(pair[0].name), images.MASK)
            found.append((name, images.png(image), int(np.count_nonzero(image > images.CHANGED))))
    return found
