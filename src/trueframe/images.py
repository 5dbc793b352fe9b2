"""Images as the archives hold them, lossless: crops as WebP, masks as PNG.

Beside PNG as OpenCV writes it by itself, WebP at libwebp's lowest effort takes 0.7 of the bytes of real crops, 0.7 of
the time to write and 0.6 of the time to read, and a crop is read in every epoch (benchmarks/images_and_masks.py).
WebP has no grey images, and makes masks larger.
"""

from __future__ import annotations

import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trueframe import formats, headers
from trueframe.archive import Reader
from trueframe.errors import UserError

CHANGED = 20  # a mask's pixel above this, of 255, is one that the fake changed

CROP, MASK = "webp", "png"  # extensions

# For masks: beside OpenCV's own choice, 0.7 of the time to write and 0.9 of the bytes.
FAST = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_PAETH),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
)
SMALL = (cv2.IMWRITE_PNG_COMPRESSION, 9)


def webp(image: NDArray[np.uint8], method: int = 0) -> bytes:
    """Lossless WebP of an RGB image, uint8 of shape (height, width, 3). method: libwebp's effort, 0..6.

    Raises ValueError where a side is longer than the 16,383 pixels that the format can tell.
    """
    file = io.BytesIO()
    # OpenCV's writer has no method, and takes 17 times as long; quality is, where nothing is lost, effort once more
    Image.fromarray(image).save(file, "WEBP", lossless=True, quality=0, method=method)
    return file.getvalue()


def png(image: NDArray[np.uint8], how: tuple[int, ...] = FAST) -> bytes:
    """PNG of an RGB image (height, width, 3) or a grey one (height, width), uint8. how: OpenCV's options."""
    planes = image if image.ndim == 2 else image[..., ::-1]
    done, data = cv2.imencode(".png", planes, how)
    if not done:
        raise RuntimeError(f"OpenCV could not write a PNG of shape {image.shape}")
    return data.tobytes()


def decoded(data: bytes, grey: bool = False) -> NDArray[np.uint8]:
    """The RGB image (height, width, 3) or the grey one (height, width) of its file.

    Raises ValueError where it is none, and for one of more pixels than headers.MAX_PIXELS before it fills the memory.
    """
    headers.size_px(data)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise ValueError(f"{len(data)} bytes that are no image")
    return np.asarray(image, np.uint8)


def read(reader: Reader, offset: int, size: int, grey: bool = False) -> NDArray[np.uint8]:
    """`decoded` of an archive's `size` bytes from `offset`. Raises UserError with its path where they are no image."""
    try:
        return decoded(reader.read(offset, size), grey)
    except ValueError as error:
        raise UserError(f"{reader.path}: at byte {offset}: {error}; {formats.MEND}") from error
