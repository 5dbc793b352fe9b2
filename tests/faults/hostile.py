"""Files as someone makes them who means harm."""

from __future__ import annotations

import os
import random
import struct
import zipfile
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import timm

from trueframe import card

FLIPPED = [300, pytest.param(20_000, marks=pytest.mark.long)]
ENCODER = "test_efficientnet"


def zipped(path: Path, names: list[str], data: bytes = b"image", kind: int = zipfile.ZIP_STORED) -> Path:
    """A zip of members with any names, as zipfile writes it."""
    with zipfile.ZipFile(path, "w", kind) as file:
        for name in names:
            file.writestr(zipfile.ZipInfo(name), data, compress_type=kind)
        file.comment = b"trueframe 1"
    return path


def patched(path: Path, place: int, layout: str, *values: int) -> Path:
    """The same with other values at a place of the directory's first entry."""
    data = bytearray(path.read_bytes())
    struct.pack_into(layout, data, data.index(b"PK\x01\x02") + place, *values)
    path.write_bytes(data)
    return path


def replaced(path: Path, names: list[str], old: bytes, new: bytes) -> Path:
    """A zip of such members with other bytes of the same number wherever some stood."""
    path.write_bytes(zipped(path, names).read_bytes().replace(old, new))
    return path


def shared(path: Path) -> Path:
    """A zip of a hundred members that are all the same bytes, as in bombs that need no compression."""
    zipped(path, [f"v/{number:06d}_0.png" for number in range(100)])
    data = path.read_bytes()
    at = data.index(b"PK\x01\x02")
    directory = bytearray(data[at:])
    entry = 0
    while (entry := directory.find(b"PK\x01\x02", entry)) >= 0:
        struct.pack_into("<I", directory, entry + 42, 0)
        entry += 4
    path.write_bytes(data[:at] + directory)
    return path


def flipped(data: bytes, source: random.Random) -> bytes:
    """The same with some bytes changed, moved or cut off."""
    changed = bytearray(data)
    for _ in range(source.randint(1, 4)):
        changed[source.randrange(len(changed))] = source.choice((0, 1, 0x7F, 0x80, 0xFF, source.randrange(256)))
    if source.random() < 0.2:
        del changed[source.randrange(len(changed)) :]
    return bytes(changed)


def png_bomb(side_px: int) -> bytes:
    """A black PNG of one bit a pixel: some kilobytes for any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = bytes(1 + -(-side_px // 8))
    packer = zlib.compressobj(1)
    packed = b"".join([*(packer.compress(row * 1000) for _ in range(side_px // 1000)), packer.flush()])
    start = struct.pack(">IIBBBBB", side_px, side_px, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", start) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def video(path: Path, kind: str, codec: str, pixels: str, size: tuple[int, int], data: bytes) -> Path:
    """A video of a format, whose header tells a codec, pixels and a size, and whose three packets hold any bytes."""
    with av.open(str(path), "w", format=kind) as file:
        stream = file.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        for number in range(3):
            packet = av.Packet(data)
            packet.pts = packet.dts = number
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 25), stream, True
            file.mux(packet)
    return path


def table(path: Path, schema: pa.Schema) -> Path:
    """A table with one row and any columns."""
    row = {field.name: "x" if "string" in str(field.type) else 1 for field in schema}
    pq.write_table(pa.Table.from_pylist([row], schema=schema), path)
    return path


class Payload:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.path}'",)


def weights(path: Path, told: str | None = None) -> Path:
    """A safetensors file of a small network, with any card."""
    made = timm.create_model(ENCODER, num_classes=1)
    tensors = {name: value.contiguous() for name, value in made.state_dict().items()}
    safetensors.torch.save_file(tensors, path, metadata=None if told is None else {card.KEY: told})
    return path
