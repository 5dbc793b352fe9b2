"""Finding faces: MTCNN on frames brought to the scale at which they are searched.

On a CPU the nets are OpenVINO's and a process searches image by image, so a face depends on its own image alone. On a
GPU they are torch's, for many images of a size at once: which ones share a batch may show in the last bits.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueframe import devices
from trueframe.devices import CPU, CUDA
from trueframe.mtcnn import bicubic, cascade
from trueframe.mtcnn import nets as mtcnn_nets
from trueframe.mtcnn.cascade import Faces
from trueframe.mtcnn.nets import Nets

__all__ = ["Faces", "Nets", "Picture", "backend", "find", "nets", "picture"]


def backend(device: str) -> str:
    """What finds faces on a device, for a record: library, version, device."""
    device = devices.resolved(device)
    library = "torch" if device == CUDA else "openvino"
    return f"{library} {importlib.metadata.version(library)} {device}"


def nets(device: str) -> Nets:
    """The nets of a device ("cpu" or "cuda"), the same ones each time in this process."""
    return mtcnn_nets.cpu() if device == CPU else mtcnn_nets.cuda()


@dataclass(frozen=True)
class Picture:
    """An image as it is searched: RGB, contiguous uint8 (height, width, 3), and its pixels per pixel of the whole."""

    image: NDArray[np.uint8]
    ratio: tuple[float, float]  # columns, rows


def picture(image: NDArray[np.uint8], scale: float) -> Picture:
    """An RGB image, uint8 (height, width, 3), brought to `scale`.

    By Pillow's bicubic filter, as the DFDC winner did: other filters move the boxes.
    """
    height, width = image.shape[:2]
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    image = np.ascontiguousarray(image)
    small = image if size == (width, height) else bicubic.resize(image, size[1], size[0])
    return Picture(small, (width / size[0], height / size[1]))


def find(of: Nets, pictures: Sequence[Picture], thresholds: tuple[float, ...], min_face_px: int) -> list[Faces]:
    """Faces of pictures of one size, in pixels of the whole images. thresholds: of MTCNN's three nets."""
    found = cascade.detect(of, [one.image for one in pictures], thresholds, min_face_px)
    return [
        Faces(
            (seen.boxes.astype(np.float64) * np.array(one.ratio * 2)).astype(np.float32),
            seen.scores,
            (seen.points.astype(np.float64) * np.array(one.ratio)).astype(np.float32),
        )
        for one, seen in zip(pictures, found, strict=True)
    ]
