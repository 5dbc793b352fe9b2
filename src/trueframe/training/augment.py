"""What a training crop goes through, in the DFDC winner's order: erasing, quality, flip, size, colour, movement."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from trueframe.dataset import Image, LazyMask, Points, letterbox
from trueframe.training import pixels
from trueframe.training.erasing import erase

if TYPE_CHECKING:
    from trueframe.params import Augmentation

# One of three, each as likely: (shrinking, growing).
_RESIZES = (
    (cv2.INTER_AREA, cv2.INTER_CUBIC),
    (cv2.INTER_AREA, cv2.INTER_LINEAR),
    (cv2.INTER_LINEAR, cv2.INTER_LINEAR),
)
_NOISE_VARIANCE = (10, 50)  # of levels of 0..255, the root of which 2.0 draws; albumentations 0.4's, as the winner's
_FANCY_PCA = 0.1  # deviation of its strengths: albumentations' own
_BLUR_SIGMA = 0.8  # what OpenCV takes for a kernel of 3 pixels

Made = Callable[[Image, np.random.Generator], Image]
Step = tuple[float, tuple[Made, ...]]  # chance, and the changes of which one is made


class Augment:
    """Changes a training crop and brings it to the network's size."""

    def __init__(self, params: Augmentation, size_px: int) -> None:
        """size_px: side of the square that comes out."""
        self._params = params
        self._size_px = size_px

    def __call__(
        self, image: Image, points: Points | None, mask: LazyMask, label: int, stream: np.random.Generator
    ) -> Image:
        """What an RGB crop becomes, uint8 of shape (size_px, size_px, 3); `stream` alone decides.

        points, mask, label: as for erasing.erase.
        """
        before, after = self._steps
        image = erase(image, points, mask, label, self._params, stream)
        for step in before:
            image = _made(step, image, stream)
        image = letterbox(image, self._size_px, *_RESIZES[stream.integers(len(_RESIZES))])
        for step in after:
            image = _made(step, image, stream)
        return image

    @cached_property
    def _steps(self) -> tuple[list[Step], list[Step]]:
        """What is done before the crop gets its size, and after."""
        import albumentations as alb  # takes seconds, which only the processes that change crops should pay

        chance = self._params
        before: list[Step] = [
            (chance.jpeg, (_by(alb.ImageCompression(quality_range=(chance.jpeg_quality_min, 100), p=1)),)),
            (chance.noise, (_noise,)),
            (chance.blur, (_by(alb.GaussianBlur(blur_limit=(3, 3), sigma_limit=(_BLUR_SIGMA, _BLUR_SIGMA), p=1)),)),
            (chance.flip, (_by(alb.HorizontalFlip(p=1)),)),
        ]
        move = alb.Affine(
            translate_percent=(-chance.shift, chance.shift),
            scale=(1 - chance.scale, 1 + chance.scale),
            keep_ratio=True,
            rotate=(-chance.rotate_deg, chance.rotate_deg),
            p=1,
        )
        colour = (_by(alb.RandomBrightnessContrast(p=1)), _fancy_pca, _by(alb.HueSaturationValue(p=1)))
        after: list[Step] = [
            (chance.colour, colour),
            (chance.grey, (_by(alb.ToGray(p=1)),)),
            (chance.move, (_by(move),)),
        ]
        return before, after


def _made(step: Step, image: Image, stream: np.random.Generator) -> Image:
    """The image after a step."""
    chance, choices = step
    if stream.random() >= chance:
        return image
    return choices[stream.integers(len(choices))](image, stream)


def _by(transform: Any) -> Made:
    """A change made by one of albumentations' transforms."""
    return partial(_transformed, transform)


def _transformed(transform: Any, image: Image, stream: np.random.Generator) -> Image:
    # By itself, since albumentations' Compose seeds all of its parts alike, so that they come together.
    transform.set_random_seed(int(stream.integers(2**31)))
    changed: Image = transform(image=image)["image"]
    return changed


def _noise(image: Image, stream: np.random.Generator) -> Image:
    lowest, highest = (variance**0.5 for variance in _NOISE_VARIANCE)
    return pixels.noisy(image, stream.uniform(lowest, highest), int(stream.integers(2**31)))


def _fancy_pca(image: Image, stream: np.random.Generator) -> Image:
    return pixels.fancy_pca(image, stream.normal(0, _FANCY_PCA, 3).astype(np.float32))
