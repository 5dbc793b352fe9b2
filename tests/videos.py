"""Small videos made with PyAV for tests: each frame shows its own number, so that frames can be told apart."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from trueframe import tables

Image = NDArray[np.uint8]
SIZE = (96, 64)  # width, height
_BITS = 10
_BIT_PX = 8
# A tkhd box's matrix (ISO 14496-12, 8.3.2) that turns the picture clockwise by so many degrees, 16.16 fixed point.
_ONE = 1 << 16
_TURNS = {90: (0, _ONE, -_ONE, 0), 180: (-_ONE, 0, 0, -_ONE), 270: (0, -_ONE, _ONE, 0)}


def numbered(number: int, size: tuple[int, int] = SIZE) -> Image:
    """A grey ramp with red in its upper left corner; its top rows hold the number as black and white squares."""
    width, height = size
    image = np.empty((height, width, 3), np.uint8)
    image[:] = np.linspace(40, 200, width).astype(np.uint8)[None, :, None]
    image[_BIT_PX : height // 3, : width // 4] = (220, 30, 30)
    for bit in range(_BITS):
        image[:_BIT_PX, bit * _BIT_PX : (bit + 1) * _BIT_PX] = 255 if number >> bit & 1 else 0
    return image


def moving(frames: int, size: tuple[int, int] = SIZE) -> Iterator[Image]:
    """Numbered frames over spots that drift, so that every frame differs everywhere from those around it."""
    width, height = size
    spots = np.random.default_rng(0).integers(0, 255, (height // 2, width // 2, 3), np.uint8)
    ground = spots.repeat(8, 0).repeat(8, 1)
    for number in range(frames):
        top = round(height * (1 + math.sin(number / 9)))
        left = round(width * (1 + math.cos(number / 13)))
        image = ground[top : top + height, left : left + width].copy()
        image[:_BIT_PX] = numbered(number, size)[:_BIT_PX]
        yield image


def number_of(image: Image) -> int:
    """The number that a frame of `numbered` shows."""
    squares = (image[2 : _BIT_PX - 2, bit * _BIT_PX + 2 : (bit + 1) * _BIT_PX - 2].mean() for bit in range(_BITS))
    return sum(1 << bit for bit, level in enumerate(squares) if level > 128)


def write(
    path: Path,
    frames: int | Iterable[Image] = 30,
    *,
    codec: str = "libx264",
    size: tuple[int, int] = SIZE,
    pixels: str = "yuv420p",
    options: Mapping[str, str] | None = None,
    container: Mapping[str, str] | None = None,
    times: Callable[[int], int] = int,
    shift: int = 0,
    audio: bool = False,
) -> Path:
    """Write a video of so many numbered frames, or of the given ones, at 25 a second; returns its path.

    times: the moment of a frame in 25ths of a second (another than its number makes a variable rate). shift: added to
    every packet's times: below 0, players skip the first frames, as after a cut without encoding.
    """
    images = (numbered(number, size) for number in range(frames)) if isinstance(frames, int) else frames
    with _same_priority(), av.open(str(path), "w", options=dict(container or {})) as file:
        stream = file.add_stream(codec, rate=25, options=dict(options or {}))
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        stream.codec_context.time_base = Fraction(1, 25)
        stream.codec_context.thread_count = 1
        sound = file.add_stream("aac", rate=8000, layout="mono") if audio else None
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = times(number), Fraction(1, 25)
            _mux(file, stream.encode(frame), shift)
        _mux(file, stream.encode(), shift)
        if sound:
            _add_sound(file, sound)
    return path


@contextmanager
def _same_priority() -> Iterator[None]:
    """SVT-AV1 makes the thread of a superuser that starts it, and all processes begun by it later, real-time ones, for
    which everything else on the machine waits.
    """
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, priority)


def _mux(file: av.container.OutputContainer, packets: Iterable[av.Packet], shift: int) -> None:
    for packet in packets:
        if shift:
            assert packet.pts is not None
            assert packet.dts is not None
            ticks = round(shift / 25 / packet.time_base)
            packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
        file.mux(packet)


def _add_sound(file: av.container.OutputContainer, stream: av.audio.stream.AudioStream) -> None:
    wave = [[math.sin(number / 10) for number in range(8000)]]
    frame = av.AudioFrame.from_ndarray(np.array(wave, np.float32), format="fltp", layout="mono")
    frame.sample_rate, frame.pts = 8000, 0
    file.mux(stream.encode(frame))
    file.mux(stream.encode())


def write_sound(path: Path) -> Path:
    """A file with sound and no picture."""
    with av.open(str(path), "w") as file:
        _add_sound(file, file.add_stream("aac", rate=8000, layout="mono"))
    return path


def write_turned(path: Path, degrees: int) -> Path:
    """An MP4 whose header tells the player to turn it clockwise."""
    write(path)
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40  # version and flags, times, id, duration, layer, group, volume
    a, b, c, d = _TURNS[degrees]
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def write_truncated(path: Path, share: float = 0.5, frames: int = 60) -> Path:
    """An MP4 whose header comes first and whose end is missing."""
    write(path, frames, options={"g": "10"}, container={"movflags": "faststart"})
    data = path.read_bytes()
    header = data.index(b"mdat")
    path.write_bytes(data[: header + int((len(data) - header) * share)])
    return path


def write_broken(path: Path, frames: int = 40, good: int = 25) -> Path:
    """A video of PNG pictures (in .mov) whose pictures from number `good` on are garbage, which no decoder forgives."""
    write(path, frames, codec="png", pixels="rgb24")
    data = path.read_bytes()
    signature = b"\x89PNG\r\n\x1a\n"
    pieces = data.split(signature)
    assert len(pieces) == frames + 1
    path.write_bytes(signature.join(pieces[: good + 1]) + b"".join(b"garbage!" + piece for piece in pieces[good + 1 :]))
    return path


def decoded(path: Path) -> list[Image]:
    """Every frame as a plain PyAV loop gives it."""
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


def index_row(name: str, **known: object) -> dict[str, object]:
    """A row of an index table: a video of 30 frames, 96 wide and 64 high, label 0 and status ok unless told else."""
    row: dict[str, object] = {"video": name, "sha256": "", "size_bytes": 0, "codec": "h264", "width_px": SIZE[0]}
    row |= {"height_px": SIZE[1], "fps": 25.0, "frames": 30, "status": tables.OK, "reason": "", "label": 0}
    return row | {"original": None} | known
