"""Writes videos with a face in them, of any length and size."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.data import astronaut


def write(
    path: Path,
    frames: int,
    width_px: int,
    height_px: int,
    blurred: bool = False,
    preset: str = "veryfast",
    noise: float = 0,
    faces: int = 1,
    portrait: float = 0.5,
) -> None:
    """An H.264 video at 30 frames a second: a portrait that wanders over noise; blurred: a softer face, as a fake's.

    preset: x264's; "medium" is its default, as most tools use it, "veryfast" writes sooner. noise: standard deviation
    of what a camera's sensor adds to each frame, in grey levels of 256. faces: portraits, up to four, one in a quarter
    of the frame each where there are several. portrait: its height as a part of the
    frame's; the face in it is a fourth as high.
    """
    picture = cv2.resize(astronaut(), 2 * (round(portrait * height_px),))
    if blurred:
        picture = cv2.GaussianBlur(picture, (9, 9), 0)
    random = np.random.default_rng(0)
    ground = random.integers(0, 255, (height_px, width_px, 3), np.uint8)
    ground = cv2.GaussianBlur(ground, (31, 31), 0)
    grain = (
        random.normal(0, noise, (2 * height_px, 2 * width_px)).round().astype(np.int16)[..., None] if noise else None
    )
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", Fraction(30), options={"preset": preset, "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv420p"
        for number in range(frames):
            image = ground.copy()
            for face in range(faces):
                place = image if faces == 1 else _quarter(image, face)
                left = round((place.shape[1] - picture.shape[1]) * (0.5 + 0.4 * np.sin(number / 60)))
                top = round((place.shape[0] - picture.shape[0]) * (0.5 + 0.4 * np.cos(number / 75)))
                place[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
            if grain is not None:
                y, x = random.integers(0, (height_px, width_px))
                image = np.clip(image + grain[y : y + height_px, x : x + width_px], 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())


def _quarter(image: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """A view of the quarter 0 to 3, row by row."""
    height, width = image.shape[0] // 2, image.shape[1] // 2
    row, column = divmod(number, 2)
    return image[row * height : (row + 1) * height, column * width : (column + 1) * width]
