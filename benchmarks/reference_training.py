"""A loader by OpenCV and albumentations of the DFDC winner's list of changes, as one who knows them writes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import albumentations as alb
import cv2
import numpy as np

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's


class Loader:
    """Decodes and changes crops one at a time, all but the winner's erasing, and normalizes each."""

    def __init__(self, size_px: int) -> None:
        """size_px: side of the square that comes out."""
        resizes = [
            alb.LongestMaxSize(size_px, interpolation=how, p=1)
            for how in (cv2.INTER_AREA, cv2.INTER_AREA, cv2.INTER_LINEAR)
        ]
        move = {"translate_percent": (-0.1, 0.1), "scale": (0.8, 1.2), "keep_ratio": True, "rotate": (-10, 10)}
        self._change = alb.Compose(
            [
                alb.ImageCompression(quality_range=(60, 100), p=0.5),
                alb.GaussNoise(std_range=(10**0.5 / 255, 50**0.5 / 255), p=0.1),
                alb.GaussianBlur(blur_limit=(3, 3), p=0.05),
                alb.HorizontalFlip(p=0.5),
                alb.OneOf(resizes, p=1),
                alb.PadIfNeeded(size_px, size_px, border_mode=cv2.BORDER_CONSTANT, p=1),
                alb.OneOf([alb.RandomBrightnessContrast(p=1), alb.FancyPCA(p=1), alb.HueSaturationValue(p=1)], p=0.7),
                alb.ToGray(p=0.2),
                alb.Affine(**move, p=0.5),
                alb.Normalize(mean=_MEAN, std=_STD, p=1),
            ],
            seed=0,
        )

    def batch(self, files: Sequence[bytes]) -> Any:
        """The changed crops of PNG files, float32 of shape (files, 3, size_px, size_px)."""
        return np.stack([self._one(data).transpose(2, 0, 1) for data in files])

    def _one(self, data: bytes) -> Any:
        image = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        return self._change(image=image)["image"]
