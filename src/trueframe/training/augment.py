"""What a training crop goes through, in the DFDC winner's order: erasing, quality, flip, size, colour, movement."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from trueframe.dataset import Image, LazyMask, Points, letterbox
from trueframe.training.erasing import erase

if TYPE_CHECKING:
    from trueframe.params import Augmentation

# One of three, each as likely: (shrinking, growing).
_RESIZES = (
    (cv2.INTER_AREA, cv2.INTER_CUBIC),
    (cv2.INTER_AREA, cv2.INTER_LINEAR),
    (cv2.INTER_LINEAR, cv2.INTER_LINEAR),
)
# The winner's albumentations 0.4 took the variance, 10 to 50, of pixels in 0..255; 2.0 takes the deviation in 0..1.
_NOISE_STD = (10**0.5 / 255, 50**0.5 / 255)
_BLUR_SIGMA = 0.8  # what OpenCV takes for a kernel of 3 pixels

Step = tuple[float, tuple[Any, ...]]  # chance, and albumentations' transforms of which one is made


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
        before = [
            (chance.jpeg, (alb.ImageCompression(quality_range=(chance.jpeg_quality_min, 100), p=1),)),
            (chance.noise, (alb.GaussNoise(std_range=_NOISE_STD, p=1),)),
            (chance.blur, (alb.GaussianBlur(blur_limit=(3, 3), sigma_limit=(_BLUR_SIGMA, _BLUR_SIGMA), p=1),)),
            (chance.flip, (alb.HorizontalFlip(p=1),)),
        ]
        move = alb.Affine(
            translate_percent=(-chance.shift, chance.shift),
            scale=(1 - chance.scale, 1 + chance.scale),
            keep_ratio=True,
            rotate=(-chance.rotate_deg, chance.rotate_deg),
            p=1,
        )
        after = [
            (chance.colour, (alb.RandomBrightnessContrast(p=1), alb.FancyPCA(p=1), alb.HueSaturationValue(p=1))),
            (chance.grey, (alb.ToGray(p=1),)),
            (chance.move, (move,)),
        ]
        return before, after


def _made(step: Step, image: Image, stream: np.random.Generator) -> Image:
    """The image after a step. albumentations' own Compose seeds all of its parts alike, so that they come together."""
    chance, choices = step
    if stream.random() >= chance:
        return image
    change = choices[stream.integers(len(choices))]
    change.set_random_seed(int(stream.integers(2**31)))
    changed: Image = change(image=image)["image"]
    return changed
