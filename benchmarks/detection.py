"""The detector and the landmarks beside stock facenet-pytorch, one image at a time; their faces are checked first.

`python benchmarks/detection.py [CLIPS]` prints the figures.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import reference_faces as reference
from beside import Comparison, compare
from PIL import Image

import videos
from trueframe import faces, geometry, params, video
from trueframe.stages import bboxes

REPO = Path(__file__).parents[1]
_FRAMES = 16  # of a video
_ONE, _MANY = 3.0, 2.3  # promised, by how many faces a frame has
_CROWD = 2.0  # faces a frame from which it is crowded
_LANDMARKS = 2.0  # promised
_SAME_PX = 0.001

Pictures = list[faces.Picture]


def measure(folder: Path, clips: Path | None) -> list[Comparison]:
    """A generated 1080p video and each real clip with a face in it, then their crops."""
    settings = params.load(REPO / "presets/dfdc.yaml")
    made = folder / "detection.mp4"
    videos.write(made, 200, 1920, 1080)
    nets = faces.nets(faces.CPU)
    found = []
    crops: list[Any] = []
    for path in [made, *(sorted(clips.glob("*/*/*.mp4")) if clips else ())]:
        seen = video.probe(path)
        scale = bboxes.scale_of(max(seen.width_px, seen.height_px), settings.bboxes)
        images = [
            image for _, image in video.frames(path, np.linspace(0, seen.frames - 1, _FRAMES).astype(int).tolist())
        ]
        pictures = [faces.picture(image, scale) for image in images]
        thresholds = tuple(settings.bboxes.train.thresholds)
        each = _checked(nets, pictures, thresholds)
        mean = sum(map(len, each)) / len(each)
        if not mean:
            continue
        for image, of_image in zip(images, each, strict=True):
            for box in of_image:
                x0, y0, x1, y1 = geometry.with_margin(
                    box * np.tile(pictures[0].ratio, 2), settings.crops.margin, image.shape[1], image.shape[0]
                )
                crops.append(faces.picture(image[y0:y1, x0:x1], 1.0))
        what = f"MTCNN on {path.stem}, {mean:.1f} faces a frame"
        found.append(_beside(what, nets, pictures, thresholds, _MANY if mean >= _CROWD else _ONE))
    thresholds = tuple(settings.landmarks.thresholds)
    some = crops[:: max(1, len(crops) // 48)]
    _checked(nets, some, thresholds)
    return [*found, _beside(f"landmarks of {len(some)} crops", nets, some, thresholds, _LANDMARKS)]


def _checked(nets: faces.Nets, pictures: Pictures, thresholds: tuple[float, ...]) -> list[Any]:
    """The boxes of each picture, which are stock's."""
    each = []
    for picture in pictures:
        ours = faces.cascade.detect(nets, [picture.image], thresholds, 20)[0].boxes
        theirs = reference.detect([Image.fromarray(picture.image)], thresholds)[0][0]
        assert len(ours) == (0 if theirs is None else len(theirs))
        assert theirs is None or np.abs(ours - theirs.astype(float)).max() < _SAME_PX
        each.append(ours)
    return each


def _beside(
    what: str, nets: faces.Nets, pictures: Pictures, thresholds: tuple[float, ...], at_least: float
) -> Comparison:
    stock = [Image.fromarray(picture.image) for picture in pictures]
    return compare(
        what, partial(_ours, nets, pictures, thresholds), partial(reference.detect, stock, thresholds), at_least
    )


def _ours(nets: faces.Nets, pictures: Pictures, thresholds: tuple[float, ...]) -> None:
    for picture in pictures:
        faces.find(nets, [picture], thresholds, 20)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        for row in measure(Path(temporary), Path(sys.argv[1]) if len(sys.argv) > 1 else None):
            print(f"{row.times_faster:.2f} {row.what} (promised {row.at_least})")
