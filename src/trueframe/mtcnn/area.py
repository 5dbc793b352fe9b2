"""Area resize by exact integer sums: what torch's `interpolate(mode="area")` gives, to the last bit.

Each new pixel is the mean of a window that starts at floor(i * size / new_size) and ends before
ceil((i + 1) * size / new_size). Sums of bytes are whole numbers, so a table of sums gives each of them exactly, however
large the window; what follows (the divisions, MTCNN's (x - 127.5) / 128) is done in float32 as torch does it.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Sums = NDArray[np.uint32]
Floats = NDArray[np.float32]


@njit(cache=True, nogil=True)
def sums_of(image: NDArray[np.uint8]) -> Sums:
    """The sum of all above and left of each corner: (3, height + 1, width + 1) for an RGB image (height, width, 3).

    Modulo 2**32: the difference that gives a window's sum is exact as long as that sum is below 2**31.
    """
    height, width, _ = image.shape
    sums = np.zeros((3, height + 1, width + 1), np.uint32)
    for y in range(height):
        for channel in range(3):
            row = np.uint32(0)
            line = sums[channel, y + 1]
            for x in range(width):
                row += np.uint32(image[y, x, channel])
                line[x + 1] = row
            above = sums[channel, y]
            for x in range(width + 1):
                line[x] += above[x]
    return sums


@njit(cache=True, nogil=True)
def level(sums: Sums, height: int, width: int) -> Floats:
    """The whole image at another size, normalized: float32 of shape (1, 3, height, width)."""
    rows, columns = sums.shape[1] - 1, sums.shape[2] - 1
    out = np.empty((1, 3, height, width), np.float32)
    # Unsigned, since numba would look at each index whether it counts from the end.
    left, right, wide = np.empty(width, np.uint32), np.empty(width, np.uint32), np.empty(width, np.float32)
    for j in range(width):
        left[j] = j * columns // width
        right[j] = ((j + 1) * columns + width - 1) // width
        wide[j] = np.float32(right[j]) - np.float32(left[j])
    band = np.empty(columns + 1, np.int32)  # signed: processors turn it into float32 in one step
    for i in range(height):
        top, bottom = i * rows // height, ((i + 1) * rows + height - 1) // height
        high = np.float32(bottom - top)
        for channel in range(3):
            upper, lower, line = sums[channel, top], sums[channel, bottom], out[0, channel, i]
            for x in range(columns + 1):
                band[x] = np.int32(lower[x] - upper[x])
            for j in range(width):
                total = np.float32(np.int32(band[right[j]] - band[left[j]]))
                line[j] = (total / high / wide[j] - np.float32(127.5)) * np.float32(0.0078125)
    return out


@njit(cache=True, nogil=True)
def cuts(sums: Sums, windows: NDArray[np.int64], size: int) -> Floats:
    """Pieces of the image at a square size, normalized: float32 of shape (n, 3, size, size).

    windows: (n, 4), x0, y0, x1, y1 in pixels, the last two exclusive; none may be empty or reach beyond the image.
    """
    out = np.empty((len(windows), 3, size, size), np.float32)
    left, right = np.empty(size, np.int64), np.empty(size, np.int64)
    for number in range(len(windows)):
        x0, y0, x1, y1 = windows[number]
        columns, rows = x1 - x0, y1 - y0
        for j in range(size):
            left[j] = x0 + j * columns // size
            right[j] = x0 + ((j + 1) * columns + size - 1) // size
        for i in range(size):
            top, bottom = y0 + i * rows // size, y0 + ((i + 1) * rows + size - 1) // size
            high = np.float32(bottom - top)
            for channel in range(3):
                upper, lower, line = sums[channel, top], sums[channel, bottom], out[number, channel, i]
                for j in range(size):
                    a, b = left[j], right[j]
                    total = np.float32(np.uint32(lower[b] - lower[a] - upper[b] + upper[a]))
                    line[j] = (total / high / np.float32(b - a) - np.float32(127.5)) * np.float32(0.0078125)
    return out
