"""Where two images differ, by SSIM: the very numbers of scikit-image, in one pass over the rows.

scikit-image runs ten filters over whole images of float64. Here all is done for a row while it lies in the processor's
cache. Each operation and its order are those of scikit-image and of scipy.ndimage.uniform_filter, whose window means
run along an axis and gather rounding errors: a level is cut to a whole number, so the last bit of a mean can decide it.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

_CHANNELS = 3
_LARGEST_PX = 31  # up to which `inverse` is tested
_MOMENTS = 5  # the means of x, y, x², y² and xy, where x and y are the two images
# Wang et al. 2004, doi:10.1109/TIP.2003.819861, eq. 7 and 10, for values of 0 to 255
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def levels(one: NDArray[np.uint8], other: NDArray[np.uint8], window_px: int) -> NDArray[np.uint8]:
    """(1 - SSIM) * 255 of each channel, clipped to 0..255 and cut to a whole number: uint8 of shape (height, width, 3).

    one, other: images of that shape and type. window_px: side of the window of equal weights, odd, 3 to 31 and at
    most the image's shorter side. SSIM is skimage.metrics.structural_similarity's with full=True, its other arguments
    as they are: K1 0.01, K2 0.03, the sample covariance, edges reflected. Raises ValueError where the shapes or the
    window are not so, TypeError where the values are of another type.
    """
    if one.shape != other.shape or one.ndim != 3 or one.shape[2] != _CHANNELS:
        raise ValueError(f"images of the shapes {one.shape} and {other.shape}: both must be (height, width, 3)")
    if window_px % 2 == 0 or not 3 <= window_px <= min(_LARGEST_PX, *one.shape[:2]):
        raise ValueError(f"a window of {window_px} px for images of the shape {one.shape}")
    found = np.empty(one.shape, np.uint8)
    lanes = one.shape[1] * _CHANNELS
    rows = [np.ascontiguousarray(image).reshape(-1, lanes) for image in (one, other, found)]
    means, line = np.zeros((_MOMENTS, lanes)), np.empty((_MOMENTS, lanes))
    wide = np.empty((_MOMENTS, lanes + (window_px - 1) * _CHANNELS))
    _fill(*rows, window_px, *inverse(window_px), means, wide, line)
    return found


def inverse(window_px: int) -> tuple[float, float]:
    """(high, low), with which n * high + n * low is n / window_px for every whole n of -255² to 255², to the last bit.

    window_px: odd, 3 to 31. A division takes ten times as long. high has 24 bits, so n * high is exact; the sum is the
    only rounding that tells, since n / window_px lies nowhere near the middle between two floats.
    """
    high = float(np.float32(1 / window_px))
    return high, (1 - high * window_px) / window_px


# Below, a row of an image is `lanes` numbers, its channels side by side, so that the loops over it become vector code.
# inline: numba compiles all of it once, as one function. As functions of their own it would compile them twice.


@numba.njit(inline="always")
def _means_down(one: Any, other: Any, y: int, window: int, high: float, low: float, means: Any) -> None:
    """Moves the means over the windows of a column of pixels from row y - 1 to row y; for row 0 makes them.

    high, low: as `inverse` gives them.
    """
    height, lanes = one.shape
    reach, size = window // 2, float(window)
    if y == 0:
        for row in range(-reach, reach + 1):
            at = row if row >= 0 else -1 - row
            for i in range(lanes):
                a, b = float(one[at, i]), float(other[at, i])
                means[0, i] += a
                means[1, i] += b
                means[2, i] += a * a
                means[3, i] += b * b
                means[4, i] += a * b
        for moment in range(_MOMENTS):
            for i in range(lanes):
                means[moment, i] /= size
    else:
        new, old = y + reach, y - reach - 1
        new = new if new < height else 2 * height - 1 - new
        old = old if old >= 0 else -1 - old
        for i in range(lanes):
            a, b, c, d = float(one[new, i]), float(other[new, i]), float(one[old, i]), float(other[old, i])
            of_a, of_b, of_aa, of_bb, of_ab = a - c, b - d, a * a - c * c, b * b - d * d, a * b - c * d
            means[0, i] += of_a * high + of_a * low
            means[1, i] += of_b * high + of_b * low
            means[2, i] += of_aa * high + of_aa * low
            means[3, i] += of_bb * high + of_bb * low
            means[4, i] += of_ab * high + of_ab * low


@numba.njit(inline="always")
def _means_along(means: Any, window: int, wide: Any, line: Any) -> None:
    """The means of `means` along its row, in `line`; `wide` is room for the row with its reflected ends."""
    lanes, size = line.shape[1], float(window)
    edge, span = window // 2 * _CHANNELS, window * _CHANNELS
    for moment in range(_MOMENTS):
        for i in range(lanes):
            wide[moment, edge + i] = means[moment, i]
        for i in range(edge):
            mirrored = _CHANNELS - 2 * (i % _CHANNELS)  # the pixels turn round, the channels in a pixel do not
            wide[moment, edge - mirrored - i] = means[moment, i]
            wide[moment, edge + lanes + i] = means[moment, lanes - mirrored - i]
        for channel in range(_CHANNELS):
            total = 0.0
            for i in range(channel, span, _CHANNELS):
                total += wide[moment, i]
            line[moment, channel] = total / size
        for i in range(lanes - _CHANNELS):
            line[moment, i + _CHANNELS] = (wide[moment, i + span] - wide[moment, i]) / size
    for i in range(_CHANNELS, lanes):
        for moment in range(_MOMENTS):
            line[moment, i] += line[moment, i - _CHANNELS]


@numba.njit(inline="always")
def _row_levels(line: Any, norm: float, y: int, found: Any) -> None:
    """Row y of the levels, from the means of its windows; norm makes variances those of a sample."""
    for i in range(line.shape[1]):
        a, b = line[0, i], line[1, i]
        of_a, of_b, of_both = norm * (line[2, i] - a * a), norm * (line[3, i] - b * b), norm * (line[4, i] - a * b)
        above = (2.0 * a * b + _C1) * (2.0 * of_both + _C2)
        below = (a * a + b * b + _C1) * (of_a + of_b + _C2)
        found[y, i] = np.uint8(min(max((1.0 - above / below) * 255.0, 0.0), 255.0))


def _levels(
    one: Any, other: Any, found: Any, window: int, high: float, low: float, means: Any, wide: Any, line: Any
) -> None:
    """`levels` of images of shape (height, lanes)."""
    norm = float(window * window) / float(window * window - 1)
    for y in range(one.shape[0]):
        _means_down(one, other, y, window, high, low, means)
        _means_along(means, window, wide, line)
        _row_levels(line, norm, y, found)


def _compiled(**options: Any) -> Any:
    """`_levels` in machine code. numpy's way to divide: in Python's, every division would be checked for a zero."""
    signature = "void(u1[:, ::1], u1[:, ::1], u1[:, ::1], i8, f8, f8, f8[:, ::1], f8[:, ::1], f8[:, ::1])"
    return numba.njit(signature, error_model="numpy", **options)(_levels)


try:  # kept on disk: compiling takes 2 seconds, loading a tenth of that, and every process of a pool needs it
    _fill = _compiled(cache=True)
except RuntimeError:  # numba finds no folder that it may write to, neither beside this file nor in the user's cache
    _fill = _compiled()
