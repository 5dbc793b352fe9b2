"""A stand-in for the detector: trueframe.faces with answers of the test's own, and neither torch nor OpenVINO."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np


def module(found: Callable[[Any, float, tuple[float, ...], int, str], Any]) -> ModuleType:
    """found: from an image, its scale, the thresholds, the smallest face and the device to what is in it."""

    def find(nets: str, pictures: Any, thresholds: tuple[float, ...], min_face_px: int) -> list[Any]:
        assert len({image.shape for image, _ in pictures}) <= 1
        return [found(image, scale, thresholds, min_face_px, nets) for image, scale in pictures]

    made = ModuleType("trueframe.faces")
    vars(made).update(
        nets=lambda device: device,
        picture=lambda image, scale: (image, scale),
        find=find,
    )
    return made


def one(image: Any, scale: float, thresholds: tuple[float, ...], min_face_px: int, device: str) -> Any:
    """One face, from a quarter of the image on, at most 40 pixels wide and high."""
    height, width = image.shape[:2]
    x0, y0 = width / 4, height / 4
    box = [x0, y0, x0 + min(width / 2, 40), y0 + min(height / 2, 40)]
    return SimpleNamespace(
        boxes=np.array([box], np.float32), scores=np.ones(1, np.float32), points=np.full((1, 5, 2), y0, np.float32)
    )
