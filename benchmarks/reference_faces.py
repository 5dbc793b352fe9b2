"""The winner's face chain and its parts, by the plain use of public libraries, with one thread."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from facenet_pytorch import MTCNN
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import structural_similarity

Array = NDArray[Any]
Boxes = dict[int, Array]  # by frame

_BATCH = 32  # frames that the winner's detector is given at once


@functools.cache
def mtcnn(thresholds: tuple[float, ...]) -> MTCNN:
    """Stock facenet-pytorch, as the winner has it."""
    torch.set_num_threads(1)
    return MTCNN(margin=0, thresholds=list(thresholds), keep_all=True, device="cpu").eval()


def smaller(image: Array, scale: float) -> Image.Image:
    """An RGB image at a scale, by Pillow's bicubic."""
    height, width = image.shape[:2]
    return Image.fromarray(image).resize((round(width * scale), round(height * scale)), Image.Resampling.BICUBIC)


def detect(pictures: Iterable[Image.Image], thresholds: tuple[float, ...]) -> list[Any]:
    """Boxes, scores and points of each picture, one at a time."""
    return [mtcnn(thresholds).detect(picture, landmarks=True) for picture in pictures]


def frames(path: Path, every: int) -> dict[int, Array]:
    """Every n-th frame in RGB: all are grabbed, the wanted ones retrieved."""
    cv2.setNumThreads(1)
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    found = {}
    number = 0
    while capture.grab():
        if number % every == 0:
            found[number] = cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB)
        number += 1
    capture.release()
    return found


def boxes(path: Path, every: int, scale: float, thresholds: tuple[float, ...], batch: int = 1) -> Boxes:
    """The boxes of every n-th frame; more than one at a time as the winner does it."""
    wanted = frames(path, every)
    found: Boxes = {}
    for start in range(0, len(wanted), batch):
        numbers = list(wanted)[start : start + batch]
        pictures = [smaller(wanted[number], scale) for number in numbers]
        seen = mtcnn(thresholds).detect(pictures if batch > 1 else pictures[0])[0]
        for number, of_frame in zip(numbers, seen if batch > 1 else [seen], strict=True):
            if of_frame is not None:
                found[number] = np.asarray(of_frame, float) / scale
    return found


def crops(path: Path, every: int, found: Boxes, margin: float) -> dict[tuple[int, int], bytes]:
    """A PNG of each box with its margin, by frame and number."""
    made = {}
    for number, image in frames(path, every).items():
        for face, (x0, y0, x1, y1) in enumerate(found.get(number, ())):
            wide, high = (x1 - x0) * margin, (y1 - y0) * margin
            left, top = max(round(x0 - wide), 0), max(round(y0 - high), 0)
            crop = image[top : round(y1 + high), left : round(x1 + wide), ::-1]
            made[number, face] = cv2.imencode(".png", crop)[1].tobytes()
    return made


def decoded(data: bytes) -> Array:
    """An image file in RGB."""
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def landmarks(files: Collection[bytes], thresholds: tuple[float, ...]) -> list[Any]:
    """Points of each crop."""
    return detect((Image.fromarray(decoded(data)) for data in files), thresholds)


def masks(fakes: dict[tuple[int, int], bytes], reals: dict[tuple[int, int], bytes], window_px: int) -> list[bytes]:
    """A grey PNG of where each fake crop differs from its original's."""
    made = []
    for key in fakes.keys() & reals.keys():
        pair = decoded(fakes[key]), decoded(reals[key])
        if pair[0].shape == pair[1].shape and min(pair[0].shape[:2]) >= window_px:
            similar = structural_similarity(*pair, win_size=window_px, channel_axis=2, full=True)[1]
            grey = cv2.cvtColor(np.clip((1 - similar) * 255, 0, 255).astype(np.uint8), cv2.COLOR_RGB2GRAY)
            made.append(cv2.imencode(".png", grey)[1].tobytes())
    return made


def chain(
    real: Path,
    fake: Path,
    *,
    every: int,
    detect_every: int,
    scale: float,
    thresholds: Sequence[tuple[float, ...]],
    margin: float,
    window_px: int,
) -> int:
    """Boxes of the real video, crops of both, landmarks, masks: each step decodes again. Returns how many masks.

    detect_every: 1 and so batches of 32 in the winner's way. thresholds: of the boxes and of the landmarks.
    """
    found = boxes(real, detect_every, scale, thresholds[0], _BATCH if detect_every == 1 else 1)
    reals, fakes = (crops(path, every, found, margin) for path in (real, fake))
    landmarks(reals.values(), thresholds[1])
    return len(masks(fakes, reals, window_px))
