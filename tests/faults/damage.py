"""Damaged and odd videos made from good ones: what each is called, how it is made and what is true of it.

All show numbered frames (tests/videos.py), 96 by 64 pixels unless they say otherwise, and are the same each time.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

import hostile
import videos
from trueframe import tables, video
from trueframe.headers import MAX_PIXELS

FRAMES = 40
INVALID = "can't be decoded: Invalid data found when processing input"
NO_FORMAT = "in none of the formats " + video.FORMATS.replace(",", ", ")
NO_SIZE = f"can't be decoded: frames without a size or of more than {MAX_PIXELS} pixels"
_QUIET = {"x265-params": "log-level=none"}

# Good clips of each codec in each container that FFmpeg writes it into: it refuses HEVC and MPEG-4 in WebM, VP9 and
# AV1 in MOV. Their names say what they hold.
CODECS: dict[str, dict[str, object]] = {
    "h264": {"options": {"g": "12"}},
    "hevc": {"codec": "libx265", "options": {"g": "12"} | _QUIET},
    "vp9": {"codec": "libvpx-vp9", "options": {"cpu-used": "8", "deadline": "realtime"}},
    "av1": {"codec": "libsvtav1", "options": {"preset": "12", "svtav1-params": "lp=1"}},
    "mpeg4": {"codec": "mpeg4", "options": {"bf": "2"}},
}
CONTAINERS = {
    "h264": ("mp4", "mov", "mkv", "avi", "m4v"),
    "hevc": ("mp4", "mov", "mkv"),
    "vp9": ("mp4", "mkv", "webm"),
    "av1": ("mp4", "mkv", "webm"),
    "mpeg4": ("mp4", "mov", "mkv", "avi"),
}


def good(folder: Path) -> list[Path]:
    """A clip of each codec in each container. The headers of half of the MP4s come first, as on the web."""
    made = []
    for codec, containers in CONTAINERS.items():
        for container in containers:
            options = {"movflags": "faststart"} if container in ("mp4", "mov") else {}
            for first in {"": {}, "_first": options} if options else {"": {}}:
                path = folder / f"{codec}{first}.{container}"
                videos.write(path, FRAMES, container=options if first else {}, **CODECS[codec])
                made.append(path)
    return made


DAMAGE: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "cut": lambda data, chance: data[: chance.randrange(len(data))],
    "flipped": lambda data, chance: _flipped(data, chance, chance.choice((1, 3, 10, 100))),
    "header-flipped": lambda data, chance: _flipped(data[:1500], chance, 5) + data[1500:],
    "end-flipped": lambda data, chance: data[:-1500] + _flipped(data[-1500:], chance, 5),
    "header-only": lambda data, chance: data[: chance.choice((1, 8, 32, 200, 700, 1200, _header(data)))],
    "zeroed": lambda data, chance: _zeroed(data, chance.randrange(len(data)), chance.choice((64, 4096))),
    "head-gone": lambda data, chance: data[chance.randrange(1, len(data)) :],
    "doubled": lambda data, chance: data + data[: chance.randrange(len(data))],
}


def _flipped(data: bytes, chance: random.Random, count: int) -> bytes:
    changed = bytearray(data)
    for _ in range(count):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def _header(data: bytes) -> int:
    """Where an MP4's pictures start; the middle of what is none."""
    return data.find(b"mdat") + 4 if b"mdat" in data else len(data) // 2


def _zeroed(data: bytes, start: int, size: int) -> bytes:
    """As a disk may leave a file when the power fails."""
    end = min(start + size, len(data))
    return data[:start] + bytes(end - start) + data[end:]


def damaged(folder: Path, clips: list[Path], count: int, seed: int) -> list[Path]:
    """So many files, each a clip damaged in one of the ways, taking turns; their names tell which."""
    chance = random.Random(seed)
    kinds = list(DAMAGE)
    made = []
    for number in range(count):
        kind, clip = kinds[number % len(kinds)], chance.choice(clips)
        path = folder / f"{number:04d}_{kind}_{clip.name}"
        path.write_bytes(DAMAGE[kind](clip.read_bytes(), chance))
        made.append(path)
    return made


@dataclass(frozen=True)
class Odd:
    """A file that is not as others are. write: makes it at a path; status, reason: what its crops' row must say.

    The reason is an end or all of the one given; frames: the ones it must have, where it can be read at all.
    """

    name: str
    write: Callable[[Path], object]
    status: str = tables.OK
    reason: str = ""
    frames: int = 30


def _clip(**known: object) -> Callable[[Path], object]:
    return lambda path: videos.write(path, **known)


def _named_as(name: str, **known: object) -> Callable[[Path], object]:
    """A clip of the kind that `name` tells, called otherwise."""

    def write(path: Path) -> None:
        other = path.with_name(f"other_{name}")
        videos.write(other, **known)
        other.rename(path)

    return write


def _many(path: Path) -> None:
    image = videos.numbered(0, (32, 32))
    videos.write(path, (image for _ in range(10_000)), codec="mpeg4", size=(32, 32), options={"g": "300"})


def _large(path: Path) -> None:
    size = (7680, 4320)
    image = np.full((size[1], size[0], 3), 90, np.uint8)
    videos.write(path, [image] * 3, size=size, options={"preset": "ultrafast"})


def _sizes(path: Path) -> None:
    """A stream whose pictures grow midway: two clips, one behind the other, as broadcasts do."""
    parts = []
    for size in (videos.SIZE, (192, 128)):
        videos.write(path.with_name("part.ts"), 15, size=size, options={"bf": "0"})
        parts.append(path.with_name("part.ts").read_bytes())
    path.with_name("part.ts").unlink()
    path.write_bytes(b"".join(parts))


def _mp4_number(box: bytes, offset: int, number: int) -> Callable[[Path], object]:
    """A clip one of whose header's numbers is another: so many bytes behind the name of a box."""

    def write(path: Path) -> None:
        videos.write(path)
        data = bytearray(path.read_bytes())
        place = data.index(box) + offset
        data[place : place + 4] = number.to_bytes(4, "big")
        path.write_bytes(data)

    return write


def _avi_claims(count: int) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        videos.write(path, codec="mpeg4")
        data = bytearray(path.read_bytes())
        place = data.index(b"strh") + 8 + 32  # AVISTREAMHEADER.dwLength
        data[place : place + 4] = count.to_bytes(4, "little")
        path.write_bytes(data)

    return write


def _flat_matrix(path: Path) -> None:
    """A rotation that is none: a matrix of zeros."""
    videos.write_turned(path, 90)
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40
    data[place : place + 36] = bytes(36)
    path.write_bytes(data)


def _title(path: Path) -> None:
    """A title in Latin-1, where UTF-8 is expected."""
    with av.open(str(path), "w") as file:
        file.metadata["title"] = "ungelesen"
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = *videos.SIZE, "yuv420p"
        for number in range(30):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(videos.numbered(number), format="rgb24")))
        file.mux(stream.encode())
    assert path.read_bytes().count(b"ungelesen") == 1
    path.write_bytes(path.read_bytes().replace(b"ungelesen", b"ungel\xe4sen"))


def _bomb(told: tuple[int, int]) -> Callable[[Path], object]:
    """Pictures of 16,000 by 16,000 pixels, whatever the header tells."""
    return lambda path: hostile.video(path, "mov", "png", "rgb24", told, hostile.png_bomb(16_000))


def _four_bits(path: Path) -> None:
    """Pixels that libswscale knows and doesn't take."""
    hostile.video(path, "nut", "rawvideo", "rgb4", (64, 48), bytes(64 * 48 // 2))


def _bytes(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


_SCRIPT = b"ffconcat version 1.0\nfile neighbour_0.mp4\n"
_PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nneighbour_0.mp4\n#EXT-X-ENDLIST\n"
_ENDINGS = "not a file that ends in .avi, .m4v, .mkv, .mov, .mp4, .webm"
_TURNED = {
    f"turned_{degrees}.mp4": (lambda path, degrees=degrees: videos.write_turned(path, degrees))
    for degrees in (90, 180, 270)
}

ODD = (
    Odd("one_frame.mp4", _clip(frames=1), tables.TOO_FEW_FRAMES, "1 frames; index.min_frames asks for 2", 1),
    Odd("ten_thousand.mp4", _many, frames=10_000),
    Odd("no_bytes.mp4", Path.touch, tables.DECODE_ERROR, INVALID),
    Odd("zeros.mp4", _bytes(bytes(5000)), tables.DECODE_ERROR, INVALID),
    Odd("text.mp4", _bytes(b"not a video\n" * 50), tables.DECODE_ERROR, INVALID),
    Odd("sound.mp4", videos.write_sound, tables.DECODE_ERROR, "no video stream"),
    Odd("sound_too.mp4", _clip(audio=True)),
    Odd("variable_rate.mp4", _clip(times=lambda number: number + number * number // 3)),
    *(Odd(name, write) for name, write in _TURNED.items()),
    Odd("turned_to_nothing.mp4", _flat_matrix),
    Odd("tiny.mp4", _clip(size=(16, 16))),
    Odd("flat.mkv", _clip(size=(4097, 3), codec="ffv1", pixels="yuv444p")),
    Odd("8k.mp4", _large, frames=3),
    Odd(
        "bomb.mov",
        _bomb((16_000, 16_000)),
        tables.DECODE_ERROR,
        f"can't be decoded: 16000 by 16000 pixels, more than {MAX_PIXELS}",
    ),
    Odd(
        "bomb_that_lies.mov",
        _bomb((64, 48)),
        tables.DECODE_ERROR,
        NO_SIZE,
    ),
    Odd(
        "four_bits.mp4",
        _four_bits,
        tables.DECODE_ERROR,
        "can't be decoded: Operation not supported, pixels of the format rgb4",
    ),
    Odd("sizes.mp4", _sizes, frames=29),  # the two at the seam come as one packet
    Odd("full_colour.mp4", _clip(pixels="yuv444p")),
    Odd("ten_bits.mp4", _clip(pixels="yuv420p10le")),
    Odd("ten_bits_hevc.mkv", _clip(codec="libx265", pixels="yuv420p10le", options=_QUIET)),
    Odd("rgb.mkv", _clip(codec="libx264rgb", pixels="rgb24")),
    Odd("transport_stream.mp4", _named_as("x.ts")),
    Odd("matroska.mp4", _named_as("x.mkv")),
    Odd("vp9.mov", _named_as("x.webm", codec="libvpx-vp9")),
    Odd("av1.mov", _named_as("x.mp4", **CODECS["av1"])),
    Odd("hevc.webm", _named_as("x.mkv", codec="libx265", options=_QUIET)),
    Odd("mpeg4.webm", _named_as("x.mkv", codec="mpeg4")),
    Odd("mp4.avi", _named_as("x.mp4")),
    Odd("SHOUTED.MP4", _named_as("x.mp4")),
    Odd("Mixed.MkV", _named_as("x.mkv")),
    Odd("no_extension", _named_as("x.mp4"), tables.NOT_A_VIDEO, _ENDINGS),
    Odd("video.mp4.txt", _named_as("x.mp4"), tables.NOT_A_VIDEO, _ENDINGS),
    # stsz: version and flags, size of all, count.
    Odd(
        "claims_fewer.mp4",
        _mp4_number(b"stsz", 12, 20),
        tables.TRUNCATED,
        "20 of the 30 frames that the container declares are there",
        20,
    ),
    Odd(
        "claims_more.avi",
        _avi_claims(60),
        tables.TRUNCATED,
        "30 of the 60 frames that the container declares are there",
    ),
    Odd("title.mp4", _title),
    Odd("script.mp4", _bytes(_SCRIPT), tables.DECODE_ERROR, NO_FORMAT),
    Odd("script.mkv", _bytes(_SCRIPT), tables.DECODE_ERROR, NO_FORMAT),
    Odd("playlist.mp4", _bytes(_PLAYLIST), tables.DECODE_ERROR, INVALID),
    Odd("a name with spaces .mp4", _clip()),
    Odd("'quotes\" `and` $(more).mp4", _named_as("x.mp4")),
    Odd("new\nline\ttab\rreturn\x1b[31m.mp4", _named_as("x.mp4")),
    Odd("😀 é \u202egnp.mp4", _named_as("x.mp4")),
    Odd("-rf.mp4", _named_as("x.mp4")),
    Odd("--help.mp4", _named_as("x.mp4")),
    Odd("%d_{x}_*?[a-z].mp4", _named_as("x.mp4")),
    Odd("back\\slash;a|b&c.mp4", _named_as("x.mp4")),
    Odd("n" * 251 + ".mp4", _named_as("x.mp4")),
    Odd("é" * 125 + "n.mp4", _named_as("x.mp4")),
    Odd("folder.mp4", lambda path: (path.mkdir(), videos.write(path / "inside.mp4")), tables.NOT_A_VIDEO, _ENDINGS),
    Odd("pipe.mp4", os.mkfifo, tables.NOT_A_VIDEO, _ENDINGS),
    Odd("device.mp4", lambda path: path.symlink_to("/dev/zero"), tables.NOT_A_VIDEO, _ENDINGS),
    Odd(
        "dangling.mp4",
        lambda path: path.symlink_to("nowhere.mp4"),
        tables.MISSING_FILE,
        "a link to a file that is not there",
    ),
    Odd(
        "loop.mp4", lambda path: path.symlink_to("loop.mp4"), tables.MISSING_FILE, "a link to a file that is not there"
    ),
)


def odd(folder: Path, outside: Path) -> list[Odd]:
    """All of them, written, and a link to a file outside the folder."""
    for case in ODD:
        case.write(folder / case.name)
    videos.write(outside)
    (folder / "link.mp4").symlink_to(outside)
    return [*ODD, Odd("link.mp4", shutil.copy)]
