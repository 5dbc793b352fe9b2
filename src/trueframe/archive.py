"""Image archives: zips whose members are stored as they are, in sorted order, with one constant date.

Stored, not compressed: images are compressed already, and a member's bytes lie as one run in the file, so a reader that
knows its offset needs one `pread` and no zip directory.
"""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that a zip can tell
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")  # PKWARE APPNOTE 4.3.7


def member_name(video: str, frame: int, track: int, extension: str) -> str:
    """The name of a face's image: `<video>/<frame>_<track>.<extension>`; six digits for the frame, so that it sorts."""
    return f"{video}/{frame:06d}_{track}.{extension}"


def parse_member(name: str) -> tuple[str, int, int]:
    """(video, frame, track) of a member's name; the opposite of `member_name`."""
    video, _, file = name.rpartition("/")
    frame, _, track = file.partition(".")[0].partition("_")
    return video, int(frame), int(track)


class Writer:
    """Writes a stored zip whose bytes depend on nothing but the members, in the order in which they are added."""

    def __init__(self, path: Path) -> None:
        """Start a new archive at `path`; what was there is replaced."""
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True)
        self.count = 0

    def add(self, name: str, data: bytes) -> None:
        """Add a member. Raises ValueError when the name is there already."""
        info = zipfile.ZipInfo(name, _EPOCH)
        info.external_attr = 0o644 << 16
        info.create_system = 3  # Unix, whatever the system, so that the bytes are the same
        if name in self._zip.NameToInfo:
            raise ValueError(f"{name} is in the archive already")
        self._zip.writestr(info, data)
        self.count += 1

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()


@dataclass(frozen=True)
class Member:
    """A member and the place of its bytes in the archive file: `size` bytes from `offset`."""

    name: str
    offset: int
    size: int


def members(path: Path) -> list[Member]:
    """Every member of a stored archive in its order and where its bytes lie. Raises ValueError for a packed member."""
    found = []
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        for info in archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{path}: {info.filename} is compressed; the archive must be stored")
            file.seek(info.header_offset)
            # The local header's extra field can differ from the directory's, so its length is read there.
            *_, name_size, extra_size = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
            offset = info.header_offset + _LOCAL_HEADER.size + name_size + extra_size
            found.append(Member(info.filename, offset, info.file_size))
    return found


class Reader:
    """Reads members' bytes by offset through one file descriptor, which threads and forked processes can share."""

    def __init__(self, path: Path) -> None:
        """Open the archive; it stays open until `close`."""
        self._descriptor = os.open(path, os.O_RDONLY)

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`. Raises EOFError when the file is shorter."""
        data = os.pread(self._descriptor, size, offset)
        if len(data) != size:
            raise EOFError(f"{size} bytes wanted at {offset}, {len(data)} there")
        return data

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def images(path: Path) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of each member, in the archive's order."""
    with Reader(path) as reader:
        for member in members(path):
            yield member.name, reader.read(member.offset, member.size)
