"""SSIM masks beside scikit-image's, and what each way to store a crop or a mask costs.

`python benchmarks/images_and_masks.py [CLIPS]` prints both.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import real_crops
import reference
from beside import Comparison, alternating, compare
from skimage import data as pictures

from trueframe import archive, images
from trueframe.stages import masks

_WINDOW_PX = 7
_CROP = (400, 320)  # about what a 1080p video gives
_MOST = 12  # crops of a kind: the slowest writer takes some 0.1 s for each
_PLAIN = "PNG, OpenCV's own choice"

Pair = tuple[Any, Any]


def measure(folder: Path, clips: Path | None) -> list[Comparison]:
    """Masks, beside scikit-image's, which must be the same."""
    cv2.setNumThreads(1)
    found = []
    for what, pairs in _pairs(folder, clips).items():
        for pair in pairs:
            assert np.array_equal(masks.mask(*pair, _WINDOW_PX), reference.mask(*pair, _WINDOW_PX))
        ours, theirs = (partial(_each, function, pairs) for function in (masks.mask, reference.mask))
        found.append(compare(f"SSIM masks of {len(pairs)} {what}", ours, theirs, at_least=1.9))
    return found


def formats(folder: Path, clips: Path | None) -> dict[str, dict[str, dict[str, float]]]:
    """Kind of image to format to bytes and milliseconds to write and to read, and the times beside OpenCV's own PNG.

    Medians over rounds in which all formats took their turns; a format's images must come back as they were.
    """
    cv2.setNumThreads(1)
    kinds: dict[str, list[Any]] = {}
    for what, pairs in _pairs(folder, clips).items():
        kinds[f"crops: {what}"] = [fake for fake, _ in pairs]
        kinds[f"masks: {what}"] = [masks.mask(*pair, _WINDOW_PX) for pair in pairs]
    return {what: _formats(pictures[:_MOST]) for what, pictures in kinds.items()}


def _formats(kept: Sequence[Any]) -> dict[str, dict[str, float]]:
    files = {name: [write(image) for image in kept] for name, write in reference.WRITERS.items()}
    for written in files.values():
        for image, file in zip(kept, written, strict=True):
            assert np.array_equal(images.decoded(file, grey=image.ndim == 2), image)
    writing = alternating({name: partial(_all, write, kept) for name, write in reference.WRITERS.items()})
    reading = alternating({name: partial(_all, reference.decoded, written) for name, written in files.items()})
    return {
        name: {
            "bytes": statistics.mean(len(file) for file in files[name]),
            "write_ms": 1000 * statistics.median(writing[name]) / len(kept),
            "read_ms": 1000 * statistics.median(reading[name]) / len(kept),
            "write_of_png": _share(writing, name),
            "read_of_png": _share(reading, name),
        }
        for name in files
    }


def _share(taken: dict[str, list[float]], name: str) -> float:
    return statistics.median(own / plain for own, plain in zip(taken[name], taken[_PLAIN], strict=True))


def _all(function: Callable[[Any], object], items: Sequence[Any]) -> None:
    for item in items:
        function(item)


def _each(function: Callable[[Any, Any, int], object], pairs: Sequence[Pair]) -> None:
    for fake, original in pairs:
        function(fake, original, _WINDOW_PX)


def _pairs(folder: Path, clips: Path | None) -> dict[str, list[Pair]]:
    """A fake's crops and its original's, of a portrait and, where the clips are, of real videos."""
    portrait = cv2.resize(pictures.astronaut()[0:240, 130:322], _CROP[::-1], interpolation=cv2.INTER_CUBIC)
    stream = np.random.default_rng(0)
    made = []
    for _ in range(8):
        noisy = np.clip(portrait + stream.normal(0, 4, portrait.shape), 0, 255).astype(np.uint8)
        fake = noisy.copy()
        fake[120:300, 80:240] = cv2.GaussianBlur(noisy[120:300, 80:240], (9, 9), 3)
        made.append((fake, noisy))
    found = {"crops of a portrait, 400 × 320": made}
    if clips is not None:
        found["real crops"] = _real(real_crops.make(folder, clips))
    return found


def _real(workspace: Path) -> list[Pair]:
    found = []
    for part, path in real_crops.archives(workspace, "masks").items():
        crops = real_crops.archives(workspace, "crops")[part]
        metadata = json.loads((workspace / f"data/raw/{part}/metadata.json").read_text())
        members = {archive.parse_member(name): images.decoded(data) for name, data in archive.images(crops)}
        for member in archive.members(path):
            video, frame, track = archive.parse_member(member.name)
            found.append((members[video, frame, track], members[metadata[video]["original"], frame, track]))
    return found


if __name__ == "__main__":
    real = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory() as name:
        for comparison in measure(Path(name), real):
            print(comparison)
        print(json.dumps(formats(Path(name), real), indent=2))
