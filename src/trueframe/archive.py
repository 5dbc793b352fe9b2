"""Image archives: zips whose members are stored as they are, in sorted order, with one constant date.

Stored, not compressed: images are compressed already, and a member's bytes lie as one run in the file, so a reader that
knows its offset needs one `pread` and no zip directory. An archive may come from elsewhere: what its directory says is
checked before any of it is believed, and no member is ever written to a file of its name.
"""

from __future__ import annotations

import os
import re
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from trueframe import formats
from trueframe.errors import UserError

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that a zip can tell
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")  # PKWARE APPNOTE 4.3.7
_LOCAL_SIGNATURE = b"PK\x03\x04"
_ENCRYPTED = 1  # bit of the flags
_COMMENT = "trueframe "  # of the archive; the format follows
_KIND = "an archive"  # for messages
# No more digits than the tables' columns take: 64 bits for the frame, 32 for the track.
_MEMBER = re.compile(r"(?P<video>[^/\0]+)/[0-9]{1,18}_[0-9]{1,9}\.[a-z]+")
# What the reader of a zip's directory is known to raise for one that is none.
_NO_ZIP = (zipfile.BadZipFile, NotImplementedError, OverflowError, ValueError, struct.error)


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
        self._zip.comment = f"{_COMMENT}{formats.FORMAT}".encode()
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
    """Every member of a stored archive in its order and where its bytes lie.

    Raises UserError for what `Writer` would not write: no zip, a packed or encrypted member, a name that is no
    `member_name` (one that leads elsewhere, for one), bytes that are not in the file or that two members share.
    """
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                comment, infos = archive.comment, archive.infolist()
        except _NO_ZIP as error:
            raise _refusal(path, f"no whole zip ({error})") from error
        told, _, number = comment.decode("latin-1").partition(" ")
        formats.require_told(path, number if told == _COMMENT.strip() else "", "its comment", _KIND)
        found = [_member(path, file, info) for info in infos]
        end = os.fstat(file.fileno()).st_size
    for member in sorted(found, key=lambda member: member.offset, reverse=True):
        # By shared bytes a small file would be a huge one to whoever reads it member by member.
        if member.offset + member.size > end:
            raise _refusal(path, f"{member.name!r} has bytes beyond the file's end or of another member")
        end = member.offset
    if len({member.name for member in found}) < len(found):
        raise _refusal(path, "a name stands twice in it")
    return found


def _member(path: Path, file: BinaryIO, info: zipfile.ZipInfo) -> Member:
    name = info.orig_filename
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        raise _refusal(path, f"{name!r} is compressed")
    if info.flag_bits & _ENCRYPTED:
        raise _refusal(path, f"{name!r} is encrypted")
    matched = _MEMBER.fullmatch(name)
    if matched is None or matched["video"] in (".", ".."):
        raise _refusal(path, f"{name!r} is not named <video>/<frame>_<track>.<extension>")
    file.seek(max(0, info.header_offset))  # a damaged end of the file makes it negative
    header = file.read(_LOCAL_HEADER.size)
    if info.header_offset < 0 or not header.startswith(_LOCAL_SIGNATURE) or len(header) < _LOCAL_HEADER.size:
        raise _refusal(path, f"{name!r} is not where the directory says")
    # The local header's extra field can differ from the directory's, so its length is read there.
    *_, name_size, extra_size = _LOCAL_HEADER.unpack(header)
    return Member(name, info.header_offset + _LOCAL_HEADER.size + name_size + extra_size, info.file_size)


def _refusal(path: Path, why: str) -> UserError:
    return formats.refusal(path, why, _KIND)


class Reader:
    """Reads members' bytes by offset through one file descriptor, which threads and forked processes can share."""

    def __init__(self, path: Path) -> None:
        """Open the archive; it stays open until `close`."""
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY)
        self._size = os.fstat(self._descriptor).st_size

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`. Raises UserError where the file has none: its table is of another one."""
        if not 0 <= offset <= offset + size <= self._size:
            raise _refusal(self.path, f"{size} bytes are wanted at {offset}, it has {self._size} in all")
        return os.pread(self._descriptor, size, offset)

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
