"""SSIM masks by scikit-image, and the ways to store an image, as one who knows the libraries would write them."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np
from PIL import Image
from skimage.metrics import structural_similarity


def mask(fake: Any, original: Any, window_px: int) -> Any:
    """(1 - SSIM) * 255 of two RGB images, in grey."""
    _, similarity = structural_similarity(fake, original, win_size=window_px, channel_axis=2, full=True)
    return cv2.cvtColor(np.clip((1 - similarity) * 255, 0, 255).astype(np.uint8), cv2.COLOR_RGB2GRAY)


def by_opencv(extension: str, options: tuple[int, ...], image: Any) -> bytes:
    """An image of OpenCV's writers."""
    done, data = cv2.imencode(extension, image if image.ndim == 2 else image[..., ::-1], options)
    assert done
    return data.tobytes()


def webp(method: int, image: Any) -> bytes:
    """Lossless WebP of Pillow's."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "WEBP", lossless=True, quality=0, method=method)
    return file.getvalue()


def decoded(data: bytes) -> Any:
    """The image as it was stored: grey or BGR."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


_LEVEL, _FILTER, _STRATEGY = cv2.IMWRITE_PNG_COMPRESSION, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_STRATEGY
_PAETH, _RLE = cv2.IMWRITE_PNG_FILTER_PAETH, cv2.IMWRITE_PNG_STRATEGY_RLE
WRITERS: dict[str, Callable[[Any], bytes]] = {
    "PNG, OpenCV's own choice": partial(by_opencv, ".png", ()),
    "PNG, level 6": partial(by_opencv, ".png", (_LEVEL, 6)),
    "PNG, filter up": partial(by_opencv, ".png", (_LEVEL, 1, _FILTER, cv2.IMWRITE_PNG_FILTER_UP)),
    "PNG, filter Paeth, run lengths": partial(by_opencv, ".png", (_LEVEL, 1, _FILTER, _PAETH, _STRATEGY, _RLE)),
    "lossless WebP, OpenCV": partial(by_opencv, ".webp", (cv2.IMWRITE_WEBP_QUALITY, 101)),
    "lossless WebP, method 0": partial(webp, 0),
    "lossless WebP, method 1": partial(webp, 1),
    "lossless WebP, method 4": partial(webp, 4),
}
