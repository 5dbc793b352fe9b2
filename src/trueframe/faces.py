"""Finding faces: facenet-pytorch's MTCNN, one image at a time.

One at a time because a batch is slower on a CPU and because stock MTCNN's last suppression runs over the whole batch:
boxes would depend on which frames share it. One thread, so that no sum depends on how many cores there are.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from facenet_pytorch import MTCNN
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True)
class Faces:
    """n faces of an image, in MTCNN's order (largest first).

    boxes (n, 4) float32 in pixels (x0, y0, x1, y1); scores (n,) float32 in 0..1; points (n, 5, 2) float32 in pixels.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    points: NDArray[np.float32]


NO_FACES = Faces(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 5, 2), np.float32))


def find(
    image: NDArray[np.uint8], scale: float, thresholds: tuple[float, ...], min_face_px: int, device: str = "auto"
) -> Faces:
    """Faces of an RGB image of shape (height, width, 3), searched at `scale` and told in its own pixels.

    thresholds: of MTCNN's three nets (Zhang et al. 2016, doi:10.1109/LSP.2016.2603342). The image is resized with PIL's
    bicubic filter, as the DFDC winner did: other filters move the boxes.
    """
    height, width = image.shape[:2]
    size = round(width * scale), round(height * scale)
    if min(size) * (12.0 / min_face_px) < 12:
        # MTCNN's pyramid, reckoned as it does (47 * (12 / 47) is below 12), would have no level: it raises an error.
        return NO_FACES
    picture = Image.fromarray(image)
    if size != (width, height):
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    boxes, scores, points = _net(thresholds, min_face_px, device).detect(picture, landmarks=True)
    if boxes is None:
        return NO_FACES
    ratio = np.array([width / size[0], height / size[1]])
    return Faces(
        (np.asarray(boxes, np.float64) * np.tile(ratio, 2)).astype(np.float32),
        np.asarray(scores, np.float32),
        (np.asarray(points, np.float64) * ratio).astype(np.float32),
    )


@functools.cache
def _net(thresholds: tuple[float, ...], min_face_px: int, device: str) -> MTCNN:
    torch.set_num_threads(1)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return MTCNN(margin=0, thresholds=list(thresholds), min_face_size=min_face_px, keep_all=True, device=device).eval()
