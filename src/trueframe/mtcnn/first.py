"""The nets' first layer: convolution of three channels, PReLU and max pooling in one pass.

It is a seventh of P-Net's arithmetic and was almost half of its time: OpenVINO's kernels are made for many channels.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_LANES = 16  # float32 in the widest vector register: rows padded to it have no rest to work through one by one


@njit(cache=True, nogil=True, fastmath={"contract"})
def layer(images: Floats, kernels: Floats, biases: Floats, slopes: Floats, side: int) -> Floats:
    """images: float32 of shape (n, 3, height, width); kernels: (channels, 3, 3, 3); biases, slopes: (channels,).

    side: of the pooling window, which moves by two and is cut at the edge. Returns (n, channels, rows, columns).
    """
    count, _, height, width = images.shape
    channels = len(kernels)
    high, wide = height - 2, width - 2  # after the convolution
    rows, columns = (high - side + 1) // 2 + 1, (wide - side + 1) // 2 + 1
    out = np.empty((count, channels, rows, columns), np.float32)
    padded = (wide + _LANES - 1) // _LANES * _LANES
    image = np.zeros((3, height, padded + 2), np.float32)
    sums = np.empty(padded, np.float32)
    most = np.empty(padded + side, np.float32)
    for number in range(count):
        for colour in range(3):
            for y in range(height):
                for x in range(width):
                    image[colour, y, x] = images[number, colour, y, x]
        for row in range(rows):
            for channel in range(channels):
                slope = slopes[channel]
                for y in range(2 * row, min(2 * row + side, high)):
                    for x in range(padded):
                        sums[x] = biases[channel]
                    for colour in range(3):
                        a, b, c = image[colour, y], image[colour, y + 1], image[colour, y + 2]
                        k = kernels[channel, colour]
                        a0, a1, a2 = k[0, 0], k[0, 1], k[0, 2]
                        b0, b1, b2 = k[1, 0], k[1, 1], k[1, 2]
                        c0, c1, c2 = k[2, 0], k[2, 1], k[2, 2]
                        for x in range(padded):
                            sums[x] += (
                                (a0 * a[x] + a1 * a[x + 1] + a2 * a[x + 2])
                                + (b0 * b[x] + b1 * b[x + 1] + b2 * b[x + 2])
                                + (c0 * c[x] + c1 * c[x + 1] + c2 * c[x + 2])
                            )
                    if y == 2 * row:
                        for x in range(padded):
                            most[x] = sums[x] if sums[x] > 0 else sums[x] * slope
                    else:
                        for x in range(padded):
                            value = sums[x] if sums[x] > 0 else sums[x] * slope
                            most[x] = max(most[x], value)
                most[wide : wide + side] = -np.inf  # past the edge lies what no maximum takes
                line = out[number, channel, row]
                if side == 2:
                    for x in range(columns):
                        line[x] = max(most[2 * x], most[2 * x + 1])
                else:
                    for x in range(columns):
                        line[x] = max(max(most[2 * x], most[2 * x + 1]), most[2 * x + 2])
    return out
