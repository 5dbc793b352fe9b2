"""Images as the archives hold them: lossless PNG."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

CHANGED = 20  # a mask's pixel above this, of 255, is one that the fake changed

_DEFAULT_COMPRESSION = 1  # OpenCV's own choice: fast


def png(image: NDArray[np.uint8], compression: int = _DEFAULT_COMPRESSION) -> bytes:
    """PNG of an RGB image (height, width, 3) or a grey one (height, width), uint8. compression: zlib's level, 0..9."""
    planes = image if image.ndim == 2 else image[..., ::-1]
    done, data = cv2.imencode(".png", planes, [cv2.IMWRITE_PNG_COMPRESSION, compression])
    if not done:
        raise RuntimeError(f"OpenCV could not write a PNG of shape {image.shape}")
    return data.tobytes()


def decoded(data: bytes, grey: bool = False) -> NDArray[np.uint8]:
    """The RGB image (height, width, 3) or the grey one (height, width) of its file. Raises ValueError if it is none."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise ValueError(f"{len(data)} bytes that are no image")
    return np.asarray(image, np.uint8)
