"""Columns as the audit page holds them: packed, for 120,000 videos have to fit into a file that opens at once."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import numpy as np

_KINDS = ("<u1", "<u2", "<u4")
_BIGGER = "<f8"  # JavaScript's own numbers: whole up to 2**53


def pack(values: Iterable[int | None]) -> dict[str, Any]:
    """Whole numbers from 0, or None, as base64 of one more than each, little-endian, with 0 for None.

    bytes: how many a number takes: 1, 2 or 4; 8 where they are 64-bit floats. Raises ValueError for a negative number.
    """
    listed = list(values)
    least = min((value for value in listed if value is not None), default=0)
    if least < 0:
        raise ValueError(f"{least}: expected a number from 0")
    numbers = np.array([0 if value is None else value + 1 for value in listed], np.int64)
    largest = int(numbers.max()) if len(numbers) else 0
    kind = next((kind for kind in _KINDS if largest <= np.iinfo(kind).max), _BIGGER)
    return {"bytes": np.dtype(kind).itemsize, "data": _text(numbers.astype(kind).tobytes())}


def pack_floats(values: Iterable[float | None]) -> str:
    """Numbers as base64 of 64-bit floats, little-endian, with NaN for None."""
    return _text(np.array([np.nan if value is None else value for value in values], "<f8").tobytes())


def pack_digests(digests: Iterable[str]) -> str:
    """SHA-256 in hexadecimal digits as base64 of their 32 bytes each."""
    return _text(b"".join(map(bytes.fromhex, digests)))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Codes:
    """A number from 0 for each value that comes, the same for equal ones, in the order of their first coming."""

    def __init__(self) -> None:
        """No value yet."""
        self._numbers: dict[Any, int] = {}

    def of(self, value: Any) -> int:
        """The number of a value, which must be hashable."""
        return self._numbers.setdefault(value, len(self._numbers))

    @property
    def values(self) -> list[Any]:
        """The values, each at its number."""
        return list(self._numbers)
