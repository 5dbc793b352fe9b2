"""How large an image is by its first bytes, so that none is decoded that would fill the memory."""

from __future__ import annotations

import struct

MAX_PIXELS = 1 << 26  # twice a whole 8K frame; decoding takes up to seven bytes for each, half a gigabyte

_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_WEBP = b"VP8L"


def size_px(data: bytes) -> tuple[int, int]:
    """(width, height) of a PNG or of a lossless WebP, the two kinds that archives hold.

    Raises ValueError for anything else, and for an image of more than MAX_PIXELS.
    """
    if data.startswith(_PNG) and len(data) >= 24:
        width, height = struct.unpack_from(">2I", data, 16)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP" and data[12:16] == _WEBP and len(data) >= 25:
        (bits,) = struct.unpack_from("<I", data, 21)  # after the chunk's length and a signature
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        raise ValueError(f"{len(data)} bytes that are no PNG and no lossless WebP")
    if width * height > MAX_PIXELS:
        raise ValueError(f"an image of {width} by {height} pixels; no crop has more than {MAX_PIXELS}")
    return width, height
